//! Decisions not handed over yet, and what is remembered of those to give up.

use prost::Message;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::rows::{message, small, unsigned};
use crate::records::{Retry, RetryKey};

/// A decision about a later attempt takes the place of an earlier one's, never the reverse.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    retry: &Retry,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO retries (workflow_id, frame, attempt, function, failure,
             attempts_max, error, created_at_ms, due_at_ms, give_up_reason)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (workflow_id, frame) DO UPDATE SET
             attempt = excluded.attempt, function = excluded.function,
             failure = excluded.failure, attempts_max = excluded.attempts_max,
             error = excluded.error, created_at_ms = excluded.created_at_ms,
             due_at_ms = excluded.due_at_ms, give_up_reason = excluded.give_up_reason
         WHERE excluded.attempt > retries.attempt",
    )
    .bind(&retry.key.workflow)
    .bind(retry.key.frame)
    .bind(retry.key.attempt)
    .bind(&retry.function)
    .bind(retry.failure)
    .bind(retry.attempts_max)
    .bind(retry.error.encode_to_vec())
    .bind(retry.created_at_ms.cast_signed())
    .bind(retry.due_at_ms.cast_signed())
    .bind(&retry.give_up_reason)
    .execute(&mut *connection)
    .await?;
    if retry.give_up_reason.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT OR REPLACE INTO give_ups (workflow_id, frame, reason, at_ms) VALUES (?, ?, ?, ?)",
    )
    .bind(&retry.key.workflow)
    .bind(retry.key.frame)
    .bind(&retry.give_up_reason)
    .bind(retry.created_at_ms.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

/// Drops everything about a workflow's failures.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    workflow: &str,
) -> Result<(), sqlx::Error> {
    for statement in
        ["DELETE FROM retries WHERE workflow_id = ?", "DELETE FROM give_ups WHERE workflow_id = ?"]
    {
        sqlx::query(statement).bind(workflow).execute(&mut *connection).await?;
    }
    Ok(())
}

/// What was not handed over yet may still become the cause of a dead letter.
pub(super) async fn clear_give_ups(writer: &SqlitePool, before_ms: u64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM give_ups WHERE at_ms < ? AND NOT EXISTS (
             SELECT 1 FROM retries
             WHERE retries.workflow_id = give_ups.workflow_id AND retries.frame = give_ups.frame)",
    )
    .bind(before_ms.cast_signed())
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn remove(
    connection: &mut SqliteConnection,
    key: &RetryKey,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM retries WHERE workflow_id = ? AND frame = ? AND attempt = ?")
        .bind(&key.workflow)
        .bind(key.frame)
        .bind(key.attempt)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn reschedule(
    writer: &SqlitePool,
    key: &RetryKey,
    due_at_ms: u64,
) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "UPDATE retries SET due_at_ms = ? WHERE workflow_id = ? AND frame = ? AND attempt = ?",
    )
    .bind(due_at_ms.cast_signed())
    .bind(&key.workflow)
    .bind(key.frame)
    .bind(key.attempt)
    .execute(writer)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn due(
    readers: &SqlitePool,
    now_ms: u64,
    limit: u32,
) -> Result<Vec<Retry>, sqlx::Error> {
    let rows = sqlx::query("SELECT * FROM retries WHERE due_at_ms <= ? ORDER BY due_at_ms LIMIT ?")
        .bind(now_ms.cast_signed())
        .bind(limit)
        .fetch_all(readers)
        .await?;
    rows.iter().map(retry).collect()
}

pub(super) async fn waiting(
    readers: &SqlitePool,
    workflow: &str,
    limit: u32,
) -> Result<Vec<Retry>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT * FROM retries WHERE give_up_reason = '' AND (?1 = '' OR workflow_id = ?1)
         ORDER BY due_at_ms LIMIT ?2",
    )
    .bind(workflow)
    .bind(limit)
    .fetch_all(readers)
    .await?;
    rows.iter().map(retry).collect()
}

pub(super) async fn after(
    readers: &SqlitePool,
    workflow: &str,
    limit: u32,
) -> Result<Vec<Retry>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT * FROM retries WHERE workflow_id > ? ORDER BY workflow_id, frame LIMIT ?",
    )
    .bind(workflow)
    .bind(limit)
    .fetch_all(readers)
    .await?;
    rows.iter().map(retry).collect()
}

fn retry(row: &SqliteRow) -> Result<Retry, sqlx::Error> {
    Ok(Retry {
        key: RetryKey {
            workflow: row.try_get("workflow_id")?,
            frame: small(row, "frame")?,
            attempt: small(row, "attempt")?,
        },
        function: row.try_get("function")?,
        failure: small(row, "failure")?,
        attempts_max: small(row, "attempts_max")?,
        error: message(row, "error")?,
        created_at_ms: unsigned(row, "created_at_ms")?,
        due_at_ms: unsigned(row, "due_at_ms")?,
        give_up_reason: row.try_get("give_up_reason")?,
    })
}
