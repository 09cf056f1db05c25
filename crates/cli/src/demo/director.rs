//! Starts the order, kills the worker that executes one of its tasks, and says what it sees.

use std::time::Duration;

use bytes::Bytes;
use planaria_proto::failure_detector::v1::{Liveness, Worker};
use planaria_proto::types::v1::{Healing, Payload, Phase};
use planaria_proto::workflow::v1::{
    PutDefinitionRequest, StartWorkflowRequest, WatchWorkflowResponse, WorkflowStart,
};
use planaria_runtime::clock;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::WORKERS;
use super::stage::{self, Scene};
use super::timeline::{Kill, Timeline};
use crate::Error;
use crate::client::watch::{Line, Narrator};
use crate::client::{Client, call, healing, worker, workflow};
use crate::output::style::Style;
use crate::output::time;

const ORDER: &str = include_str!("order.yaml");
const INPUT: &str = r#"{"order":"A-1851"}"#;
/// The task whose worker dies.
const VICTIM: &str = "/charge";
/// How long it may work before.
const MERCY_MS: u64 = 600;
/// How long the workers may take to be there, and the healing to be on record after the end.
const WORKERS_MS_MAX: u64 = 10_000;
const RECORD_MS_MAX: u64 = 10_000;
const POLL_MS: u64 = 20;
const HEALINGS_MAX: usize = 100;

/// Directs one performance.
pub(super) struct Director<'a> {
    client: &'a Client,
    narrator: Narrator,
    /// When the order was started, in milliseconds since the epoch.
    started_ms: u64,
    kill: Option<Kill>,
}

