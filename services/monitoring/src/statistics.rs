//! What the orchestrator and the retry engine count, asked for when somebody looks and now and
//! then besides; never twice at the same time, however many look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::{GetStatisticsRequest, GetStatisticsResponse};
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::retry::v1::{
    Breaker, DeadLetterState, ListBreakersRequest, ListDeadLettersRequest,
};
use planaria_runtime::{Directory, ServiceChannel, clock};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::rates::{Rates, Sample};

/// Why the orchestrator refuses while it cannot reach its database.
const STORE_FAILED: &str = "STORE_FAILED";
/// Breakers that are looked at.
const BREAKERS_MAX: u32 = 20;

/// What is known now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The last answer of the orchestrator and when it came (Unix milliseconds).
    pub(crate) statistics: Option<(Arc<GetStatisticsResponse>, u64)>,
    pub(crate) completed_per_second: f64,
    pub(crate) success_ratio: f64,
    pub(crate) dead_letters_open: u64,
    /// The orchestrator answers that it cannot reach its database.
    pub(crate) database_away: bool,
    /// Breakers that hold something back.
    pub(crate) breakers: Vec<Breaker>,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    orchestrator: OrchestratorServiceClient<ServiceChannel>,
    retry_engine: RetryServiceClient<ServiceChannel>,
    deadline: Duration,
    state: Arc<Mutex<State>>,
    /// Held while asking.
    asking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct State {
    known: Known,
    rates: Rates,
    /// When it was last asked, whatever came of it.
    asked_at_ms: u64,
}

impl Statistics {
    pub(crate) fn new(directory: &Directory, deadline: Duration, rate_window_ms: u64) -> Self {
        let known = Known { success_ratio: 1.0, ..Known::default() };
        let state = State { known, rates: Rates::new(rate_window_ms), asked_at_ms: 0 };
        Self {
            orchestrator: OrchestratorServiceClient::new(directory.channel("orchestrator")),
            retry_engine: RetryServiceClient::new(directory.channel("retry-engine")),
            deadline,
            state: Arc::new(Mutex::new(state)),
            asking: Arc::default(),
        }
    }

    /// Keeps the rates going while nobody looks.
    pub(crate) async fn run(self, every: Duration, stop: CancellationToken) {
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => drop(self.fresh(every / 2).await),
            }
        }
    }

    /// What is known, asked for again if that was longer ago than `age_max`. If nobody answers,
    /// it is what was known before.
    pub(crate) async fn fresh(&self, age_max: Duration) -> Known {
        if let Some(known) = self.younger_than(age_max) {
            return known;
        }
        let _asking = self.asking.lock().await;
        // Somebody else may have asked while this waited.
        if let Some(known) = self.younger_than(age_max) {
            return known;
        }
        let (statistics, dead_letters, breakers) =
            tokio::join!(self.counts(), self.dead_letters(), self.breakers());
        let now_ms = clock::now_ms();
        let mut state = self.state();
        state.asked_at_ms = now_ms;
        match statistics {
            Ok(statistics) => {
                state.rates.add(Sample {
                    at_ms: now_ms,
                    completed: statistics.workflows_completed,
                    faulted: statistics.workflows_faulted,
                });
                state.known.completed_per_second = state.rates.completed_per_second();
                state.known.success_ratio = state.rates.success_ratio();
                state.known.statistics = Some((Arc::new(statistics), now_ms));
                state.known.database_away = false;
            }
            Err(status) => {
                tracing::debug!(%status, "no counts from the orchestrator");
                let reason = status.get_details_error_info().map(|info| info.reason);
                state.known.database_away = reason.is_some_and(|it| it == STORE_FAILED);
            }
        }
        match breakers {
            Ok(breakers) => state.known.breakers = breakers,
            Err(status) => tracing::debug!(%status, "no breakers from the retry engine"),
        }
        match dead_letters {
            Ok(open) => state.known.dead_letters_open = open,
            Err(status) => tracing::debug!(%status, "no counts from the retry engine"),
        }
        state.known.clone()
    }

    /// What is known, without asking.
    pub(crate) fn known(&self) -> Known {
        self.state().known.clone()
    }

    fn younger_than(&self, age_max: Duration) -> Option<Known> {
        let state = self.state();
        let age_ms = clock::now_ms().saturating_sub(state.asked_at_ms);
        (Duration::from_millis(age_ms) <= age_max).then(|| state.known.clone())
    }

    async fn counts(&self) -> Result<GetStatisticsResponse, Status> {
        let mut client = self.orchestrator.clone();
        self.within(client.get_statistics(self.request(GetStatisticsRequest {}))).await
    }

    async fn dead_letters(&self) -> Result<u64, Status> {
        let request = ListDeadLettersRequest {
            state: DeadLetterState::Open.into(),
            page_size: 1,
            ..ListDeadLettersRequest::default()
        };
        let mut client = self.retry_engine.clone();
        Ok(self.within(client.list_dead_letters(self.request(request))).await?.total)
    }

    async fn breakers(&self) -> Result<Vec<Breaker>, Status> {
        let request =
            ListBreakersRequest { page_size: BREAKERS_MAX, ..ListBreakersRequest::default() };
        let mut client = self.retry_engine.clone();
        Ok(self.within(client.list_breakers(self.request(request))).await?.breakers)
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }

    /// The far side is told the deadline, and may still be too far gone to keep it.
    async fn within<T>(
        &self,
        call: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, Status> {
        let answered = timeout(self.deadline, call).await;
        let answered = answered.map_err(|_| Status::deadline_exceeded("no answer in time"))?;
        answered.map(tonic::Response::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
