//! What befalls a mesh that runs: nothing that was accepted is lost, it is said once and is to be
//! seen at `/readyz`, and it heals by itself when the fault ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use planaria_store::testing::TestDatabase;
use planaria_test_servers::Redis;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::binary::{Mesh, look_again};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// So often a mesh in trouble is asked for something.
const TRIES: usize = 12;

const WORKFLOW: &str = "document: { dsl: '1.0.3', namespace: faults, name: two, version: '1.0.0' }
do:
  - one: { call: simulate, with: { sleep: PT0.1S, output: { n: 1 } } }
  - two: { call: simulate, with: { sleep: PT0.1S, output: { n: 2 } } }
";

/// Where a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    /// On the way to the database.
    Network,
    /// In the database, as a superuser: what breaks it, what mends it.
    Database(&'static str, &'static str),
    /// In Redis: what breaks it, what mends it.
    Redis(&'static str, &'static str),
}

/// Where it is, and what `/readyz` and the log say of it. `$user` and `$database` stand for those
/// of the test.
const FAULTS: &[(In, &str)] = &[
    (In::Network, "cannot be reached: check that it runs, and host and port of `url` in [store]"),
    (
        In::Database(
            "ALTER DATABASE $database SET default_transaction_read_only = on",
            "ALTER DATABASE $database SET default_transaction_read_only = off",
        ),
        "is read-only: name the primary in `url` of [store]",
    ),
    (
        In::Database("ALTER USER $user CONNECTION LIMIT 0", "ALTER USER $user CONNECTION LIMIT -1"),
        "has no connection left: raise `max_connections` of the server",
    ),
    (
        In::Database("ALTER USER $user PASSWORD 'another'", "ALTER USER $user PASSWORD 'word'"),
        "refuses user `$user`: check user and password of `url` in [store]",
    ),
    (In::Redis("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"), "full: \"OOM\""),
    (
        In::Redis("CONFIG SET requirepass another", "CONFIG SET requirepass ''"),
        "check the user, the password and the database in bus.url",
    ),
];

const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// The way to the database, which can be cut.
struct Way {
    address: SocketAddr,
    to: String,
    listening: Option<JoinHandle<()>>,
}

impl Way {
    async fn open(to: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut way = Self { address, to: to.to_owned(), listening: None };
        way.listen(listener);
        way
    }

    fn listen(&mut self, listener: TcpListener) {
        let to = self.to.clone();
        self.listening = Some(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    let Ok(mut far) = tokio::net::TcpStream::connect(to).await else { return };
                    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                });
            }
        }));
    }

    /// Every connection ends, and no new one is taken.
    async fn cut(&mut self) {
        let listening = self.listening.take().unwrap();
        listening.abort();
        drop(listening.await);
    }

    async fn mend(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => look_again().await,
            }
        };
        self.listen(listener);
    }
}

/// A database with a user of its own, Redis, and a mesh on them.
struct Scene {
    database: TestDatabase,
    name: String,
    way: Way,
    redis: Redis,
    mesh: Mesh,
    log: std::path::PathBuf,
    accepted: Vec<String>,
}

impl Scene {
    async fn open(folder: &Path) -> Self {
        let database = TestDatabase::create().await;
        let (server, name) = database.url.rsplit_once('/').unwrap();
        let name = name.to_owned();
        let grant = format!(
            "CREATE USER user_{name} PASSWORD 'word'; GRANT ALL ON DATABASE {name} TO user_{name}"
        );
        database.execute(&grant).await;
        let way = Way::open(server.rsplit_once('@').unwrap().1).await;
        let url = format!("postgres://user_{name}:word@{}/{name}", way.address);
        let redis = planaria_test_servers::redis(&folder.join("redis")).unwrap();
        let log = folder.join("log");
        let settings = [
            ("PLANARIA__STORE__URL", url.as_str()),
            ("PLANARIA__STORE__CONNECT_MS_MAX", "1000"),
            ("PLANARIA__BUS__URL", &redis.url),
        ];
        let mesh = Mesh::up_logged(&folder.join("data"), &settings, &log);
        let document = folder.join("two.yaml");
        std::fs::write(&document, WORKFLOW).unwrap();
        let applied = mesh.planaria(&["apply", document.to_str().unwrap()]);
        assert!(applied.status.success(), "{}", applied.err);
        Self { database, name, way, redis, mesh, log, accepted: Vec::new() }
    }

