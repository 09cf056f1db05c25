//! Reads one heartbeat stream: checks, merges what comes too fast, passes on, answers, and tells
//! how the stream ended.

use std::sync::Arc;
use std::time::Duration;

use planaria_kernel::liveness::Loss;
use planaria_proto::failure_detector::v1::{HeartbeatRequest, HeartbeatResponse};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::handle::{Event, Handle};
use crate::scope::Scope;
use crate::{Config, Error, limits, stream_end};

/// The sequence of the first heartbeat of an incarnation.
const FIRST_SEQUENCE: u64 = 1;

/// Messages read ahead of the spacing; beyond that the stream's flow control stops the sender.
const MERGED_MAX: usize = 16;

/// One heartbeat stream.
pub(crate) struct Intake {
    pub(crate) requests: Streaming<HeartbeatRequest>,
    /// Whose workers may beat here.
    pub(crate) scope: Scope,
    pub(crate) answers: mpsc::Sender<Result<HeartbeatResponse, Status>>,
    pub(crate) handle: Handle,
    pub(crate) config: Arc<Config>,
    /// Higher than the numbers of all older streams.
    pub(crate) stream: u64,
    pub(crate) behind_hop: bool,
}

impl Intake {
    /// Runs until the stream ends or the service does; in the latter case the end of the stream
    /// says nothing.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut session_id = None;
        let ended = stop.run_until_cancelled(self.read(&mut session_id)).await;
        let (Some(Some(loss)), Some(session_id)) = (ended, session_id) else { return };
        let event = Event::StreamEnded { session_id, stream: self.stream, loss };
        // If the loop is gone, so is the service.
        let _gone = self.handle.tell(event).await;
    }

    /// How the stream ended, if that says something about the worker.
    async fn read(&mut self, session_id: &mut Option<String>) -> Option<Loss> {
        let spacing = Duration::from_millis(self.config.beat_spacing_ms);
        let mut waiting: Option<HeartbeatRequest> = None;
        let (mut merged, mut not_before) = (0, Instant::now());
        // One that was merged into a later one is heard too.
        let mut first = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(not_before), if waiting.is_some() => {
                    if let Some(request) = waiting.take() {
                        *session_id = Some(request.session_id.clone());
                        self.pass_on(request, std::mem::take(&mut first)).await.ok()?;
                    }
                    (merged, not_before) = (0, Instant::now() + spacing);
                }
                message = self.requests.message(), if merged < MERGED_MAX => match message {
                    Ok(Some(mut request)) => {
                        if let Err(error) = self.admit(&request, waiting.as_ref()) {
                            return self.refuse(error).await;
                        }
                        request.worker_id = self.scope.worker(&request.worker_id);
                        first |= request.sequence == FIRST_SEQUENCE;
                        waiting = Some(merge(waiting, request));
                        merged += 1;
                    }
                    ended => {
                        // What came before the end counts.
                        if let Some(request) = waiting.take() {
                            *session_id = Some(request.session_id.clone());
                            self.pass_on(request, first).await.ok()?;
                        }
                        let Err(status) = ended else { return Some(Loss::Closed) };
                        return stream_end::classify(&status, self.behind_hop);
                    }
                },
            }
        }
    }

    fn admit(
        &self,
        request: &HeartbeatRequest,
        waiting: Option<&HeartbeatRequest>,
    ) -> Result<(), Error> {
        limits::check(request, &self.config)?;
        // Merging is for one session; a change of sessions within the spacing is no worker's way.
        let other = waiting
            .is_some_and(|waiting| waiting.worker_id != self.scope.worker(&request.worker_id));
        if other {
            let fault = "must not change within a stream".to_owned();
            return Err(Error::HeartbeatInvalid(vec![("worker_id".into(), fault)]));
        }
        Ok(())
    }

    async fn pass_on(&self, request: HeartbeatRequest, first: bool) -> Result<(), Error> {
        match self.handle.beat(request, self.stream, first).await {
            // Who does not read the answers is told through the end of the stream.
            Ok(answer) => drop(self.answers.try_send(Ok(answer))),
            Err(error) => {
                self.refuse(error).await;
                return Err(Error::Stopping);
            }
        }
        Ok(())
    }

    /// Ends the stream from this side: that says nothing about the worker.
    async fn refuse(&self, error: Error) -> Option<Loss> {
        tracing::debug!(%error, "heartbeat stream refused");
        let _gone = self.answers.send(Err(error.into())).await;
        None
    }
}

/// The newer message, with what only the older one told.
fn merge(older: Option<HeartbeatRequest>, mut newer: HeartbeatRequest) -> HeartbeatRequest {
    let Some(older) = older else { return newer };
    newer.facts = newer.facts.or(older.facts);
    for attempt in &mut newer.attempts {
        if attempt.checkpoint.is_none() {
            let before = older.attempts.iter().find(|old| old.attempt_id == attempt.attempt_id);
            attempt.checkpoint = before.and_then(|before| before.checkpoint.clone());
        }
    }
    newer
}
