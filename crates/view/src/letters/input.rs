//! What a task was given, as the history of its workflow tells it.

use std::collections::HashMap;

use planaria_proto::workflow::v1::HistoryEvent;
use planaria_proto::workflow::v1::history_event::Event;

/// A document.
type Document = Vec<u8>;

/// The documents that flow, while a history is read.
#[derive(Debug, Default)]
struct Flowing {
    workflow: Document,
    /// What each open frame was given, before it transformed it.
    raw: HashMap<u32, Document>,
    /// What its next child is given.
    next: HashMap<u32, Document>,
    /// The enclosing frame, and whether that gives each of its children the same.
    parents: HashMap<u32, (u32, bool)>,
    /// The frame of the last run of each task.
    frames: HashMap<String, u32>,
    /// What somebody gave a task that runs again.
    given: HashMap<String, Document>,
}

/// The raw input of the last run of a task: what its own expressions read. Nothing where the
/// history does not tell it; it must be whole, and in order.
#[must_use]
pub fn raw_input(history: &[HistoryEvent], task: &str) -> Option<Vec<u8>> {
    let flowing = read(history);
    let frame = flowing.frames.get(task)?;
    flowing.raw.get(frame).cloned()
}

fn read(history: &[HistoryEvent]) -> Flowing {
    let mut flowing = Flowing::default();
    for (index, fact) in history.iter().enumerate() {
        let Some(event) = &fact.event else { continue };
        if let Event::WorkflowRerun(rerun) = event {
            // Everything is as it was before that event, and goes on from there.
            let until = history.iter().take(index).position(|it| it.seq >= rerun.from_seq);
            flowing = read(history.get(..until.unwrap_or(index)).unwrap_or_default());
            if let Some(input) = &rerun.input {
                flowing.given.insert(rerun.task.clone(), input.to_vec());
            }
            continue;
        }
        flowing.tell(event);
    }
    flowing
}

impl Flowing {
    fn tell(&mut self, event: &Event) {
        match event {
            Event::WorkflowStarted(started) => self.workflow = started.input.to_vec(),
            Event::TaskStarted(started) => {
                let given = self.given.remove(&started.task);
                let raw = given.or_else(|| self.raw.get(&started.frame).cloned());
                let raw = raw.unwrap_or_else(|| {
                    self.next.get(&started.parent).unwrap_or(&self.workflow).clone()
                });
                let input = started.input.as_ref().map_or_else(|| raw.clone(), |it| it.to_vec());
                self.raw.insert(started.frame, raw);
                self.next.insert(started.frame, input);
                let forks = started.task.contains("/fork/branches/") && {
                    let parts: Vec<_> = started.task.rsplit('/').collect();
                    parts.get(2) == Some(&"branches")
                };
                self.parents.insert(started.frame, (started.parent, forks));
                self.frames.insert(started.task.clone(), started.frame);
            }
            Event::TaskCompleted(completed) => {
                let raw = self.raw.get(&completed.frame);
                let output = completed.output.as_ref().map(|it| it.to_vec()).or(raw.cloned());
                if let (Some(output), Some((parent, false))) =
                    (output, self.parents.get(&completed.frame))
                {
                    self.next.insert(*parent, output);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use planaria_proto::workflow::v1::{
        TaskCompleted, TaskStarted, WorkflowRerun, WorkflowStarted,
    };

    use super::*;

    fn history(events: Vec<Event>) -> Vec<HistoryEvent> {
        let facts = events.into_iter().zip(1..);
        facts.map(|(event, seq)| HistoryEvent { seq, at: None, event: Some(event) }).collect()
    }

    fn workflow(input: &'static str) -> Event {
        Event::WorkflowStarted(WorkflowStarted { input: input.into(), ..Default::default() })
    }

    fn started(frame: u32, task: &str, parent: u32, input: Option<&'static str>) -> Event {
        let input = input.map(Into::into);
        Event::TaskStarted(TaskStarted {
            frame,
            task: task.into(),
            parent,
            input,
            ..Default::default()
        })
    }

    fn completed(frame: u32, output: Option<&'static str>) -> Event {
        let output = output.map(Into::into);
        Event::TaskCompleted(TaskCompleted { frame, output, ..Default::default() })
    }

    fn text(history: &[HistoryEvent], task: &str) -> Option<String> {
        raw_input(history, task).map(|it| String::from_utf8_lossy(&it).into_owned())
    }

    #[test]
    fn what_one_task_puts_out_is_what_the_next_is_given() {
        let history = history(vec![
            workflow("1"),
            started(1, "/do", 0, None),
            started(2, "/do/0/a", 1, None),
            completed(2, Some("2")),
            started(3, "/do/1/b", 1, Some("3")),
            completed(3, None),
            started(4, "/do/2/c", 1, None),
        ]);
        assert_eq!(text(&history, "/do/0/a").as_deref(), Some("1"));
        // Unchanged is the raw input, not the transformed one.
        assert_eq!(text(&history, "/do/2/c").as_deref(), Some("2"));
        assert_eq!(text(&history, "/do/9/z"), None);
    }

    #[test]
    fn branches_are_given_the_same() {
        let history = history(vec![
            workflow("1"),
            started(1, "/do", 0, None),
            started(2, "/do/0/f", 1, None),
            started(3, "/do/0/f/fork/branches/0/a", 2, None),
            completed(3, Some("9")),
            started(4, "/do/0/f/fork/branches/1/b", 2, None),
        ]);
        assert_eq!(text(&history, "/do/0/f/fork/branches/1/b").as_deref(), Some("1"));
    }

    #[test]
    fn what_somebody_gave_a_task_that_runs_again_counts() {
        let mut events =
            vec![workflow("1"), started(1, "/do", 0, None), started(2, "/do/0/a", 1, None)];
        let rerun = WorkflowRerun {
            from_seq: 3,
            task: "/do/0/a".into(),
            input: Some("7".into()),
            ..Default::default()
        };
        events.push(Event::WorkflowRerun(rerun));
        events.push(started(9, "/do/0/a", 1, None));
        assert_eq!(text(&history(events), "/do/0/a").as_deref(), Some("7"));
    }
}
