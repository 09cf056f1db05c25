//! A process of the rig: its environment is what it is given and nothing else, its output goes to
//! a file, and it never outlives the process that started it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::Error;

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Spec {
    /// For messages.
    pub name: String,
    /// Its path, or a name that is looked up in `PATH`.
    pub program: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
    /// All of its environment; `PATH` and `HOME` are added where they are missing.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// Where its standard output and standard error are appended.
    pub log: PathBuf,
    /// Runs as this user instead of as root.
    pub user: Option<&'static str>,
}

/// A started process.
#[derive(Debug)]
pub struct Process {
    /// As in its [`Spec`].
    pub name: String,
    pid: Pid,
    child: Child,
}

impl Spec {
    /// Starts it. It is killed when the calling thread ends: call this on the main thread.
    ///
    /// # Errors
    /// The program or its log cannot be opened.
    pub fn start(&self) -> Result<Process, Error> {
        let open = || File::options().append(true).create(true).open(&self.log);
        let log = open().map_err(Error::file(&self.log))?;
        let errors = log.try_clone().map_err(Error::file(&self.log))?;
        let failed = |source| Error::Start { program: self.program.display().to_string(), source };
        let child = self.command().stdout(log).stderr(errors).spawn().map_err(failed)?;
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or_else(|| Error::Failed(format!("{} has no process", self.name)))?;
        Ok(Process { name: self.name.clone(), pid, child })
    }

    /// Runs it to its end; what it wrote is in its log.
    ///
    /// # Errors
    /// It cannot be started, does not end in time, or fails.
    pub async fn run(&self, limit: Duration) -> Result<(), Error> {
        let mut process = self.start()?;
        let ended = tokio::time::timeout(limit, process.ended()).await;
        let told = |how: &str| {
            let said = tail(&self.log, 10);
            Error::Failed(format!("{} {how}\n{said}", self.name))
        };
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(_) => Err(told("failed")),
            Err(_) => Err(told(&format!("did not end within {limit:?}"))),
        }
    }

    /// `setpriv` (of util-linux) has the kernel kill it with its parent, and drops root.
    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(user) = self.user {
            command.args(["--reuid", user, "--regid", user, "--init-groups"]);
        }
        command.arg("--").arg(&self.program).args(&self.arguments);
        command.env_clear().env("PATH", path()).env("HOME", &self.folder);
        command.envs(&self.environment).current_dir(&self.folder);
        command.stdin(Stdio::null()).kill_on_drop(true).process_group(0);
        command
    }
}

impl Process {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal. That the process is gone already is no error.
    pub fn signal(&self, signal: Signal) {
        // The child is not waited for until `ended`, so the number cannot be another's.
        let _gone = kill_process(self.pid, signal);
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It was waited for already.
    pub async fn ended(&mut self) -> Result<ExitStatus, Error> {
        let name = self.name.clone();
        self.child.wait().await.map_err(|error| Error::Failed(format!("{name} is lost: {error}")))
    }

    /// Asks it to end; makes it if it does not within `grace`. Whether it ended by itself.
    pub async fn end(&mut self, signal: Signal, grace: Duration) -> bool {
        self.signal(signal);
        if tokio::time::timeout(grace, self.ended()).await.is_ok() {
            return true;
        }
        self.signal(Signal::KILL);
        let _ended = self.ended().await;
        false
    }
}

#[expect(clippy::disallowed_methods, reason = "a child finds programs where this one does")]
fn path() -> OsString {
    OsString::from(std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into()))
}

/// The last lines of a file, indented; empty if there is none.
#[must_use]
pub fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<_> = text.lines().collect();
    let last = all[all.len().saturating_sub(lines)..].iter();
    last.map(|line| format!("    {line}\n")).collect()
}

/// Whether this program may change users and the owners of files.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The path of a program in `PATH`.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&path()).map(|folder| folder.join(program)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(folder: &Path, script: &str) -> Spec {
        Spec {
            name: "script".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: BTreeMap::from([("ONLY".into(), "this".into())]),
            folder: folder.to_owned(),
            log: folder.join("log"),
            user: None,
        }
    }

    #[tokio::test]
    async fn a_process_has_only_its_own_environment_and_its_output_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo $ONLY; env | grep -c CARGO; exit 3";
        let error = spec(folder.path(), script).run(Duration::from_secs(10)).await.unwrap_err();
        assert_eq!(error.to_string(), "script failed\n    this\n    0\n");
    }

    #[tokio::test]
    async fn a_process_that_does_not_listen_is_made_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo ready; while :; do read -t 1 line; done";
        let script = format!("exec bash -c \"{script}\"");
        let mut process = spec(folder.path(), &script).start().unwrap();
        while tail(&folder.path().join("log"), 1).is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!process.end(Signal::TERM, Duration::from_millis(50)).await);
    }
}
