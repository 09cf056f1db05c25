//! What is known of the workflow: its history, and what follows from it.

use std::collections::HashMap;
use std::sync::Arc;

use leptos::prelude::*;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::watch_workflow_response::AttemptStarted;
use planaria_proto::workflow::v1::{
    GetDefinitionRequest, GetHistoryRequest, GetWorkflowRequest, HistoryEvent, Workflow as Whole,
};
use planaria_view::document::Document;
use planaria_view::graph::Graph;
use planaria_view::names;
use planaria_view::story::{Line, Story, TaskState};
use tonic::Status;

use crate::mesh::{self, Again, Failure, Loaded};

/// Events that are asked for at once.
const PAGE: u32 = 10_000;
/// Events of a longer history are shown before all of it is read.
const TOGETHER: usize = 50_000;

/// The definition: its text, its tasks and their drawing. A text that cannot be read is shown
/// without them, with the reason.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) text: String,
    pub(super) drawn: Result<(Document, Graph), String>,
}

/// All that the page knows; copied to its parts.
#[derive(Clone, Copy)]
pub(super) struct Flow {
    pub(super) id: Memo<String>,
    /// As the mesh tells it: what the history does not have, e.g. what it waits for.
    pub(super) whole: RwSignal<Loaded<Whole>>,
    pub(super) plan: RwSignal<Loaded<Arc<Plan>>>,
    events: StoredValue<Vec<HistoryEvent>>,
    lines: StoredValue<Vec<Line>>,
    live: RwSignal<Story>,
    past: RwSignal<Option<Story>>,
    /// Events that are known.
    pub(super) count: RwSignal<usize>,
    /// Whether the whole history was read once.
    pub(super) read: RwSignal<bool>,
    /// So many events are shown; nothing: all of them, and what comes.
    at: RwSignal<Option<usize>>,
    /// Attempts that were lost, as far as known: the healings are asked for again.
    pub(super) losses: RwSignal<usize>,
    /// The workflow is asked for again.
    pub(super) again: Again,
    /// Somebody had it go on: it is followed again.
    pub(super) round: RwSignal<u32>,
}

impl Flow {
    pub(super) fn new(id: Memo<String>, again: Again) -> Self {
        Self {
            id,
            whole: RwSignal::new(Loaded::Loading),
            plan: RwSignal::new(Loaded::Loading),
            events: StoredValue::new(Vec::new()),
            lines: StoredValue::new(Vec::new()),
            live: RwSignal::new(Story::default()),
            past: RwSignal::new(None),
            count: RwSignal::new(0),
            read: RwSignal::new(false),
            at: RwSignal::new(None),
            losses: RwSignal::new(0),
            again,
            round: RwSignal::new(0),
        }
    }

    /// Another workflow is shown in the same place.
    pub(super) fn forget(&self) {
        self.whole.set(Loaded::Loading);
        self.plan.set(Loaded::Loading);
        self.events.set_value(Vec::new());
        self.lines.set_value(Vec::new());
        self.live.set(Story::default());
        self.past.set(None);
        self.count.set(0);
        self.read.set(false);
        self.at.set(None);
        self.losses.set(0);
    }

    pub(super) fn fetch(&self) {
        let request = GetWorkflowRequest { workflow_id: self.id.get_untracked() };
        let call = async move { mesh::workflows().get_workflow(request).await };
        Loaded::fetch(self.whole, call, |answer| answer.workflow.unwrap_or_default());
    }

    pub(super) fn fetch_plan(&self, reference: planaria_proto::types::v1::DefinitionReference) {
        let request = GetDefinitionRequest { reference: Some(reference) };
        let call = async move { mesh::definitions().get_definition(request).await };
        Loaded::fetch(self.plan, call, |answer| {
            let source = answer.definition.unwrap_or_default().source;
            let drawn = Document::read(&source).map(|document| {
                let graph = Graph::new(&document);
                (document, graph)
            });
            Arc::new(Plan { text: String::from_utf8_lossy(&source).into_owned(), drawn })
        });
    }

    /// Reads the history behind what is known of it. The answer is the last event's number.
    pub(super) async fn catch_up(self) -> Result<u64, Status> {
        let workflow_id = self.id.get_untracked();
        let mut known = self.seq().ok_or_else(gone)?;
        // Told together: each time that something is told, all that is shown is computed anew.
        let mut new = Vec::new();
        loop {
            let after_seq = new.last().map_or(known, |event: &HistoryEvent| event.seq);
            let workflow_id = workflow_id.clone();
            let request = GetHistoryRequest { workflow_id, after_seq, page_size: PAGE };
            let answer = mesh::workflows().get_history(request).await?.into_inner();
            if self.seq() != Some(known) {
                return Err(gone());
            }
            new.extend(answer.events);
            if answer.more && new.len() < TOGETHER {
                continue;
            }
            self.take(std::mem::take(&mut new), &[]);
            known = self.seq().ok_or_else(gone)?;
            if !answer.more {
                self.read.try_set(true);
                return Ok(known);
            }
        }
    }

