//! The books: the rows that a store keeps of what a workflow has open, held against its history.
//!
//! The history is right. [`compare`] names every row that it contradicts; what the history does not
//! tell (which worker has an attempt, whether a failed one was decided about) is not judged here.
//! Rows that know of more than the history does are no error of the rows: then the history has lost
//! something, and nobody may build on it ([`Difference::Ahead`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::definition::Kind;
use crate::workflow::{Effect, Frame, FrameId, FrameState, Timer, Workflow};

/// What a store has of a workflow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Function tasks.
    pub tasks: BTreeMap<FrameId, TaskBook>,
    /// Timers, and when they are due in Unix milliseconds.
    pub timers: BTreeMap<(FrameId, Timer), u64>,
    /// Listen tasks, and the type that they listen to; empty is any.
    pub listeners: BTreeMap<FrameId, Arc<str>>,
}

/// What a store has of a function task, as far as the history has a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskBook {
    /// It waits for a decision about a failed attempt.
    pub waits_for_retry: bool,
    /// The attempt that runs, or the next one, or the one that failed.
    pub attempt: u32,
    /// Function, queue and the like are those that the definition declares.
    pub is_declared: bool,
}

impl TaskBook {
    /// Whether the attempt can be, if `next` is the lowest that is right: numbers rise, and only
    /// what failed waits for a retry.
    #[must_use]
    pub fn has_attempt(&self, workflow: &Workflow, id: FrameId, next: u32) -> bool {
        if !self.waits_for_retry {
            return self.attempt >= next;
        }
        let Some(frame) = workflow.frames.get(&id) else { return false };
        frame.last_error.is_some() && self.attempt == frame.attempts
    }
}

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// Of a function task.
    Task(FrameId),
    /// Of a timer.
    Timer(FrameId, Timer),
    /// Of a listen task.
    Listener(FrameId),
}

/// Where the books and the history differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// What is open has no row.
    Missing(Row),
    /// The row is of nothing that is open.
    Stray(Row),
    /// The row says something else.
    Wrong(Row),
    /// The row is of a frame that the history has never entered: the history's end is missing.
    Ahead(FrameId),
}

impl Difference {
    /// Whether it speaks against the history, not against the row.
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        matches!(self, Self::Ahead(_))
    }
}

/// The rows that a workflow should have. Attempts are the lowest that are right.
#[must_use]
pub fn due(workflow: &Workflow) -> Books {
    let mut books = Books::default();
    for effect in workflow.standing_effects() {
        match effect {
            Effect::Schedule { frame, attempt, .. } => {
                let task = TaskBook { waits_for_retry: false, attempt, is_declared: true };
                books.tasks.insert(frame, task);
            }
            Effect::Arm { frame, timer, due_ms } => {
                books.timers.insert((frame, timer), due_ms);
            }
            _ => {}
        }
    }
    if !workflow.phase.is_over() {
        books.listeners = workflow.frames.iter().filter_map(|of| listener(workflow, of)).collect();
    }
    books
}

fn listener(workflow: &Workflow, (&id, frame): (&FrameId, &Frame)) -> Option<(FrameId, Arc<str>)> {
    if frame.state != FrameState::Listen {
        return None;
    }
    let kind = match &workflow.graph.node(frame.node).kind {
        Kind::Listen { event_type, .. } => event_type.clone(),
        _ => None,
    };
    Some((id, kind.unwrap_or_else(|| "".into())))
}

/// Where the books differ from what the workflow's history says, in the order of rows.
#[must_use]
pub fn compare(workflow: &Workflow, books: &Books) -> Vec<Difference> {
    let due = due(workflow);
    let mut found = Vec::new();
    let is_right = |frame: FrameId, has: &TaskBook, due: &TaskBook| {
        has.is_declared && has.has_attempt(workflow, frame, due.attempt)
    };
    let task = |&frame: &FrameId| (Row::Task(frame), frame);
    differ((&due.tasks, &books.tasks), task, is_right, &mut found);
    let timer = |&(frame, timer): &(FrameId, Timer)| (Row::Timer(frame, timer), frame);
    differ((&due.timers, &books.timers), timer, |_, has, due| has == due, &mut found);
    let listener = |&frame: &FrameId| (Row::Listener(frame), frame);
    differ((&due.listeners, &books.listeners), listener, |_, has, due| has == due, &mut found);
    for difference in &mut found {
        if let Difference::Stray(Row::Task(id) | Row::Timer(id, _) | Row::Listener(id)) = difference
            && id.0 > workflow.last_frame
        {
            *difference = Difference::Ahead(*id);
        }
    }
    found
}

fn differ<K: Copy + Ord, V>(
    (due, has): (&BTreeMap<K, V>, &BTreeMap<K, V>),
    row: impl Fn(&K) -> (Row, FrameId),
    is_right: impl Fn(FrameId, &V, &V) -> bool,
    found: &mut Vec<Difference>,
) {
    for (key, due) in due {
        let (row, frame) = row(key);
        match has.get(key) {
            None => found.push(Difference::Missing(row)),
            Some(has) if !is_right(frame, has, due) => found.push(Difference::Wrong(row)),
            Some(_) => {}
        }
    }
    let stray = has.keys().filter(|key| !due.contains_key(key));
    found.extend(stray.map(|key| Difference::Stray(row(key).0)));
}
