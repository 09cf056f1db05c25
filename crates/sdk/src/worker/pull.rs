//! Pulls assignments from every replica of the session.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::task::v1::{Assignment, PullTasksRequest};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::TaskTracker;
use tonic::{Request, Status};

use super::core::{Core, Session, to_replica};
use super::execute::{execute, release};
use super::session::is_gone;
use crate::backoff::Backoff;
use crate::channel::Channel;

/// After so many failures in a row the session's replicas are asked for anew.
const FAILURES_MAX: u32 = 3;

/// One stream per session and replica, for as long as the run lasts. Functions run as tasks of
/// this runtime; they end when their attempts are abandoned, as they are at the end of the run.
pub(crate) async fn run(core: Arc<Core>, client: TaskServiceClient<Channel>) {
    let executing = TaskTracker::new();
    let mut sessions = core.session.subscribe();
    let mut streams = JoinSet::new();
    let mut open: HashMap<(Arc<str>, String), AbortHandle> = HashMap::new();
    loop {
        let session = sessions.borrow_and_update().clone();
        open.retain(|(id, replica), stream| {
            let wanted = session.as_ref().is_some_and(|session| {
                session.id == *id && session.replicas.contains(replica) && !stream.is_finished()
            });
            if !wanted {
                stream.abort();
            }
            wanted
        });
        if let Some(session) = &session {
            for replica in &session.replicas {
                let pull = Pull {
                    core: Arc::clone(&core),
                    client: client.clone(),
                    session: Arc::clone(session),
                    replica: replica.clone(),
                    executing: executing.clone(),
                };
                open.entry((Arc::clone(&session.id), replica.clone()))
                    .or_insert_with(|| streams.spawn(pull.keep()));
            }
        }
        if sessions.changed().await.is_err() {
            return;
        }
        while streams.try_join_next().is_some() {}
    }
}

struct Pull {
    core: Arc<Core>,
    client: TaskServiceClient<Channel>,
    session: Arc<Session>,
    replica: String,
    executing: TaskTracker,
}

impl Pull {
    /// Keeps the stream open until the session is gone.
    async fn keep(mut self) {
        let gone = self.session.gone.clone();
        let mut backoff = Backoff::for_streams();
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                () = gone.cancelled() => return,
                ended = self.stream(&mut backoff) => ended,
            };
            match ended {
                Err(status) if is_gone(&status) => return gone.cancel(),
                Err(status) => tracing::debug!(replica = self.replica, %status, "pull ended"),
                Ok(()) => tracing::debug!(replica = self.replica, "pull ended"),
            }
            backoff.worked_since(began);
            if backoff.tries() >= FAILURES_MAX {
                self.core.replicas_stale.notify_one();
            }
            tokio::select! {
                () = gone.cancelled() => return,
                () = backoff.wait() => {}
            }
        }
    }

    async fn stream(&mut self, backoff: &mut Backoff) -> Result<(), Status> {
        let mut request =
            Request::new(PullTasksRequest { session_id: self.session.id.to_string() });
        to_replica(&mut request, &self.replica);
        let mut stream = self.client.pull_tasks(request).await?.into_inner();
        while let Some(message) = stream.message().await? {
            backoff.worked();
            for assignment in message.assignments {
                self.take(assignment);
            }
        }
        Ok(())
    }

    fn take(&self, mut assignment: Assignment) {
        if self.session.gone.is_cancelled() {
            return;
        }
        let arguments = assignment.arguments.take();
        let core = &self.core;
        let Some(attempt) = core.inventory.add(assignment, &self.session.id) else { return };
        if core.draining.is_cancelled() {
            let released = release(&attempt);
            core.end(attempt, released);
        } else {
            let session = Arc::clone(&self.session);
            self.executing.spawn(execute(Arc::clone(core), session, attempt, arguments));
        }
    }
}
