//! What happened to one workflow, as spans.
//!
//! ```text
//! workflow                    from its start to its end, or to its fault
//! ├─ task                     each run of each task, inside of the task around it
//! │  ├─ attempt               linked to the one before it; the worker's own spans are inside
//! │  ├─ healing               from the first sign of a loss until the work ran again
//! │  └─ attempt
//! └─ workflow, resumed        what somebody had it do after its fault or its end
//! ```

mod frame;

use std::collections::BTreeMap;

use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{
    AttemptFailed, AttemptLost, ErrorCaught, HistoryRecord, TaskCompleted, TaskFaulted,
    TaskStarted, WorkflowFaulted,
};
use planaria_telemetry::{Event as SpanEvent, Span, SpanId, WorkflowSpans, WorkflowTrace};

use crate::convert;
use frame::{Frame, Lost};

const NS_PER_MS: u64 = 1_000_000;

/// A traced workflow: what of it is open.
#[derive(Debug)]
pub(crate) struct Story {
    id: String,
    definition: String,
    ids: WorkflowSpans,
    trace: WorkflowTrace,
    last_seq: u64,
    /// The first run's span, which later ones are inside of.
    first: Option<SpanId>,
    run: Option<Run>,
    frames: BTreeMap<u32, Frame>,
    /// Open when the workflow faulted: open again if it goes on.
    parked: BTreeMap<u32, Frame>,
    over: bool,
}

/// A workflow from its start, or from a resumption, to its end or its fault.
#[derive(Debug)]
struct Run {
    span: SpanId,
    parent: Option<SpanId>,
    name: &'static str,
    started_ns: u64,
    events: Vec<SpanEvent>,
}

impl Story {
    pub(crate) fn new(id: &str, definition: &str, trace: WorkflowTrace) -> Self {
        Self {
            id: id.to_owned(),
            definition: definition.to_owned(),
            ids: WorkflowSpans::new(id),
            trace,
            last_seq: 0,
            first: None,
            run: None,
            frames: BTreeMap::new(),
            parked: BTreeMap::new(),
            over: false,
        }
    }

    /// Nothing more is to come, unless somebody has it go on.
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    /// Takes in what was committed; spans that ended with it are added to `told`. What was taken
    /// in before is passed over.
    pub(crate) fn record(&mut self, history: &HistoryRecord, told: &mut Vec<Span>) {
        self.abandoned(history, told);
        for (seq, event) in (history.first_seq..).zip(&history.events) {
            if seq <= self.last_seq {
                continue;
            }
            self.last_seq = seq;
            let at_ms = convert::milliseconds(event.at.or(history.at)).unwrap_or(0);
            if let Some(event) = &event.event {
                self.event(event, seq, at_ms * NS_PER_MS, told);
            }
        }
    }

    /// Attempts that ran when the step ended their task.
    fn abandoned(&mut self, history: &HistoryRecord, told: &mut Vec<Span>) {
        if history.first_seq <= self.last_seq {
            return;
        }
        let at_ns = convert::milliseconds(history.at).unwrap_or(0) * NS_PER_MS;
        for abandoned in &history.abandoned {
            let place = (abandoned.frame, self.ids, self.trace);
            if let (Some(frame), Some(execution)) =
                (self.frames.get_mut(&abandoned.frame), &abandoned.execution)
            {
                let error = Some("given up with its task".into());
                told.extend(frame.attempt(place, execution, at_ns, error));
            }
        }
    }

