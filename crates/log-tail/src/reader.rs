//! One shard's log, read over any number of broken streams.

use std::pin::pin;
use std::time::Duration;

use planaria_proto::orchestrator::v1::orchestrator_service_client::OrchestratorServiceClient;
use planaria_proto::orchestrator::v1::{LogPosition, ReadLogRequest, ReadLogResponse};
use planaria_runtime::ServiceChannel;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

use crate::{Batch, TailSettings, Trimmed};

/// What a reader tells: records, or that its position is not kept any more.
pub(crate) type Read = Result<Batch, (u32, Trimmed)>;

/// What came of a stream: records, its end, or what broke it.
type Came = Result<Option<Batch>, Status>;

/// So many records wait for whoever works on the last ones; the others stay where they are.
const WAITING_MAX: usize = 500;

/// Where a shard's log is read from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum From {
    Oldest,
    End,
    After(LogPosition),
}

/// Reads the log of one shard.
pub(crate) struct Reader {
    pub(crate) client: OrchestratorServiceClient<ServiceChannel>,
    pub(crate) topics: Vec<i32>,
    pub(crate) settings: TailSettings,
    pub(crate) shard: u32,
    pub(crate) from: From,
    /// It takes what there is: its beginning was the oldest record kept.
    pub(crate) with_gaps: bool,
    pub(crate) stream: Option<Streaming<ReadLogResponse>>,
    pub(crate) pause: Option<Duration>,
}

impl Reader {
    /// Opens the stream; the place where it begins.
    pub(crate) async fn open(&mut self) -> Came {
        let (after, from_end) = match self.from {
            From::Oldest => (None, false),
            From::End => (None, true),
            From::After(position) => (Some(position), false),
        };
        let topics = self.topics.clone();
        let with_gaps = self.with_gaps;
        let request = ReadLogRequest { after, topics, from_end, shard: self.shard, with_gaps };
        let limit = Duration::from_millis(self.settings.open_ms_max);
        let opened = timeout(limit, self.client.read_log(request)).await;
        let opened = opened.map_err(|_| Status::unavailable("no answer in time"))?;
        self.stream = Some(opened?.into_inner());
        timeout(limit, self.read())
            .await
            .unwrap_or_else(|_| Err(Status::unavailable("no answer in time")))
    }

    /// Reads until nobody wants it any more, or the position is gone.
    pub(crate) async fn run(mut self, to: mpsc::Sender<Read>) {
        let mut next = None;
        loop {
            let came = match next.take() {
                Some(came) => came,
                None if self.stream.is_some() => self.read().await,
                None => self.open().await,
            };
            match came {
                Ok(Some(batch)) => {
                    self.pause = None;
                    match self.hand_on(batch, &to).await {
                        Ok(came) => next = came,
                        Err(_gone) => return,
                    }
                    continue;
                }
                Ok(None) => self.lost("the stream ended"),
                Err(status) if status.code() == Code::OutOfRange => {
                    let trimmed = Trimmed { detail: status.message().to_owned() };
                    // Whoever is not there any more does not miss it.
                    let _gone = to.send(Err((self.shard, trimmed))).await;
                    return;
                }
                Err(status) => self.lost(status.message()),
            }
            sleep(next_pause(&mut self.pause, &self.settings)).await;
        }
    }

    /// Hands records on. What comes while nobody takes them goes with them: who is slower than the
    /// log works on more at once, and does not fall behind. Answers what came instead of more.
    async fn hand_on(
        &mut self,
        mut batch: Batch,
        to: &mpsc::Sender<Read>,
    ) -> Result<Option<Came>, SendError<()>> {
        let mut room = pin!(to.reserve());
        let came = loop {
            let has_room = batch.records.len() < WAITING_MAX && self.stream.is_some();
            tokio::select! {
                biased;
                taken = &mut room => {
                    self.from = From::After(batch.position);
                    taken?.send(Ok(batch));
                    return Ok(None);
                }
                came = self.read(), if has_room => match came {
                    Ok(Some(more)) => {
                        batch.records.extend(more.records);
                        batch.position = more.position;
                    }
                    came => break came,
                },
            }
        };
        self.from = From::After(batch.position);
        room.await?.send(Ok(batch));
        Ok(Some(came))
    }

    async fn read(&mut self) -> Came {
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
        tracing::debug!(reason, shard = self.shard, "the log is out of reach");
    }
}

/// Doubles from loss to loss; drawn from its upper half, so that readers do not come in step.
pub(crate) fn next_pause(pause: &mut Option<Duration>, settings: &TailSettings) -> Duration {
    let min = Duration::from_millis(settings.reconnect_ms_min.max(1));
    let max = Duration::from_millis(settings.reconnect_ms_max).max(min);
    let next = pause.map_or(min, |pause| (pause * 2).min(max));
    *pause = Some(next);
    next.mul_f64(0.5 + fastrand::f64() / 2.0)
}
