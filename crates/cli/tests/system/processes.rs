//! The seven services, each in a process of its own; all of them die with the test.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::File;
use std::net::TcpListener;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use planaria_sdk::Client;
use planaria_store::testing::TestDatabase;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::ask;
use crate::binary::command;

/// The six services beside the workers.
pub(crate) const SERVICES: [&str; 6] =
    ["gateway", "orchestrator", "failure-detector", "retry-engine", "notification", "monitoring"];

/// Below the range of outgoing connections, so that none takes the port of a service that is away.
const PORTS_FROM: u32 = 10_240;
const PORTS: u32 = 20_000;
const BLOCK: u32 = 16;
const LOG_LINES: usize = 15;

/// How long a process may take to serve, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A mesh of processes.
pub(crate) struct Processes {
    pub(crate) client: Client,
    pub(crate) uri: String,
    folder: TempDir,
    ports: BTreeMap<String, u16>,
    children: BTreeMap<String, Child>,
    /// Dropped last.
    _database: Option<TestDatabase>,
}

impl Processes {
    /// The six services and these workers, all at the same time; returns when all of them listen.
    pub(crate) async fn start(workers: &[&str]) -> Self {
        Self::start_telling(workers, "").await
    }

    /// The same, all of them telling a collector of traces.
    pub(crate) async fn start_telling(workers: &[&str], otlp_url: &str) -> Self {
        let settings = format!("[telemetry]\nlevel = \"info\"\notlp_url = \"{otlp_url}\"\n");
        let mut processes = Self::plan(&settings, &[], workers, None);
        processes.start_all(&[]).await;
        processes
    }

    /// On PostgreSQL, with more replicas of these services: `orchestrator-2` is the second one of
    /// the orchestrator. Those that come `later` are known to the others and not started. With the
    /// address of a Redis, that is the bus; else there is none between the processes.
    pub(crate) async fn start_replicas(
        more: &[&str],
        workers: &[&str],
        later: &[&str],
        redis_url: Option<&str>,
    ) -> Self {
        let database = TestDatabase::create().await;
        let mut settings = format!(
            "[telemetry]\nlevel = \"info\"\n\n[store]\nurl = \"{}\"\nconnections_max = 4\n",
            database.url
        );
        if let Some(url) = redis_url {
            writeln!(settings, "\n[bus]\nurl = \"{url}\"").unwrap();
        }
        let mut processes = Self::plan(&settings, more, workers, Some(database));
        processes.start_all(later).await;
        processes
    }

    fn plan(
        settings: &str,
        more: &[&str],
        workers: &[&str],
        database: Option<TestDatabase>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = SERVICES.iter().chain(more).chain(workers).map(|name| (*name).to_owned());
        let names: Vec<String> = names.collect();
        let ports: BTreeMap<_, _> = names.iter().cloned().zip(free_ports(names.len())).collect();
        let uri = format!("http://127.0.0.1:{}", ports["gateway"]);
        let mut config = format!("{settings}\n[directory]\n");
        for service in SERVICES.into_iter().chain(["worker"]) {
            let replicas = ports.iter().filter(|(name, _)| service_of(name) == service);
            let replicas: Vec<_> =
                replicas.map(|(_, port)| format!("\"http://127.0.0.1:{port}\"")).collect();
            writeln!(config, "{service} = [{}]", replicas.join(", ")).unwrap();
        }
        writeln!(config, "\n[worker]\ngateway = \"{uri}\"").unwrap();
        std::fs::write(folder.path().join("planaria.toml"), config).unwrap();
        let client = Client::connect(&uri).unwrap();
        let children = BTreeMap::new();
        Self { client, uri, folder, ports, children, _database: database }
    }

    async fn start_all(&mut self, but: &[&str]) {
        let names: Vec<String> =
            self.ports.keys().filter(|name| !but.contains(&name.as_str())).cloned().collect();
        for name in &names {
            self.spawn(name);
        }
        for name in &names {
            self.listens(name).await;
        }
    }

