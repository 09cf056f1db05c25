//! A process of a benchmark: it ends when its standard input is closed, and with it.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::Error;
use crate::client::{API_KEY, Gateway};

/// A started process.
pub(super) struct Process {
    /// What it is, in results.
    pub(super) name: String,
    child: Child,
}

impl Process {
    /// This program with other arguments, showing the same key.
    pub(super) fn start(
        name: String,
        arguments: &[String],
        gateway: &Gateway,
    ) -> Result<Self, Error> {
        let program = std::env::current_exe()?;
        let child = Command::new(&program)
            .args(arguments)
            .envs(gateway.api_key.iter().map(|key| (API_KEY, key)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { name, child })
    }

    /// The first line it prints; `None` if it ends without one.
    pub(super) async fn first_line(&mut self) -> Option<String> {
        let stdout = self.child.stdout.as_mut()?;
        BufReader::new(stdout).lines().next_line().await.ok().flatten()
    }

    /// Processor time it has used so far, in clock ticks.
    pub(super) fn ticks(&self) -> u64 {
        self.child.id().map_or(0, |pid| ticks(&format!("/proc/{pid}/stat")))
    }

    /// Has it end, and waits for that.
    pub(super) async fn end(mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait().await;
    }
}

/// Processor time of this very process, in clock ticks.
pub(super) fn own_ticks() -> u64 {
    ticks("/proc/self/stat")
}

/// Clock ticks as seconds.
pub(super) fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

fn ticks(path: &str) -> u64 {
    std::fs::read_to_string(Path::new(path)).map_or(0, |stat| used(&stat))
}

/// User and system time in the text of a `stat` file: fields 14 and 15, counted behind the
/// command's closing parenthesis, which may itself hold spaces.
fn used(stat: &str) -> u64 {
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |index| fields.split_whitespace().nth(index)?.parse::<u64>().ok();
    field(11).unwrap_or_default() + field(12).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn processor_time_is_read_behind_the_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100 1 2";
        assert_eq!(super::used(stat), 300);
        assert_eq!(super::used("gone"), 0);
    }
}