    fn named(&self, text: &str) -> String {
        text.replace("$user", &format!("user_{}", self.name)).replace("$database", &self.name)
    }

    async fn begin(&mut self, fault: In) {
        match fault {
            In::Network => self.way.cut().await,
            In::Database(begin, _) => {
                self.database.execute(&self.named(begin)).await;
                self.database.execute(END).await;
            }
            In::Redis(begin, _) => {
                redis(&self.redis, &["AUTH another", begin, "CLIENT KILL TYPE normal"]);
            }
        }
    }

    async fn end(&mut self, fault: In) {
        match fault {
            In::Network => self.way.mend().await,
            // Whoever may not write may not undo it either, unless it says that it may.
            In::Database(_, end) => {
                let end = format!("SET transaction_read_only = off; {}", self.named(end));
                self.database.execute(&end).await;
            }
            In::Redis(_, end) => redis(&self.redis, &["AUTH another", end]),
        }
    }

    /// Starts a workflow; what is accepted must complete.
    fn start(&mut self) -> bool {
        let ended = self.mesh.planaria(&["workflow", "start", "faults/two", "-o", "json"]);
        if !ended.status.success() {
            assert!(ended.err.starts_with("error: "), "{}", ended.err);
            return false;
        }
        let id = ended.json()["id"].as_str().unwrap_or_else(|| panic!("{}", ended.out)).to_owned();
        self.accepted.push(id);
        true
    }

    /// Waits until the admin port says so.
    async fn readyz(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let poll = async {
            while !wanted(&get(&self.mesh.admin, "/readyz")) {
                look_again().await;
            }
        };
        let came = timeout(PATIENCE, poll).await.is_ok();
        assert!(came, "{what}: {}\n{}", get(&self.mesh.admin, "/readyz"), self.logged());
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_is_said_once_loses_nothing_and_heals_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::open(folder.path()).await;
    for (fault, says) in FAULTS {
        let says = scene.named(says);
        let before = scene.logged().len();
        assert!(scene.start(), "{fault:?}: before it");
        scene.begin(*fault).await;
        scene.readyz(&says, |said| said.contains(&says)).await;
        let is_minor = matches!(fault, In::Redis(..));
        let started = (0..TRIES).filter(|_| scene.start()).count();
        assert_eq!(started, if is_minor { TRIES } else { 0 }, "{fault:?}: {}", scene.logged());
        let logged = scene.logged()[before..].to_owned();
        // Once for each store: five services have one.
        let lines: Vec<_> = logged.lines().filter(|line| line.contains("\"ERROR\"")).collect();
        assert!(lines.len() <= if is_minor { 0 } else { 16 }, "{fault:?}: {logged}");
        let said = logged.lines().filter(|line| line.contains(&says.replace('"', "\\\""))).count();
        assert!((1..=5).contains(&said), "{fault:?} was said {said} times: {logged}");
        scene.end(*fault).await;
        scene
            .readyz("ready again", |said| said.ends_with("ready\n") && !said.contains("not ready"))
            .await;
        let again = async {
            while !scene.start() {
                look_again().await;
            }
        };
        timeout(PATIENCE, again)
            .await
            .unwrap_or_else(|_| panic!("{fault:?}: nothing starts again"));
        assert!(scene.logged()[before..].contains("works again"), "{fault:?}: {}", scene.logged());
    }
    for id in &scene.accepted {
        let ended = |workflow: &serde_json::Value| workflow["status"] == "completed";
        scene.mesh.until(&["workflow", "get", id], ended).await;
    }
    let Scene { database, name, mesh, .. } = scene;
    assert!(mesh.end().success());
    database.execute(&format!("DROP OWNED BY user_{name}; DROP USER user_{name}")).await;
}

/// What the admin port answers: head and text.
fn get(admin: &str, path: &str) -> String {
    let address = admin.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Says these to Redis, one after the other. What it answers does not matter: `AUTH` is needed only
/// while there is a password.
fn redis(redis: &Redis, words: &[&str]) {
    let address = redis.url.trim_start_matches("redis://");
    let mut stream = TcpStream::connect(address).unwrap();
    for line in words.iter().chain(&["QUIT"]) {
        write!(stream, "{line}\r\n").unwrap();
    }
    drop(stream.read_to_end(&mut Vec::new()));
}
