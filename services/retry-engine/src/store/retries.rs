//! Decisions not handed over yet, and what is remembered of those to give up. Both databases are
//! asked in the same words: compiled for each of them, `super` says what a session and a row are.

use prost::Message;
use sqlx::{Row as _, query};

use super::rows::{message, small, unsigned};
use super::{Row, Session};
use crate::records::{Retry, RetryKey};

/// A decision about a later attempt takes the place of an earlier one's, never the reverse.
pub(super) async fn put(session: &mut Session<'_>, retry: &Retry) -> Result<(), sqlx::Error> {
    let put = query(
        "INSERT INTO retries (workflow_id, frame, attempt, function, failure,
             attempts_max, error, created_at_ms, due_at_ms, give_up_reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (workflow_id, frame) DO UPDATE SET
             attempt = excluded.attempt, function = excluded.function,
             failure = excluded.failure, attempts_max = excluded.attempts_max,
             error = excluded.error, created_at_ms = excluded.created_at_ms,
             due_at_ms = excluded.due_at_ms, give_up_reason = excluded.give_up_reason
         WHERE excluded.attempt > retries.attempt",
    )
    .bind(&retry.key.workflow)
    .bind(i64::from(retry.key.frame))
    .bind(i64::from(retry.key.attempt))
    .bind(&retry.function)
    .bind(i64::from(retry.failure))
    .bind(i64::from(retry.attempts_max))
    .bind(retry.error.encode_to_vec())
    .bind(retry.created_at_ms.cast_signed())
    .bind(retry.due_at_ms.cast_signed())
    .bind(&retry.give_up_reason);
    session.execute(put).await?;
    if retry.give_up_reason.is_empty() {
        return Ok(());
    }
    let remember = query(
        "INSERT INTO give_ups (workflow_id, frame, reason, at_ms) VALUES ($1, $2, $3, $4)
         ON CONFLICT (workflow_id, frame) DO UPDATE SET
             reason = excluded.reason, at_ms = excluded.at_ms",
    )
    .bind(&retry.key.workflow)
    .bind(i64::from(retry.key.frame))
    .bind(&retry.give_up_reason)
    .bind(retry.created_at_ms.cast_signed());
    session.execute(remember).await.map(drop)
}

/// Drops everything about a workflow's failures.
pub(super) async fn forget(session: &mut Session<'_>, workflow: &str) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM retries WHERE workflow_id = $1",
        "DELETE FROM give_ups WHERE workflow_id = $1",
    ] {
        session.execute(query(statement).bind(workflow)).await?;
    }
    Ok(())
}

/// What was not handed over yet may still become the cause of a dead letter.
pub(super) async fn clear_give_ups(
    session: &mut Session<'_>,
    before_ms: u64,
) -> Result<(), sqlx::Error> {
    let clear = query(
        "DELETE FROM give_ups WHERE at_ms < $1 AND NOT EXISTS (
             SELECT 1 FROM retries
             WHERE retries.workflow_id = give_ups.workflow_id AND retries.frame = give_ups.frame)",
    );
    session.execute(clear.bind(before_ms.cast_signed())).await.map(drop)
}

pub(super) async fn remove(
    session: &mut Session<'_>,
    keys: &[RetryKey],
) -> Result<(), sqlx::Error> {
    let remove = "DELETE FROM retries WHERE workflow_id = $1 AND frame = $2 AND attempt = $3";
    for key in keys {
        let remove = query(remove)
            .bind(&key.workflow)
            .bind(i64::from(key.frame))
            .bind(i64::from(key.attempt));
        session.execute(remove).await?;
    }
    Ok(())
}

pub(super) async fn reschedule(
    session: &mut Session<'_>,
    key: &RetryKey,
    due_at_ms: u64,
) -> Result<bool, sqlx::Error> {
    let reschedule = query(
        "UPDATE retries SET due_at_ms = $1
         WHERE workflow_id = $2 AND frame = $3 AND attempt = $4",
    )
    .bind(due_at_ms.cast_signed())
    .bind(&key.workflow)
    .bind(i64::from(key.frame))
    .bind(i64::from(key.attempt));
    Ok(session.execute(reschedule).await? > 0)
}

pub(super) async fn next_due_ms(session: &mut Session<'_>) -> Result<Option<u64>, sqlx::Error> {
    let row = session.row(query("SELECT min(due_at_ms) AS due FROM retries")).await?;
    let due: Option<i64> = row.map(|row| row.try_get("due")).transpose()?.flatten();
    Ok(due.map(i64::cast_unsigned))
}

pub(super) async fn due(
    session: &mut Session<'_>,
    now_ms: u64,
    limit: u32,
) -> Result<Vec<Retry>, sqlx::Error> {
    let due = query("SELECT * FROM retries WHERE due_at_ms <= $1 ORDER BY due_at_ms LIMIT $2")
        .bind(now_ms.cast_signed())
        .bind(i64::from(limit));
    session.rows(due).await?.iter().map(retry).collect()
}

pub(super) async fn waiting(
    session: &mut Session<'_>,
    workflow: &str,
    limit: u32,
) -> Result<Vec<Retry>, sqlx::Error> {
    let waiting = query(
        "SELECT * FROM retries WHERE give_up_reason = '' AND ($1 = '' OR workflow_id = $1)
         ORDER BY due_at_ms LIMIT $2",
    );
    let rows = session.rows(waiting.bind(workflow).bind(i64::from(limit))).await?;
    rows.iter().map(retry).collect()
}

pub(super) async fn after(
    session: &mut Session<'_>,
    workflow: &str,
    limit: u32,
) -> Result<Vec<Retry>, sqlx::Error> {
    let after =
        query("SELECT * FROM retries WHERE workflow_id > $1 ORDER BY workflow_id, frame LIMIT $2");
    let rows = session.rows(after.bind(workflow).bind(i64::from(limit))).await?;
    rows.iter().map(retry).collect()
}

fn retry(row: &Row) -> Result<Retry, sqlx::Error> {
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
