//! A worker: pulls tasks, executes them, reports, and shows that it lives.

mod builder;
mod control;
mod core;
mod execute;
mod heartbeat;
mod lease;
mod pull;
mod report;
mod session;
mod span;

use std::sync::Arc;

use planaria_proto::task::v1::Function;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use builder::WorkerBuilder;

use self::core::{Core, Ended};
use crate::Error;
use crate::channel::MESSAGE_BYTES_MAX;

/// A worker that is ready to run; made by [`Worker::builder`].
#[derive(Debug)]
pub struct Worker {
    core: Arc<Core>,
    ended: UnboundedReceiver<Ended>,
}

/// Looks at a worker, and steers it, while it runs; cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    core: Arc<Core>,
}

/// However the run ends, also by being dropped, its threads and functions end with it.
struct Over(Arc<Core>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.over.cancel();
        self.0.inventory.abandon_all();
    }
}

impl Worker {
    /// Begins a worker of the engine whose gateway is at `address`, e.g. `http://127.0.0.1:8080`.
    pub fn builder(address: impl Into<String>) -> WorkerBuilder {
        WorkerBuilder::new(address.into())
    }

    /// A handle that stays valid while the worker runs.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { core: Arc::clone(&self.core) }
    }

    /// Works until `stop` is cancelled (or the engine has the worker leave), then hands back what
    /// is not done, says goodbye and returns. Lost connections are opened again for ever.
    ///
    /// # Errors
    /// The engine refuses the worker for good, or another process took over its id.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let Self { core, ended } = self;
        let over = Over(Arc::clone(&core));
        let client = TaskServiceClient::new(core.address.open())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let outcome = control::start(Arc::clone(&core))?;
        // Tasks of their own: on the thread that waits here each step would be a wake-up.
        let mut parts = JoinSet::new();
        parts.spawn(pull::run(Arc::clone(&core), client.clone()));
        parts.spawn(report::run(Arc::clone(&core), client, ended));
        let leaving = async {
            stop.cancelled().await;
            core.draining.cancel();
            std::future::pending::<()>().await;
        };
        let result = tokio::select! {
            outcome = outcome => outcome.unwrap_or_else(|_| Err(Error::Io {
                what: "the heartbeat's thread",
                source: std::io::Error::other("it panicked"),
            })),
            Some(_) = parts.join_next() => Err(Error::Io {
                what: "pulling or reporting",
                source: std::io::Error::other("it ended before its time"),
            }),
            () = leaving => Ok(()),
        };
        drop(over);
        result
    }

    /// [`Worker::run`] until SIGTERM or SIGINT.
    ///
    /// # Errors
    /// Those of [`Worker::run`], and the signal handlers cannot be installed.
    pub async fn run_until_signal(self) -> Result<(), Error> {
        let install = |kind| {
            signal(kind)
                .map_err(|source| Error::Io { what: "installing the signal handler", source })
        };
        let mut terminate = install(SignalKind::terminate())?;
        let mut interrupt = install(SignalKind::interrupt())?;
        let stop = CancellationToken::new();
        let _stop_listening = stop.clone().drop_guard();
        let asked = stop.clone();
        let listening = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            result = self.run(stop) => result,
            () = listening => Ok(()),
        }
    }
}

impl WorkerHandle {
    /// The worker's stable name.
    #[must_use]
    pub fn worker_id(&self) -> &str {
        &self.core.identity.worker_id
    }

    /// Unique for this start of the worker.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        &self.core.identity.incarnation
    }

    /// The version of the worker program.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.core.identity.version
    }

    /// The session, if there is one now.
    #[must_use]
    pub fn session_id(&self) -> Option<String> {
        self.core.session.borrow().as_ref().map(|session| session.id.to_string())
    }

    /// Waits until there is a session (or, for false, until there is none).
    pub async fn connected(&self, connected: bool) {
        let mut sessions = self.core.session.subscribe();
        // The sender lives in self, so the channel cannot close while this waits.
        let _closed = sessions.wait_for(|session| session.is_some() == connected).await;
    }

    /// What it can execute, as it is announced.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        self.core.identity.functions.announce()
    }

    /// The queues that it takes tasks from.
    #[must_use]
    pub fn queues(&self) -> &[String] {
        &self.core.identity.queues
    }

    /// How many attempts it executes at the same time.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.core.identity.capacity
    }

    /// How many attempts it has now, ended but unacknowledged ones included.
    #[must_use]
    pub fn running(&self) -> usize {
        self.core.inventory.len()
    }

    /// Whether it is leaving.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.core.draining.is_cancelled()
    }

    /// Has the worker leave in good order, as the stop of its run does.
    pub fn drain(&self) {
        self.core.draining.cancel();
    }
}
