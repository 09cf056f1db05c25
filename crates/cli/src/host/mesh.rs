//! The whole mesh from one process: six services in it, the workers in processes of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use futures_util::future::{join_all, try_join_all};
use planaria_runtime::config::Source;
use planaria_runtime::service::Deps;
use planaria_runtime::{Directory, Health, Metrics, admin};
use planaria_telemetry::Tracer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::child::{self, Life};
use super::listeners;
use super::services::{Built, Entry, GATEWAY, SERVICES, Sockets, WORKER};
use super::settings::Settings;
use crate::Error;

/// Added to the drain of a child's own service before it is ended by force.
const CHILD_GRACE_MS: u64 = 2_000;

/// What a mesh is started with.
pub(crate) struct Plan {
    pub(crate) source: Source,
    /// The file that the source was read from; the children read it too.
    pub(crate) config: Option<PathBuf>,
    pub(crate) data_dir: PathBuf,
    /// The gateway's port on loopback; the admin port is 1000 above. 0 takes free ones.
    pub(crate) port: u16,
    /// How many worker processes.
    pub(crate) workers: u32,
    /// The first pause before a worker process that ended is started again.
    pub(crate) restart_ms: u64,
    /// The log filter of the children.
    pub(crate) log: String,
    /// Where the spans of the services go.
    pub(crate) tracer: Tracer,
}

/// A mesh that runs.
pub(crate) struct Mesh {
    /// Where its gateway answers.
    pub(crate) uri: String,
    /// Where its metrics and its health are.
    pub(crate) admin_uri: String,
    /// The lives of its worker processes.
    pub(crate) workers: Vec<watch::Receiver<Life>>,
    services: JoinSet<(&'static str, Result<(), Error>)>,
    children: JoinSet<Result<(), Error>>,
    stop_services: CancellationToken,
    stop_children: CancellationToken,
}

/// Makes the folder for the files of services.
pub(super) fn create(data_dir: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(data_dir).map_err(|error| {
        Error::input(
            format!("cannot create the data directory {}: {error}", data_dir.display()),
            "name another with --data-dir",
        )
    })
}

impl Mesh {
    /// Starts everything and returns when the gateway serves and every service is ready.
    ///
    /// # Errors
    /// A port is taken, a setting is wrong, or a service cannot be built; nothing runs then.
    pub(crate) async fn start(plan: Plan) -> Result<Self, Error> {
        let settings = Settings::read(&plan.source)?;
        // The workers read theirs in processes of their own, which would fail again and again.
        for entry in SERVICES {
            (entry.print)(&plan.source)?;
        }
        create(&plan.data_dir)?;
        let inside: Vec<_> = SERVICES.iter().filter(|entry| entry.name != WORKER).collect();
        let bound = try_join_all(inside.iter().map(|entry| {
            let port = if entry.name == GATEWAY { plan.port } else { 0 };
            listeners::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        }));
        let listeners = bound.await?;
        let gateway = SocketAddr::from((Ipv4Addr::LOCALHOST, plan.port));
        let admin = listeners::bind(listeners::admin_of(gateway)?).await?;
        let directory = settings.directory()?;
        directory.set(WORKER, Vec::<String>::new())?;
        let mut uri = String::new();
        let mut addresses = Vec::new();
        for (entry, listener) in inside.iter().zip(&listeners) {
            let address = listeners::uri(listener)?;
            directory.set(entry.name, [&address])?;
            if entry.name == GATEWAY {
                uri.clone_from(&address);
            }
            addresses.push(address);
        }

        let mut mesh = Self {
            uri,
            admin_uri: listeners::uri(&admin)?,
            workers: Vec::new(),
            services: JoinSet::new(),
            children: JoinSet::new(),
            stop_services: CancellationToken::new(),
            stop_children: CancellationToken::new(),
        };
        let stop = mesh.stop_services.clone();
        let tracer = plan.tracer.clone();
        let deps = settings.deps(directory.clone(), plan.data_dir.clone(), stop)?;
        let deps = Deps { tracer, ..deps };
        let built = build(&inside, &addresses, &plan.source, &deps).await?;
        // Only now: what was not built says why, and nothing else is said.
        mesh.start_children(&plan, settings.server.drain_ms + CHILD_GRACE_MS, &directory)?;
        let health: Vec<Health> = built.iter().map(|built| built.health.clone()).collect();
        mesh.start_admin(admin, &built);
        for ((entry, built), listener) in inside.into_iter().zip(built).zip(listeners) {
            let limits = settings.server.clone();
            let served = (built.serve)(Sockets { listener, admin: None, limits });
            mesh.services.spawn(async move { (entry.name, served.await) });
        }
        mesh.ready(&health).await?;
        Ok(mesh)
    }

