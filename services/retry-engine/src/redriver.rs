//! Works on redrives by filter, in the background and at their pace.
//!
//! A redrive is claimed for a while; whoever claims it goes through the open dead letters that its
//! filter names and that were there when it started, the newest first. What was redriven is not
//! open any more, so a replica that takes over goes on where the last one ended.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use planaria_proto::retry::v1::{DeadLetterState, Redrive};
use planaria_runtime::clock;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::RedriveConfig;
use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::orchestrator::Orchestrator;
use crate::records::{DeadLetter, Filter};
use crate::redrive::{Redriven, redrive};
use crate::store::{Counted, RedriveRow};

/// So many steps of a redrive in a second, or less at a low rate.
const STEPS_PER_SECOND: f64 = 10.0;
/// After a failed call of the store.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// What is started here is told; the rest was left by a replica that is gone.
const SLEEP_MAX: Duration = Duration::from_secs(1);

pub(crate) struct Redriver {
    pub(crate) ledger: Ledger,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) config: RedriveConfig,
}

impl Redriver {
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.work() => {}
        }
    }

    async fn work(&self) {
        loop {
            match self.claim().await {
                Ok(true) => {}
                Ok(false) => {
                    let started = self.ledger.redrive_started.notified();
                    let _woken = timeout(SLEEP_MAX, started).await;
                }
                Err(error) => {
                    planaria_store::tell("a redrive waits", &error);
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Works on one redrive to its end. Whether there was one.
    async fn claim(&self) -> Result<bool, Error> {
        let claimed = self.ledger.store.claim_redrive(clock::now_ms(), self.claim_until()).await?;
        let Some(RedriveRow { redrive, input }) = claimed else { return Ok(false) };
        let filter = filter(&redrive);
        let rate = redrive.rate.clamp(0.01, self.config.rate_max.max(0.01));
        let step = (rate / STEPS_PER_SECOND).max(1.0);
        let pause = Duration::from_secs_f64(step / rate);
        let mut before = None;
        let mut next = Instant::now();
        loop {
            sleep_until(next).await;
            next = Instant::now() + pause;
            let state = DeadLetterState::Open;
            let limit = convert::whole(step);
            let letters =
                self.ledger.store.dead_letters(state, &filter, before.clone(), limit).await?;
            let Some(last) = letters.last() else { break };
            before = Some((last.created_at_ms, last.id.clone()));
            let counted = self.step(letters, input.as_deref()).await?;
            let store = &self.ledger.store;
            if !store.count_redrive(&redrive.id, &counted, self.claim_until()).await? {
                return Ok(true);
            }
        }
        let done = Counted { ended_at_ms: Some(clock::now_ms()), ..Counted::default() };
        self.ledger.store.count_redrive(&redrive.id, &done, 0).await?;
        tracing::info!(redrive = redrive.id, "redrive done");
        self.ledger.count().await?;
        Ok(true)
    }

    async fn step(&self, letters: Vec<DeadLetter>, input: Option<&[u8]>) -> Result<Counted, Error> {
        let outcomes: Vec<_> =
            stream::iter(letters)
                .map(|letter| async move {
                    redrive(&self.ledger, &self.orchestrator, &letter, input).await
                })
                .buffer_unordered(self.config.concurrency_max.max(1))
                .collect()
                .await;
        let mut counted = Counted::default();
        for outcome in outcomes {
            match outcome? {
                Redriven::Done => counted.redriven += 1,
                Redriven::Refused(why) => {
                    counted.refused += 1;
                    why.clone_into(&mut counted.detail);
                }
                // It stays open: whoever asked sees that it is left.
                Redriven::NotNow(why) => {
                    counted.refused += 1;
                    counted.detail = why;
                }
            }
        }
        Ok(counted)
    }

    fn claim_until(&self) -> u64 {
        clock::now_ms().saturating_add(self.config.claim_ms)
    }
}

/// What a redrive names: never what was written after it was started.
pub(crate) fn filter(redrive: &Redrive) -> Filter {
    let filter = convert::filter(redrive.filter.clone());
    let started_ms = convert::milliseconds(redrive.started_at);
    let before_ms = filter.before_ms.map_or(started_ms, |before_ms| before_ms.min(started_ms));
    Filter { before_ms: Some(before_ms), ..filter }
}
