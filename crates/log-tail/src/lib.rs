//! Follows the orchestrator's log behind a position, over any number of broken streams.
//!
//! The reader keeps the position in its own store, in the transaction that stores what it derived
//! from the records: by a [`Follower`] of several replicas, or by itself with a [`LogTail`]. This
//! crate does not know what the records mean.

mod cursor;
mod follower;

use std::time::Duration;

use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::{
    LogPosition, LogRecord, ReadLogRequest, ReadLogResponse, Topic,
};
use planaria_runtime::ServiceChannel;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record that is kept.
    Oldest,
    /// With what comes from now on.
    End,
    /// Behind this position.
    After(LogPosition),
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

/// A log being followed.
#[derive(Debug)]
pub struct LogTail {
    client: OrchestratorServiceClient<ServiceChannel>,
    topics: Vec<i32>,
    settings: TailSettings,
    start: Start,
    stream: Option<Streaming<ReadLogResponse>>,
    pause: Option<Duration>,
}

impl LogTail {
    /// Follows the log of the orchestrators behind `channel`. Nothing is read before the first
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
        Self { client, topics, settings, start, stream: None, pause: None }
    }

    /// Where it would go on.
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// Whether a stream is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    /// Goes on elsewhere, such as at the oldest record after [`Trimmed`].
    pub fn restart(&mut self, start: Start) {
        self.start = start;
        self.stream = None;
    }

    /// The next records. Broken streams are opened again for as long as it takes. May be dropped
    /// at any time: nothing is lost that was not returned.
    ///
    /// # Errors
    /// The position is not in the log any more; only the caller knows what that means for it.
    pub async fn next(&mut self) -> Result<Batch, Trimmed> {
        loop {
            let read = self.read().await;
            match read {
                Ok(Some(batch)) => {
                    self.pause = None;
                    self.start = Start::After(batch.position);
                    return Ok(batch);
                }
                Ok(None) => self.lost("the stream ended"),
                Err(status) if status.code() == Code::OutOfRange => {
                    self.stream = None;
                    return Err(Trimmed { detail: status.message().to_owned() });
                }
                Err(status) => self.lost(status.message()),
            }
            sleep(self.next_pause()).await;
        }
    }

    /// Opens the stream without waiting for records: from here on nothing is missed.
    ///
    /// # Errors
    /// The orchestrator does not answer, or refuses the position (`OUT_OF_RANGE`).
    pub async fn open(&mut self) -> Result<(), Status> {
        if self.stream.is_some() {
            return Ok(());
        }
        let (after, from_end) = match self.start {
            Start::Oldest => (None, false),
            Start::End => (None, true),
            Start::After(position) => (Some(position), false),
        };
        let topics = self.topics.clone();
        let request = ReadLogRequest { after, topics, from_end, shard: 0 };
        let limit = Duration::from_millis(self.settings.open_ms_max);
        let opened = timeout(limit, self.client.read_log(request)).await;
        let opened = opened.map_err(|_| Status::unavailable("no answer in time"))?;
        self.stream = Some(opened?.into_inner());
        Ok(())
    }

    async fn read(&mut self) -> Result<Option<Batch>, Status> {
        self.open().await?;
        let Some(stream) = &mut self.stream else { return Ok(None) };
        loop {
            let Some(response) = stream.message().await? else { return Ok(None) };
            // Without a position the records could not be resumed behind.
            let last = response.records.last().and_then(|record| record.position);
            if let Some(position) = response.position.or(last) {
                return Ok(Some(Batch { records: response.records, position }));
            }
        }
    }

    fn lost(&mut self, reason: &str) {
        self.stream = None;
        tracing::debug!(reason, "the log is out of reach");
    }

    /// Doubles from loss to loss; drawn from its upper half, so that readers do not come in step.
    fn next_pause(&mut self) -> Duration {
        let (min, max) = (self.settings.reconnect_ms_min, self.settings.reconnect_ms_max);
        let min = Duration::from_millis(min.max(1));
        let max = Duration::from_millis(max).max(min);
        let pause = self.pause.map_or(min, |pause| (pause * 2).min(max));
        self.pause = Some(pause);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
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
        assert_eq!(tail.start(), Start::After(LogPosition { log: 1, seq: 4 }));
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
        let mut tail = tail(&mesh, Start::After(LogPosition { log: 1, seq: 1 }));
        assert!(tail.next().await.is_err());
        tail.restart(Start::Oldest);
        assert_eq!(read_to(&mut tail, 4).await, [3, 4]);
    }
}