    fn start_children(
        &mut self,
        plan: &Plan,
        drain_ms: u64,
        directory: &Directory,
    ) -> Result<(), Error> {
        let program = std::env::current_exe()?;
        let data_dir = std::path::absolute(&plan.data_dir)?;
        for ordinal in 1..=plan.workers {
            let id = format!("worker-{ordinal}");
            let mut arguments = vec!["serve".to_owned(), WORKER.to_owned()];
            let options = ["--listen", "127.0.0.1:0", "--admin", "off", "--end-with-stdin"];
            arguments.extend(options.map(str::to_owned));
            arguments.extend(["--data-dir".to_owned(), data_dir.display().to_string()]);
            if let Some(config) = &plan.config {
                let config = std::path::absolute(config)?;
                arguments.extend(["--config".to_owned(), config.display().to_string()]);
            }
            let environment = vec![
                ("PLANARIA__WORKER__GATEWAY".to_owned(), self.uri.clone()),
                ("PLANARIA__WORKER__ID".to_owned(), id.clone()),
                ("PLANARIA__TELEMETRY__LEVEL".to_owned(), plan.log.clone()),
            ];
            let program = program.clone();
            let (id, restart_ms) = (id.clone(), plan.restart_ms);
            let plan = child::Plan { id, program, arguments, environment, restart_ms, drain_ms };
            let (sender, life) = watch::channel(Life::default());
            self.children.spawn(child::supervise(plan, sender, self.stop_children.clone()));
            self.workers.push(life);
        }
        let lives = self.workers.clone();
        // Ends with the senders, which end with the children.
        tokio::spawn(keep_listed(lives, directory.clone()));
        Ok(())
    }

    fn start_admin(&self, listener: TcpListener, built: &[Built]) {
        let parts: Vec<(Metrics, Health)> =
            built.iter().map(|built| (built.metrics.clone(), built.health.clone())).collect();
        let stop = self.stop_services.clone();
        tokio::spawn(stop.run_until_cancelled_owned(admin::serve(listener, parts)));
    }

    async fn ready(&mut self, health: &[Health]) -> Result<(), Error> {
        let ready = join_all(health.iter().map(|health| health.wait(true)));
        tokio::select! {
            _ = ready => Ok(()),
            Some(ended) = self.services.join_next() => Err(early(ended)),
            Some(ended) = self.children.join_next() => Err(orphaned(ended)),
        }
    }

    /// Runs until `stop`, or until a part of it fails; then drains: the workers first, so that
    /// they can still hand back what they have.
    ///
    /// # Errors
    /// The part that failed, and why.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> Result<(), Error> {
        let mut outcome = tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.services.join_next() => Err(early(ended)),
            Some(ended) = self.children.join_next() => Err(orphaned(ended)),
        };
        self.stop_children.cancel();
        while self.children.join_next().await.is_some() {}
        self.stop_services.cancel();
        while let Some(ended) = self.services.join_next().await {
            if let Ok((_, Err(error))) = ended {
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.stop_children.cancel();
        self.stop_services.cancel();
    }
}

async fn build(
    entries: &[&'static Entry],
    addresses: &[String],
    source: &Source,
    deps: &Deps,
) -> Result<Vec<Built>, Error> {
    let builds = entries.iter().zip(addresses).map(|(entry, address)| {
        let tracer = deps.tracer.for_service(&format!("planaria-{}", entry.name));
        let deps = Deps { address: address.clone(), tracer, ..deps.clone() };
        tokio::spawn((entry.build)(source.clone(), deps))
    });
    let mut built = Vec::with_capacity(entries.len());
    for (entry, outcome) in entries.iter().zip(join_all(builds).await) {
        let panicked = |error: tokio::task::JoinError| Error::Service {
            service: entry.name,
            why: error.to_string(),
        };
        built.push(outcome.map_err(panicked)??);
    }
    Ok(built)
}

/// Tells the directory where the living workers listen.
async fn keep_listed(mut lives: Vec<watch::Receiver<Life>>, directory: Directory) {
    while !lives.is_empty() {
        let uris: Vec<String> =
            lives.iter_mut().filter_map(|life| life.borrow_and_update().uri.clone()).collect();
        if let Err(error) = directory.set(WORKER, &uris) {
            tracing::warn!(%error, "a worker listens at an unusable address");
        }
        let changed = lives.iter_mut().map(|life| Box::pin(life.changed()));
        let (closed, index, _) = futures_util::future::select_all(changed).await;
        if closed.is_err() {
            lives.remove(index);
        }
    }
}

type Ended = Result<(&'static str, Result<(), Error>), tokio::task::JoinError>;

fn early(ended: Ended) -> Error {
    match ended {
        Ok((_, Err(error))) => error,
        Ok((service, Ok(()))) => {
            Error::Service { service, why: "it ended although nobody asked it to".into() }
        }
        Err(error) => Error::Service { service: "a service", why: error.to_string() },
    }
}

fn orphaned(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Error {
    match ended {
        Ok(Err(error)) => error,
        Ok(Ok(())) => Error::Service { service: WORKER, why: "its supervisor ended".into() },
        Err(error) => Error::Service { service: WORKER, why: error.to_string() },
    }
}
