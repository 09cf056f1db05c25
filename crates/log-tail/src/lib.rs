//! Follows the orchestrator's log behind a position, over any number of broken streams.
//!
//! The reader keeps the position in its own store, in the transaction that stores what it derived
//! from the records: by a [`Follower`] of several replicas, or by itself with a [`LogTail`]. This
//! crate does not know what the records mean.

mod cursor;
mod follower;
mod reader;

use std::collections::BTreeMap;
use std::time::Duration;

use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::{ListShardsRequest, LogPosition, LogRecord, Topic};
use planaria_runtime::ServiceChannel;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Request, Status};

use reader::{From, Read, Reader, next_pause};

pub use cursor::{LogCursor, NotACursor};
pub use follower::{Follower, Ledger, Pace};

/// How a log is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TailSettings {
    /// The pause after the first broken stream; it doubles with each further one.
    pub reconnect_ms_min: u64,
    /// The longest pause.
    pub reconnect_ms_max: u64,
    /// The orchestrator must begin to answer within this.
    pub open_ms_max: u64,
    /// One message of the stream.
    pub message_bytes_max: usize,
}

impl Default for TailSettings {
    fn default() -> Self {
        Self {
            reconnect_ms_min: 100,
            reconnect_ms_max: 2_000,
            open_ms_max: 3_000,
            message_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// Where reading begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that is kept.
    Oldest,
    /// With what comes from now on.
    End,
    /// Behind all of this; shards that it does not know are read from their oldest record on.
    After(LogCursor),
}

/// What was read at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The records of the asked topics, in order; none if only the position moved.
    pub records: Vec<LogRecord>,
    /// The reader has seen everything up to here.
    pub position: LogPosition,
}

/// The position is older than the log: records are missing between it and the oldest one kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// What the orchestrator said.
    pub detail: String,
}

/// The logs of all shards being followed.
#[derive(Debug)]
pub struct LogTail {
    client: OrchestratorServiceClient<ServiceChannel>,
    topics: Vec<i32>,
    settings: TailSettings,
    start: Start,
    /// Everything that was returned.
    cursor: LogCursor,
    readers: BTreeMap<u32, JoinHandle<()>>,
    /// Shards whose place is not kept any more.
    trimmed: Vec<u32>,
    to: mpsc::Sender<Read>,
    read: mpsc::Receiver<Read>,
    /// When the shards are asked for again.
    next_look: Instant,
    pause: Option<Duration>,
}

impl LogTail {
    /// Follows the logs of the orchestrators behind `channel`. Nothing is read before the first
    /// call of [`LogTail::next`] or [`LogTail::open`].
    #[must_use]
    pub fn new(
        channel: ServiceChannel,
        topics: &[Topic],
        start: Start,
        settings: TailSettings,
    ) -> Self {
        let client = OrchestratorServiceClient::new(channel)
            .max_decoding_message_size(settings.message_bytes_max);
        let topics = topics.iter().map(|topic| *topic as i32).collect();
        let cursor = match &start {
            Start::After(cursor) => cursor.clone(),
            Start::Oldest | Start::End => LogCursor::default(),
        };
        // One batch is ready while the last one is worked on, and grows until there is room.
        let (to, read) = mpsc::channel(1);
        let next_look = Instant::now();
        let (readers, trimmed, pause) = (BTreeMap::new(), Vec::new(), None);
        Self {
            client,
            topics,
            settings,
            start,
            cursor,
            readers,
            trimmed,
            to,
            read,
            next_look,
            pause,
        }
    }

    /// Behind everything that was returned.
    #[must_use]
    pub const fn cursor(&self) -> &LogCursor {
        &self.cursor
    }

    /// Goes on elsewhere where the place is not kept any more, after [`Trimmed`].
    pub fn restart(&mut self, start: Start) {
        for shard in std::mem::take(&mut self.trimmed) {
            self.readers.remove(&shard);
        }
        self.start = start;
        self.cursor = LogCursor::default();
        self.next_look = Instant::now();
    }

    /// The next records, of whichever shard; a shard's records come in their order. Broken streams
    /// are opened again for as long as it takes. May be dropped at any time: nothing is lost that
    /// was not returned.
    ///
    /// # Errors
    /// The position is not in the log any more; only the caller knows what that means for it.
    pub async fn next(&mut self) -> Result<Batch, Trimmed> {
        loop {
            tokio::select! {
                biased;
                Some(read) = self.read.recv() => match read {
                    Ok(batch) => {
                        self.cursor.advance(batch.position);
                        return Ok(batch);
                    }
                    Err((shard, trimmed)) => {
                        self.trimmed.push(shard);
                        return Err(trimmed);
                    }
                },
                () = sleep_until(self.next_look) => self.look().await,
            }
        }
    }

    /// Opens the logs of all shards without waiting for records: from here on nothing is missed.
    ///
    /// # Errors
    /// The orchestrators do not answer, or refuse the position (`OUT_OF_RANGE`).
    pub async fn open(&mut self) -> Result<(), Status> {
        for shard in self.shards().await? {
            if self.readers.contains_key(&shard) {
                continue;
            }
            let mut reader = self.reader(shard);
            let first = reader.open().await?;
            if let Some(first) = first {
                if first.records.is_empty() {
                    self.cursor.advance(first.position);
                }
                reader.from = From::After(first.position);
                // There is room: whatever else is read waits for it to be taken.
                self.readers.insert(shard, spawn(reader, Some(first), self.to.clone()));
            } else {
                self.readers.insert(shard, spawn(reader, None, self.to.clone()));
            }
        }
        // A shard that is new from now on was not there when the reader began.
        self.start = Start::Oldest;
        self.next_look = Instant::now() + SHARDS_PERIOD;
        Ok(())
    }

