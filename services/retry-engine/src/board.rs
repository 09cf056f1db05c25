//! The breakers of all replicas: time passes for them, and whoever watches is told their changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use planaria_kernel::retry::breaker::{BreakerEffect, BreakerEvent};
use planaria_proto::retry::v1::{BreakerChange, WatchGatesResponse};
use planaria_runtime::clock;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;
use crate::records::Route;
use crate::store::BreakerRow;

/// Breakers looked at at once.
const PAGE: u32 = 500;
/// The wall clock may be set while this sleeps: it is looked at again at least this often.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// After a failed call of the store.
const STORE_PAUSE: Duration = Duration::from_millis(500);

/// Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Board {
    ledger: Ledger,
    /// What other replicas did is looked for this often.
    poll: Duration,
    /// Watchers are told everything again this often, which also shows them that they are heard.
    repeat: Duration,
    /// Told when a breaker of this replica changed.
    told: Arc<Notify>,
    /// The revision of the last known change.
    revision: Arc<watch::Sender<u64>>,
    holds: Arc<AtomicBool>,
}

impl Board {
    pub(crate) async fn new(
        ledger: Ledger,
        poll: Duration,
        repeat: Duration,
    ) -> Result<Self, Error> {
        let revision = ledger.store.revision().await?;
        let held = ledger.store.breakers("", false, 1).await?;
        Ok(Self {
            ledger,
            poll,
            repeat,
            told: Arc::default(),
            revision: Arc::new(watch::Sender::new(revision)),
            holds: Arc::new(AtomicBool::new(!held.is_empty())),
        })
    }

    /// Whether any breaker holds something back, as far as is known.
    pub(crate) fn holds_something(&self) -> bool {
        self.holds.load(Ordering::Acquire)
    }

    /// Breakers changed their phase.
    pub(crate) fn changed(&self, changes: &[BreakerChange]) {
        for change in changes {
            let (from, to) = (change.from().as_str_name(), change.to().as_str_name());
            let key = change.key.clone().unwrap_or_default();
            tracing::warn!(
                namespace = key.namespace,
                function = key.function,
                destination = key.destination,
                from,
                to,
                reason = change.reason,
                "breaker changed"
            );
            self.ledger.gauges.breaker_changed(to);
        }
        self.told.notify_one();
    }

    /// Something happens to a breaker.
    pub(crate) async fn act(
        &self,
        route: &Route,
        event: BreakerEvent,
    ) -> Result<(BreakerRow, Option<BreakerEffect>), Error> {
        let store = &self.ledger.store;
        let acted = store.act(route, event, clock::now_ms(), &self.ledger.rules).await?;
        if let Some(change) = acted.change {
            self.changed(&[change]);
        }
        Ok((acted.row, acted.effect))
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.watch() => {}
        }
    }

    async fn watch(&self) {
        loop {
            match self.round().await {
                Ok(wait) => {
                    let _woken = timeout(wait, self.told.notified()).await;
                }
                Err(error) => {
                    planaria_store::tell("breakers wait", &error);
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Has time pass for those that are due, and tells the watchers. Answers how long nothing is
    /// to be done.
    async fn round(&self) -> Result<Duration, Error> {
        let mut wait = if self.ledger.store.is_shared() { self.poll } else { SLEEP_MAX };
        for (route, deadline_ms) in self.ledger.store.breaker_deadlines(PAGE).await? {
            let left_ms = deadline_ms.saturating_sub(clock::now_ms());
            if left_ms > 0 {
                // The timer is whole milliseconds too; one more saves a round too early.
                wait = wait.min(Duration::from_millis(left_ms + 1));
                break;
            }
            self.act(&route, BreakerEvent::TimePassed).await?;
            wait = Duration::ZERO;
        }
        let revision = self.ledger.store.revision().await?;
        let held = self.ledger.store.breakers("", false, PAGE).await?;
        self.holds.store(!held.is_empty(), Ordering::Release);
        self.ledger.gauges.breakers_held.set(i64::try_from(held.len()).unwrap_or(i64::MAX));
        self.revision.send_if_modified(|known| std::mem::replace(known, revision) != revision);
        Ok(wait)
    }

    /// Tells a watcher the gates, and every change, until it goes.
    pub(crate) async fn tell(self, watcher: mpsc::Sender<Result<WatchGatesResponse, Status>>) {
        let telling = async {
            if let Err(error) = self.tell_gates(&watcher).await {
                let _gone = watcher.send(Err(error.into())).await;
            }
        };
        tokio::select! {
            () = telling => {}
            () = watcher.closed() => {}
        }
    }

    async fn tell_gates(
        &self,
        watcher: &mpsc::Sender<Result<WatchGatesResponse, Status>>,
    ) -> Result<(), Error> {
        let mut changes = self.revision.subscribe();
        loop {
            // First the revision: what changes meanwhile is told twice, and nothing not at all.
            let mut revision = self.ledger.store.revision().await?;
            let held = self.ledger.store.breakers("", false, u32::MAX).await?;
            let gates = held.iter().map(convert::gate).collect();
            if watcher.send(Ok(WatchGatesResponse { gates, complete: true })).await.is_err() {
                return Ok(());
            }
            let until = tokio::time::Instant::now() + self.repeat;
            while let Ok(Ok(())) = tokio::time::timeout_at(until, changes.changed()).await {
                let rows = self.ledger.store.breakers_after(revision, PAGE).await?;
                revision = rows.last().map_or(revision, |last| last.revision);
                let gates = rows.iter().map(convert::gate).collect();
                let told = WatchGatesResponse { gates, complete: false };
                if watcher.send(Ok(told)).await.is_err() {
                    return Ok(());
                }
                if rows.len() >= PAGE as usize {
                    break;
                }
            }
        }
    }
}
