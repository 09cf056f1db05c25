//! How the gRPC services talk to the detector's loop.

use planaria_kernel::liveness::Loss;
use planaria_proto::failure_detector::v1::{HeartbeatRequest, HeartbeatResponse, Worker};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Error;

/// What the loop is told.
#[derive(Debug)]
pub(crate) enum Event {
    Beat {
        request: Box<HeartbeatRequest>,
        stream: u64,
        /// Whether it is the very first of the worker's incarnation.
        first: bool,
        answer: oneshot::Sender<Result<HeartbeatResponse, Error>>,
    },
    StreamEnded {
        session_id: String,
        stream: u64,
        loss: Loss,
    },
    Ended {
        session_id: String,
        left: bool,
    },
    Drain {
        worker_id: String,
        answer: oneshot::Sender<Result<(), Error>>,
    },
    List {
        after: u64,
        answer: oneshot::Sender<Listing>,
    },
}

/// Workers that changed since a version, and the version they are of.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) workers: Vec<Worker>,
    pub(crate) version: u64,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    events: mpsc::Sender<Event>,
    /// The version of what is known of the workers.
    changes: watch::Receiver<u64>,
}

impl Handle {
    pub(crate) fn new(events: mpsc::Sender<Event>, changes: watch::Receiver<u64>) -> Self {
        Self { events, changes }
    }

    pub(crate) async fn beat(
        &self,
        request: HeartbeatRequest,
        stream: u64,
        first: bool,
    ) -> Result<HeartbeatResponse, Error> {
        let request = Box::new(request);
        self.ask(|answer| Event::Beat { request, stream, first, answer }).await?
    }

    pub(crate) async fn drain(&self, worker_id: String) -> Result<(), Error> {
        self.ask(|answer| Event::Drain { worker_id, answer }).await?
    }

    /// What changed after a version; 0 = everything.
    pub(crate) async fn list(&self, after: u64) -> Result<Listing, Error> {
        self.ask(|answer| Event::List { after, answer }).await
    }

    pub(crate) async fn tell(&self, event: Event) -> Result<(), Error> {
        self.events.send(event).await.map_err(|_| Error::Stopping)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    async fn ask<A>(&self, event: impl FnOnce(oneshot::Sender<A>) -> Event) -> Result<A, Error> {
        let (answer, answered) = oneshot::channel();
        self.tell(event(answer)).await?;
        answered.await.map_err(|_| Error::Stopping)
    }
}
