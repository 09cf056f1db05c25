//! The two gRPC services: convert, call, convert.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use planaria_proto::failure_detector::v1::evidence_service_server::EvidenceService;
use planaria_proto::failure_detector::v1::failure_detector_service_server::FailureDetectorService;
use planaria_proto::failure_detector::v1::{
    DrainWorkerRequest, DrainWorkerResponse, ForgetSessionRequest, ForgetSessionResponse,
    HeartbeatRequest, HeartbeatResponse, ListWorkersRequest, ListWorkersResponse, Liveness,
    WatchWorkersRequest, WatchWorkersResponse,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use crate::handle::{Event, Handle};
use crate::intake::Intake;
use crate::scope::Scope;
use crate::{Config, Error, stream_end};

/// Answers that wait for a worker that does not read them.
const ANSWERS_MAX: usize = 16;

/// A follower that gets everything at once gets no more than this often.
const WATCH_SPACING: Duration = Duration::from_millis(50);

/// What both services share; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    handle: Handle,
    config: Arc<Config>,
    stop: CancellationToken,
    streams: Arc<AtomicU64>,
    watchers: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Api {
    pub(crate) fn new(handle: Handle, config: Arc<Config>, stop: CancellationToken) -> Self {
        let watchers = Arc::new(Semaphore::new(config.watchers_max));
        let (streams, tasks) = (Arc::default(), TaskTracker::new());
        Self { handle, config, stop, streams, watchers, tasks }
    }
}

#[tonic::async_trait]
impl FailureDetectorService for Api {
    type HeartbeatStream = ReceiverStream<Result<HeartbeatResponse, Status>>;
    type WatchWorkersStream = ReceiverStream<Result<WatchWorkersResponse, Status>>;

    async fn heartbeat(
        &self,
        request: Request<Streaming<HeartbeatRequest>>,
    ) -> Result<Response<Self::HeartbeatStream>, Status> {
        let scope = Scope::of(&request)?;
        let (answers, answered) = mpsc::channel(ANSWERS_MAX);
        let intake = Intake {
            behind_hop: stream_end::is_behind_hop(request.metadata()),
            requests: request.into_inner(),
            scope,
            answers,
            handle: self.handle.clone(),
            config: Arc::clone(&self.config),
            stream: self.streams.fetch_add(1, Ordering::Relaxed) + 1,
        };
        // A task of its own, because the answer's stream is dropped before the request's end is
        // told when the worker goes.
        self.tasks.spawn(intake.run(self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(answered)))
    }

    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        let scope = Scope::of(&request)?;
        let wanted = request.into_inner().liveness;
        let mut workers = scope.visible(self.handle.list(0).await?.workers);
        if wanted != i32::from(Liveness::Unspecified) {
            workers.retain(|worker| worker.liveness == wanted);
        }
        Ok(Response::new(ListWorkersResponse { workers }))
    }

    async fn watch_workers(
        &self,
        request: Request<WatchWorkersRequest>,
    ) -> Result<Response<Self::WatchWorkersStream>, Status> {
        let scope = Scope::of(&request)?;
        let permit = Arc::clone(&self.watchers).try_acquire_owned();
        let permit = permit.map_err(|_| Error::TooManyWatchers)?;
        let (pushes, pushed) = mpsc::channel(1);
        let interval = Duration::from_millis(self.config.watch_interval_ms);
        let follow = follow(self.handle.clone(), scope, pushes, interval, permit);
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(follow));
        Ok(Response::new(ReceiverStream::new(pushed)))
    }

    async fn drain_worker(
        &self,
        request: Request<DrainWorkerRequest>,
    ) -> Result<Response<DrainWorkerResponse>, Status> {
        let scope = Scope::of(&request)?;
        let named = request.into_inner().worker_id;
        let drained = self.handle.drain(scope.worker(&named)).await;
        drained.map_err(|error| scope.as_named(error, named))?;
        Ok(Response::new(DrainWorkerResponse {}))
    }
}

#[tonic::async_trait]
impl EvidenceService for Api {
    async fn forget_session(
        &self,
        request: Request<ForgetSessionRequest>,
    ) -> Result<Response<ForgetSessionResponse>, Status> {
        let ForgetSessionRequest { session_id, left } = request.into_inner();
        self.handle.tell(Event::Ended { session_id, left }).await?;
        Ok(Response::new(ForgetSessionResponse {}))
    }
}

/// Pushes all workers, then those that changed as soon as they do, and those that grow
/// suspicious every interval. A follower that does not read is waited for and then gets the
/// state of that time: nothing piles up.
async fn follow(
    handle: Handle,
    scope: Scope,
    pushes: mpsc::Sender<Result<WatchWorkersResponse, Status>>,
    interval: Duration,
    _permit: OwnedSemaphorePermit,
) {
    let mut changes = handle.changes();
    let (mut version, mut first) = (0, true);
    loop {
        changes.mark_unchanged();
        let Ok(listing) = handle.list(version).await else { return };
        version = listing.version;
        let workers = scope.visible(listing.workers);
        if first || !workers.is_empty() {
            let push = WatchWorkersResponse { workers };
            if pushes.send(Ok(push)).await.is_err() {
                return;
            }
        }
        first = false;
        tokio::select! {
            () = pushes.closed() => return,
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                tokio::time::sleep(WATCH_SPACING).await;
            }
            () = tokio::time::sleep(interval) => {}
        }
    }
}
