//! A Redis (or Valkey) server of this machine, which keeps nothing on disk.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Error;
use crate::process::{self, Process, Spec};

const READY_MS_MAX: u64 = 10_000;
const CALL_MS_MAX: u64 = 1_000;
const POLL_MS: u64 = 10;

/// Where it is.
#[derive(Debug, Clone)]
pub struct Redis {
    /// Where it listens.
    pub address: SocketAddr,
    /// Empty: nobody is asked for one.
    pub password: String,
    /// Further arguments of the server.
    pub arguments: Vec<String>,
    /// Where it runs and logs.
    pub folder: PathBuf,
}

impl Redis {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn start(&self) -> Result<Process, Error> {
        std::fs::create_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        let mut server = self.spec()?.start()?;
        let began = Instant::now();
        while self.command(&["PING"]).await.is_none() {
            let poll = tokio::time::sleep(Duration::from_millis(POLL_MS));
            let ended = tokio::select! { () = poll => false, _ = server.ended() => true };
            if ended || began.elapsed() > Duration::from_millis(READY_MS_MAX) {
                let said = process::tail(&self.folder.join("redis.log"), 10);
                return Err(Error::Failed(format!("Redis does not start\n{said}")));
            }
        }
        Ok(server)
    }

    /// How it is started.
    ///
    /// # Errors
    /// Neither Redis nor Valkey is installed.
    pub fn spec(&self) -> Result<Spec, Error> {
        let program = ["redis-server", "valkey-server"].into_iter().find_map(process::find);
        let program = program.ok_or_else(|| Error::Missing {
            program: "redis-server".into(),
            advice: "install Redis 6 or later (apt-get install redis-server)".into(),
        })?;
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let words = ["--bind", &host, "--port", &port, "--save", "", "--appendonly", "no"];
        let mut arguments: Vec<String> = words.map(str::to_owned).into();
        if !self.password.is_empty() {
            arguments.extend(["--requirepass".to_owned(), self.password.clone()]);
        }
        arguments.extend(self.arguments.iter().cloned());
        Ok(Spec {
            name: "redis".into(),
            program,
            arguments,
            environment: BTreeMap::new(),
            folder: self.folder.clone(),
            log: self.folder.join("redis.log"),
            user: None,
        })
    }

    /// Executes one command; none if there is no answer, or the answer is an error. What is
    /// returned are the bytes of the answer as they came.
    pub async fn command(&self, words: &[&str]) -> Option<String> {
        let call = async {
            let mut stream = TcpStream::connect(self.address).await.ok()?;
            if !self.password.is_empty() {
                exchange(&mut stream, &["AUTH", &self.password]).await?;
            }
            exchange(&mut stream, words).await
        };
        tokio::time::timeout(Duration::from_millis(CALL_MS_MAX), call).await.ok()?
    }

    /// `redis://:password@host:port/0`.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { address, password, .. } = self;
        if password.is_empty() {
            format!("redis://{address}/0")
        } else {
            format!("redis://:{password}@{address}/0")
        }
    }
}

/// One command, and an answer that fits one read: all that is asked here are short.
async fn exchange(stream: &mut TcpStream, words: &[&str]) -> Option<String> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.ok()?;
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    (read > 0 && !text.starts_with('-')).then_some(text)
}