    fn event(&mut self, event: &Event, seq: u64, at_ns: u64, told: &mut Vec<Span>) {
        match event {
            Event::WorkflowStarted(_) => self.begin(seq, at_ns, "workflow"),
            Event::WorkflowRetried(_) => self.resume(seq, at_ns),
            Event::WorkflowRerun(_) => {
                self.end_run(at_ns, Some("it was sent back".into()), told);
                self.parked.clear();
                self.begin(seq, at_ns, "workflow, resumed");
            }
            Event::WorkflowSuspended(_) => self.note("suspended", at_ns),
            Event::WorkflowResumed(_) => self.note("resumed", at_ns),
            Event::WorkflowCancelled(cancelled) => {
                let reason = Some(format!("cancelled: {}", cancelled.reason));
                self.end_run(at_ns, reason, told);
                self.over = true;
            }
            Event::WorkflowFaulted(faulted) => self.faulted(faulted, at_ns, told),
            Event::WorkflowCompleted(_) => {
                self.end_run(at_ns, None, told);
                self.over = true;
            }
            Event::TaskStarted(started) => self.task_started(started, seq, at_ns),
            Event::TaskCompleted(completed) => self.task_completed(completed, at_ns, told),
            Event::TaskFaulted(faulted) => self.task_faulted(faulted, at_ns, told),
            Event::AttemptFailed(failed) => self.attempt_failed(failed, at_ns, told),
            Event::AttemptLost(lost) => self.attempt_lost(lost, at_ns, told),
            Event::ErrorCaught(caught) => self.error_caught(caught, at_ns, told),
            Event::RetryStarted(retry) => self.note_of(retry.frame, "its body runs again", at_ns),
            Event::EventEmitted(event) => self.note_of(event.frame, "event emitted", at_ns),
            Event::EventConsumed(event) => self.note_of(event.frame, "event consumed", at_ns),
            Event::EventReceived(_) => self.note("event received", at_ns),
            Event::TaskSkipped(_) => {}
        }
    }

    fn begin(&mut self, seq: u64, at_ns: u64, name: &'static str) {
        let span = self.ids.workflow(seq);
        let parent = if self.first.is_some() { self.first } else { self.trace.parent };
        self.first.get_or_insert(span);
        self.run = Some(Run { span, parent, name, started_ns: at_ns, events: Vec::new() });
        self.over = false;
    }

    /// What was open when it faulted is open again.
    fn resume(&mut self, seq: u64, at_ns: u64) {
        self.begin(seq, at_ns, "workflow, resumed");
        for (number, frame) in std::mem::take(&mut self.parked) {
            // A frame's number is above those of the frames around it.
            let parent = self.span_of(frame.around);
            let span = self.ids.task(seq, number);
            self.frames.insert(number, frame.again(span, parent, at_ns));
        }
    }

    fn faulted(&mut self, faulted: &WorkflowFaulted, at_ns: u64, told: &mut Vec<Span>) {
        let title = faulted.error.as_ref().map_or("", |error| error.title.as_str());
        let parked = self.frames.iter().map(|(&number, frame)| (number, frame.parked()));
        self.parked.extend(parked.collect::<Vec<_>>());
        self.end_run(at_ns, Some(format!("faulted: {title}")), told);
    }

    fn end_run(&mut self, at_ns: u64, error: Option<String>, told: &mut Vec<Span>) {
        let open: Vec<u32> = self.frames.keys().copied().collect();
        let left = error.clone().or_else(|| Some("left open".into()));
        open.into_iter().rev().for_each(|frame| self.end(frame, at_ns, left.clone(), told));
        let Some(run) = self.run.take() else { return };
        let place = self.trace.place(run.span);
        let span = Span::new(place, run.parent, run.name, (run.started_ns, at_ns));
        let span = Span { events: run.events, error, ..span };
        let span = span.with("planaria.definition", self.definition.clone());
        told.push(span.with("planaria.workflow", self.id.clone()));
    }

    fn task_started(&mut self, started: &TaskStarted, seq: u64, at_ns: u64) {
        let span = self.ids.task(seq, started.frame);
        let parent = self.span_of(started.parent);
        self.parked.remove(&started.frame);
        let frame = Frame::new(started, (span, parent), at_ns);
        self.frames.insert(started.frame, frame);
    }

