//! Workflows as clients see them, told from row, history and open tasks.

use std::collections::{BTreeMap, HashMap};

use planaria_proto::types::v1::{Phase, Signal, WorkflowError};
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::{
    AttemptAbandoned, Execution, HistoryEvent, TaskRun, Workflow as WorkflowMessage,
};
use uuid::Uuid;

use super::definition::reference;
use super::limited::Limited;
use super::{Api, workflow_id};
use crate::convert::{history, timestamp};
use crate::engine::json_payload;
use crate::error::Error;
use crate::store::{SessionRow, TaskRow, TaskState, WorkflowRow};

/// One workflow with its tasks.
pub(super) async fn workflow(api: &Api, id: &str) -> Result<WorkflowMessage, Error> {
    let stored = api.store.workflow(workflow_id(id)?).await?;
    let mut stored = stored.ok_or_else(|| Error::WorkflowNotFound(id.to_owned()))?;
    let (records, flaw) = history::legible(std::mem::take(&mut stored.records));
    stored.records = records;
    let events =
        history::events(&stored.records).map_err(|error| Error::Corrupt(error.to_string()))?;
    let sessions = api.store_of(stored.row.id).sessions().await?;
    let known = api.functions().await?;
    let mut message = summary(&stored.row);
    message.history_length = events.len() as u64;
    let frozen = api.store.frozen_of(&[stored.row.id]).await?.pop().map(|(_, why)| why);
    let frozen = frozen.or(flaw.map(|flaw| flaw.to_string())).unwrap_or_default();
    let limited = Limited::of(api, stored.tasks.iter()).await?;
    message.waiting_for = waiting_for(&stored.row, &stored.tasks, (&known, &limited));
    freeze(&mut message, frozen);
    tell_ends(&mut message, &events);
    let abandoned =
        history::abandoned(&stored.records).map_err(|error| Error::Corrupt(error.to_string()))?;
    message.tasks = task_runs(&events, &abandoned, &stored.tasks, &sessions);
    end_runs(&mut message);
    let definition = match api.definitions.get(&stored.row.definition).await {
        Ok(definition) => definition,
        // That is why it is frozen.
        Err(_) if !message.frozen.is_empty() => return Ok(message),
        Err(error) => return Err(error),
    };
    for run in &mut message.tasks {
        let calls = &definition.compiled.functions;
        if let Some(call) = calls.iter().find(|call| call.reference == run.reference) {
            run.function.clone_from(&call.function);
            run.queue.clone_from(&call.queue);
        }
    }
    Ok(message)
}

/// Workflows of a list.
pub(super) async fn summaries(
    api: &Api,
    rows: &[WorkflowRow],
) -> Result<Vec<WorkflowMessage>, Error> {
    let live = |phase| matches!(phase, Phase::Running | Phase::Waiting | Phase::Suspended);
    let ids: Vec<Uuid> = rows.iter().filter(|row| live(row.phase)).map(|row| row.id).collect();
    let mut tasks: HashMap<Uuid, Vec<TaskRow>> = HashMap::new();
    for row in api.store.tasks_of(&ids).await? {
        tasks.entry(row.key.workflow).or_default().push(row);
    }
    let known = api.functions().await?;
    let limited = Limited::of(api, tasks.values().flatten()).await?;
    let all: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let frozen: HashMap<Uuid, String> = api.store.frozen_of(&all).await?.into_iter().collect();
    let show = |row: &WorkflowRow| {
        let mut message = summary(row);
        let tasks = tasks.get(&row.id).map_or(&[][..], Vec::as_slice);
        message.waiting_for = waiting_for(row, tasks, (&known, &limited));
        freeze(&mut message, frozen.get(&row.id).cloned().unwrap_or_default());
        message
    };
    Ok(rows.iter().map(show).collect())
}

fn summary(row: &WorkflowRow) -> WorkflowMessage {
    WorkflowMessage {
        id: row.id.to_string(),
        definition: Some(reference(&row.definition)),
        phase: row.phase.into(),
        started_at: Some(timestamp(row.started_at_ms)),
        ended_at: row.ended_at_ms.map(timestamp),
        idempotency_key: given_key(row).to_owned(),
        ..WorkflowMessage::default()
    }
}

