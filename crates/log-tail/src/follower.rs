//! Follows the log into a store: what records mean and the place behind them are saved in one
//! transaction, so each record is derived from exactly once. Of several replicas one follows; the
//! others stand by.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use planaria_proto::orchestrator::v1::{LogRecord, Topic};
use planaria_runtime::ServiceChannel;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{LogCursor, LogTail, Start, TailSettings};

/// The store that the log is followed into, and what makes rows of records.
#[tonic::async_trait]
pub trait Ledger: Send {
    /// What the store says when it fails.
    type Error: std::error::Error + Send + 'static;

    /// Becomes the replica that follows, or stays it, and tells what was read (empty: nothing was);
    /// what was absorbed and not saved is dropped. Nothing: another replica follows, or there is
    /// nothing to derive.
    async fn take(&mut self) -> Result<Option<LogCursor>, Self::Error>;

    /// Takes records in; tells whether they are to be saved at once.
    async fn absorb(&mut self, records: Vec<LogRecord>) -> bool;

    /// Saves what was absorbed, and the place behind it, in one transaction; called now and then
    /// also when nothing was read. `false`: nothing was saved, and [`Ledger::take`] says why.
    async fn save(&mut self, cursor: &LogCursor) -> Result<bool, Self::Error>;

    /// Records were trimmed from the log before they were read.
    fn missed(&mut self, detail: &str);

    /// Whether the store works.
    fn works(&mut self, works: bool);

    /// Lets another replica follow; this one ends.
    async fn release(&mut self);
}

/// How often what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// What was absorbed is saved after this.
    pub save: Duration,
    /// [`Ledger::save`] is called after this also when nothing was read.
    pub idle: Duration,
    /// Between two tries to take over.
    pub standby: Duration,
}

/// After a failed call of the store: the disk may be full for a moment.
const STORE_PAUSE: Duration = Duration::from_millis(500);
/// A release that takes longer is left to the lease.
const RELEASE_MAX: Duration = Duration::from_secs(1);

/// Follows the log into a [`Ledger`].
#[derive(Debug)]
pub struct Follower<L> {
    /// What records become.
    pub ledger: L,
    /// The orchestrators.
    pub channel: ServiceChannel,
    /// What is read of the log; none: all.
    pub topics: Vec<Topic>,
    /// How the log is followed.
    pub settings: TailSettings,
    /// How often what.
    pub pace: Pace,
    /// Told when [`Ledger::take`] may have another answer than before.
    pub changed: Arc<Notify>,
    /// Whether it was said that the store fails; `false` to begin with.
    pub failing: bool,
}

impl<L: Ledger> Follower<L> {
    /// Follows until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow_for_ever() => {}
        }
        let _left_to_the_lease = timeout(RELEASE_MAX, self.ledger.release()).await;
    }

    async fn follow_for_ever(&mut self) {
        loop {
            let taken = self.ledger.take().await;
            self.works(taken.is_ok());
            match taken {
                Ok(Some(cursor)) => self.follow(cursor).await,
                Ok(None) => {
                    let _woken = timeout(self.pace.standby, self.changed.notified()).await;
                }
                Err(error) => {
                    self.failed(&error, "cannot take over");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    /// Until another replica follows, or what is derived changes.
    async fn follow(&mut self, mut cursor: LogCursor) {
        let settings = self.settings.clone();
        let start = cursor.start();
        let mut tail = LogTail::new(self.channel.clone(), &self.topics, start, settings);
        // When what was absorbed must be saved.
        let mut unsaved: Option<Instant> = None;
        loop {
            let read = {
                let mut next = pin!(tail.next());
                loop {
                    let deadline = unsaved.unwrap_or_else(|| Instant::now() + self.pace.idle);
                    tokio::select! {
                        read = &mut next => break read,
                        () = self.changed.notified() => return,
                        () = sleep_until(deadline) => {}
                    }
                    if !self.save(&cursor).await {
                        return;
                    }
                    unsaved = None;
                }
            };
            match read {
                Ok(batch) => {
                    cursor.advance(batch.position);
                    let at_once = self.ledger.absorb(batch.records).await;
                    let until = *unsaved.get_or_insert_with(|| Instant::now() + self.pace.save);
                    if at_once || Instant::now() >= until {
                        if !self.save(&cursor).await {
                            return;
                        }
                        unsaved = None;
                    }
                }
                Err(trimmed) => {
                    self.ledger.missed(&trimmed.detail);
                    tail.restart(Start::Oldest);
                }
            }
        }
    }

    /// Until it is saved: nothing that was read may be passed over.
    async fn save(&mut self, cursor: &LogCursor) -> bool {
        loop {
            let saved = self.ledger.save(cursor).await;
            self.works(saved.is_ok());
            match saved {
                Ok(saved) => return saved,
                Err(error) => {
                    self.failed(&error, "cannot save");
                    sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    fn works(&mut self, works: bool) {
        self.ledger.works(works);
        self.failing &= !works;
    }

    /// Said once, however often it is tried.
    fn failed(&mut self, error: &L::Error, what: &str) {
        let error = error as &dyn std::error::Error;
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(error, "{what}");
        } else {
            tracing::error!(error, "{what}; it is tried until it works");
        }
    }
}
