//! Facts of the kernel to events of the history, and back.
//!
//! The history names tasks by their JSON pointer, which a new release cannot renumber; the kernel
//! names them by node.

use bytes::Bytes;
use planaria_kernel::Json;
use planaria_kernel::definition::{Graph, NodeId, Then};
use planaria_kernel::repair::record;
use planaria_kernel::workflow::{
    AttemptFailed, AttemptLost, Detail, Execution, Fact, FrameId, Recorded, Rerun, TaskCompleted,
    TaskStarted,
};
use planaria_proto::orchestrator::v1::Topic;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{
    self as wire, AttemptAbandoned, HistoryEvent, HistoryRecord, task_started,
};
use prost::Message;

use super::attempt::{cause, execution, execution_from, policy, policy_from, signal};
use super::{error_from, error_to, milliseconds, timestamp};

/// Why a stored history cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("its history cannot be read: {0}")]
pub(crate) struct Unreadable(String);

/// Encodes what one step appends to a history.
#[must_use]
pub(crate) fn encode(
    graph: &Graph,
    (first_seq, at_ms): (u64, u64),
    facts: &[Fact],
    abandoned: &[(FrameId, Execution)],
) -> Bytes {
    let events =
        facts.iter().map(|fact| HistoryEvent { seq: 0, at: None, event: Some(event(graph, fact)) });
    let abandoned = abandoned
        .iter()
        .map(|(frame, last)| AttemptAbandoned { frame: frame.0, execution: Some(execution(last)) });
    let record = HistoryRecord {
        first_seq,
        at: Some(timestamp(at_ms)),
        events: events.collect(),
        abandoned: abandoned.collect(),
    };
    Bytes::from(record.encode_to_vec())
}

/// The attempts that were abandoned while they ran.
///
/// # Errors
/// If a record is damaged.
pub(crate) fn abandoned(records: &[Bytes]) -> Result<Vec<AttemptAbandoned>, Unreadable> {
    let mut abandoned = Vec::new();
    for record in records {
        let record =
            HistoryRecord::decode(record.clone()).map_err(|error| Unreadable(error.to_string()))?;
        abandoned.extend(record.abandoned);
    }
    Ok(abandoned)
}

/// What a workflow faulted with, if these facts end with its fault: an encoded `WorkflowFaulted`.
#[must_use]
pub(crate) fn fault(graph: &Graph, facts: &[Fact]) -> Option<Bytes> {
    let last = facts.iter().rfind(|fact| matches!(fact, Fact::WorkflowFaulted { .. }))?;
    match event(graph, last) {
        Event::WorkflowFaulted(fault) => Some(Bytes::from(fault.encode_to_vec())),
        _ => None,
    }
}

/// Decodes stored records to the events that clients see, numbered and dated.
///
/// # Errors
/// If a record is damaged.
pub(crate) fn events(records: &[Bytes]) -> Result<Vec<HistoryEvent>, Unreadable> {
    let mut events = Vec::new();
    for record in records {
        let record =
            HistoryRecord::decode(record.clone()).map_err(|error| Unreadable(error.to_string()))?;
        for (position, mut event) in record.events.into_iter().enumerate() {
            event.seq = record.first_seq + position as u64;
            event.at = record.at;
            events.push(event);
        }
    }
    Ok(events)
}

/// Decodes a whole history to facts.
///
/// # Errors
/// If a record is damaged, events are missing or there twice, cannot have happened in their order,
/// or a task is not in the definition.
pub(crate) fn facts(graph: &Graph, records: &[Bytes]) -> Result<Vec<Recorded>, Unreadable> {
    let flawed = |flaw: record::Flaw| Unreadable(flaw.to_string());
    record::numbered(numbers(records)?).map_err(flawed)?;
    let mut facts = Vec::new();
    for event in events(records)? {
        let at_ms = milliseconds(event.at.as_ref());
        facts.push(Recorded { at_ms, fact: fact(graph, event)? });
    }
    record::ordered(&facts).map_err(flawed)?;
    Ok(facts)
}

/// Of each record the number of its first event, and how many it has.
fn numbers(records: &[Bytes]) -> Result<Vec<(u64, u64)>, Unreadable> {
    let number = |record: &Bytes| {
        let record =
            HistoryRecord::decode(record.clone()).map_err(|error| Unreadable(error.to_string()))?;
        Ok((record.first_seq, record.events.len() as u64))
    };
    records.iter().map(number).collect()
}