    /// Whether the history knows more than what the mesh told of the whole.
    pub(super) fn is_ahead(&self) -> bool {
        let known = self.seq().unwrap_or_default();
        self.whole.with_untracked(|whole| match whole {
            Loaded::Ready(whole) => whole.history_length < known,
            _ => true,
        })
    }

    fn seq(&self) -> Option<u64> {
        self.events.try_with_value(|events| events.last().map_or(0, |event| event.seq))
    }

    /// What happened.
    pub(super) fn take(&self, new: Vec<HistoryEvent>, attempts: &[AttemptStarted]) {
        let lost = |event: &&HistoryEvent| matches!(event.event, Some(Event::AttemptLost(_)));
        let losses = new.iter().filter(lost).count();
        let taken = self.events.try_update_value(|events| {
            let from = events.len();
            let last = events.last().map_or(0, |event| event.seq);
            events.extend(new.into_iter().filter(|event| event.seq > last));
            self.live.update(|story| {
                self.lines.update_value(|lines| {
                    for index in from..events.len() {
                        story.go_on(&events[..index], &events[index]);
                        lines.extend(Line::of(&events[index], story));
                    }
                });
                for attempt in attempts {
                    story.attempt_started(attempt);
                }
            });
            events.len()
        });
        if let Some(count) = taken {
            self.count.set(count);
            if losses > 0 || attempts.iter().any(|it| it.execution.is_some()) {
                self.losses.update(|known| *known += losses.max(1));
            }
        }
    }

    /// Shows it as it was after so many events; all, and what comes, if nothing.
    pub(super) fn look_at(&self, at: Option<usize>) {
        if self.at.get_untracked() == at {
            return;
        }
        self.at.set(at);
        let past = at.map(|count| self.events.with_value(|all| Story::after(all, count)));
        self.past.set(past);
    }

    pub(super) fn at(&self) -> Option<usize> {
        self.at.get()
    }

    /// The story that is shown.
    pub(super) fn with<T>(&self, read: impl FnOnce(&Story) -> T) -> T {
        self.past.with(|past| match past {
            Some(past) => read(past),
            None => self.live.with(read),
        })
    }

    /// The phase as it is now, whatever is shown.
    pub(super) fn phase_now(&self) -> Phase {
        let told = self.whole.with(|whole| match whole {
            Loaded::Ready(whole) => whole.phase(),
            _ => Phase::Unspecified,
        });
        // The history is faster where it ends or goes on; it does not know that nothing runs.
        self.live.with(|story| match (story.phase, told) {
            (Phase::Unspecified, told) => told,
            (Phase::Running, Phase::Waiting | Phase::Pending) => told,
            (phase, _) => phase,
        })
    }

    /// The moment until which something is shown, while it is not over.
    pub(super) fn is_live(&self) -> bool {
        self.at.get().is_none() && !names::is_over(self.phase_now())
    }

    pub(super) fn lines<T>(&self, read: impl FnOnce(&[Line]) -> T) -> T {
        self.lines.with_value(|lines| read(lines))
    }

    pub(super) fn event(&self, seq: u64) -> Option<HistoryEvent> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.events.with_value(|events| events.get(index).cloned())
    }

    /// The state of each task, as it is shown.
    pub(super) fn states(&self) -> HashMap<String, TaskState> {
        self.with(|story| {
            let states = story.states().into_iter();
            states.map(|(task, state)| (task.to_owned(), state)).collect()
        })
    }

    /// The tasks that are under way or wait for somebody.
    pub(super) fn places(&self) -> Vec<String> {
        self.with(|story| {
            let states = story.states();
            let here = states.iter().filter(|(task, state)| {
                let body = planaria_view::document::is_body(task);
                !body && (state.attention || !state.state.is_over())
            });
            let mut places: Vec<_> = here.map(|(task, _)| (*task).to_owned()).collect();
            places.sort();
            places
        })
    }

    /// Something was done to it: what it is now is asked for, and followed.
    pub(super) fn done(&self) {
        self.again.now();
        self.round.try_update(|round| *round += 1);
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.whole.with(|whole| match whole {
            Loaded::Failed(failure) => Some(failure.clone()),
            _ => None,
        })
    }
}

fn gone() -> Status {
    Status::cancelled("the page shows something else")
}