/// Says what is wrong with a workflow's history, if something is.
fn freeze(message: &mut WorkflowMessage, why: String) {
    let is_over = matches!(message.phase(), Phase::Cancelled | Phase::Completed);
    if !why.is_empty() && !is_over {
        message.waiting_for = "people: it is frozen".to_owned();
    }
    message.frozen = why;
}

/// The idempotency key as its caller gave it: it is kept behind the namespace.
pub(super) fn given_key(row: &WorkflowRow) -> &str {
    let kept = row.idempotency_key.as_deref().unwrap_or_default();
    let behind = kept.strip_prefix(&*row.definition.namespace);
    behind.and_then(|key| key.strip_prefix('/')).unwrap_or(kept)
}

/// What a workflow waits for, in words.
fn waiting_for(
    row: &WorkflowRow,
    tasks: &[TaskRow],
    (known, limited): (&[String], &Limited),
) -> String {
    let queued = tasks.iter().filter(|task| task.state == TaskState::Queued);
    let mut waits: Vec<String> = queued
        .map(|task| {
            let (function, queue) = (&task.function, &task.queue);
            if let Some(limit) = limited.why(task) {
                limit
            } else if known.contains(function) {
                format!("a free worker of {function} in queue {queue}")
            } else {
                format!("a worker of {function} in queue {queue}; none is connected")
            }
        })
        .collect();
    let retrying = tasks.iter().filter(|task| task.state == TaskState::RetryWait);
    waits.extend(retrying.map(|task| format!("a retry of {}", task.function)));
    waits.sort_unstable();
    waits.dedup();
    if waits.is_empty() && row.phase == Phase::Waiting {
        return "a timer or an event".to_owned();
    }
    waits.join(", ")
}

fn tell_ends(message: &mut WorkflowMessage, events: &[HistoryEvent]) {
    for event in events {
        match &event.event {
            Some(Event::WorkflowStarted(started)) => {
                message.input = Some(json_payload(started.input.clone()));
            }
            Some(Event::WorkflowCompleted(completed)) => {
                message.output = Some(json_payload(completed.output.clone()));
            }
            Some(Event::WorkflowFaulted(faulted)) => message.error.clone_from(&faulted.error),
            Some(Event::WorkflowRetried(_) | Event::WorkflowRerun(_)) => {
                message.error = None;
                message.output = None;
            }
            _ => {}
        }
    }
}

/// Of a workflow that is over nothing runs any more: what was open ended with it.
fn end_runs(workflow: &mut WorkflowMessage) {
    let phase = workflow.phase();
    if !matches!(phase, Phase::Cancelled | Phase::Completed | Phase::Faulted) {
        return;
    }
    let fault = workflow.error.as_ref().map(|error| format!("{}/", error.instance));
    for run in workflow.tasks.iter_mut().filter(|run| run.ended_at.is_none()) {
        // What is around the task that raised the error faulted with it.
        let around = format!("{}/", run.reference);
        let faulted = fault.as_ref().is_some_and(|fault| fault.starts_with(&around));
        run.phase = if faulted { Phase::Faulted } else { Phase::Cancelled }.into();
        run.ended_at = workflow.ended_at;
    }
}

