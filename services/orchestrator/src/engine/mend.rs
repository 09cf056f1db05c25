//! Mending: the rows of what a workflow has open are written anew from its history.
//!
//! What is right stays as it is, attempts that run among it; only what contradicts the history is
//! given up and begins anew, under a number that no worker can hold.

use planaria_kernel::repair::books::{Difference, Row, due};
use planaria_kernel::workflow::FrameId;
use planaria_proto::types::v1::HealingAction;
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::Engine;
use super::audit::book_of;
use super::entry::{Entry, Mending};
use super::finish::Changed;
use super::telling::About;
use crate::store::{PhaseChange, StepWrite, TaskKey, TaskRow, TaskState, TimerKey, Write};

/// Differences that are named to people.
const NAMED_MAX: usize = 3;

impl Engine {
    /// Writes the rows of a workflow anew.
    pub(super) fn mend(&mut self, entry: &mut Entry, id: Uuid, mending: Mending) {
        if entry.uncommitted > 0 || entry.workflow.seq != mending.seq {
            // It went on meanwhile, and is looked at again.
            return;
        }
        let frame = mending.differences.iter().find_map(|found| match found {
            Difference::Missing(Row::Task(frame)) | Difference::Wrong(Row::Task(frame)) => {
                Some(*frame)
            }
            _ => None,
        });
        let about = match frame {
            Some(frame) => About::task(id, entry, frame),
            None => About::entry(id, entry),
        };
        let namespace = entry.definition.key.namespace.clone();
        let told = (now_ms(), said(&mending.differences));
        self.record_repair(&about, &namespace, HealingAction::Rebuilt, told);
        self.mend_tasks(entry, id, &mending);
        let books = due(&entry.workflow);
        self.timers.forget(id);
        entry.timers.clone_from(&books.timers);
        let horizon_ms = now_ms() + self.parts.config.timer_horizon_ms;
        for (&(frame, timer), &due_ms) in books.timers.iter().filter(|(_, due)| **due <= horizon_ms)
        {
            self.timers.arm(TimerKey { task: TaskKey { workflow: id, frame }, timer }, due_ms);
        }
        self.listeners.retain(|key, _| key.workflow != id);
        entry.listeners = books.listeners.keys().copied().collect();
        for (&frame, kind) in &books.listeners {
            self.listeners.insert(TaskKey { workflow: id, frame }, kind.to_string());
        }
        let listeners = books.listeners.into_iter();
        let listeners = listeners.map(|(frame, kind)| (frame, Some(kind.to_string()))).collect();
        let phase = entry.phase();
        entry.shown = phase;
        let step = StepWrite {
            workflow: id,
            created: None,
            phase: Some(PhaseChange {
                phase,
                ended_at_ms: mending.ended_at_ms,
                fault: mending.fault,
                started_at_ms: Some(entry.workflow.started_at_ms),
            }),
            record: None,
            cleared: true,
            tasks: entry.tasks.iter().map(|(frame, row)| (*frame, Some(row.clone()))).collect(),
            timers: books.timers.into_iter().map(|(key, due_ms)| (key, Some(due_ms))).collect(),
            listeners,
            healings: Vec::new(),
        };
        entry.uncommitted += 1;
        self.gathering.steps.push(id);
        self.gathering.writes.push(Write::Step(Box::new(step)));
    }

    /// Makes the tasks in memory those of the history.
    fn mend_tasks(&mut self, entry: &mut Entry, id: Uuid, mending: &Mending) {
        // The rows go all together: which of them changed does not count.
        let mut changed = Changed::default();
        let due = due(&entry.workflow).tasks;
        let stray: Vec<FrameId> =
            entry.tasks.keys().filter(|frame| !due.contains_key(frame)).copied().collect();
        for frame in stray {
            self.abandon(entry, frame, &mut changed);
            self.take_away(TaskKey { workflow: id, frame });
        }
        for (frame, book) in due {
            // One more than any that may have been handed out.
            let known = entry.tasks.get(&frame).map_or(0, |row| row.attempt);
            let stored = mending.attempts.get(&frame).copied().unwrap_or(0);
            let attempt = known.max(stored).max(book.attempt) + 1;
            let Some(row) = entry.tasks.get(&frame) else {
                self.take_away(TaskKey { workflow: id, frame });
                self.schedule(entry, id, frame, attempt, &mut changed);
                continue;
            };
            let has = book_of(&entry.workflow, row);
            if !has.has_attempt(&entry.workflow, frame, book.attempt) {
                self.abandon(entry, frame, &mut changed);
                self.take_away(TaskKey { workflow: id, frame });
                self.schedule(entry, id, frame, attempt, &mut changed);
            } else if !has.is_declared {
                self.declare(entry, TaskKey { workflow: id, frame });
            }
        }
    }

    /// Nobody has a task, whatever its row said.
    fn take_away(&mut self, key: TaskKey) {
        self.routes.forget(key);
        self.retrying.remove(&key);
        self.release_everywhere(key);
    }

    /// Puts what the definition says into a row; who has the task keeps it.
    fn declare(&mut self, entry: &mut Entry, key: TaskKey) {
        let Some(old) = entry.tasks.get(&key.frame).cloned() else { return };
        let Some(new) = self.new_row(entry, key, old.attempt) else { return };
        let is_queued = old.state == TaskState::Queued;
        if is_queued {
            self.routes.forget(key);
        }
        let row = TaskRow {
            queue: new.queue,
            function: new.function,
            version: new.version,
            labels: new.labels,
            priority: new.priority,
            destination: new.destination,
            limit_values: new.limit_values,
            ..old
        };
        entry.tasks.insert(key.frame, row);
        if is_queued && entry.workflow.phase == planaria_kernel::workflow::Phase::Running {
            self.place(entry, key.frame, None);
        }
    }
}

/// What was wrong, for people.
fn said(differences: &[Difference]) -> String {
    let row = |row: &Row| match row {
        Row::Task(frame) => format!("task {}", frame.0),
        Row::Timer(frame, _) => format!("a timer of task {}", frame.0),
        Row::Listener(frame) => format!("the listener of task {}", frame.0),
    };
    let one = |difference: &Difference| match difference {
        Difference::Missing(of) => format!("the row of {} was missing", row(of)),
        Difference::Stray(of) => format!("there was a row of {}, which is not open", row(of)),
        Difference::Wrong(of) => format!("the row of {} was wrong", row(of)),
        Difference::Ahead(frame) => format!("there was a row of task {}, never entered", frame.0),
    };
    let mut said: Vec<String> = differences.iter().take(NAMED_MAX).map(one).collect();
    if said.is_empty() {
        said.push("the workflow's own row was wrong".to_owned());
    }
    let more = differences.len().saturating_sub(NAMED_MAX);
    if more > 0 {
        said.push(format!("and {more} more"));
    }
    format!("{}: written anew from the history", said.join(", "))
}