/// Leaves out records that cannot be decoded: what people are shown of a damaged history. Also
/// answers what is wrong with it, as far as that is seen without its definition.
#[must_use]
pub(crate) fn legible(records: Vec<Bytes>) -> (Vec<Bytes>, Option<Unreadable>) {
    let numbered = numbers(&records)
        .and_then(|numbers| record::numbered(numbers).map_err(|flaw| Unreadable(flaw.to_string())));
    let Err(flaw) = numbered else { return (records, None) };
    let is_legible = |record: &Bytes| HistoryRecord::decode(record.clone()).is_ok();
    (records.into_iter().filter(is_legible).collect(), Some(flaw))
}

/// The place in a trace that the start of a workflow carries, if this is it.
#[must_use]
pub(crate) fn trace_parent(event: &HistoryEvent) -> Option<&str> {
    match event.event.as_ref()? {
        Event::WorkflowStarted(started) => Some(&started.trace_parent),
        _ => None,
    }
}

/// The topics of facts, a bit each.
#[must_use]
pub(crate) fn topics(facts: &[Fact]) -> u32 {
    let also_about = |fact: &Fact| match fact {
        Fact::WorkflowFaulted { .. }
        | Fact::WorkflowRetried { .. }
        | Fact::WorkflowRerun(_)
        | Fact::WorkflowCancelled { .. } => 1 << Topic::Fault as u32,
        Fact::TaskCompleted(TaskCompleted { execution: Some(_), .. }) => 1 << Topic::Outcome as u32,
        _ => 0,
    };
    facts.iter().fold(0, |topics, fact| topics | 1 << topic(fact) as u32 | also_about(fact))
}

const fn topic(fact: &Fact) -> Topic {
    match fact {
        Fact::WorkflowStarted { .. }
        | Fact::WorkflowSuspended { .. }
        | Fact::WorkflowResumed
        | Fact::WorkflowCancelled { .. }
        | Fact::WorkflowFaulted { .. }
        | Fact::WorkflowCompleted { .. }
        | Fact::WorkflowRetried { .. }
        | Fact::WorkflowRerun(_) => Topic::Workflow,
        Fact::TaskStarted(_)
        | Fact::TaskCompleted(_)
        | Fact::TaskSkipped { .. }
        | Fact::TaskFaulted { .. }
        | Fact::ErrorCaught { .. }
        | Fact::RetryStarted { .. } => Topic::Task,
        Fact::AttemptFailed(_) | Fact::AttemptLost(_) => Topic::Attempt,
        Fact::EventEmitted { .. } | Fact::EventReceived { .. } | Fact::EventConsumed { .. } => {
            Topic::Event
        }
    }
}

fn reference(graph: &Graph, node: NodeId) -> String {
    graph.node(node).reference.to_string()
}

fn event(graph: &Graph, fact: &Fact) -> Event {
    match fact {
        Fact::WorkflowStarted { input, trace_parent } => {
            Event::WorkflowStarted(wire::WorkflowStarted {
                input: input.as_bytes().clone(),
                trace_parent: trace_parent.as_deref().unwrap_or_default().to_owned(),
            })
        }
        Fact::WorkflowSuspended { reason } => {
            Event::WorkflowSuspended(wire::WorkflowSuspended { reason: reason.clone() })
        }
        Fact::WorkflowResumed => Event::WorkflowResumed(wire::WorkflowResumed {}),
        Fact::WorkflowCancelled { reason } => {
            Event::WorkflowCancelled(wire::WorkflowCancelled { reason: reason.clone() })
        }
        Fact::WorkflowFaulted { frame, error } => Event::WorkflowFaulted(wire::WorkflowFaulted {
            frame: frame.0,
            task: error.instance.clone().unwrap_or_default(),
            error: Some(error_to(error)),
        }),
        Fact::WorkflowCompleted { output } => {
            Event::WorkflowCompleted(wire::WorkflowCompleted { output: output.as_bytes().clone() })
        }
        Fact::WorkflowRetried { reason } => {
            Event::WorkflowRetried(wire::WorkflowRetried { reason: reason.clone() })
        }
        Fact::WorkflowRerun(rerun) => Event::WorkflowRerun(wire::WorkflowRerun {
            from_seq: rerun.from_seq,
            task: reference(graph, rerun.node),
            input: rerun.input.clone().map(Json::into_bytes),
            frame_base: rerun.frame_base,
            attempt_base: rerun.attempt_base,
        }),
        Fact::TaskStarted(started) => Event::TaskStarted(task_started(graph, started)),
        Fact::TaskCompleted(completed) => Event::TaskCompleted(task_completed(graph, completed)),
        Fact::TaskSkipped { node, parent } => Event::TaskSkipped(wire::TaskSkipped {
            task: reference(graph, *node),
            parent: parent.0,
        }),
        Fact::TaskFaulted { frame, error } => {
            Event::TaskFaulted(wire::TaskFaulted { frame: frame.0, error: Some(error_to(error)) })
        }
        Fact::AttemptFailed(failed) => Event::AttemptFailed(attempt_failed(failed)),
        Fact::AttemptLost(lost) => Event::AttemptLost(attempt_lost(lost)),
        Fact::ErrorCaught { frame, error, retry_at_ms } => Event::ErrorCaught(wire::ErrorCaught {
            frame: frame.0,
            error: Some(error_to(error)),
            retry_at: retry_at_ms.map(timestamp),
        }),
        Fact::RetryStarted { frame } => Event::RetryStarted(wire::RetryStarted { frame: frame.0 }),
        Fact::EventEmitted { frame, event } => Event::EventEmitted(wire::EventEmitted {
            frame: frame.0,
            event: event.as_bytes().clone(),
        }),
        Fact::EventReceived { receipt, id, event } => Event::EventReceived(wire::EventReceived {
            receipt: *receipt,
            id: id.clone(),
            event: event.as_bytes().clone(),
        }),
        Fact::EventConsumed { frame, receipt } => {
            Event::EventConsumed(wire::EventConsumed { frame: frame.0, receipt: *receipt })
        }
    }
}

