//! The log's tail: what was committed last, in memory, for readers that keep up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::store::{LogEntry, Position, WorkflowStore};

/// The tail of the log; cheap to clone.
#[derive(Clone)]
pub(crate) struct LogTail {
    store: Arc<dyn WorkflowStore>,
    recent: Arc<Mutex<VecDeque<Arc<LogEntry>>>>,
    last: Arc<watch::Sender<Position>>,
    /// Cancelled when the shard is not this process's any more.
    gone: CancellationToken,
    entries_max: usize,
}

/// Entries read at once.
const PAGE: usize = 500;

impl LogTail {
    /// An empty tail of the log that this start of the orchestrator writes.
    #[must_use]
    pub(crate) fn new(store: Arc<dyn WorkflowStore>, entries_max: usize) -> Self {
        let (last, _) = watch::channel(Position { log: store.log(), seq: 0 });
        let (recent, gone) = (Arc::default(), CancellationToken::new());
        Self { store, recent, last: Arc::new(last), gone, entries_max }
    }

    /// Entries were committed.
    pub(crate) fn append(&self, entries: Vec<LogEntry>) {
        let Some(position) = entries.last().map(|entry| entry.position) else { return };
        {
            let mut recent = self.lock();
            recent.extend(entries.into_iter().map(Arc::new));
            let surplus = recent.len().saturating_sub(self.entries_max);
            recent.drain(..surplus);
        }
        self.last.send_replace(position);
    }

    /// What memory has may have gaps: readers go on from the store, which has everything up to
    /// `end`.
    pub(crate) fn restart(&self, end: Position) {
        self.lock().clear();
        self.last.send_if_modified(|last| {
            let moved = *last < end;
            *last = (*last).max(end);
            moved
        });
    }

    /// The log goes on elsewhere: readers are told, also those that wait for what is next.
    pub(crate) fn close(&self) {
        self.gone.cancel();
    }

    /// The last position committed.
    #[must_use]
    pub(crate) fn last(&self) -> Position {
        *self.last.borrow()
    }

    /// Entries behind a position with one of the topics, and the last position looked at. Waits
    /// until there is something behind the position.
    ///
    /// # Errors
    /// If the log goes on elsewhere; if the store cannot be read; if something behind the position
    /// was removed, unless the reader takes what there is.
    pub(crate) async fn read(
        &self,
        after: Position,
        topics: u32,
        with_gaps: bool,
    ) -> Result<(Vec<Arc<LogEntry>>, Position), Error> {
        let mut last = self.last.subscribe();
        loop {
            if let Some(found) = self.recent(after, topics) {
                return Ok(found);
            }
            if after < *last.borrow_and_update() {
                let limit = u32::try_from(PAGE).unwrap_or(u32::MAX);
                let (entries, position) = self.store.log_entries(after, topics, limit).await?;
                // Asked after the page was read: what was removed before is not in it.
                if !with_gaps && after < self.store.trimmed().await? {
                    return Err(Error::LogTrimmed { log: after.log, seq: after.seq });
                }
                if position > after {
                    return Ok((entries.into_iter().map(Arc::new).collect(), position));
                }
            }
            tokio::select! {
                biased;
                () = self.gone.cancelled() => return Err(Error::Moving),
                // Its sender is in here.
                _ = last.changed() => {}
            }
        }
    }

    /// What memory has behind a position; `None` if it does not reach back so far, or there is
    /// nothing behind it.
    fn recent(&self, after: Position, topics: u32) -> Option<(Vec<Arc<LogEntry>>, Position)> {
        let recent = self.lock();
        let first = recent.front()?.position;
        let reaches = after >= first || (after.log == first.log && after.seq + 1 == first.seq);
        if !reaches {
            return None;
        }
        let from = recent.partition_point(|entry| entry.position <= after);
        let mut found = Vec::new();
        let mut position = after;
        for entry in recent.range(from..) {
            position = entry.position;
            if entry.topics & topics != 0 {
                found.push(entry.clone());
                if found.len() >= PAGE {
                    break;
                }
            }
        }
        (position > after).then_some((found, position))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<LogEntry>>> {
        self.recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
