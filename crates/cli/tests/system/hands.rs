//! Workers in this process: they tell when they start what, and go on when they are told to.

use std::time::{Duration, Instant};

use planaria_proto::types::v1::Payload;
use planaria_sdk::{CancellationToken, Client, Context, Start, Worker, WorkerHandle};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::ask;

/// A workflow of one task that takes `sleep`, where the built-in worker executes it.
pub(crate) fn held(sleep: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: system, name: held, version: '1.0.0' }}\n\
         do:\n  - work: {{ call: simulate, with: {{ sleep: {sleep}, output: theirs }} }}\n"
    )
}

/// An attempt that was begun.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) at: Instant,
    pub(crate) workflow_id: String,
    pub(crate) attempt: u32,
}

/// A worker that offers `simulate` as the built-in one does, but ends when it may.
pub(crate) struct Hands {
    pub(crate) handle: WorkerHandle,
    begun: mpsc::UnboundedReceiver<Begun>,
    free: watch::Sender<bool>,
    stop: CancellationToken,
    run: JoinHandle<Result<(), planaria_sdk::Error>>,
}

impl Hands {
    /// Starts it; returns when it has a session.
    pub(crate) async fn start(uri: &str, id: &str, capacity: u32) -> Self {
        let (sender, begun) = mpsc::unbounded_channel();
        let (free, freed) = watch::channel(false);
        let function = move |context: Context, _: Payload| {
            let (workflow_id, attempt) = (context.workflow_id().to_owned(), context.attempt());
            let _told = sender.send(Begun { at: Instant::now(), workflow_id, attempt });
            let mut freed = freed.clone();
            let held = async move {
                let _closed = freed.wait_for(|free| *free).await;
                Ok(Payload { data: "\"ours\"".into(), ..Payload::default() })
            };
            held.instrument(tracing::info_span!("hold"))
        };
        let worker = Worker::builder(uri)
            .id(id)
            .capacity(capacity)
            .raw_function("simulate", "1.0.0", function)
            .build()
            .unwrap();
        let (handle, stop) = (worker.handle(), CancellationToken::new());
        let run = tokio::spawn(worker.run(stop.clone()));
        handle.connected(true).await;
        Self { handle, begun, free, stop, run }
    }

    /// The next attempts that it begins.
    pub(crate) async fn begun(&mut self, count: usize) -> Vec<Begun> {
        let mut all = Vec::new();
        while all.len() < count {
            let next = tokio::time::timeout(ask::PATIENCE, self.begun.recv()).await;
            let have = all.len();
            all.push(next.unwrap_or_else(|_| panic!("{have} of {count} begun")).unwrap());
        }
        all
    }

    /// Lets all its attempts end.
    pub(crate) fn release(&self) {
        self.free.send_replace(true);
    }

    /// Leaves in good order.
    pub(crate) async fn leave(self) {
        self.stop.cancel();
        self.run.await.unwrap().unwrap();
    }
}

/// Starts so many held workflows.
pub(crate) async fn start(client: &Client, count: usize) -> Vec<String> {
    let starts = (0..count).map(|_| Start::new("system", "held"));
    let outcomes = client.start_many(starts).await.unwrap();
    outcomes.into_iter().map(|outcome| outcome.workflow_id).collect()
}

/// Since when each was begun, of attempts that must be these workflows' second, once each.
pub(crate) fn since(kill: Instant, begun: &[Begun], workflows: &[String]) -> Vec<Duration> {
    let mut again: Vec<_> = begun.iter().map(|begun| begun.workflow_id.as_str()).collect();
    let mut expected: Vec<_> = workflows.iter().map(String::as_str).collect();
    again.sort_unstable();
    expected.sort_unstable();
    assert_eq!(again, expected);
    assert!(begun.iter().all(|begun| begun.attempt == 2), "{begun:?}");
    begun.iter().map(|begun| begun.at.duration_since(kill)).collect()
}
