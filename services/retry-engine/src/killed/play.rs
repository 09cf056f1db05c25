//! What happens: two failures and a fault, which is redriven. And what must have come of it.

use std::any::Any;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use planaria_fake_mesh::{
    FakeOrchestrator, attempt_failed, definition, record_at, workflow_events,
};
use planaria_proto::orchestrator::v1::list_faulted_response::Faulted;
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::retry::v1::{
    DeadLetterFilter, DeadLetterState, GetRedriveRequest, ListBreakersRequest,
    ListDeadLettersRequest, ListRetriesRequest, RedriveState, StartRedriveRequest,
};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{HistoryEvent, WorkflowFaulted};
use planaria_runtime::{Deps, ReplicaChannel, ServerLimits, clock};
use prost_types::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::mortal::{Fate, Mortal};
use crate::config::Config;
use crate::store::RetryStore;
use crate::wiring;

/// Longer than anything here may take; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) type Opening = Pin<Box<dyn Future<Output = Arc<dyn RetryStore>> + Send>>;

pub(super) struct Play {
    mesh: FakeOrchestrator,
    open: Box<dyn Fn() -> Opening + Send + Sync>,
    /// The store's place, which goes with the play.
    _place: Box<dyn Any + Send + Sync>,
    replicas: Vec<(JoinHandle<()>, RetryServiceClient<ReplicaChannel>)>,
}

impl Play {
    pub(super) async fn new(
        open: Box<dyn Fn() -> Opening + Send + Sync>,
        place: Box<dyn Any + Send + Sync>,
    ) -> Self {
        let mesh = FakeOrchestrator::start().await;
        let play = Self { mesh, open, _place: place, replicas: Vec::new() };
        play.happen();
        play
    }

    /// Nine failures of one function, and the end of a workflow.
    fn happen(&self) {
        let now_ms = clock::now_ms();
        let failed = |workflow: &str, failure, retryable| {
            let event = Event::AttemptFailed(attempt_failed(4, failure, retryable));
            record_at(workflow_events(workflow, 5, [event]), now_ms)
        };
        let retried = (0..9).map(|number| failed(&format!("retried-{number}"), 1, true));
        self.mesh.push_all(retried);
        self.mesh.push_all([failed("exhausted", 10, true)]);
        let fault = Event::WorkflowFaulted(WorkflowFaulted {
            frame: 4,
            task: "/do/0/charge".into(),
            error: None,
        });
        let at = Timestamp {
            seconds: i64::try_from(now_ms / 1_000).unwrap(),
            nanos: i32::try_from(now_ms % 1_000 * 1_000_000).unwrap(),
        };
        let event = HistoryEvent { seq: 1, at: Some(at), event: Some(fault.clone()) };
        self.mesh.state().histories.insert("faulted".into(), vec![event]);
        let faulted = Faulted {
            workflow_id: "faulted".into(),
            definition: Some(definition()),
            at: Some(at),
            task: "/do/0/charge".into(),
            error: None,
        };
        self.mesh.state().faulted.push(faulted);
        self.mesh.push_all([record_at(workflow_events("faulted", 6, [fault]), now_ms)]);
    }