    /// Where a gateway listens.
    pub(crate) fn uri_of(&self, gateway: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports[gateway])
    }

    fn spawn(&mut self, name: &str) {
        let service = service_of(name);
        let folder = self.folder.path();
        let log = folder.join(name).with_extension("log");
        let log = File::options().append(true).create(true).open(log).unwrap();
        let mut command = command(&["serve", service, "--admin", "off", "--end-with-stdin"]);
        command
            .args(["--listen", &format!("127.0.0.1:{}", self.ports[name])])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--config")
            .arg(folder.join("planaria.toml"))
            .env("PLANARIA__WORKER__ID", name)
            // Held open by this process: whatever becomes of the test, the service ends with it.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let child = Command::from(command).kill_on_drop(true).spawn().unwrap();
        assert!(self.children.insert(name.to_owned(), child).is_none(), "{name} runs already");
    }

    /// Waits until it says that it listens.
    async fn listens(&mut self, name: &str) {
        let stdout = self.children.get_mut(name).unwrap().stdout.take().unwrap();
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        assert!(line.is_some(), "{name} ended before it served");
    }

    /// Starts a service, or a worker of that id, which died; returns when it listens.
    pub(crate) async fn restart(&mut self, name: &str) {
        self.spawn(name);
        self.listens(name).await;
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str, signal: Signal) {
        let pid = i32::try_from(self.children[name].id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Sends a signal that ends it, and waits for the end.
    pub(crate) async fn end(&mut self, name: &str, signal: Signal) -> ExitStatus {
        self.signal(name, signal);
        self.gone(name).await
    }

    /// Waits until a process that was told to end has ended.
    pub(crate) async fn gone(&mut self, name: &str) -> ExitStatus {
        let mut child = self.children.remove(name).unwrap();
        tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap()
    }

    /// What a process logged so far.
    pub(crate) fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name).with_extension("log")).unwrap()
    }

    /// Waits until these workers are alive.
    pub(crate) async fn alive(&self, workers: &[&str]) {
        for worker in workers {
            ask::worker(&self.client, worker, "listed", |_| true).await;
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for name in self.ports.keys() {
            // Some were never started.
            let log = self.folder.path().join(name).with_extension("log");
            let Ok(log) = std::fs::read_to_string(log) else { continue };
            let lines: Vec<_> = log.lines().filter(|line| !line.contains("\"healed\"")).collect();
            let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
            println!("--- the last of {name}\n{tail}");
        }
    }
}

/// What a process is: a service, another replica of one, or a worker.
fn service_of(name: &str) -> &str {
    let service = name.rsplit_once('-').map(|(service, _)| service);
    [Some(name), service]
        .into_iter()
        .flatten()
        .find(|name| SERVICES.contains(name))
        .unwrap_or("worker")
}

/// The rest of a fault that began at a time and has a length.
pub(crate) async fn outage_since(began: Instant, length: Duration) {
    tokio::time::sleep_until((began + length).into()).await;
}

/// Ports that nobody listens at, from a block that belongs to this test.
fn free_ports(count: usize) -> Vec<u16> {
    static BLOCKS: AtomicU32 = AtomicU32::new(0);
    let count = u32::try_from(count).unwrap();
    assert!(count <= BLOCK);
    loop {
        let block = std::process::id().wrapping_add(BLOCKS.fetch_add(1, Ordering::Relaxed));
        let from = PORTS_FROM + block.wrapping_mul(BLOCK) % PORTS;
        let ports: Vec<u16> =
            (from..from + count).map(|port| u16::try_from(port).unwrap()).collect();
        let bound: Result<Vec<_>, _> =
            ports.iter().map(|port| TcpListener::bind(("127.0.0.1", *port))).collect();
        if bound.is_ok() {
            return ports;
        }
    }
}