    /// Finds the shards that are there, and begins to read new ones.
    async fn look(&mut self) {
        match self.shards().await {
            Ok(shards) => {
                for shard in shards {
                    if !self.readers.contains_key(&shard) {
                        let reader = self.reader(shard);
                        self.readers.insert(shard, spawn(reader, None, self.to.clone()));
                    }
                }
                self.start = Start::Oldest;
                self.pause = None;
                self.next_look = Instant::now() + SHARDS_PERIOD;
            }
            Err(status) => {
                tracing::debug!(%status, "the shards cannot be listed");
                let pause = next_pause(&mut self.pause, &self.settings);
                self.next_look = Instant::now() + pause;
            }
        }
    }

    async fn shards(&mut self) -> Result<Vec<u32>, Status> {
        let limit = Duration::from_millis(self.settings.open_ms_max);
        let mut request = Request::new(ListShardsRequest {});
        request.set_timeout(limit);
        let listed = timeout(limit, self.client.list_shards(request)).await;
        let listed = listed.map_err(|_| Status::unavailable("no answer in time"))?;
        Ok(listed?.into_inner().shards)
    }

    fn reader(&self, shard: u32) -> Reader {
        let from = match (self.cursor.last(shard), &self.start) {
            (Some(position), _) => From::After(position),
            (None, Start::End) => From::End,
            (None, Start::Oldest | Start::After(_)) => From::Oldest,
        };
        Reader {
            client: self.client.clone(),
            topics: self.topics.clone(),
            settings: self.settings.clone(),
            shard,
            from,
            with_gaps: matches!(from, From::Oldest),
            stream: None,
            pause: None,
        }
    }
}

impl Drop for LogTail {
    fn drop(&mut self) {
        for reader in self.readers.values() {
            reader.abort();
        }
    }
}

/// How often it is asked whether there are new shards.
const SHARDS_PERIOD: Duration = Duration::from_secs(2);

fn spawn(reader: Reader, first: Option<Batch>, to: mpsc::Sender<Read>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Some(first) = first
            && to.send(Ok(first)).await.is_err()
        {
            return;
        }
        reader.run(to).await;
    })
}

#[cfg(test)]
mod tests {
    use planaria_fake_mesh::{FakeOrchestrator, session_opened};

    use super::*;

    fn tail(mesh: &FakeOrchestrator, start: Start) -> LogTail {
        let settings = TailSettings { reconnect_ms_min: 1, ..TailSettings::default() };
        LogTail::new(mesh.directory().channel("orchestrator"), &[], start, settings)
    }

    fn seqs(batch: &Batch) -> Vec<u64> {
        batch.records.iter().filter_map(|record| record.position).map(|at| at.seq).collect()
    }

    async fn read_to(tail: &mut LogTail, seq: u64) -> Vec<u64> {
        let mut read = Vec::new();
        while read.last() != Some(&seq) {
            read.extend(seqs(&tail.next().await.unwrap()));
        }
        read
    }

    #[tokio::test]
    async fn records_come_once_and_in_order_over_restarts_of_the_orchestrator() {
        let mesh = FakeOrchestrator::start().await;
        for number in 0..3 {
            mesh.push(session_opened(&format!("w{number}")));
        }
        let mut tail = tail(&mesh, Start::Oldest);
        assert_eq!(read_to(&mut tail, 3).await, [1, 2, 3]);
        mesh.stop().await;
        mesh.push(session_opened("w3"));
        let (read, ()) = tokio::join!(read_to(&mut tail, 4), mesh.restart());
        assert_eq!(read, [4]);
        assert_eq!(tail.cursor(), &LogCursor::behind(LogPosition { log: 1, seq: 4 }));
    }

    async fn pause_of(length: Duration) {
        tokio::time::sleep(length).await;
    }

    #[tokio::test]
    async fn what_comes_while_its_reader_is_busy_is_read_at_once() {
        let mesh = FakeOrchestrator::start().await;
        mesh.push(session_opened("w0"));
        let mut tail = tail(&mesh, Start::Oldest);
        assert_eq!(seqs(&tail.next().await.unwrap()), [1]);
        for number in 1..100 {
            mesh.push(session_opened(&format!("w{number}")));
            // Each of them comes alone.
            pause_of(Duration::from_millis(2)).await;
        }
        let mut batches: Vec<Vec<u64>> = Vec::new();
        while batches.concat().len() < 99 {
            batches.push(seqs(&tail.next().await.unwrap()));
        }
        assert!(batches.len() <= 3, "{batches:?}");
        assert_eq!(batches.concat(), (2..=100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn from_the_end_only_news_are_read() {
        let mesh = FakeOrchestrator::start().await;
        mesh.push(session_opened("old"));
        let mut tail = tail(&mesh, Start::End);
        tail.open().await.unwrap();
        mesh.push(session_opened("new"));
        assert_eq!(read_to(&mut tail, 2).await, [2]);
    }

    #[tokio::test]
    async fn a_position_that_was_trimmed_is_told() {
        let mesh = FakeOrchestrator::start().await;
        for number in 0..4 {
            mesh.push(session_opened(&format!("w{number}")));
        }
        mesh.trim_before(3);
        let at = LogPosition { log: 1, seq: 1 };
        let mut tail = tail(&mesh, Start::After(at.into()));
        assert!(tail.next().await.is_err());
        tail.restart(Start::Oldest);
        assert_eq!(read_to(&mut tail, 4).await, [3, 4]);
        // A reader that took what there was is not sent back to the beginning by a broken stream.
        mesh.stop().await;
        mesh.push(session_opened("w4"));
        mesh.push(session_opened("w5"));
        mesh.trim_before(6);
        let (read, ()) = tokio::join!(read_to(&mut tail, 6), mesh.restart());
        assert_eq!(read, [6]);
    }
}
