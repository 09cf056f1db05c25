//! One evaluator process, seen from outside.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::{Hello, PoolConfig, Reply};

/// How often the processor time of a busy process is read.
const WATCH_EVERY: Duration = Duration::from_millis(10);

/// A process that holds more memory than this after an evaluation is not used again.
const RESIDENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What an evaluation may use.
pub(super) struct Share {
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
    pub(super) reply_bytes_max: usize,
}

/// A process. Dropping it ends it.
pub(super) struct Child {
    process: tokio::process::Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    /// Processor time that it had used when it last answered.
    cpu: Duration,
    /// Whether its last evaluation took long enough to look at its memory.
    was_busy: bool,
}

impl Child {
    /// Starts a process and tells it its limits.
    pub(super) async fn start(config: &PoolConfig) -> Result<Self, String> {
        let failed = |error| format!("no evaluator can be started: {error}");
        let mut process = Command::new(&config.program)
            .args(&config.arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let Some((stdin, stdout)) = pipes else {
            return Err("the evaluator has no pipes".to_owned());
        };
        let mut child = Self { process, stdin, stdout, cpu: Duration::ZERO, was_busy: false };
        let hello = Hello { memory_bytes_max: config.memory_bytes_max };
        child.send(&hello.encode()).await.map_err(failed)?;
        Ok(child)
    }

    /// Has a question answered within a share of time. After an error the process is of no use.
    pub(super) async fn ask(&mut self, question: &[u8], share: &Share) -> Result<Vec<u8>, String> {
        let started = Instant::now();
        let id = self.process.id();
        let before = self.cpu;
        let reply = {
            let exchange = exchange(&mut self.stdin, &mut self.stdout, question, share);
            tokio::pin!(exchange);
            loop {
                tokio::select! {
                    reply = &mut exchange => break reply,
                    () = tokio::time::sleep(WATCH_EVERY) => {
                        let used = id.and_then(processor_time).unwrap_or_default();
                        if used.saturating_sub(before) > share.cpu {
                            break Err(Failure::Cpu);
                        }
                        if started.elapsed() > share.wall {
                            break Err(Failure::Wall);
                        }
                    }
                }
            }
        };
        let took = started.elapsed();
        self.was_busy = took > WATCH_EVERY;
        match reply {
            Ok(reply) => {
                let cpu = Reply::cpu_ns(&reply).map_or(before, Duration::from_nanos);
                self.cpu = cpu;
                Ok(reply)
            }
            Err(failure) => Err(self.explain(failure, share).await),
        }
    }

    /// Whether the process may answer further questions.
    pub(super) fn is_reusable(&self) -> bool {
        let resident = || self.process.id().and_then(resident_bytes);
        !self.was_busy || resident().is_none_or(|bytes| bytes < RESIDENT_BYTES_MAX)
    }

    /// Ends the process and says why it gave no answer.
    async fn explain(&mut self, failure: Failure, share: &Share) -> String {
        let cpu = || format!("the expression used more than {} ms of CPU", share.cpu.as_millis());
        match failure {
            Failure::Cpu => {
                self.end().await;
                cpu()
            }
            Failure::Wall => {
                self.end().await;
                format!("the expression took longer than {} s", share.wall.as_secs())
            }
            Failure::TooLong => {
                self.end().await;
                "the expression yielded too much".to_owned()
            }
            Failure::Gone => match self.end().await.and_then(|status| status.signal()) {
                // SIGXCPU
                Some(24) => cpu(),
                // SIGABRT, SIGBUS, SIGSEGV: no memory, or no stack, was left.
                Some(6 | 7 | 11) => "the expression exhausted its memory or its stack".to_owned(),
                _ => "the evaluator of the expression failed".to_owned(),
            },
        }
    }

    /// Ends the process; what it is at the end with.
    async fn end(&mut self) -> Option<ExitStatus> {
        // A process that is gone by itself has its own status, which a late signal cannot change.
        let _ = self.process.start_kill();
        self.process.wait().await.ok()
    }

    async fn send(&mut self, frame: &[u8]) -> std::io::Result<()> {
        send(&mut self.stdin, frame).await
    }
}

/// Why there is no answer.
enum Failure {
    Cpu,
    Wall,
    TooLong,
    Gone,
}

async fn send(stdin: &mut ChildStdin, frame: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(std::io::Error::other)?;
    let mut whole = Vec::with_capacity(frame.len() + 4);
    whole.extend_from_slice(&length.to_le_bytes());
    whole.extend_from_slice(frame);
    stdin.write_all(&whole).await
}

async fn exchange(
    stdin: &mut ChildStdin,
    stdout: &mut ChildStdout,
    question: &[u8],
    share: &Share,
) -> Result<Vec<u8>, Failure> {
    send(stdin, question).await.map_err(|_| Failure::Gone)?;
    let length = stdout.read_u32_le().await.map_err(|_| Failure::Gone)? as usize;
    if length > share.reply_bytes_max {
        return Err(Failure::TooLong);
    }
    let mut reply = vec![0; length];
    stdout.read_exact(&mut reply).await.map_err(|_| Failure::Gone)?;
    Ok(reply)
}

/// Processor time of a process so far. `None` where there is no `/proc`: there the process's own
/// limit ends it.
fn processor_time(id: u32) -> Option<Duration> {
    if let Ok(text) = std::fs::read_to_string(format!("/proc/{id}/schedstat")) {
        let nanoseconds = text.split_ascii_whitespace().next()?.parse().ok()?;
        if nanoseconds > 0 {
            return Some(Duration::from_nanos(nanoseconds));
        }
    }
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // After the name in parentheses: state is the first field, user and system time the 12th
    // and 13th, in ticks of 10 ms on every Linux.
    let fields = text.rsplit_once(')')?.1;
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    let sum = ticks.map(|field| field.parse::<u64>().unwrap_or_default()).sum::<u64>();
    Some(Duration::from_millis(sum * 10))
}

/// Memory that a process holds. `None` where there is no `/proc`.
fn resident_bytes(id: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{id}/statm")).ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}