fn task_started(graph: &Graph, started: &TaskStarted) -> wire::TaskStarted {
    let detail = match &started.detail {
        Detail::None => None,
        Detail::Call { arguments } => Some(task_started::Detail::Call(task_started::Call {
            arguments: arguments.clone().map(Json::into_bytes),
        })),
        Detail::Wait { until_ms } => Some(task_started::Detail::Wait(task_started::Wait {
            until: Some(timestamp(*until_ms)),
        })),
        Detail::Loop { items } => Some(task_started::Detail::Loop(task_started::Loop {
            items: items.iter().cloned().map(Json::into_bytes).collect(),
        })),
    };
    wire::TaskStarted {
        frame: started.frame.0,
        task: reference(graph, started.node),
        parent: started.parent.map_or(0, |parent| parent.0),
        iteration: started.iteration,
        input: started.input.clone().map(Json::into_bytes),
        timeout_at: started.timeout_at_ms.map(timestamp),
        detail,
    }
}

fn task_completed(graph: &Graph, completed: &TaskCompleted) -> wire::TaskCompleted {
    let (flow, next) = match completed.then {
        Then::Continue => (wire::Flow::Continue, String::new()),
        Then::Exit => (wire::Flow::Exit, String::new()),
        Then::End => (wire::Flow::End, String::new()),
        Then::Goto(node) => (wire::Flow::Goto, reference(graph, node)),
    };
    wire::TaskCompleted {
        frame: completed.frame.0,
        output: completed.output.clone().map(Json::into_bytes),
        context: completed.context.clone().map(Json::into_bytes),
        flow: flow.into(),
        next,
        execution: completed.execution.as_ref().map(execution),
        skipped_because: completed.skipped_because.clone(),
    }
}

fn attempt_failed(failed: &AttemptFailed) -> wire::AttemptFailed {
    wire::AttemptFailed {
        frame: failed.frame.0,
        execution: Some(execution(&failed.execution)),
        error: Some(error_to(&failed.error)),
        failure: failed.failure,
        retryable: failed.retryable,
        latest_start: Some(timestamp(failed.latest_start_ms)),
        function: failed.function.clone(),
        policy: Some(policy(&failed.policy)),
        retry_after: failed.retry_after_ms.map(super::duration),
    }
}

fn attempt_lost(lost: &AttemptLost) -> wire::AttemptLost {
    wire::AttemptLost {
        frame: lost.frame.0,
        execution: Some(execution(&lost.execution)),
        signal: signal(lost.cause).into(),
        detail: lost.detail.clone(),
        losses: lost.losses,
        progress: lost.progress.clone(),
        signal_at: Some(timestamp(lost.signal_at_ms)),
    }
}

fn node(graph: &Graph, reference: &str) -> Result<NodeId, Unreadable> {
    graph
        .find(reference)
        .ok_or_else(|| Unreadable(format!("the definition has no task {reference}")))
}

