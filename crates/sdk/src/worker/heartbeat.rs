//! Beats for the session, and does what the answers say.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use planaria_proto::failure_detector::v1::failure_detector_service_client as detector;
use planaria_proto::failure_detector::v1::{HeartbeatRequest, HeartbeatResponse, WorkerFacts};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::core::{Core, Session};
use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::channel::MESSAGE_BYTES_MAX;
use crate::clock;

/// Beats on their way out; when nobody takes them the stream is dead.
const BEATS_MAX: usize = 8;
/// Checkpoints of one beat; the others travel with the next.
const CHECKPOINT_BYTES_MAX: usize = 1024 * 1024;
/// Early beats keep this distance, so that they do not look like the rhythm.
const EARLY_BEAT_PAUSE: Duration = Duration::from_millis(100);
/// A stream whose beats are not answered for this long, or four intervals, is dropped.
const SILENCE_MIN: Duration = Duration::from_secs(2);

/// Heartbeats of one incarnation.
#[derive(Debug, Default)]
pub(crate) struct Heart {
    sequence: AtomicU64,
    /// Whether any beat was ever answered. Until then each stream begins with the first one again:
    /// a detector that hears it has missed nothing.
    answered: AtomicBool,
}

impl Heart {
    /// Beats until the session is gone. Each stream has a connection of its own: a connection that
    /// does not answer any more is not tried twice.
    pub(crate) async fn beat(&self, core: &Core, session: &Session) {
        let mut backoff = Backoff::for_streams();
        loop {
            let began = Instant::now();
            let ended = self.stream(core, session, &mut backoff).await;
            if session.gone.is_cancelled() {
                return;
            }
            tracing::debug!(?ended, "heartbeat stream ended");
            backoff.worked_since(began);
            backoff.wait().await;
        }
    }

    async fn stream(
        &self,
        core: &Core,
        session: &Session,
        backoff: &mut Backoff,
    ) -> Result<(), Status> {
        let mut client = detector::FailureDetectorServiceClient::new(core.address.open())
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        if !self.answered.load(Ordering::Relaxed) {
            self.sequence.store(0, Ordering::Relaxed);
        }
        let (beats, outgoing) = mpsc::channel(BEATS_MAX);
        let mut told = Told::default();
        // Sent before the stream is open: a server may wait for it before it answers at all.
        let send = |told: &mut Told, facts| {
            let beat = self.next(core, session, told, facts);
            beats.try_send(beat).map_err(|_| Status::unavailable("beats are not taken"))
        };
        send(&mut told, Some(core.facts()))?;

        let mut ticks = tokio::time::interval(session.heartbeat_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        let silence_max = SILENCE_MIN.max(session.heartbeat_interval * 4);
        let mut heard_at = Instant::now();
        let mut stream: Option<Streaming<HeartbeatResponse>> = None;
        let mut opening = pin!(client.heartbeat(ReceiverStream::new(outgoing)));
        let mut early = pin!(early_beat(core));
        loop {
            tokio::select! {
                opened = &mut opening, if stream.is_none() => {
                    stream = Some(opened?.into_inner());
                }
                answer = next_answer(&mut stream) => {
                    let Some(answer) = answer? else { return Ok(()) };
                    heard_at = Instant::now();
                    self.answered.store(true, Ordering::Relaxed);
                    backoff.worked();
                    let sent_at = told.sent_at(answer.sequence);
                    obey(core, session, sent_at, &answer);
                    if answer.session_gone {
                        return Ok(());
                    }
                }
                _ = ticks.tick() => {
                    if heard_at.elapsed() > silence_max {
                        return Err(Status::unavailable("beats are not answered"));
                    }
                    send(&mut told, None)?;
                }
                () = &mut early => {
                    send(&mut told, None)?;
                    early.set(early_beat(core));
                }
            }
        }
    }

    fn next(
        &self,
        core: &Core,
        session: &Session,
        told: &mut Told,
        facts: Option<WorkerFacts>,
    ) -> HeartbeatRequest {
        let mut checkpoint_bytes = 0;
        let mut checkpoints = HashMap::new();
        let describe = |attempt: &Arc<Attempt>| {
            let known = told.checkpoints.get(attempt.id()).copied().unwrap_or(0);
            let full = checkpoint_bytes >= CHECKPOINT_BYTES_MAX;
            let (running, number) = attempt.describe(if full { u64::MAX } else { known });
            checkpoint_bytes += running.checkpoint.as_ref().map_or(0, |each| each.data.len());
            let now_known = if full { known } else { number };
            if now_known > 0 {
                checkpoints.insert(running.attempt_id.clone(), now_known);
            }
            running
        };
        let attempts = core.inventory.snapshot().iter().map(describe).collect();
        told.checkpoints = checkpoints;
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        told.sent.push_back((sequence, clock::since_boot()));
        HeartbeatRequest {
            session_id: session.id.to_string(),
            worker_id: core.identity.worker_id.clone(),
            incarnation: core.identity.incarnation.clone(),
            sequence,
            attempts,
            draining: core.draining.is_cancelled(),
            facts,
        }
    }
}

/// What the detector heard on this stream: another one may lead to another detector.
#[derive(Debug, Default)]
struct Told {
    /// Attempt id to the number of the checkpoint.
    checkpoints: HashMap<String, u64>,
    /// When each beat was sent that is not answered yet, by its number, the oldest first.
    sent: VecDeque<(u64, Duration)>,
}

impl Told {
    /// When this beat was sent; it and those before it are answered now.
    fn sent_at(&mut self, sequence: u64) -> Option<Duration> {
        while let Some((number, sent_at)) =
            self.sent.pop_front_if(|(number, _)| *number <= sequence)
        {
            if number == sequence {
                return Some(sent_at);
            }
        }
        None
    }
}

async fn early_beat(core: &Core) {
    tokio::time::sleep(EARLY_BEAT_PAUSE).await;
    core.beat_soon.notified().await;
}

async fn next_answer(
    stream: &mut Option<Streaming<HeartbeatResponse>>,
) -> Result<Option<HeartbeatResponse>, Status> {
    match stream {
        Some(stream) => stream.message().await,
        None => std::future::pending().await,
    }
}

fn obey(core: &Core, session: &Session, sent_at: Option<Duration>, answer: &HeartbeatResponse) {
    if answer.session_gone {
        return session.gone.cancel();
    }
    // It counts from the beat: the answer may have waited while this process was stopped.
    if let (Some(sent_at), Some(lasts)) = (sent_at, answer.lease) {
        session.lease.renewed(sent_at, clock::from_proto(lasts));
    }
    core.inventory.abandon(&answer.abandon);
    if answer.drain && !core.draining.is_cancelled() {
        tracing::info!("asked to leave");
        core.draining.cancel();
    }
}
