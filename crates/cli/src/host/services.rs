//! The table of services: whatever hosts one finds it here.

use std::future::Future;
use std::pin::Pin;

use planaria_runtime::config::Source;
use planaria_runtime::service::Deps;
use planaria_runtime::{Health, Metrics, ServerLimits};
use tokio::net::TcpListener;

use crate::Error;
use crate::error::chain;

/// A service that can be hosted.
#[derive(Debug)]
pub(crate) struct Entry {
    /// As in the directory, in settings and in `planaria serve NAME`.
    pub(crate) name: &'static str,
    /// Where it listens when it is alone on its machine.
    pub(crate) port: u16,
    /// Builds it from its section of the settings.
    pub(crate) build: fn(Source, Deps) -> Later<Result<Built, Error>>,
    /// Its section of the settings with all defaults, as TOML.
    pub(crate) print: fn(&Source) -> Result<String, Error>,
}

/// A future of a table's function.
pub(crate) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A built service, whatever it is inside.
pub(crate) struct Built {
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    /// Serves it until its stop token is cancelled.
    pub(crate) serve: Box<dyn FnOnce(Sockets) -> Later<Result<(), Error>> + Send>,
}

/// Where a built service is to be served.
pub(crate) struct Sockets {
    pub(crate) listener: TcpListener,
    pub(crate) admin: Option<TcpListener>,
    pub(crate) limits: ServerLimits,
}

/// Every service, the gateway first: it is the one that clients wait for.
pub(crate) const SERVICES: &[Entry] = &[];

/// The name of the built-in worker: `up` runs it in processes of its own.
pub(crate) const WORKER: &str = "worker";
/// The name of the public door.
pub(crate) const GATEWAY: &str = "gateway";

/// The entry of a name.
pub(crate) fn find(name: &str) -> Result<&'static Entry, String> {
    SERVICES.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let names: Vec<_> = SERVICES.iter().map(|entry| entry.name).collect();
        format!("the services are {}", names.join(", "))
    })
}

/// Names the service in the error that it failed with.
fn failed(service: &'static str, error: &dyn std::error::Error) -> Error {
    Error::Service { service, why: chain(error) }
}