impl<'a> Director<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, narrator: Narrator::default(), started_ms: 0, kill: None }
    }

    /// From the first word to the last.
    pub(super) async fn direct(mut self) -> Result<Timeline, Error> {
        self.wait_for_workers().await?;
        let client = self.client;
        let id = self.start().await?;
        let (sender, mut scenes) = mpsc::unbounded_channel();
        let play = stage::play(client, &id, sender);
        tokio::pin!(play);
        let mut kill_at: Option<(Instant, String)> = None;
        let phase = loop {
            let due = kill_at.clone();
            let kill = async {
                match &due {
                    Some((at, _)) => tokio::time::sleep_until(*at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some(scene) = scenes.recv() => {
                    if let Some(worker) = self.see(scene)? {
                        let at = Instant::now() + Duration::from_millis(MERCY_MS);
                        kill_at = Some((at, worker));
                    }
                }
                () = kill => {
                    if let Some((_, worker)) = kill_at.take() {
                        self.kill(&worker).await?;
                    }
                }
                ended = &mut play => break ended?,
            }
        };
        while let Ok(scene) = scenes.try_recv() {
            self.see(scene)?;
        }
        self.conclude(&id, phase).await
    }

    async fn wait_for_workers(&self) -> Result<(), Error> {
        let deadline = Instant::now() + Duration::from_millis(WORKERS_MS_MAX);
        loop {
            let workers = worker::list(self.client).await;
            let alive = |w: &&Worker| w.liveness() == Liveness::Alive;
            let count = workers.as_deref().unwrap_or_default().iter().filter(alive).count();
            if count >= usize::try_from(WORKERS).unwrap_or(usize::MAX) {
                return Ok(());
            }
            if Instant::now() > deadline {
                workers?;
                return Err(Error::input("the workers did not connect", "look at --log info"));
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }

    async fn start(&mut self) -> Result<String, Error> {
        let client = self.client;
        let source = Bytes::from_static(ORDER.as_bytes());
        let put = client.definitions().put_definition(call(PutDefinitionRequest { source })).await;
        let put = put.map_err(|status| client.refused("the order was not published", status))?;
        let definition = put.into_inner().definition.unwrap_or_default();
        let data = Bytes::from_static(INPUT.as_bytes());
        let start = WorkflowStart {
            definition: definition.reference,
            input: Some(Payload { content_type: String::new(), data }),
            idempotency_key: uuid::Uuid::now_v7().to_string(),
        };
        self.started_ms = clock::now_ms();
        let request = call(StartWorkflowRequest { start: Some(start) });
        let started = client.workflows().start_workflow(request).await;
        let started =
            started.map_err(|status| client.refused("the order did not start", status))?;
        Ok(started.into_inner().workflow_id)
    }

    /// Tells a scene; the worker that has begun the victim's task for the first time.
    fn see(&mut self, scene: Scene) -> Result<Option<String>, Error> {
        match scene {
            Scene::Order(message) => {
                for line in self.narrator.tell(&message) {
                    self.say(&line)?;
                }
                Ok(self.victim(&message))
            }
            Scene::Healing(healing) => {
                if let Some(line) = told(&healing) {
                    self.say(&line)?;
                }
                Ok(None)
            }
        }
    }

    fn victim(&self, message: &WatchWorkflowResponse) -> Option<String> {
        if self.kill.is_some() {
            return None;
        }
        let begun = message.attempts.iter().find(|attempt| attempt.task.ends_with(VICTIM))?;
        begun.execution.as_ref().map(|execution| execution.worker_id.clone())
    }

    /// Kills the worker as nothing else could: without a word.
    async fn kill(&mut self, worker_id: &str) -> Result<(), Error> {
        let workers = worker::list(self.client).await?;
        let Some(worker) = workers.iter().find(|worker| worker.id == worker_id) else {
            return Err(Error::input(format!("{worker_id} is not among the workers"), ""));
        };
        let facts = worker.facts.clone().unwrap_or_default();
        // On another machine, or in a container, the number would be somebody else's.
        let here = rustix::system::uname().nodename().to_string_lossy().into_owned();
        if facts.host != here {
            let text =
                format!("{worker_id} runs on {}, not on {here}: it cannot be killed", facts.host);
            return Err(Error::input(text, "`planaria demo` without --addr has a mesh of its own"));
        }
        let pid = facts.pid;
        let running = worker.attempts.len();
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let killed = process.map(|process| kill_process(process, Signal::KILL));
        let at_ms = clock::now_ms();
        if !matches!(killed, Some(Ok(()))) {
            return Err(Error::input(format!("{worker_id} (process {pid}) cannot be killed"), ""));
        }
        self.kill = Some(Kill { at_ms, worker: worker_id.to_owned(), pid });
        let text = format!("kill -9 {worker_id} (process {pid}), which runs {running} attempts");
        self.say(&Line { at_ms, style: Style::Bad, text })
    }

    fn say(&self, line: &Line) -> Result<(), Error> {
        let output = self.client.output;
        let Some(text) = shortened(&line.text).filter(|_| !output.is_json()) else {
            return Ok(());
        };
        let at_ms = if line.at_ms == 0 { clock::now_ms() } else { line.at_ms };
        let after = time::fine(at_ms.saturating_sub(self.started_ms));
        output.line(&format!(
            "  {} {}",
            output.paint(Style::Dim, &format!("{after:>8}")),
            output.paint(line.style, &text)
        ))
    }

    /// The end of the story, once every healing of the order is on record.
    async fn conclude(self, id: &str, phase: Phase) -> Result<Timeline, Error> {
        let deadline = Instant::now() + Duration::from_millis(RECORD_MS_MAX);
        loop {
            let healings = healing::list(self.client, id, "", HEALINGS_MAX).await?;
            let open = healings.iter().any(|healing| healing.healed_at.is_none());
            if (!healings.is_empty() && !open) || Instant::now() > deadline {
                let workflow = workflow::get(self.client, id).await?;
                let Self { kill, started_ms, .. } = self;
                return Ok(Timeline { workflow, phase, kill, started_ms, healings });
            }
            tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
        }
    }
}

/// A healing in a line, once it is healed: that something was lost is told by the order itself.
fn told(healing: &Healing) -> Option<Line> {
    let at = healing.healed_at.as_ref()?;
    let after = time::duration(healing.healed_after.as_ref());
    let what = healing::action(healing.action());
    let text = format!("healed: {} {what}, {after} after the first sign", healing.task);
    Some(Line { at_ms: time::millis(at), style: Style::Good, text })
}

/// The line with tasks by their names instead of their references; none if it is about the
/// workflow's outermost block, which is no task of the order.
fn shortened(text: &str) -> Option<String> {
    let short = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
    let mut words = Vec::new();
    for word in text.split(' ') {
        match word {
            "/do" => return None,
            word if word.starts_with("/do/") => words.push(short(word)),
            word => words.push(word.to_owned()),
        }
    }
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_of_the_order_go_by_their_names() {
        let text = "/do/1/prepare/fork/branches/0/charge runs on worker-1, attempt 1";
        assert_eq!(shortened(text).unwrap(), "charge runs on worker-1, attempt 1");
        assert_eq!(shortened("/do started"), None);
        assert_eq!(shortened("kill -9 worker-1").unwrap(), "kill -9 worker-1");
    }
}
