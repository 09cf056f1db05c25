//! The real binary, and a mesh of it that dies with the test.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Between two looks at a state that must come.
pub(crate) async fn look_again() {
    tokio::time::sleep(POLL).await;
}

/// What a command printed and how it ended.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Its output as JSON; it must have succeeded.
    pub(crate) fn json(&self) -> Value {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.out, self.err);
        serde_json::from_str(&self.out).unwrap()
    }

    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap()
    }
}

/// The binary, away from this environment's settings.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_planaria"));
    command
        .args(arguments)
        .env_remove("PLANARIA_ADDR")
        .env_remove("PLANARIA_API_KEY")
        .env_remove("RUST_LOG");
    command
}

/// Runs a command to its end.
pub(crate) fn planaria(arguments: &[&str]) -> Ended {
    with_input(arguments, "")
}

/// The same with standard input.
pub(crate) fn with_input(arguments: &[&str], input: &str) -> Ended {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read it.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status,
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A mesh that runs.
pub(crate) struct Mesh {
    child: Child,
    pub(crate) uri: String,
    /// Where its metrics and its health are.
    pub(crate) admin: String,
}

impl Mesh {
    /// `planaria up` on free ports; returns when it says that it is ready.
    pub(crate) fn up(data_dir: &Path) -> Self {
        Self::up_with(data_dir, &[])
    }

    /// The same with these settings.
    pub(crate) fn up_with(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start(data_dir, settings, Stdio::inherit())
    }

    /// The same, with its log in a file, as JSON.
    pub(crate) fn up_logged(data_dir: &Path, settings: &[(&str, &str)], log: &Path) -> Self {
        Self::start(data_dir, settings, std::fs::File::create(log).unwrap().into())
    }

    fn start(data_dir: &Path, settings: &[(&str, &str)], log: Stdio) -> Self {
        // Held open by this process: whatever becomes of the test, the mesh ends with it.
        let mut child = command(&["up", "--port", "0", "--end-with-stdin", "--data-dir"])
            .arg(data_dir)
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut uris = line.split([' ', ',']).filter(|word| word.starts_with("http://"));
        let mut uri = || uris.next().unwrap_or_else(|| panic!("up said {line:?}")).to_owned();
        let (uri, admin) = (uri(), uri());
        Self { child, uri, admin }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client's command on this mesh.
    pub(crate) fn planaria(&self, arguments: &[&str]) -> Ended {
        planaria(&[arguments, &["--addr", &self.uri]].concat())
    }

    /// The answer of a client's command as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.planaria(&[arguments, &["--output", "json"]].concat()).json()
    }

    /// Waits until the answer is as wanted.
    pub(crate) async fn until(&self, arguments: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let poll = async {
            loop {
                let ended = self.planaria(&[arguments, &["--output", "json"]].concat());
                if ended.status.success() {
                    let answer = ended.json();
                    if wanted(&answer) {
                        return answer;
                    }
                }
                look_again().await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.unwrap_or_else(|_| {
            let ended = self.planaria(arguments);
            panic!("{arguments:?} still answers\n{}{}", ended.out, ended.err)
        })
    }

    /// Waits until both workers are there.
    pub(crate) async fn workers(&self) -> Value {
        self.until(&["worker", "list"], |workers| workers.as_array().unwrap().len() == 2).await
    }

    /// SIGTERM, and its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        signal("-TERM", self.child.id());
        self.child.wait().unwrap()
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(signal: &str, pid: u32) {
    let sent = Command::new("kill").arg(signal).arg(pid.to_string()).status().unwrap();
    assert!(sent.success(), "kill {signal} {pid}");
}

/// The children of a process, whichever of its threads started them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let read = |thread: std::fs::DirEntry| {
        std::fs::read_to_string(thread.path().join("children")).unwrap_or_default()
    };
    let children: String = threads.map(|thread| read(thread.unwrap())).collect();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether there is such a process, and it is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
