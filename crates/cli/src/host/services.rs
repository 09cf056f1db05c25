//! The table of services: whatever hosts one finds it here.

use std::future::Future;
use std::pin::Pin;

use planaria_runtime::config::Source;
use planaria_runtime::identity::Signer;
use planaria_runtime::service::Deps;
use planaria_runtime::{Health, Metrics, ServerLimits, Service};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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

macro_rules! entry {
    ($service:ident, $port:literal) => {
        Entry {
            name: $service::NAME,
            port: $port,
            build: |source, deps| {
                Box::pin(async move {
                    let config: $service::Config = source.section($service::NAME)?;
                    let (deps, secret) = (signing(&deps, $service::NAME), deps.secret.clone());
                    let stop = deps.stop.clone();
                    let built = $service::build(config, deps).await;
                    let built = built.map(|service| Service { secret, ..service });
                    built.map(|service| served(service, stop)).map_err(failed($service::NAME))
                })
            },
            print: |source| print::<$service::Config>($service::NAME, source),
        }
    };
}

/// Every service, the gateway first: it is the one that clients wait for.
pub(crate) const SERVICES: &[Entry] = &[
    Entry { name: planaria_gateway::NAME, port: 8080, build: build_gateway, print: print_gateway },
    entry!(planaria_orchestrator, 7301),
    entry!(planaria_worker, 7302),
    entry!(planaria_failure_detector, 7303),
    entry!(planaria_retry_engine, 7304),
    entry!(planaria_notification, 7305),
    entry!(planaria_monitoring, 7306),
];

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

/// What goes out of a service says that it comes from there.
fn signing(deps: &Deps, name: &'static str) -> Deps {
    let signer = Signer::for_service(deps.secret.clone(), name);
    Deps { directory: deps.directory.signed(signer), ..deps.clone() }
}

fn served(service: Service, stop: CancellationToken) -> Built {
    let name = service.name;
    Built {
        health: service.health.clone(),
        metrics: service.metrics.clone(),
        serve: Box::new(move |Sockets { listener, admin, limits }| {
            Box::pin(async move {
                let served = planaria_runtime::serve(service, listener, admin, limits, stop).await;
                served.map_err(failed(name))
            })
        }),
    }
}

/// The gateway speaks to browsers too and has a server of its own for that.
fn build_gateway(source: Source, deps: Deps) -> Later<Result<Built, Error>> {
    Box::pin(async move {
        let config = source.section(planaria_gateway::NAME)?;
        let deps = signing(&deps, planaria_gateway::NAME);
        let door =
            planaria_gateway::build(config, deps).await.map_err(failed(planaria_gateway::NAME))?;
        Ok(Built {
            health: door.health.clone(),
            metrics: door.metrics.clone(),
            serve: Box::new(move |Sockets { listener, admin, .. }| {
                Box::pin(async move {
                    let served = door.serve(listener, admin).await;
                    served.map_err(failed(planaria_gateway::NAME))
                })
            }),
        })
    })
}

fn print_gateway(source: &Source) -> Result<String, Error> {
    print::<planaria_gateway::Config>(planaria_gateway::NAME, source)
}

/// The section of a service as it is in effect.
fn print<C>(name: &'static str, source: &Source) -> Result<String, Error>
where
    C: DeserializeOwned + Serialize + Default,
{
    let config: C = source.section(name)?;
    let section = std::collections::BTreeMap::from([(name, config)]);
    toml::to_string(&section).map_err(failed(name))
}

/// Names the service in the error that it failed with.
fn failed<E: std::error::Error>(service: &'static str) -> impl Fn(E) -> Error {
    move |error| Error::Service { service, why: chain(&error) }
}
