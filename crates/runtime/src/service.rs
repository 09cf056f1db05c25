//! What a service crate hands to its host.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use planaria_telemetry::Tracer;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::{BusSettings, Directory, Health, Metrics, Secret, StoreSettings};

/// What a host gives every service it builds.
#[derive(Debug, Clone)]
pub struct Deps {
    /// Where the other services listen.
    pub directory: Directory,
    /// Where the service may keep its files.
    pub data_dir: PathBuf,
    /// Where the others reach this service: `http://host:port`. Empty if nobody needs to.
    pub address: String,
    /// Where its store is.
    pub store: StoreSettings,
    /// Where the bus is.
    pub bus: BusSettings,
    /// What proves who calls, inside the mesh.
    pub secret: Secret,
    /// Where spans go; off unless the host says otherwise.
    pub tracer: Tracer,
    /// Cancelled when the service is to end; the token that [`crate::serve`] gets.
    pub stop: CancellationToken,
}

impl Deps {
    /// The parts that every host must say; the store is SQLite in the folder, the bus in-process,
    /// the secret the one that everybody knows: a host sets its own here and in the service.
    #[must_use]
    pub fn new(
        directory: Directory,
        data_dir: impl Into<PathBuf>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            directory,
            data_dir: data_dir.into(),
            address: String::new(),
            store: StoreSettings::default(),
            bus: BusSettings::default(),
            secret: Secret::default(),
            tracer: Tracer::default(),
            stop,
        }
    }
}

/// A built service, not yet served: what it answers, what it does by itself, how it feels.
pub struct Service {
    /// Its name in settings, logs and the directory, such as `retry-engine`.
    pub name: &'static str,
    /// Its gRPC services (and HTTP routes: `Routes` is an axum router inside).
    pub routes: Routes,
    /// What runs beside the requests for as long as the service lives.
    pub tasks: Vec<BackgroundTask>,
    /// Served at `/metrics` of its admin port.
    pub metrics: Metrics,
    /// Served as `grpc.health.v1` and at `/readyz`.
    pub health: Health,
    /// Callers prove themselves with it.
    pub secret: Secret,
}

/// A named loop of a service.
///
/// It got the stop token from the builder of the service and returns after that is cancelled; a
/// task that must outlive the requests under way returns when their senders are gone instead. A
/// task that returns earlier or panics brings its service down.
pub struct BackgroundTask {
    /// For logs and errors.
    pub name: &'static str,
    /// The loop.
    pub run: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Service {
    /// A service without routes or tasks.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            routes: Routes::default(),
            tasks: Vec::new(),
            metrics: Metrics::new(name),
            health: Health::default(),
            secret: Secret::default(),
        }
    }

    /// Adds a background task.
    pub fn spawn(&mut self, name: &'static str, run: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(BackgroundTask { name, run: Box::pin(run) });
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks: Vec<_> = self.tasks.iter().map(|task| task.name).collect();
        let mut debug = formatter.debug_struct("Service");
        debug.field("name", &self.name).field("tasks", &tasks).finish_non_exhaustive()
    }
}
