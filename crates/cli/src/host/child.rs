//! A worker in a process of its own, started again as often as it ends.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// The longest pause before a child is started again, and the life after which the pause is the
/// first one again.
const RESTART_MS_MAX: u64 = 5_000;
const SETTLED_MS: u64 = 10_000;

/// What a child is started with.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// The worker's id.
    pub(super) id: String,
    /// This very program.
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    /// Set over this process's environment.
    pub(super) environment: Vec<(String, String)>,
    /// The first pause before it is started again; it doubles from life to life.
    pub(super) restart_ms: u64,
    /// How long it may take to end after it was asked to.
    pub(super) drain_ms: u64,
}

/// What is known of a child now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Life {
    /// The process, while there is one.
    pub(crate) pid: Option<u32>,
    /// Where its own service listens, once it does.
    pub(crate) uri: Option<String>,
    /// How often it was started.
    pub(crate) starts: u32,
}

/// Keeps the child alive until the stop, then has it drain. Every change is told to `life`.
///
/// # Errors
/// The program cannot be started at all.
pub(super) async fn supervise(
    plan: Plan,
    life: watch::Sender<Life>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let mut pause_ms = plan.restart_ms;
    while !stop.is_cancelled() {
        let born = Instant::now();
        let mut child = start(&plan)?;
        life.send_modify(|life| {
            *life = Life { pid: child.id(), uri: None, starts: life.starts + 1 };
        });
        let ended = live(&plan, &mut child, &life, &stop).await;
        life.send_modify(|life| *life = Life { starts: life.starts, ..Life::default() });
        if stop.is_cancelled() {
            break;
        }
        if born.elapsed() > Duration::from_millis(SETTLED_MS) {
            pause_ms = plan.restart_ms;
        }
        match ended {
            // It was drained, and has handed back what it had: the next life takes on new work.
            None => tracing::info!(worker = plan.id, pause_ms, "worker left, starting again"),
            Some(ended) => {
                tracing::warn!(worker = plan.id, ended, pause_ms, "worker ended, starting again");
            }
        }
        let pause = tokio::time::sleep(Duration::from_millis(pause_ms));
        let _stopped = stop.run_until_cancelled(pause).await;
        pause_ms = (pause_ms * 2).min(RESTART_MS_MAX);
    }
    Ok(())
}

fn start(plan: &Plan) -> Result<Child, Error> {
    Command::new(&plan.program)
        .args(&plan.arguments)
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            let program = plan.program.display();
            Error::input(format!("cannot start {program} as a worker: {error}"), "")
        })
}

/// One life: until it ends, or until the stop and the drain after it. How it ended; `None` if it
/// left in good order.
async fn live(
    plan: &Plan,
    child: &mut Child,
    life: &watch::Sender<Life>,
    stop: &CancellationToken,
) -> Option<String> {
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let listen = async {
        let Some(stdout) = stdout else { return std::future::pending().await };
        let mut lines = BufReader::new(stdout).lines();
        // The first line says where it listens; others are nobody's business, but read, lest the
        // child block on a full pipe.
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some((_, uri)) = line.split_once(" at ") {
                life.send_modify(|life| life.uri = Some(uri.to_owned()));
            }
        }
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = child.wait() => Some(ended),
        () = listen => None,
        () = stop.cancelled() => None,
    };
    if let Some(ended) = ended {
        return match ended {
            Ok(status) if status.success() => None,
            Ok(status) => Some(status.to_string()),
            Err(error) => Some(error.to_string()),
        };
    }
    // The child ends with its standard input.
    drop(stdin);
    let drain = Duration::from_millis(plan.drain_ms);
    match tokio::time::timeout(drain, child.wait()).await {
        Ok(_) => None,
        Err(_) => {
            tracing::warn!(worker = plan.id, ?drain, "not drained in time, ending it");
            let _gone = child.kill().await;
            Some("ended by force".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(script: &str) -> Plan {
        Plan {
            id: "worker-1".into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            restart_ms: 10,
            drain_ms: 5_000,
        }
    }

    async fn until(life: &mut watch::Receiver<Life>, what: impl FnMut(&Life) -> bool) -> Life {
        let waited = tokio::time::timeout(Duration::from_secs(10), life.wait_for(what));
        waited.await.unwrap().unwrap().clone()
    }

    #[tokio::test]
    async fn a_child_that_ends_is_started_again_and_tells_where_it_listens() {
        let (sender, mut life) = watch::channel(Life::default());
        let stop = CancellationToken::new();
        let plan = plan("echo worker at http://127.0.0.1:1; read line");
        let supervised = tokio::spawn(supervise(plan, sender, stop.clone()));

        let first = until(&mut life, |life| life.uri.is_some()).await;
        assert_eq!((first.starts, first.uri.as_deref()), (1, Some("http://127.0.0.1:1")));
        let pid = first.pid.unwrap().to_string();
        std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
        let second = until(&mut life, |life| life.starts == 2 && life.uri.is_some()).await;
        assert_ne!(second.pid, first.pid);

        // `read` ends when standard input is closed: that is how a child is asked to end.
        stop.cancel();
        supervised.await.unwrap().unwrap();
        assert_eq!(life.borrow().pid, None);
    }

    #[tokio::test]
    async fn a_child_that_leaves_in_good_order_is_started_again_too() {
        let (sender, mut life) = watch::channel(Life::default());
        let stop = CancellationToken::new();
        let supervised = tokio::spawn(supervise(plan("exit 0"), sender, stop.clone()));
        until(&mut life, |life| life.starts == 2).await;
        stop.cancel();
        supervised.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_program_that_cannot_start_is_an_error() {
        let (sender, _life) = watch::channel(Life::default());
        let plan = Plan { program: "/nowhere/planaria".into(), ..plan("") };
        let error = supervise(plan, sender, CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains("cannot start /nowhere/planaria"), "{error}");
    }
}