fn fact(graph: &Graph, event: HistoryEvent) -> Result<Fact, Unreadable> {
    let Some(inner) = event.event else {
        return Err(Unreadable(format!("event {} is of an unknown kind", event.seq)));
    };
    let json = Json::from_valid;
    Ok(match inner {
        Event::WorkflowStarted(e) => Fact::WorkflowStarted {
            input: json(e.input),
            trace_parent: (!e.trace_parent.is_empty()).then(|| e.trace_parent.into()),
        },
        Event::WorkflowSuspended(e) => Fact::WorkflowSuspended { reason: e.reason },
        Event::WorkflowResumed(_) => Fact::WorkflowResumed,
        Event::WorkflowCancelled(e) => Fact::WorkflowCancelled { reason: e.reason },
        Event::WorkflowFaulted(e) => {
            Fact::WorkflowFaulted { frame: FrameId(e.frame), error: error_from(e.error) }
        }
        Event::WorkflowCompleted(e) => Fact::WorkflowCompleted { output: json(e.output) },
        Event::WorkflowRetried(e) => Fact::WorkflowRetried { reason: e.reason },
        Event::WorkflowRerun(e) => Fact::WorkflowRerun(Rerun {
            from_seq: e.from_seq,
            node: node(graph, &e.task)?,
            input: e.input.map(json),
            frame_base: e.frame_base,
            attempt_base: e.attempt_base,
        }),
        Event::TaskStarted(e) => Fact::TaskStarted(task_started_from(graph, e)?),
        Event::TaskCompleted(e) => Fact::TaskCompleted(task_completed_from(graph, e)?),
        Event::TaskSkipped(e) => {
            Fact::TaskSkipped { node: node(graph, &e.task)?, parent: FrameId(e.parent) }
        }
        Event::TaskFaulted(e) => {
            Fact::TaskFaulted { frame: FrameId(e.frame), error: error_from(e.error) }
        }
        Event::AttemptFailed(e) => Fact::AttemptFailed(AttemptFailed {
            frame: FrameId(e.frame),
            execution: execution_from(e.execution),
            error: error_from(e.error),
            failure: e.failure,
            retryable: e.retryable,
            latest_start_ms: milliseconds(e.latest_start.as_ref()),
            function: e.function,
            policy: policy_from(e.policy.as_ref()),
            retry_after_ms: e.retry_after.as_ref().map(super::duration_ms),
        }),
        Event::AttemptLost(e) => Fact::AttemptLost(AttemptLost {
            frame: FrameId(e.frame),
            cause: cause(e.signal()),
            execution: execution_from(e.execution),
            detail: e.detail,
            losses: e.losses,
            progress: e.progress,
            signal_at_ms: milliseconds(e.signal_at.as_ref()),
        }),
        Event::ErrorCaught(e) => Fact::ErrorCaught {
            frame: FrameId(e.frame),
            error: error_from(e.error),
            retry_at_ms: e.retry_at.as_ref().map(|at| milliseconds(Some(at))),
        },
        Event::RetryStarted(e) => Fact::RetryStarted { frame: FrameId(e.frame) },
        Event::EventEmitted(e) => {
            Fact::EventEmitted { frame: FrameId(e.frame), event: json(e.event) }
        }
        Event::EventReceived(e) => {
            Fact::EventReceived { receipt: e.receipt, id: e.id, event: json(e.event) }
        }
        Event::EventConsumed(e) => {
            Fact::EventConsumed { frame: FrameId(e.frame), receipt: e.receipt }
        }
    })
}

fn task_started_from(graph: &Graph, e: wire::TaskStarted) -> Result<TaskStarted, Unreadable> {
    let detail = match e.detail {
        None => Detail::None,
        Some(task_started::Detail::Call(call)) => {
            Detail::Call { arguments: call.arguments.map(Json::from_valid) }
        }
        Some(task_started::Detail::Wait(wait)) => {
            Detail::Wait { until_ms: milliseconds(wait.until.as_ref()) }
        }
        Some(task_started::Detail::Loop(items)) => {
            Detail::Loop { items: items.items.into_iter().map(Json::from_valid).collect() }
        }
    };
    Ok(TaskStarted {
        frame: FrameId(e.frame),
        node: node(graph, &e.task)?,
        parent: (e.parent != 0).then_some(FrameId(e.parent)),
        iteration: e.iteration,
        input: e.input.map(Json::from_valid),
        timeout_at_ms: e.timeout_at.as_ref().map(|at| milliseconds(Some(at))),
        detail,
    })
}

fn task_completed_from(graph: &Graph, e: wire::TaskCompleted) -> Result<TaskCompleted, Unreadable> {
    let then = match e.flow() {
        wire::Flow::Exit => Then::Exit,
        wire::Flow::End => Then::End,
        wire::Flow::Goto => Then::Goto(node(graph, &e.next)?),
        wire::Flow::Continue | wire::Flow::Unspecified => Then::Continue,
    };
    Ok(TaskCompleted {
        frame: FrameId(e.frame),
        output: e.output.map(Json::from_valid),
        context: e.context.map(Json::from_valid),
        then,
        execution: e.execution.map(|execution| execution_from(Some(execution))),
        skipped_because: e.skipped_because,
    })
}
