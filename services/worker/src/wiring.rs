//! Puts the worker together.

use std::time::Duration;

use planaria_proto::worker::v1::worker_service_server::WorkerServiceServer;
use planaria_runtime::service::Deps;
use planaria_runtime::{Readiness, Service};
use planaria_sdk::{Worker, WorkerHandle};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::{Config, Error, Http, NAME, Simulate};

/// The version under which the built-in functions are announced.
const FUNCTION_VERSION: &str = "1.0.0";

/// Builds the worker. When it was drained, it ends its service by cancelling `deps.stop`.
///
/// # Errors
/// The settings make no sense.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let mut config = config;
    if config.api_key.is_empty() {
        // Every process of the mesh knows it, and no other: a worker needs no key to be made.
        config.api_key = deps.secret.derived_key(NAME);
    }
    let worker = assemble(config)?;
    let handle = worker.handle();
    let mut service = Service::new(NAME);
    service.routes =
        service.routes.add_service(WorkerServiceServer::new(Api { worker: handle.clone() }));
    let session = service.health.part("session");
    service.spawn("session health", follow(handle, session, deps.stop.clone()));
    service.spawn("worker", run(worker, deps.stop));
    Ok(service)
}

fn assemble(config: Config) -> Result<Worker, Error> {
    let id = if config.id.is_empty() {
        let system = rustix::system::uname();
        format!("{}-{}", system.nodename().to_string_lossy(), config.ordinal)
    } else {
        config.id
    };
    let mut builder = Worker::builder(config.gateway)
        .api_key(config.api_key)
        .id(id)
        .version(env!("CARGO_PKG_VERSION"))
        .capacity(config.capacity)
        .drain_grace(Duration::from_millis(config.drain_grace_ms))
        .drain_max(Duration::from_millis(config.drain_ms_max));
    for queue in config.queues {
        builder = builder.queue(queue);
    }
    for (name, value) in config.labels {
        builder = builder.label(name, value);
    }
    for function in &config.functions {
        builder = match function.as_str() {
            "http" => Http::new(config.http.clone()).announce(builder, FUNCTION_VERSION),
            "simulate" => Simulate::new(&config.simulate).announce(builder, FUNCTION_VERSION),
            other => {
                let text = format!("`functions` names {other:?}; there are http and simulate");
                return Err(Error::Settings(text));
            }
        };
    }
    Ok(builder.build()?)
}

async fn run(worker: Worker, stop: CancellationToken) {
    match worker.run(stop.clone()).await {
        // It was asked to leave, by whatever way: its service ends with it, in good order.
        Ok(()) => stop.cancel(),
        // Returning without the stop brings the service down, with an error.
        Err(error) => tracing::error!(error = %error, "the worker ended"),
    }
}

async fn follow(worker: WorkerHandle, session: Readiness, stop: CancellationToken) {
    let following = async {
        loop {
            worker.connected(true).await;
            session.set(true);
            worker.connected(false).await;
            session.set(false);
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = following => {}
    }
}
