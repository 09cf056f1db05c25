//! Other programs: started, listened to, ended when they take too long.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// What came of it: a remark for the table, or what is wrong and what to do.
pub(crate) type Outcome = Result<String, String>;

/// How long a program that was asked to end may take.
const FAREWELL_S: u64 = 10;

/// A program and how it is started.
pub(crate) struct Program {
    name: String,
    command: Command,
    minutes_max: u64,
}

impl Program {
    /// A program by its name or path; it may take half an hour.
    pub(crate) fn new(path: impl Into<OsString>) -> Self {
        let path = path.into();
        let name = Path::new(&path).file_name().unwrap_or(&path).to_string_lossy().into_owned();
        let mut command = Command::new(path);
        // What `cargo run` told this program about itself would make the next cargo build some
        // dependencies anew: their build scripts watch these variables.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text == "CARGO" || text.starts_with("CARGO_PKG_") || OF_PACKAGE.contains(&&*text) {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null());
        Self { name, command, minutes_max: 30 }
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.command.env(name, value.into());
        self
    }

    pub(crate) fn minutes_max(mut self, minutes: u64) -> Self {
        self.minutes_max = minutes;
        self
    }

    /// Runs it on this terminal, for as long as it likes.
    pub(crate) fn hand_over(mut self, folder: &Path) -> Outcome {
        let status = self.command.stdin(Stdio::inherit()).current_dir(folder).status();
        let status = status.map_err(|error| format!("{} cannot be started: {error}", self.name))?;
        ended(&self.name, status)
    }

    /// Runs it and shows nothing; what it said is the outcome.
    pub(crate) fn quiet(self, folder: &Path) -> Outcome {
        let mut said = String::new();
        match self.watch(folder, &mut |line| said.extend([line, "\n"])) {
            Ok(_) => Ok(said.trim_end().to_owned()),
            Err(problem) => Err(format!("{said}{problem}")),
        }
    }

    /// Runs it and shows what it says.
    pub(crate) fn show(self, folder: &Path) -> Outcome {
        self.watch(folder, &mut |line| println!("{line}"))
    }

    /// Runs it, and tells each line that it says.
    pub(crate) fn watch(mut self, folder: &Path, see: &mut dyn FnMut(&str)) -> Outcome {
        let command = self.command.current_dir(folder);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} cannot be started: {error}", self.name))?;
        let (lines, said) = channel();
        read(child.stdout.take(), lines.clone());
        read(child.stderr.take(), lines);
        let end = Instant::now() + Duration::from_secs(self.minutes_max * 60);
        let in_time = listen(&said, end, see);
        if !in_time {
            end_it(&mut child, &said, see);
        }
        let status = child.wait().map_err(|error| format!("{} is lost: {error}", self.name))?;
        if in_time {
            ended(&self.name, status)
        } else {
            Err(format!("{} did not end within {} minutes", self.name, self.minutes_max))
        }
    }
}

/// Variables that speak of the package that cargo runs.
const OF_PACKAGE: &[&str] = &["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PRIMARY_PACKAGE"];

fn ended(name: &str, status: ExitStatus) -> Outcome {
    if status.success() { Ok(String::new()) } else { Err(format!("{name}: {status}")) }
}

/// Passes on every line of a stream, until it ends.
fn read(stream: Option<impl Read + Send + 'static>, lines: Sender<String>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
}

/// Whether both streams ended in time.
fn listen(said: &Receiver<String>, end: Instant, see: &mut dyn FnMut(&str)) -> bool {
    loop {
        match said.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => see(&line),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

/// Asks it to end, so that it ends what it started, and then makes it.
fn end_it(child: &mut Child, said: &Receiver<String>, see: &mut dyn FnMut(&str)) {
    let asked = Command::new("kill").arg(child.id().to_string()).status();
    let farewell = Instant::now() + Duration::from_secs(FAREWELL_S);
    if asked.is_err() || !listen(said, farewell, see) {
        // If it ended just now, there is nothing to end.
        drop(child.kill());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh").arguments(&["-c", script])
    }

    #[test]
    fn what_a_program_says_is_heard_and_its_status_counts() {
        let here = Path::new(".");
        assert_eq!(shell("echo out; echo problem >&2").quiet(here).map(|said| said.len()), Ok(11));
        assert_eq!(shell("echo why; exit 3").quiet(here), Err("why\nsh: exit status: 3".into()));
        let missing = Program::new("no-such-program").quiet(here);
        assert!(
            missing.is_err_and(|problem| problem.contains("no-such-program cannot be started"))
        );
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let mut said = Vec::new();
        let script = "echo begun; exec sleep 600";
        let outcome = shell(script)
            .minutes_max(0)
            .watch(Path::new("."), &mut |line| said.push(line.to_owned()));
        assert_eq!(outcome, Err("sh did not end within 0 minutes".into()));
    }
}
