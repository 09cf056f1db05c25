//! One reading of the log for all who are up to date. While nobody is subscribed, nothing is read.

use std::sync::Arc;
use std::time::Duration;

use planaria_log_tail::{LogCursor, LogTail, Start, TailSettings};
use planaria_proto::orchestrator::v1::LogRecord;
use planaria_runtime::ServiceChannel;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;

/// A stretch of the log.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// It begins behind this.
    pub(crate) after: LogCursor,
    pub(crate) records: Vec<LogRecord>,
    /// It ends here.
    pub(crate) end: LogCursor,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct SharedTail {
    channel: ServiceChannel,
    settings: TailSettings,
    linger: Duration,
    join_max: Duration,
    stretches: broadcast::Sender<Arc<Stretch>>,
    /// How many are subscribed.
    wanted: watch::Sender<usize>,
    /// Up to where it was read; none while it is not read.
    position: watch::Sender<Option<LogCursor>>,
}

/// A place in the shared reading. It goes on while any is held.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) stretches: broadcast::Receiver<Arc<Stretch>>,
    /// What is behind this comes, or has come, through `stretches`.
    pub(crate) position: LogCursor,
    wanted: watch::Sender<usize>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.wanted.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl SharedTail {
    pub(crate) fn new(channel: ServiceChannel, config: &Config) -> Self {
        Self {
            channel,
            settings: config.tail.clone(),
            linger: Duration::from_millis(config.linger_ms),
            join_max: Duration::from_millis(config.join_ms_max),
            stretches: broadcast::Sender::new(config.shared_batches_max.max(1)),
            wanted: watch::Sender::new(0),
            position: watch::Sender::new(None),
        }
    }

    /// Takes a seat, and waits until the log is read: nothing is missed from here on.
    pub(crate) async fn join(&self) -> Result<Seat, Error> {
        self.wanted.send_modify(|count| *count += 1);
        // Subscribed before the position is read: what lies between comes twice, not never.
        let mut seat = Seat {
            stretches: self.stretches.subscribe(),
            position: LogCursor::default(),
            wanted: self.wanted.clone(),
        };
        let mut position = self.position.subscribe();
        let known = timeout(self.join_max, position.wait_for(Option::is_some)).await;
        match known {
            Ok(Ok(known)) => {
                seat.position = known.clone().unwrap_or_default();
                Ok(seat)
            }
            _ => Err(Error::OrchestratorUnavailable("its log cannot be read".into())),
        }
    }

    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut wanted = self.wanted.subscribe();
        let work = async {
            // The sender lives in self, so the channel cannot close while this waits.
            while wanted.wait_for(|count| *count > 0).await.is_ok() {
                tokio::select! {
                    () = self.read() => {}
                    () = self.unwanted() => {}
                }
                self.position.send_replace(None);
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = work => {}
        }
    }

    /// Returns when nobody has been subscribed for a while.
    async fn unwanted(&self) {
        let mut wanted = self.wanted.subscribe();
        loop {
            // The sender lives in self, so the channel cannot close while this waits.
            drop(wanted.wait_for(|count| *count == 0).await);
            let again = wanted.wait_for(|count| *count > 0);
            tokio::select! {
                _ = again => {}
                () = sleep(self.linger) => return,
            }
        }
    }

    /// Reads from the end on, for ever.
    async fn read(&self) {
        let channel = self.channel.clone();
        let mut tail = LogTail::new(channel, &[], Start::End, self.settings.clone());
        while let Err(status) = tail.open().await {
            tracing::debug!(%status, "the log cannot be read yet");
            sleep(Duration::from_millis(self.settings.reconnect_ms_min.max(1))).await;
        }
        let mut read = tail.cursor().clone();
        self.position.send_replace(Some(read.clone()));
        loop {
            let batch = match tail.next().await {
                Ok(batch) => batch,
                Err(trimmed) => {
                    // Readers see the gap, and read what is left on their own.
                    tracing::warn!(detail = trimmed.detail, "the log was trimmed under way");
                    tail.restart(Start::End);
                    continue;
                }
            };
            let after = read.clone();
            read.advance(batch.position);
            self.position.send_replace(Some(read.clone()));
            let stretch = Stretch { after, records: batch.records, end: read.clone() };
            // Nobody may be there in this moment, which is fine.
            let _readers = self.stretches.send(Arc::new(stretch));
        }
    }
}
