//! From SQLite's rows to ours.

use std::sync::Arc;

use planaria_kernel::workflow::FrameId;
use planaria_proto::types::v1::Phase;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::position_of;
use crate::store::{
    DefinitionKey, DefinitionRow, LogEntry, SessionRow, StoreError, Subject, TaskKey, TaskRow,
    TaskState, WorkflowRow,
};

fn milliseconds(row: &SqliteRow, column: &str) -> Result<u64, StoreError> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or_default())
}

pub(super) fn definition(row: &SqliteRow) -> Result<DefinitionRow, StoreError> {
    Ok(DefinitionRow {
        key: definition_key(row)?,
        source: row.try_get::<Vec<u8>, _>("source")?.into(),
        digest: row.try_get("digest")?,
        published_at_ms: milliseconds(row, "published_at_ms")?,
    })
}

pub(super) fn definition_key(row: &SqliteRow) -> Result<DefinitionKey, StoreError> {
    Ok(DefinitionKey {
        namespace: row.try_get("namespace")?,
        name: row.try_get("name")?,
        version: row.try_get("version")?,
    })
}

pub(super) fn workflow(row: &SqliteRow) -> Result<WorkflowRow, StoreError> {
    let phase: i32 = row.try_get("phase")?;
    Ok(WorkflowRow {
        id: row.try_get("id")?,
        definition: definition_key(row)?,
        // A row is listed whatever its phase says; the audit mends it.
        phase: phase_of(phase).unwrap_or_default(),
        started_at_ms: milliseconds(row, "started_at_ms")?,
        ended_at_ms: row
            .try_get::<Option<i64>, _>("ended_at_ms")?
            .and_then(|at| u64::try_from(at).ok()),
        idempotency_key: row.try_get("idempotency_key")?,
        start_digest: row.try_get("start_digest")?,
        fault: row.try_get::<Option<Vec<u8>>, _>("fault")?.map(Into::into),
    })
}

pub(super) fn phase_of(number: i32) -> Result<Phase, StoreError> {
    Phase::try_from(number).map_err(|_| StoreError::Corrupt(format!("phase {number}")))
}

pub(super) fn task(row: &SqliteRow) -> Result<TaskRow, StoreError> {
    let state: i64 = row.try_get("state")?;
    let lost_workers: Option<String> = row.try_get("lost_workers")?;
    Ok(TaskRow {
        key: TaskKey {
            workflow: row.try_get("workflow_id")?,
            frame: FrameId(row.try_get("frame")?),
        },
        state: TaskState::from_number(state)
            .ok_or_else(|| StoreError::Corrupt(format!("task state {state}")))?,
        queue: row.try_get("queue")?,
        function: row.try_get("function")?,
        version: row.try_get("version")?,
        labels: row.try_get("labels")?,
        priority: row.try_get("priority")?,
        attempt: row.try_get("attempt")?,
        failures: row.try_get("failures")?,
        losses: row.try_get("losses")?,
        lost_workers: lost_workers
            .map(|workers| workers.lines().map(str::to_owned).collect())
            .unwrap_or_default(),
        session: row.try_get("session_id")?,
        since_ms: milliseconds(row, "since_ms")?,
        latest_start_ms: milliseconds(row, "latest_start_ms")?,
        checkpoint: row.try_get::<Option<Vec<u8>>, _>("checkpoint")?.map(Into::into),
        healing: row.try_get("healing")?,
        namespace: row.try_get("namespace")?,
        destination: row.try_get("destination")?,
        limit_values: TaskRow::limit_values_of(
            row.try_get::<Option<String>, _>("limit_values")?.as_deref(),
        )?,
    })
}

pub(super) fn session(row: &SqliteRow) -> Result<SessionRow, StoreError> {
    Ok(SessionRow {
        id: row.try_get("id")?,
        worker_id: row.try_get("worker_id")?,
        incarnation: row.try_get("incarnation")?,
        announcement: row.try_get::<Vec<u8>, _>("announcement")?.into(),
        lease_until_ms: milliseconds(row, "lease_until_ms")?,
        is_lent: row.try_get("is_lent")?,
    })
}

pub(super) fn log_entry(row: &SqliteRow) -> Result<LogEntry, StoreError> {
    let subject: i64 = row.try_get("subject")?;
    Ok(LogEntry {
        position: position_of(row.try_get("position")?),
        at_ms: milliseconds(row, "at_ms")?,
        topics: row.try_get("topics")?,
        subject: match subject {
            0 => Subject::Workflow {
                id: row.try_get("workflow_id")?,
                first_seq: milliseconds(row, "first_seq")?,
            },
            1 => Subject::Healing,
            2 => Subject::Session,
            other => return Err(StoreError::Corrupt(format!("log subject {other}"))),
        },
        definition: match row.try_get::<Option<String>, _>("namespace")? {
            Some(_) => Some(Arc::new(definition_key(row)?)),
            None => None,
        },
        body: row.try_get::<Vec<u8>, _>("body")?.into(),
    })
}