    fn task_completed(&mut self, completed: &TaskCompleted, at_ns: u64, told: &mut Vec<Span>) {
        let number = completed.frame;
        if let (Some(execution), Some(frame)) = (&completed.execution, self.frames.get_mut(&number))
        {
            told.extend(frame.attempt((number, self.ids, self.trace), execution, at_ns, None));
        }
        if completed.skipped_because.is_some() {
            self.note_of(number, "skipped by hand", at_ns);
        }
        self.end_inside(number, at_ns, told);
        self.end(number, at_ns, None, told);
    }

    fn task_faulted(&mut self, faulted: &TaskFaulted, at_ns: u64, told: &mut Vec<Span>) {
        let error = faulted.error.as_ref();
        let text = error.map_or("", |error| error.title.as_str()).to_owned();
        self.end_inside(faulted.frame, at_ns, told);
        self.end(faulted.frame, at_ns, Some(text), told);
    }

    fn attempt_failed(&mut self, failed: &AttemptFailed, at_ns: u64, told: &mut Vec<Span>) {
        let Some(frame) = self.frames.get_mut(&failed.frame) else { return };
        let Some(execution) = &failed.execution else { return };
        let title = failed.error.as_ref().map_or("", |error| error.title.as_str());
        let place = (failed.frame, self.ids, self.trace);
        told.extend(frame.attempt(place, execution, at_ns, Some(format!("failed: {title}"))));
    }

    fn attempt_lost(&mut self, lost: &AttemptLost, at_ns: u64, told: &mut Vec<Span>) {
        let Some(frame) = self.frames.get_mut(&lost.frame) else { return };
        let Some(execution) = &lost.execution else { return };
        let place = (lost.frame, self.ids, self.trace);
        let error = Some(format!("lost: {}", lost.detail));
        told.extend(frame.attempt(place, execution, at_ns, error));
        let signal_ms = convert::milliseconds(lost.signal_at);
        frame.lost = Some(Lost {
            attempt: execution.attempt,
            worker: execution.worker_id.clone(),
            signal: lost.signal().as_str_name(),
            signal_ns: signal_ms.map_or(at_ns, |at_ms| at_ms * NS_PER_MS),
        });
    }

    fn error_caught(&mut self, caught: &ErrorCaught, at_ns: u64, told: &mut Vec<Span>) {
        self.end_inside(caught.frame, at_ns, told);
        let again = caught.retry_at.is_some();
        let name = if again { "error caught, its body will run again" } else { "error caught" };
        self.note_of(caught.frame, name, at_ns);
    }

    /// Ends what is open inside of a frame: nobody waits for it any more.
    fn end_inside(&mut self, frame: u32, at_ns: u64, told: &mut Vec<Span>) {
        let mut inside = vec![frame];
        for (&number, open) in &self.frames {
            if inside.contains(&open.around) {
                inside.push(number);
            }
        }
        for number in inside.into_iter().skip(1).rev() {
            self.end(number, at_ns, Some("left".into()), told);
        }
    }

    fn end(&mut self, number: u32, at_ns: u64, error: Option<String>, told: &mut Vec<Span>) {
        if let Some(frame) = self.frames.remove(&number) {
            told.extend(frame.end((number, self.ids, self.trace), at_ns, error));
        }
    }

    /// The span of a frame that is open; else that of the workflow.
    fn span_of(&self, frame: u32) -> Option<SpanId> {
        let run = || self.run.as_ref().map(|run| run.span);
        self.frames.get(&frame).map(|frame| frame.span).or_else(run)
    }

    fn note(&mut self, what: &'static str, at_ns: u64) {
        if let Some(run) = &mut self.run {
            frame::note(&mut run.events, what, at_ns);
        }
    }

    fn note_of(&mut self, frame: u32, what: &'static str, at_ns: u64) {
        if let Some(frame) = self.frames.get_mut(&frame) {
            frame::note(&mut frame.events, what, at_ns);
        }
    }
}

#[cfg(test)]
mod tests;