    /// Starts a replica with its fate.
    pub(super) async fn start(&mut self, fate: Fate) {
        let mut config = Config::default();
        config.policy.base_ms = 100;
        // Ten failures do not open it here: exactly nine and one are to be counted.
        config.breaker.failures_in_row = 1_000;
        config.hand_off.pause_ms_min = 5;
        config.hand_off.pause_ms_max = 20;
        config.hand_off.claim_ms = 300;
        config.redrive.claim_ms = 300;
        config.redrive.rate = 1_000.0;
        config.replicas.lease_ms = 300;
        config.replicas.standby_ms = 20;
        config.tail.reconnect_ms_min = 5;
        config.cursor_save_ms = 5;
        // It is the log alone that tells here.
        config.reconcile.interval_ms = 3_600_000;
        config.reconcile.grace_ms = 3_600_000;
        let stop = CancellationToken::new();
        let directory = self.mesh.directory();
        let deps = Deps::new(directory.clone(), "/nonexistent", stop.clone());
        let store = Arc::new(Mortal { store: (self.open)().await, fate: fate.clone() });
        let assembled = wiring::assemble(config, deps, store);
        let service = tokio::select! {
            service = assembled => service.unwrap(),
            () = fate.met() => return,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let replica = tokio::spawn(async move {
            let limits = ServerLimits::default();
            let serving = planaria_runtime::serve(service, listener, None, limits, stop);
            tokio::select! {
                served = serving => served.unwrap(),
                // With all that it was doing.
                () = fate.met() => {}
            }
        });
        let channel = directory.connect(&format!("http://{address}")).unwrap();
        self.replicas.push((replica, RetryServiceClient::new(channel)));
    }

    pub(super) async fn kill_all(&mut self) {
        for (replica, _) in self.replicas.drain(..) {
            replica.abort();
            let _aborted = replica.await;
        }
    }

    /// Until everything is done, or somebody met his fate and nobody else is there.
    pub(super) async fn until_over_or(&self, fate: &Fate, title: &str) {
        let over = async {
            tokio::select! {
                () = self.over() => {}
                () = fate.met(), if self.replicas.len() < 2 => {}
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, over).await;
        assert!(in_time.is_ok(), "{title}: it is over in time");
    }

    async fn over(&self) {
        let asking = async {
            loop {
                for (_, client) in &self.replicas {
                    if self.ask(client.clone()).await == Some(true) {
                        return;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        asking.await;
    }

    /// Has the dead letter redriven, and looks whether all is done. Nothing if nobody answers.
    async fn ask(&self, mut client: RetryServiceClient<ReplicaChannel>) -> Option<bool> {
        let open = ListDeadLettersRequest::default();
        let mut letters = client.list_dead_letters(open).await.ok()?.into_inner();
        if letters.total == 0 {
            let state = DeadLetterState::Redriven.into();
            let redriven = ListDeadLettersRequest { state, ..Default::default() };
            letters = client.list_dead_letters(redriven).await.ok()?.into_inner();
            if letters.total == 0 {
                return Some(false);
            }
        } else {
            let filter = DeadLetterFilter { namespace: "shop".into(), ..Default::default() };
            let redrive_id = "the-one".to_owned();
            let filter = Some(filter);
            let start = StartRedriveRequest { redrive_id, filter, ..Default::default() };
            client.start_redrive(start).await.ok()?;
        }
        let get = GetRedriveRequest { redrive_id: "the-one".into() };
        let redrive = client.get_redrive(get).await.ok()?.into_inner().redrive?;
        let waiting = client.list_retries(ListRetriesRequest::default()).await.ok()?.into_inner();
        let decided = self.decided().len();
        Some(redrive.state() == RedriveState::Done && waiting.retries.is_empty() && decided == 10)
    }

    /// What the orchestrator was told of each attempt, all the same however often.
    fn decided(&self) -> BTreeMap<(String, u32), String> {
        let mut decided = BTreeMap::new();
        for (decision, _) in &self.mesh.state().decisions {
            let key = (decision.workflow_id.clone(), decision.attempt);
            let before = decided.insert(key, decision.give_up_reason.clone());
            assert!(before.is_none_or(|before| before == decision.give_up_reason));
            assert_eq!(decision.deferred_until, None);
        }
        decided
    }

    pub(super) async fn check(&self, title: &str) {
        let decided = self.decided();
        let given_up = decided.values().filter(|reason| !reason.is_empty()).count();
        assert_eq!((decided.len(), given_up), (10, 1), "{title}");
        let retried = self.mesh.state().retried.clone();
        assert_eq!(retried.len(), 1, "{title}: {retried:?}");
        assert_eq!(retried[0].0, "faulted", "{title}");
        // Each failure was counted once, whoever counted it.
        let (_, client) = self.replicas.iter().find(|(replica, _)| !replica.is_finished()).unwrap();
        let all = ListBreakersRequest { all: true, ..Default::default() };
        let breakers = client.clone().list_breakers(all).await.unwrap().into_inner().breakers;
        let counted: Vec<_> = breakers.iter().map(|one| (one.calls, one.failures_in_row)).collect();
        assert_eq!(counted, [(10, 10)], "{title}");
        let redriven = DeadLetterState::Redriven.into();
        let list = ListDeadLettersRequest { state: redriven, ..Default::default() };
        let letters = client.clone().list_dead_letters(list).await.unwrap().into_inner();
        assert_eq!(letters.total, 1, "{title}");
    }
}
