//! The end of the story: what was killed, how that was known, what was done, how long it took.

use planaria_proto::types::v1::{Healing, HealingAction, Phase};
use planaria_proto::workflow::v1::Workflow;

use crate::Error;
use crate::client::story;
use crate::output::document::Document;
use crate::output::message::Mapping;
use crate::output::style::Style;
use crate::output::{Output, time};

/// The worker that was killed.
#[derive(Debug, Clone)]
pub(super) struct Kill {
    pub(super) at_ms: u64,
    pub(super) worker: String,
    pub(super) pid: u32,
}

/// Everything there is to tell at the end.
pub(super) struct Timeline {
    pub(super) workflow: Workflow,
    pub(super) phase: Phase,
    pub(super) kill: Option<Kill>,
    pub(super) started_ms: u64,
    pub(super) healings: Vec<Healing>,
}

/// A moment of the healing.
struct Moment {
    at_ms: u64,
    style: Style,
    label: &'static str,
    text: String,
}

impl Timeline {
    /// The order completed, and what the killed worker had is on record as run again elsewhere.
    pub(super) fn is_healed(&self) -> bool {
        self.phase == Phase::Completed && !self.of_the_kill().is_empty()
    }

    fn of_the_kill(&self) -> Vec<&Healing> {
        let Some(kill) = &self.kill else { return Vec::new() };
        let healed = |healing: &&Healing| {
            healing.lost_worker == kill.worker
                && healing.action() == HealingAction::Rerun
                && healing.healed_at.is_some()
        };
        self.healings.iter().filter(healed).collect()
    }

    fn moments(&self) -> Vec<Moment> {
        let Some(kill) = &self.kill else { return Vec::new() };
        let text = format!("{}, process {}", kill.worker, kill.pid);
        let mut moments =
            vec![Moment { at_ms: kill.at_ms, style: Style::Bad, label: "killed", text }];
        let healings = self.of_the_kill();
        if let Some(first) =
            healings.iter().filter_map(|h| h.detected_at.as_ref()).min_by_key(|t| time::millis(t))
        {
            let signal = healings.first().map_or("", |healing| story::signal(healing.signal()));
            moments.push(Moment {
                at_ms: time::millis(first),
                style: Style::Warm,
                label: "detected",
                text: signal.to_owned(),
            });
        }
        for healing in &healings {
            let Some(at) = &healing.healed_at else { continue };
            let task = name(&healing.task);
            let (attempt, worker) = (healing.new_attempt, &healing.new_worker);
            moments.push(Moment {
                at_ms: time::millis(at),
                style: Style::Good,
                label: "running again",
                text: format!("{task} on {worker}, attempt {attempt}"),
            });
            let run = self.workflow.tasks.iter().rev().find(|run| run.reference == healing.task);
            if let Some(ended) = run.and_then(|run| run.ended_at.as_ref()) {
                let (style, label) = (Style::Good, "completed");
                let text = task.to_owned();
                moments.push(Moment { at_ms: time::millis(ended), style, label, text });
            }
        }
        if let Some(ended) = &self.workflow.ended_at {
            let (at_ms, style) = (time::millis(ended), Style::of_phase(self.phase));
            let text = "the order".to_owned();
            moments.push(Moment { at_ms, style, label: "ended", text });
        }
        moments.sort_by_key(|moment| moment.at_ms);
        moments
    }

    /// For people.
    pub(super) fn show(&self, output: Output) -> Result<(), Error> {
        output.line("")?;
        let Some(kill) = &self.kill else {
            return output.line("  No worker was killed: the order ended before.");
        };
        output.line(&format!("  {}", output.paint(Style::Strong, "The healing")))?;
        output.line("")?;
        for Moment { at_ms, style, label, text } in self.moments() {
            let after = format!("{:>9}", time::fine(at_ms.saturating_sub(kill.at_ms)));
            let label = output.paint(style, &format!("{label:<14}"));
            output.line(&format!("  {}  {label} {text}", output.paint(Style::Dim, &after)))?;
        }
        output.line("")?;
        output.line(&format!("  {}", self.verdict(output)))
    }

    fn verdict(&self, output: Output) -> String {
        if !self.is_healed() {
            let text = "Something did not heal: the order or its healing is incomplete.";
            return output.paint(Style::Bad, text);
        }
        let slowest = self.latencies_ms().1;
        let lost = self.of_the_kill().len();
        let tasks = if lost == 1 { "task was" } else { "tasks were" };
        output.paint(
            Style::Good,
            &format!(
                "{lost} {tasks} running again {} after the kill; the order completed.",
                time::fine(slowest)
            ),
        )
    }

    /// Milliseconds from the kill to the first detection and to the last healing.
    fn latencies_ms(&self) -> (u64, u64) {
        let killed_ms = self.kill.as_ref().map_or(0, |kill| kill.at_ms);
        let healings = self.of_the_kill();
        let detected = healings.iter().filter_map(|h| h.detected_at.as_ref()).map(time::millis);
        let healed = healings.iter().filter_map(|h| h.healed_at.as_ref()).map(time::millis);
        let after = |at_ms: u64| at_ms.saturating_sub(killed_ms);
        (after(detected.min().unwrap_or(killed_ms)), after(healed.max().unwrap_or(killed_ms)))
    }

    /// For programs.
    pub(super) fn document(&self) -> Result<Document, Error> {
        let mapping = Mapping::new()?;
        let mut workflow = mapping.document(&self.workflow)?;
        let (detected_ms, healed_ms) = self.latencies_ms();
        let killed = match &self.kill {
            None => Document::Null,
            Some(kill) => Document::object([
                ("worker", kill.worker.as_str().into()),
                ("pid", u64::from(kill.pid).into()),
                ("afterMs", kill.at_ms.saturating_sub(self.started_ms).into()),
            ]),
        };
        Ok(Document::object([
            ("id", workflow.take("id")),
            ("status", workflow.take("status")),
            ("healed", self.is_healed().into()),
            ("killed", killed),
            ("detectedAfterMs", detected_ms.into()),
            ("runningAgainAfterMs", healed_ms.into()),
            ("healings", mapping.list(&self.healings)?),
        ]))
    }
}

/// The last segment of a reference.
fn name(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}
