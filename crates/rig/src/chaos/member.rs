//! One process of the mesh under test: it is started again whenever it ends, unless it is held
//! down.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::postgres::Postgres;
use crate::process::{Process, Spec};
use crate::redis::Redis;

/// The pause before a process that ended by itself is started again.
const RESTART_MS: u64 = 200;
const STARTS_MAX: u32 = 20;

/// What runs.
#[derive(Debug, Clone)]
pub(super) enum Program {
    Plain(Spec),
    Postgres(Postgres),
    Redis(Redis),
}

impl Program {
    async fn start(&self) -> Result<Process, Error> {
        match self {
            Self::Plain(spec) => spec.start(),
            Self::Postgres(postgres) => postgres.create().await,
            Self::Redis(redis) => redis.start().await,
        }
    }

    /// Again and again for a while: the port or the memory of the former life may still be held.
    async fn restart(&self) -> Result<Process, Error> {
        for _ in 1..STARTS_MAX {
            match self.start().await {
                Ok(process) => return Ok(process),
                Err(_) => tokio::time::sleep(Duration::from_millis(RESTART_MS)).await,
            }
        }
        self.start().await
    }
}

/// What is known of it now.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    /// Its process, while there is one. PostgreSQL and Redis let clients in by then.
    pub(super) pid: Option<i32>,
    /// How often it was started.
    pub(super) starts: u32,
    /// How the last process ended.
    pub(super) ended: Option<ExitStatus>,
    /// Why it cannot be started; then it stays away.
    pub(super) problem: Option<String>,
}

#[derive(Debug)]
enum Command {
    Signal(Signal),
    Hold(bool),
    End(Duration),
}

/// A handle; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// `orchestrator-2`.
    pub(super) name: Arc<str>,
    commands: mpsc::UnboundedSender<Command>,
    life: watch::Receiver<Life>,
}

impl Member {
    /// Starts it; it lives as long as the runtime.
    pub(super) fn start(name: &str, program: Program) -> Self {
        let (commands, inbox) = mpsc::unbounded_channel();
        let (sender, life) = watch::channel(Life::default());
        tokio::spawn(keep(program, inbox, sender));
        Self { name: name.into(), commands, life }
    }

    pub(super) fn life(&self) -> Life {
        self.life.borrow().clone()
    }

    /// Waits until its life is as wanted; none if that takes too long.
    pub(super) async fn until(
        &self,
        limit: Duration,
        wanted: impl FnMut(&Life) -> bool,
    ) -> Option<Life> {
        let mut life = self.life.clone();
        let waited = tokio::time::timeout(limit, life.wait_for(wanted)).await;
        waited.ok()?.ok().map(|life| life.clone())
    }

    pub(super) fn signal(&self, signal: Signal) {
        self.tell(Command::Signal(signal));
    }

    /// While it is held down it is not started again.
    pub(super) fn hold(&self, down: bool) {
        self.tell(Command::Hold(down));
    }

    /// Ends it for good; by force after the grace.
    pub(super) fn end(&self, grace: Duration) {
        self.tell(Command::End(grace));
    }

    fn tell(&self, command: Command) {
        // Its keeper ends after the last command only.
        let _gone = self.commands.send(command);
    }
}

async fn keep(
    program: Program,
    mut inbox: mpsc::UnboundedReceiver<Command>,
    life: watch::Sender<Life>,
) {
    let mut held = false;
    loop {
        while held {
            match inbox.recv().await {
                Some(Command::Hold(down)) => held = down,
                Some(Command::Signal(_)) => (),
                Some(Command::End(_)) | None => return,
            }
        }
        let mut process = match program.restart().await {
            Ok(process) => process,
            Err(error) => {
                life.send_modify(|life| life.problem = Some(error.to_string()));
                return;
            }
        };
        life.send_modify(|life| {
            life.pid = Some(process.pid());
            life.starts += 1;
        });
        let ended = loop {
            tokio::select! {
                ended = process.ended() => break ended.ok(),
                command = inbox.recv() => match command {
                    Some(Command::Signal(signal)) => process.signal(signal),
                    Some(Command::Hold(down)) => held = down,
                    Some(Command::End(grace)) => {
                        // A stopped process hears nothing.
                        process.signal(Signal::CONT);
                        let fast = matches!(program, Program::Postgres(_));
                        process.end(if fast { Signal::INT } else { Signal::TERM }, grace).await;
                        life.send_modify(|life| life.pid = None);
                        return;
                    }
                    None => return,
                },
            }
        };
        life.send_modify(|life| {
            life.pid = None;
            life.ended = ended;
        });
        if !held {
            let pause = tokio::time::sleep(Duration::from_millis(RESTART_MS));
            tokio::pin!(pause);
            loop {
                tokio::select! {
                    () = &mut pause => break,
                    command = inbox.recv() => match command {
                        Some(Command::Hold(down)) => held = down,
                        Some(Command::Signal(_)) => (),
                        Some(Command::End(_)) | None => return,
                    },
                }
            }
        }
    }
}
