//! Dead letters.

use planaria_proto::retry::v1::{DeadLetterCause, DeadLetterState};
use planaria_proto::types::v1::DefinitionReference;
use prost::Message;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::rows::{message, undecodable, unsigned};
use crate::records::{DeadLetter, Fault};

/// Writes the dead letter of a fault, open. The same fault again changes nothing but that; an
/// open one of an earlier fault is resolved: the workflow cannot fault twice without going on.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    fault: &Fault,
) -> Result<(), sqlx::Error> {
    let given_up: Option<String> = sqlx::query_scalar(
        "SELECT reason FROM give_ups WHERE workflow_id = ?1 AND (?2 IS NULL OR frame = ?2)
             ORDER BY at_ms DESC LIMIT 1",
    )
    .bind(&fault.workflow)
    .bind(fault.frame)
    .fetch_optional(&mut *connection)
    .await?;
    let id = fault.dead_letter_id();
    let at_ms = fault.at_ms.cast_signed();
    sqlx::query(
        "UPDATE dead_letters SET state = 3, settled_at_ms = ?
         WHERE workflow_id = ? AND state = 1 AND id <> ?",
    )
    .bind(at_ms)
    .bind(&fault.workflow)
    .bind(&id)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO dead_letters (id, workflow_id, definition_namespace, definition_name,
             definition_version, task, cause, state, error, created_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?)
         ON CONFLICT (id) DO UPDATE SET state = 1, settled_at_ms = NULL",
    )
    .bind(id)
    .bind(&fault.workflow)
    .bind(&fault.definition.namespace)
    .bind(&fault.definition.name)
    .bind(&fault.definition.version)
    .bind(&fault.task)
    .bind(i32::from(fault.cause(given_up.as_deref())))
    .bind(fault.error.encode_to_vec())
    .bind(at_ms)
    .execute(connection)
    .await?;
    Ok(())
}

/// Settles the open dead letter of a workflow, unless its fault is later than `at_ms`: the log may
/// be behind what the reconciler saw.
pub(super) async fn settle_of(
    connection: &mut SqliteConnection,
    workflow: &str,
    state: DeadLetterState,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE dead_letters SET state = ?1, settled_at_ms = ?2
         WHERE workflow_id = ?3 AND state = 1 AND created_at_ms <= ?2",
    )
    .bind(i32::from(state))
    .bind(at_ms.cast_signed())
    .bind(workflow)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn settle(
    writer: &SqlitePool,
    id: &str,
    state: DeadLetterState,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    // The log may have told that the workflow goes on before the redrive's own answer came.
    sqlx::query(
        "UPDATE dead_letters SET state = ?1, settled_at_ms = ?2
         WHERE id = ?3 AND (state = 1 OR (state = 3 AND ?1 = 2))",
    )
    .bind(i32::from(state))
    .bind(at_ms.cast_signed())
    .bind(id)
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn list(
    readers: &SqlitePool,
    state: DeadLetterState,
    workflow: &str,
    before: Option<(u64, String)>,
    limit: u32,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let (before_ms, before_id) = before.unwrap_or((i64::MAX.cast_unsigned(), String::new()));
    let rows = sqlx::query(
        "SELECT * FROM dead_letters
         WHERE state = ?1 AND (?2 = '' OR workflow_id = ?2) AND (created_at_ms, id) < (?3, ?4)
         ORDER BY created_at_ms DESC, id DESC LIMIT ?5",
    )
    .bind(i32::from(state))
    .bind(workflow)
    .bind(before_ms.cast_signed())
    .bind(before_id)
    .bind(limit)
    .fetch_all(readers)
    .await?;
    rows.iter().map(dead_letter).collect()
}

pub(super) async fn count(
    readers: &SqlitePool,
    state: DeadLetterState,
) -> Result<u64, sqlx::Error> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM dead_letters WHERE state = ?")
        .bind(i32::from(state))
        .fetch_one(readers)
        .await?;
    Ok(count.cast_unsigned())
}

pub(super) async fn get(readers: &SqlitePool, id: &str) -> Result<Option<DeadLetter>, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM dead_letters WHERE id = ?")
        .bind(id)
        .fetch_optional(readers)
        .await?;
    row.as_ref().map(dead_letter).transpose()
}

pub(super) async fn clear(
    writer: &SqlitePool,
    settled_max: u32,
    before_ms: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM dead_letters WHERE state <> 1 AND (settled_at_ms < ?1 OR id IN (
             SELECT id FROM dead_letters WHERE state <> 1
             ORDER BY settled_at_ms DESC LIMIT -1 OFFSET ?2))",
    )
    .bind(before_ms.cast_signed())
    .bind(settled_max)
    .execute(writer)
    .await?;
    Ok(())
}

fn dead_letter(row: &SqliteRow) -> Result<DeadLetter, sqlx::Error> {
    let cause: i32 = row.try_get("cause")?;
    let state: i32 = row.try_get("state")?;
    let settled_at_ms: Option<i64> = row.try_get("settled_at_ms")?;
    Ok(DeadLetter {
        id: row.try_get("id")?,
        workflow: row.try_get("workflow_id")?,
        definition: DefinitionReference {
            namespace: row.try_get("definition_namespace")?,
            name: row.try_get("definition_name")?,
            version: row.try_get("definition_version")?,
        },
        task: row.try_get("task")?,
        cause: DeadLetterCause::try_from(cause).map_err(|error| undecodable("cause", error))?,
        state: DeadLetterState::try_from(state).map_err(|error| undecodable("state", error))?,
        error: message(row, "error")?,
        created_at_ms: unsigned(row, "created_at_ms")?,
        settled_at_ms: settled_at_ms.map(i64::cast_unsigned),
    })
}
