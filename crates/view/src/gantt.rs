//! Who did what when: a row for each run of a task, a bar for each attempt.

use crate::document::{is_body, name_of};
use crate::names;
use crate::story::{Outcome, Run, State, Story, heals};
use crate::words::span;

/// What a bar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// The time from a task's begin to its end.
    Span,
    /// It runs.
    Running,
    /// It yielded the output.
    Completed,
    /// It failed.
    Failed,
    /// It was lost.
    Lost,
    /// Nobody waits for it any more.
    Abandoned,
    /// From a loss to when it ran again.
    Gap,
}

impl Look {
    /// In a word, also the class of the bar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Abandoned => "abandoned",
            Self::Gap => "gap",
        }
    }
}

/// A stretch of time in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is.
    pub look: Look,
    /// Where it begins.
    pub from_ms: i64,
    /// Where it ends; nothing while it grows.
    pub until_ms: Option<i64>,
    /// On it.
    pub label: String,
    /// All about it, in words.
    pub words: String,
}

/// A run of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Unique in the workflow.
    pub frame: u32,
    /// JSON pointer of the task.
    pub task: String,
    /// Its name, with the number of the iteration where there are several.
    pub name: String,
    /// How many tasks are around it.
    pub depth: usize,
    /// How it is.
    pub state: State,
    /// What a rerun went back behind.
    pub left_behind: bool,
    /// In the order of time.
    pub bars: Vec<Bar>,
    /// How it was healed, or what went wrong, in words.
    pub words: Vec<String>,
    /// Whether the words tell of a healing.
    pub healed: bool,
}

/// The rows of a story.
#[must_use]
pub fn rows(story: &Story) -> Vec<Row> {
    let runs = story.runs.iter().filter(|run| run.frame != 0 && !is_body(&run.task));
    runs.map(|run| row(story, run)).collect()
}

/// From when to when there is something to draw; `now_ms` counts while the workflow is not over.
#[must_use]
pub fn window(story: &Story, now_ms: Option<i64>) -> (i64, i64) {
    let from = story.started_ms.unwrap_or(story.last_ms);
    let last = if names::is_over(story.phase) { None } else { now_ms };
    (from, last.unwrap_or(story.last_ms).max(story.last_ms).max(from + 1))
}

/// Round moments of a stretch that takes so long, at most eight of them.
#[must_use]
pub fn ticks(long_ms: i64) -> Vec<i64> {
    const STEPS: [i64; 20] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000,
        900_000, 3_600_000, 21_600_000, 86_400_000,
    ];
    let wide = STEPS.into_iter().find(|step| long_ms / step <= 7);
    let step = wide.unwrap_or_else(|| (long_ms / 7 / 86_400_000 + 1) * 86_400_000);
    (0..=long_ms / step).map(|index| index * step).collect()
}

fn row(story: &Story, run: &Run) -> Row {
    let several = parent_repeats(story, run);
    let name = name_of(&run.task);
    let heals = heals(run);
    let mut bars = Vec::new();
    if run.attempts.is_empty() {
        bars.push(Bar {
            look: if run.state == State::Faulted { Look::Failed } else { Look::Span },
            from_ms: run.started_ms,
            until_ms: run.ended_ms,
            label: String::new(),
            words: format!("{} {}", run.state.name(), lasted(run.started_ms, run.ended_ms)),
        });
    }
    for attempt in &run.attempts {
        let (look, how) = match &attempt.outcome {
            Outcome::Running => (Look::Running, "runs".to_owned()),
            Outcome::Completed => (Look::Completed, "completed".to_owned()),
            Outcome::Failed { error, .. } => (Look::Failed, format!("failed: {error}")),
            Outcome::Lost { signal, .. } => {
                (Look::Lost, format!("lost: {}", names::signal(*signal)))
            }
            Outcome::Abandoned => (Look::Abandoned, "abandoned".to_owned()),
        };
        // A lost attempt ended with the first sign of it; what comes then is the gap.
        let ended = match &attempt.outcome {
            Outcome::Lost { signal_ms, .. } => Some((*signal_ms).max(attempt.started_ms)),
            _ => attempt.ended_ms,
        };
        let lasted = lasted(attempt.started_ms, ended);
        bars.push(Bar {
            look,
            from_ms: attempt.started_ms,
            until_ms: ended,
            label: attempt.worker.clone(),
            words: format!("attempt {} on {} {how} {lasted}", attempt.number, attempt.worker),
        });
    }
    for heal in &heals {
        let until_ms = heal.until_ms.or(run.ended_ms);
        let words = heal.words.clone();
        let (look, from_ms) = (Look::Gap, heal.from_ms);
        bars.push(Bar { look, from_ms, until_ms, label: String::new(), words });
    }
    bars.sort_by_key(|bar| bar.from_ms);
    let healed = !heals.is_empty();
    let mut words: Vec<String> = heals.into_iter().map(|heal| heal.words).collect();
    if let (true, Some(error)) = (words.is_empty(), &run.error) {
        words.push(crate::letters::error(Some(error)));
    }
    if let Some(reason) = &run.skipped_because {
        words.push(format!("skipped by hand: {reason}"));
    }
    Row {
        frame: run.frame,
        name: if several { format!("{name} #{}", several_number(story, run) + 1) } else { name },
        task: run.task.clone(),
        depth: story.depth(run),
        state: run.state,
        left_behind: run.left_behind,
        bars,
        words,
        healed,
    }
}

fn lasted(from_ms: i64, until_ms: Option<i64>) -> String {
    until_ms.map_or_else(String::new, |until| {
        format!("after {}", span((until - from_ms).max(0) as f64))
    })
}

/// The iteration of the body around it, or its own.
fn several_number(story: &Story, run: &Run) -> u32 {
    story.run(run.parent).filter(|body| is_body(&body.task)).map_or(0, |body| body.iteration)
}

/// Whether it is in a body that ran more than once.
fn parent_repeats(story: &Story, run: &Run) -> bool {
    let Some(body) = story.run(run.parent).filter(|body| is_body(&body.task)) else { return false };
    let around = story.run(body.parent);
    body.iteration > 0 || around.is_some_and(|around| around.items.is_some_and(|count| count > 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(5_630), [0, 1000, 2000, 3000, 4000, 5000]);
        assert_eq!(ticks(1), [0, 1]);
        assert_eq!(ticks(700_000), [0, 300_000, 600_000]);
        for long in [3, 99, 12_345, 777_777, 5_000_000_000, 4_000_000_000_000] {
            let ticks = ticks(long);
            assert!((2..=8).contains(&ticks.len()), "{long}: {}", ticks.len());
        }
    }
}
