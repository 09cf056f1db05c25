//! The mesh that is measured: one that runs, or one of its own in processes of its own.

use std::path::{Path, PathBuf};

use planaria_proto::failure_detector::v1::Liveness;
use tokio::time::{Duration, Instant};

use super::Arguments;
use super::process::Process;
use crate::Error;
use crate::client::{Client, Gateway, worker};
use crate::output::Output;

/// How long the workers may take to be there.
const WORKERS_MS_MAX: u64 = 10_000;
const POLL_MS: u64 = 20;

/// What is measured.
pub(super) struct Mesh {
    pub(super) gateway: Gateway,
    /// Where its metrics are, if it was started here.
    pub(super) metrics: Option<String>,
    /// The mesh, if it was started here, then the workers.
    pub(super) processes: Vec<Process>,
    /// Where it keeps its files, if it was started here.
    pub(super) data_dir: Option<PathBuf>,
    /// Removed when it is dropped.
    _temporary: Option<tempfile::TempDir>,
}

impl Mesh {
    /// Starts what is to be started and waits until the workers are there.
    pub(super) async fn start(
        arguments: &Arguments,
        gateway: Gateway,
        output: Output,
    ) -> Result<Self, Error> {
        let mut mesh = match gateway.address {
            Some(_) => Self {
                gateway,
                metrics: None,
                processes: Vec::new(),
                data_dir: None,
                _temporary: None,
            },
            None => Self::own(arguments).await?,
        };
        let mut ids = Vec::new();
        for ordinal in 1..=arguments.workers {
            let id = format!("bench-{}-{ordinal}", std::process::id());
            let capacity = arguments.worker_capacity.to_string();
            let words = ["bench", "__worker", "--id", &id, "--capacity", &capacity, "--gateway"];
            let mut words: Vec<String> = words.map(str::to_owned).into();
            words.extend(mesh.gateway.address.clone());
            mesh.processes.push(Process::start(format!("worker{ordinal}"), &words, &mesh.gateway)?);
            ids.push(id);
        }
        wait_for_workers(&Client::open(&mesh.gateway, output)?, &ids).await?;
        Ok(mesh)
    }

    async fn own(arguments: &Arguments) -> Result<Self, Error> {
        let (temporary, data_dir) = match &arguments.data_dir {
            Some(data_dir) => (None, data_dir.clone()),
            None => {
                let folder = tempfile::Builder::new().prefix("planaria-bench-").tempdir()?;
                let path = folder.path().to_owned();
                (Some(folder), path)
            }
        };
        let words = [
            "up",
            "--workers",
            "0",
            "--port",
            "0",
            "--log",
            "error",
            "--end-with-stdin",
            "--data-dir",
        ];
        let mut words: Vec<String> = words.map(str::to_owned).into();
        words.push(data_dir.display().to_string());
        if let Some(config) = &arguments.config {
            words.extend(["--config".to_owned(), config.display().to_string()]);
        }
        let mut process = Process::start("mesh".into(), &words, &Gateway::default())?;
        let line = process.first_line().await.unwrap_or_default();
        let mut uris = line.split_whitespace().filter(|word| word.starts_with("http://"));
        let uri = |word: &str| word.trim_end_matches([',', ')']).to_owned();
        let Some(gateway) = uris.next().map(uri) else {
            return Err(Error::input("the mesh to be measured did not start", ""));
        };
        let gateway = Gateway::at(&gateway, None);
        let metrics = uris.next().map(uri);
        let data_dir = Some(data_dir);
        Ok(Self { gateway, metrics, processes: vec![process], data_dir, _temporary: temporary })
    }

    /// The bytes of its files.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.data_dir.as_deref().map_or(0, folder_bytes)
    }

    /// Ends what was started: the workers, then the mesh.
    pub(super) async fn end(self) {
        for process in self.processes.into_iter().rev() {
            process.end().await;
        }
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

async fn wait_for_workers(client: &Client, ids: &[String]) -> Result<(), Error> {
    let deadline = Instant::now() + Duration::from_millis(WORKERS_MS_MAX);
    loop {
        let workers = worker::list(client).await;
        let alive = |id: &String| {
            let workers = workers.as_deref().unwrap_or_default();
            workers.iter().any(|w| w.id == *id && w.liveness() == Liveness::Alive)
        };
        if ids.iter().all(alive) {
            return Ok(());
        }
        if Instant::now() > deadline {
            workers?;
            return Err(Error::input("the workers of the benchmark did not connect", ""));
        }
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
}
