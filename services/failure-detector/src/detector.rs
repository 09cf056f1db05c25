//! The loop that owns everything the detector knows. It sleeps until the next deadline.

use std::sync::Arc;

use planaria_kernel::liveness::{Roster, RosterEffect, RosterEvent};
use planaria_proto::orchestrator::v1::ObserveSessionsResponse;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::Config;
use crate::clock::Clock;
use crate::handle::{Event, Listing};
use crate::meters::Meters;
use crate::observations::{Observations, Observed};
use crate::orchestrators::{Done, Orchestrators, is_hopeless};
use crate::roll::Roll;
use crate::verdicts::Verdicts;

mod effects;

/// Verdicts in one call.
const REPORT_COUNT_MAX: usize = 500;

/// A kind of call: at most one is under way, and not before it is due.
#[derive(Debug, Default)]
struct Turn {
    under_way: bool,
    due_ms: u64,
    failures: u32,
}

/// The state of the loop.
pub(crate) struct Detector {
    config: Arc<Config>,
    clock: Clock,
    roster: Roster,
    roll: Roll,
    observations: Observations,
    verdicts: Verdicts,
    orchestrators: Orchestrators,
    calls: JoinSet<Done>,
    observing: Turn,
    reporting: Turn,
    changes: watch::Sender<u64>,
    meters: Meters,
}

impl Detector {
    pub(crate) fn new(
        config: Arc<Config>,
        orchestrators: Orchestrators,
        changes: watch::Sender<u64>,
        meters: Meters,
    ) -> Self {
        let clock = Clock::start();
        Self {
            roster: Roster::new(config.policy(), clock.now_ms()),
            roll: Roll::default(),
            observations: Observations::default(),
            verdicts: Verdicts::new(config.verdicts_max),
            orchestrators,
            calls: JoinSet::new(),
            observing: Turn::default(),
            reporting: Turn::default(),
            changes,
            meters,
            config,
            clock,
        }
    }

