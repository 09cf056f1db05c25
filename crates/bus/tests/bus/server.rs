//! A private Redis server.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use planaria_runtime::BusSettings;
use tempfile::TempDir;

use crate::PATIENCE;

/// Ends with the test.
pub(crate) struct Server {
    port: u16,
    folder: TempDir,
    child: Option<Child>,
}

impl Server {
    /// One that answers.
    pub(crate) fn start() -> Self {
        let mut server = Self::absent();
        server.run();
        server
    }

    /// A port where one could be.
    pub(crate) fn absent() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        Self { port, folder: TempDir::new().expect("a folder"), child: None }
    }

    /// Starts it (again), empty, on the same port.
    pub(crate) fn run(&mut self) {
        let port = self.port.to_string();
        self.child = Some(launch(&["--port", &port], self.folder.path()));
        let patient = Instant::now();
        while self.try_ask::<String>(&["PING"]).is_err() {
            assert!(patient.elapsed() < PATIENCE, "redis-server does not answer");
            std::thread::yield_now();
        }
    }

    /// The same over TLS alone, with `server.crt` and `server.key` of its folder.
    pub(crate) fn run_encrypted(&mut self) {
        let port = self.port.to_string();
        let options = ["--port", "0", "--tls-port", &port, "--tls-auth-clients", "no"];
        let files = ["--tls-cert-file", "server.crt", "--tls-key-file", "server.key"];
        let authority = ["--tls-ca-cert-file", "ca.pem"];
        let options = [&options[..], &files, &authority].concat();
        self.child = Some(launch(&options, self.folder.path()));
        let patient = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(patient.elapsed() < PATIENCE, "redis-server does not speak TLS");
            std::thread::yield_now();
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
    }

    /// Sends a command over a connection of its own.
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).expect("the server answers")
    }

    fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut connection = redis::Client::open(self.url(""))?.get_connection()?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
    }

    pub(crate) fn url(&self, credentials: &str) -> String {
        format!("redis://{credentials}127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn settings(&self) -> BusSettings {
        BusSettings { url: self.url(""), claim_ms: 400, ..BusSettings::default() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(options: &[&str], folder: &Path) -> Child {
    Command::new("redis-server")
        .args(["--bind", "127.0.0.1"])
        .args(options)
        .args(["--save", "", "--appendonly", "no"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server must be installed: apt-get install redis-server")
}
