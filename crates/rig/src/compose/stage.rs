//! Runs a plan: in its order, restarting what ends, until it is told to stop.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::file::{Condition, Restart};
use super::plan::{Check, Plan, Program, Replica};
use crate::Error;
use crate::process::{self, Process};

const HEALTHY_MS_MAX: u64 = 60_000;
const POLL_MS: u64 = 100;
/// The first pause before a process is started again, which doubles, and the longest.
const RESTART_MS_MIN: u64 = 100;
const RESTART_MS_MAX: u64 = 60_000;
const LOG_LINES: usize = 15;

/// What runs.
#[derive(Debug)]
pub struct Stage {
    plan: Plan,
    running: Vec<Running>,
    healthy: BTreeMap<String, Duration>,
}

#[derive(Debug)]
struct Running {
    name: String,
    stop: CancellationToken,
    supervised: JoinHandle<Result<(), Error>>,
}

impl Stage {
    /// Starts everything and waits until all of it is healthy. Call it on the main thread, in a
    /// runtime of one thread: what is started dies with that thread.
    ///
    /// # Errors
    /// Something does not start or does not become healthy; its last words are in the text.
    pub async fn start(plan: Plan) -> Result<Self, Error> {
        let mut stage = Self { plan, running: Vec::new(), healthy: BTreeMap::new() };
        for replica in stage.plan.replicas.clone() {
            for (service, condition) in &replica.after {
                if *condition == Condition::ServiceHealthy {
                    stage.healthy(service).await?;
                }
            }
            let process = start(&replica).await?;
            let stop = CancellationToken::new();
            let supervised = tokio::spawn(supervise(replica.clone(), process, stop.clone()));
            stage.running.push(Running { name: replica.name, stop, supervised });
        }
        let services: Vec<_> = stage.plan.replicas.iter().map(|r| r.service.clone()).collect();
        for service in services {
            stage.healthy(&service).await?;
        }
        Ok(stage)
    }

    /// The plan that runs.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Waits until every replica of a service is healthy.
    async fn healthy(&mut self, service: &str) -> Result<(), Error> {
        for replica in self.plan.of(service) {
            let Some(check) = &replica.check else { continue };
            if self.healthy.contains_key(&replica.name) {
                continue;
            }
            let began = Instant::now();
            while !healthy(check).await {
                let running = self.running.iter().find(|running| running.name == replica.name);
                let ended = running.is_some_and(|running| running.supervised.is_finished());
                if ended || began.elapsed() > Duration::from_millis(HEALTHY_MS_MAX) {
                    let (name, said) = (&replica.name, said(replica));
                    return Err(Error::Failed(format!("{name} does not become healthy\n{said}")));
                }
                tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
            }
            self.healthy.insert(replica.name.clone(), began.elapsed());
        }
        Ok(())
    }

    /// Ends everything, what depends on others first.
    ///
    /// # Errors
    /// Something had to be ended by force, or failed before.
    pub async fn end(mut self) -> Result<(), Error> {
        let mut problems = Vec::new();
        while let Some(running) = self.running.pop() {
            running.stop.cancel();
            match running.supervised.await {
                Ok(Ok(())) => (),
                Ok(Err(error)) => problems.push(error.to_string()),
                Err(error) => problems.push(format!("{}: {error}", running.name)),
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Failed(problems.join("\n"))) }
    }

    /// The last words of every process, for a failure that nobody else explains.
    #[must_use]
    pub fn last_words(&self) -> String {
        let replicas = self.plan.replicas.iter();
        replicas.map(|replica| format!("{}\n{}", replica.name, said(replica))).collect()
    }
}

async fn healthy(check: &Check) -> bool {
    check.probe.run(check.timeout).await.is_ok()
}

fn said(replica: &Replica) -> String {
    let log = match &replica.program {
        Program::Planaria(spec) => spec.log.clone(),
        Program::Postgres(postgres) => postgres.folder.join("postgres.log"),
        Program::Redis(redis) => redis.folder.join("redis.log"),
    };
    let probe = replica.check.as_ref().map_or(Path::new(""), |check| &check.probe.log);
    format!("{}{}", process::tail(&log, LOG_LINES), process::tail(probe, 2))
}

async fn start(replica: &Replica) -> Result<Process, Error> {
    match &replica.program {
        Program::Planaria(spec) => spec.start(),
        Program::Postgres(postgres) => postgres.create().await,
        Program::Redis(redis) => redis.start().await,
    }
}

/// Keeps a replica running until the stop.
async fn supervise(
    replica: Replica,
    mut process: Process,
    stop: CancellationToken,
) -> Result<(), Error> {
    let mut pause_ms = RESTART_MS_MIN;
    loop {
        let ended = tokio::select! {
            ended = process.ended() => Some(ended?),
            () = stop.cancelled() => None,
        };
        let Some(status) = ended else { break };
        if replica.restart == Restart::No {
            let (name, said) = (&replica.name, said(&replica));
            return Err(Error::Failed(format!("{name} ended by itself: {status}\n{said}")));
        }
        let pause = tokio::time::sleep(Duration::from_millis(pause_ms));
        if stop.run_until_cancelled(pause).await.is_none() {
            return Ok(());
        }
        pause_ms = (pause_ms * 2).min(RESTART_MS_MAX);
        process = start(&replica).await?;
    }
    // The image of PostgreSQL says so too: on SIGTERM it would wait for its clients.
    let signal = match replica.program {
        Program::Postgres(_) => Signal::INT,
        _ => Signal::TERM,
    };
    if process.end(signal, replica.grace).await {
        return Ok(());
    }
    let text = format!("{} did not end within {:?}", replica.name, replica.grace);
    Err(Error::Failed(text))
}