    /// Runs until the service stops.
    pub(crate) async fn run(mut self, mut events: mpsc::Receiver<Event>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let now = self.clock.now_ms();
            let planned = self.next_due_ms(now);
            let wake = self.clock.instant(planned.unwrap_or(u64::from(u32::MAX)).max(now));
            let event = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(wake), if planned.is_some() => None,
                Some(done) = self.calls.join_next() => {
                    self.finished(done);
                    None
                }
                event = events.recv() => match event {
                    Some(event) => Some(event),
                    None => return,
                },
            };
            let woke = self.clock.now_ms();
            self.judge_own_lag(planned.map(|planned| planned.max(now)), woke);
            if let Some(event) = event {
                self.handle(event, woke);
            }
            self.work(woke);
        }
    }

    fn next_due_ms(&self, now: u64) -> Option<u64> {
        let observe = !self.observations.is_empty() && !self.observing.under_way;
        let report = self.verdicts.len() > 0 && !self.reporting.under_way;
        let dues = [
            self.roster.wake_at_ms(now),
            observe.then_some(self.observing.due_ms),
            report.then_some(self.reporting.due_ms),
        ];
        dues.into_iter().flatten().min()
    }

    fn judge_own_lag(&mut self, planned: Option<u64>, now: u64) {
        let Some(lag_ms) = planned.map(|planned| now.saturating_sub(planned)) else { return };
        if lag_ms > 0 {
            self.meters.loop_lag.observe(lag_ms as f64 / 1_000.0);
        }
        if lag_ms > self.config.lag_ms_max {
            self.apply(RosterEvent::Late { lag_ms }, now);
        }
    }

    /// Does what is due.
    fn work(&mut self, now: u64) {
        if self.roster.wake_at_ms(now).is_some_and(|at| at <= now) {
            self.apply(RosterEvent::Tick, now);
        }
        if !self.observing.under_way && now >= self.observing.due_ms {
            let batch = self.observations.take(self.config.observe_bytes_max);
            if !batch.is_empty() {
                self.observing.under_way = true;
                // What did not fit follows at once.
                let more = !self.observations.is_empty();
                let pause_ms = if more { 0 } else { self.config.observe_interval_ms };
                self.observing.due_ms = now + pause_ms;
                self.calls.spawn(self.orchestrators.clone().observe(batch));
            }
        }
        if !self.reporting.under_way && now >= self.reporting.due_ms && self.verdicts.len() > 0 {
            self.reporting.under_way = true;
            let verdicts = self.verdicts.first(REPORT_COUNT_MAX);
            self.calls.spawn(self.orchestrators.clone().report(verdicts));
        }
        self.changes.send_if_modified(|version| {
            let changed = *version != self.roll.version();
            *version = self.roll.version();
            changed
        });
    }

    fn handle(&mut self, event: Event, now: u64) {
        match event {
            Event::Beat { request, stream, first, answer } => {
                // Who asked may be gone; the heartbeat counts nevertheless.
                let _gone = answer.send(self.beat(*request, stream, first, now));
            }
            Event::StreamEnded { session_id, stream, loss } => {
                tracing::debug!(session_id, ?loss, "heartbeat stream ended");
                self.apply(RosterEvent::StreamEnded { session_id, stream, loss }, now);
            }
            Event::Ended { session_id, left } => {
                self.verdicts.forget(&session_id);
                self.observations.forget(&session_id);
                self.apply(RosterEvent::Ended { session_id, left }, now);
            }
            Event::Drain { worker_id, answer } => {
                let _gone = answer.send(self.drain(worker_id));
            }
            Event::List { after, answer } => {
                let workers = self.roll.list(after, &self.roster, self.clock);
                let _gone = answer.send(Listing { workers, version: self.roll.version() });
            }
        }
    }

    fn apply(&mut self, event: RosterEvent, now: u64) {
        let effects = self.roster.apply(event, now);
        self.carry_out(effects, now);
    }

    fn carry_out(&mut self, effects: Vec<RosterEffect>, now: u64) {
        if effects.is_empty() {
            return;
        }
        for effect in effects {
            self.carry_out_one(effect, now);
        }
        self.count_workers();
        self.meters.verdicts_waiting.set(i64::try_from(self.verdicts.len()).unwrap_or(i64::MAX));
    }

    fn finished(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let now = self.clock.now_ms();
        match done {
            Ok(Done::Observed { batch, outcome }) => self.observed(batch, outcome, now),
            Ok(Done::Reported { numbers, outcome }) => self.reported(&numbers, outcome, now),
            // A call panicked; which one is not known, so both kinds go on.
            Err(error) => {
                tracing::error!(%error, "call to the orchestrators lost");
                (self.observing.under_way, self.reporting.under_way) = (false, false);
            }
        }
    }

    fn observed(
        &mut self,
        batch: Vec<Observed>,
        outcome: Result<ObserveSessionsResponse, Status>,
        now: u64,
    ) {
        self.observing.under_way = false;
        match outcome {
            Ok(response) => {
                self.observing.failures = 0;
                if response.answers.len() != batch.len() {
                    tracing::error!("the orchestrator did not answer every observation");
                }
                for (observed, answer) in batch.into_iter().zip(response.answers) {
                    let session_id = &observed.observation.session_id;
                    self.roll.answered(&observed.worker_id, session_id, answer, now);
                }
            }
            Err(status) => {
                let hopeless = is_hopeless(&status);
                self.observing.due_ms =
                    now + self.failed(&status, hopeless, self.observing.failures);
                self.observing.failures += 1;
                if !hopeless {
                    let members = self.roster.members();
                    let current = batch.into_iter().filter(|observed| {
                        members.get(&observed.worker_id).is_some_and(|member| {
                            member.session_id == observed.observation.session_id
                        })
                    });
                    self.observations.put_back(current.collect());
                }
            }
        }
    }

    fn reported(&mut self, numbers: &[u64], outcome: Result<(), Status>, now: u64) {
        self.reporting.under_way = false;
        match outcome {
            Ok(()) => {
                self.reporting.failures = 0;
                self.reporting.due_ms = now;
                self.verdicts.remove(numbers);
            }
            Err(status) => {
                let hopeless = is_hopeless(&status);
                self.reporting.due_ms =
                    now + self.failed(&status, hopeless, self.reporting.failures);
                self.reporting.failures += 1;
                if hopeless {
                    self.verdicts.remove(numbers);
                }
            }
        }
        self.meters.verdicts_waiting.set(i64::try_from(self.verdicts.len()).unwrap_or(i64::MAX));
    }

    /// How long to wait before the next try.
    fn failed(&self, status: &Status, hopeless: bool, failures: u32) -> u64 {
        self.meters.call_failures.inc();
        if hopeless {
            tracing::error!(%status, "an orchestrator refused what it was told for good");
        } else if failures == 0 {
            tracing::warn!(%status, "no orchestrator can be told, trying again");
        }
        let doubled = self.config.backoff_ms.saturating_mul(1 << failures.min(16));
        doubled.min(self.config.backoff_ms_max)
    }
}
