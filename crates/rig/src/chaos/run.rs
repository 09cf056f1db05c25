//! One run: start, load, break, heal, quiesce, leave the journals to the checker.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::load::Load;
use super::nemesis;
use crate::Error;
use crate::journal::{Journal, now_ms};
use crate::postgres::Postgres;
use crate::process::{Process, Spec};

/// Everything must have ended so long after the last fault.
const QUIESCE: Duration = Duration::from_secs(60);
/// The load begins before the first fault, and goes on behind the last one.
const CALM: Duration = Duration::from_secs(5);

/// Where the mesh keeps what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// PostgreSQL and Redis, two replicas of each service.
    Postgres,
    /// Files, one replica of each service, no bus.
    Sqlite,
}

/// What a run is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The binary of the mesh.
    pub planaria: PathBuf,
    /// The binary of the workers.
    pub worker: PathBuf,
    /// Where everything is kept.
    pub store: Store,
    /// How long things are broken.
    pub duration: Duration,
    /// Decides about load and faults.
    pub seed: u64,
    /// Workflows started per second.
    pub rate: f64,
    /// Worker processes.
    pub workers: u8,
    /// Nothing is broken and nothing misbehaves, but so many programs keep the processors busy:
    /// what is looked for are workers that are pronounced dead and are not. 0: things are broken.
    pub burners: u8,
}

/// Runs; `check` is called at the end, while the mesh still answers, with the folder of the
/// journals.
///
/// # Errors
/// The mesh does not start, or the check cannot be made.
pub async fn run<C>(settings: &Settings, folder: &Path, check: C) -> Result<Value, Error>
where
    C: AsyncFnOnce() -> Result<Value, Error>,
{
    let cluster = Arc::new(Cluster::start(settings, folder).await?);
    let outcome = attend(settings, folder, &cluster, check).await;
    if outcome.is_err() {
        let path = folder.join("last-words");
        std::fs::write(&path, cluster.last_words()).map_err(Error::file(&path))?;
    }
    cluster.end().await;
    outcome
}

async fn attend<C>(
    settings: &Settings,
    folder: &Path,
    cluster: &Arc<Cluster>,
    check: C,
) -> Result<Value, Error>
where
    C: AsyncFnOnce() -> Result<Value, Error>,
{
    let journal = Journal::open(&folder.join("client.jsonl"))?;
    let load = Load::new(&cluster.gateways, journal, settings.burners > 0)?;
    load.publish().await?;
    let began_ms = now_ms();
    let (stop_load, stop_faults) = (CancellationToken::new(), CancellationToken::new());
    let clients = tokio::spawn({
        let (load, stop, settings) = (load.clone(), stop_load.clone(), settings.clone());
        async move { load.run(settings.rate, settings.seed, stop).await }
    });
    tokio::time::sleep(CALM).await;
    let faults = Journal::open(&folder.join("faults.jsonl"))?;
    let _burning = burn(settings, folder)?;
    if settings.burners > 0 {
        stop_faults.cancel();
    }
    let nemesis = nemesis::run(Arc::clone(cluster), settings.seed, faults, stop_faults.clone());
    let nemesis = tokio::spawn(nemesis);
    tokio::time::sleep(settings.duration).await;
    stop_faults.cancel();
    let lost = |error: tokio::task::JoinError| Error::Failed(error.to_string());
    let account = nemesis.await.map_err(lost)?;
    let healed_ms = now_ms();
    let deadline = Instant::now() + QUIESCE;
    tokio::time::sleep(CALM).await;
    stop_load.cancel();
    clients.await.map_err(lost)?;
    load.resolve().await;
    let open = load.quiesce(deadline).await;
    let meta = json!({
        "seed": settings.seed,
        "store": if settings.store == Store::Postgres { "postgres" } else { "sqlite" },
        "rate": settings.rate,
        "duration_s": settings.duration.as_secs(),
        "burners": settings.burners,
        "began_ms": began_ms,
        "healed_ms": healed_ms,
        "quiet_ms": now_ms(),
        "open": open,
        "faults_bitten": account.bitten,
        "faults_doubtful": account.doubtful,
        "gateways": cluster.gateways,
        "gateway_of": cluster.gateway_of,
        "database": cluster.postgres.as_ref().map(Postgres::url),
        "data": folder.join("data"),
    });
    let path = folder.join("meta.json");
    std::fs::write(&path, meta.to_string()).map_err(Error::file(&path))?;
    check().await
}

/// Programs that do nothing as fast as they can, until they are dropped.
fn burn(settings: &Settings, folder: &Path) -> Result<Vec<Process>, Error> {
    let spec = Spec {
        name: "burner".into(),
        program: "/bin/sh".into(),
        arguments: ["-c", "while :; do :; done"].map(str::to_owned).into(),
        environment: BTreeMap::new(),
        folder: folder.to_owned(),
        log: folder.join("burners.log"),
        user: None,
    };
    (0..settings.burners).map(|_| spec.start()).collect()
}