/// The runs of a workflow's tasks, in the order they were entered; without the list that holds
/// them all.
fn task_runs(
    events: &[HistoryEvent],
    abandoned: &[AttemptAbandoned],
    tasks: &[TaskRow],
    sessions: &[SessionRow],
) -> Vec<TaskRun> {
    let mut runs: BTreeMap<u32, TaskRun> = BTreeMap::new();
    for event in events {
        tell_task(&mut runs, event);
    }
    for attempt in abandoned {
        let Some(run) = runs.get_mut(&attempt.frame) else { continue };
        ran(run, attempt.execution.as_ref());
    }
    for row in tasks {
        let Some(run) = runs.get_mut(&row.key.frame.0) else { continue };
        run.state = row.state.name().to_owned();
        run.attempts += u32::from(row.state == TaskState::Running);
        run.losses = row.losses;
        run.function.clone_from(&row.function);
        run.queue.clone_from(&row.queue);
        run.phase = match row.state {
            TaskState::Running => Phase::Running,
            TaskState::Queued => Phase::Pending,
            TaskState::RetryWait => Phase::Waiting,
        }
        .into();
        let session = sessions.iter().find(|session| Some(session.id) == row.session);
        if let Some(session) = session {
            run.worker_id.clone_from(&session.worker_id);
        }
    }
    runs.into_values().filter(|run| is_task(&run.reference)).collect()
}

/// Whether a JSON pointer names a task, not the list that is the body of one: tasks stand in lists
/// as `/<list>/<position>/<name>`.
fn is_task(reference: &str) -> bool {
    let mut parts = reference.split('/').skip(1);
    loop {
        let list = match parts.next() {
            None => return true,
            Some("fork" | "catch" | "for") => parts.next(),
            list => list,
        };
        if list.is_none() || parts.next().is_none() || parts.next().is_none() {
            return false;
        }
    }
}

fn tell_task(runs: &mut BTreeMap<u32, TaskRun>, event: &HistoryEvent) {
    let at = event.at;
    match &event.event {
        Some(Event::TaskStarted(started)) => {
            let name = started.task.rsplit('/').next().unwrap_or_default().to_owned();
            let run = runs.entry(started.frame).or_default();
            run.frame = started.frame;
            run.name = unescape(&name);
            run.reference.clone_from(&started.task);
            run.iteration = started.iteration;
            run.phase = Phase::Running.into();
            run.started_at = run.started_at.or(at);
            run.ended_at = None;
            run.error = None;
        }
        Some(Event::TaskCompleted(completed)) => {
            let Some(run) = runs.get_mut(&completed.frame) else { return };
            run.phase = Phase::Completed.into();
            run.ended_at = at;
            run.error = None;
            ran(run, completed.execution.as_ref());
        }
        Some(Event::TaskFaulted(faulted)) => {
            let Some(run) = runs.get_mut(&faulted.frame) else { return };
            fault(run, at, faulted.error.clone());
        }
        Some(Event::AttemptFailed(failed)) => {
            let Some(run) = runs.get_mut(&failed.frame) else { return };
            run.failures += 1;
            run.error.clone_from(&failed.error);
            ran(run, failed.execution.as_ref());
        }
        Some(Event::AttemptLost(lost)) => {
            let Some(run) = runs.get_mut(&lost.frame) else { return };
            run.losses = lost.losses;
            // A delivery that did not arrive ran nowhere.
            if lost.signal() != Signal::LostDelivery {
                ran(run, lost.execution.as_ref());
            }
        }
        _ => {}
    }
}

/// An attempt ran.
fn ran(run: &mut TaskRun, execution: Option<&Execution>) {
    let Some(execution) = execution else { return };
    run.attempts += 1;
    run.worker_id.clone_from(&execution.worker_id);
}

fn fault(run: &mut TaskRun, at: Option<prost_types::Timestamp>, error: Option<WorkflowError>) {
    run.phase = Phase::Faulted.into();
    run.ended_at = at;
    run.error = error;
}

/// The name in a JSON pointer's last part.
fn unescape(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::is_task;

    #[test]
    fn bodies_are_no_tasks() {
        for task in [
            "/do/0/charge",
            "/do/0/try",
            "/do/1/guard/try/0/pay",
            "/do/1/guard/catch/do/0/note",
            "/do/2/both/fork/branches/1/right",
            "/do/3/loop/do/0/add",
        ] {
            assert!(is_task(task), "{task}");
        }
        for body in ["/do", "/do/1/guard/try", "/do/1/guard/catch/do", "/do/3/loop/do"] {
            assert!(!is_task(body), "{body}");
        }
    }
}
