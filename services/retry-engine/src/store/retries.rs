//! Decisions not handed over yet, and what is remembered of those to give up. Both databases are
//! asked in the same words: compiled for each of them, `super` says what a session and a row are.

use std::collections::BTreeMap;

use prost::Message;
use sqlx::{Row as _, query};

use super::rows::{message, small, unsigned};
use super::{RETRIES_CLAIMED, Row, Session, budgets};
use crate::convert;
use crate::records::{Retry, RetryKey, Route};
use crate::store::{Claimed, Rules};

/// A decision about a later attempt takes the place of an earlier one's, never the reverse.
pub(super) async fn put(session: &mut Session<'_>, retry: &Retry) -> Result<(), sqlx::Error> {
    let put = query(
        "INSERT INTO retries (workflow_id, frame, attempt, function, failure,
             attempts_max, error, created_at_ms, due_at_ms, give_up_reason,
             namespace, destination, class, ready_at_ms, deferrals, charges)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $9, 0, 0)
         ON CONFLICT (workflow_id, frame) DO UPDATE SET
             attempt = excluded.attempt, function = excluded.function,
             failure = excluded.failure, attempts_max = excluded.attempts_max,
             error = excluded.error, created_at_ms = excluded.created_at_ms,
             due_at_ms = excluded.due_at_ms, give_up_reason = excluded.give_up_reason,
             namespace = excluded.namespace, destination = excluded.destination,
             class = excluded.class, ready_at_ms = excluded.ready_at_ms, deferrals = 0,
             charges = 0
         WHERE excluded.attempt > retries.attempt",
    )
    .bind(&retry.key.workflow)
    .bind(i64::from(retry.key.frame))
    .bind(i64::from(retry.key.attempt))
    .bind(&retry.route.function)
    .bind(i64::from(retry.failure))
    .bind(i64::from(retry.attempts_max))
    .bind(retry.error.encode_to_vec())
    .bind(retry.created_at_ms.cast_signed())
    .bind(retry.due_at_ms.cast_signed())
    .bind(&retry.give_up_reason)
    .bind(&retry.route.namespace)
    .bind(&retry.route.destination)
    .bind(i64::from(i32::from(convert::class(retry.class))));
    session.execute(put).await?;
    if retry.give_up_reason.is_empty() {
        return Ok(());
    }
    let remember = query(
        "INSERT INTO give_ups (workflow_id, frame, reason, at_ms, function)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (workflow_id, frame) DO UPDATE SET
             reason = excluded.reason, at_ms = excluded.at_ms, function = excluded.function",
    )
    .bind(&retry.key.workflow)
    .bind(i64::from(retry.key.frame))
    .bind(&retry.give_up_reason)
    .bind(retry.created_at_ms.cast_signed())
    .bind(&retry.route.function);
    session.execute(remember).await.map(drop)
}

/// Drops everything about a workflow's failures.
pub(super) async fn forget(session: &mut Session<'_>, workflow: &str) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM retries WHERE workflow_id = $1",
        "DELETE FROM give_ups WHERE workflow_id = $1",
        "DELETE FROM losses WHERE workflow_id = $1",
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

/// Whoever says so pays no attention to budgets: it counts as charged.
pub(super) async fn reschedule(
    session: &mut Session<'_>,
    key: &RetryKey,
    due_at_ms: u64,
) -> Result<bool, sqlx::Error> {
    let reschedule = query(
        "UPDATE retries SET due_at_ms = $1, ready_at_ms = $1, charges = 1
         WHERE workflow_id = $2 AND frame = $3 AND attempt = $4",
    )
    .bind(due_at_ms.cast_signed())
    .bind(&key.workflow)
    .bind(i64::from(key.frame))
    .bind(i64::from(key.attempt));
    Ok(session.execute(reschedule).await? > 0)
}

pub(super) async fn next_due_ms(session: &mut Session<'_>) -> Result<Option<u64>, sqlx::Error> {
    let row = session.row(query("SELECT min(ready_at_ms) AS due FROM retries")).await?;
    let due: Option<i64> = row.map(|row| row.try_get("due")).transpose()?.flatten();
    Ok(due.map(i64::cast_unsigned))
}

/// Claims what is due until a time, and charges it to its budgets; what finds its budget empty is
/// put off instead.
pub(super) async fn claim(
    session: &mut Session<'_>,
    (now_ms, until_ms): (u64, u64),
    limit: u32,
    rules: &Rules,
) -> Result<Claimed, sqlx::Error> {
    let claim = query(RETRIES_CLAIMED)
        .bind(now_ms.cast_signed())
        .bind(i64::from(limit))
        .bind(until_ms.cast_signed());
    let mut claimed = Claimed::default();
    let mut charged: BTreeMap<Route, Vec<Retry>> = BTreeMap::new();
    for row in session.rows(claim).await? {
        let retry = retry(&row)?;
        // The first claim charges; a later one follows a replica that did not finish.
        if retry.give_up_reason.is_empty() && small(&row, "charges")? == 1 {
            charged.entry(retry.route.clone()).or_default().push(retry);
        } else {
            claimed.decided.push(retry);
        }
    }
    for (route, mut retries) in charged {
        retries.sort_by_key(|retry| retry.due_at_ms);
        let wanted = u32::try_from(retries.len()).unwrap_or(u32::MAX);
        let (taken, budget) = budgets::take(session, &route, (now_ms, wanted), rules).await?;
        let deferred = retries.split_off(usize::try_from(taken).unwrap_or(usize::MAX));
        claimed.decided.extend(retries);
        for (position, mut retry) in (0..).zip(deferred) {
            retry.due_at_ms = budget.ask_again_ms(&rules.budget, now_ms, position);
            retry.deferrals += 1;
            defer(session, &retry).await?;
            claimed.deferred.push(retry);
        }
    }
    claimed.decided.sort_by_key(|retry| retry.due_at_ms);
    Ok(claimed)
}

async fn defer(session: &mut Session<'_>, retry: &Retry) -> Result<(), sqlx::Error> {
    let defer = query(
        "UPDATE retries SET due_at_ms = $1, ready_at_ms = $1, deferrals = $2, charges = 0
         WHERE workflow_id = $3 AND frame = $4 AND attempt = $5",
    )
    .bind(retry.due_at_ms.cast_signed())
    .bind(i64::from(retry.deferrals))
    .bind(&retry.key.workflow)
    .bind(i64::from(retry.key.frame))
    .bind(i64::from(retry.key.attempt));
    session.execute(defer).await.map(drop)
}

pub(super) async fn release(
    session: &mut Session<'_>,
    keys: &[RetryKey],
    now_ms: u64,
) -> Result<(), sqlx::Error> {
    for key in keys {
        let release = query(
            "UPDATE retries SET ready_at_ms = $1
             WHERE workflow_id = $2 AND frame = $3 AND attempt = $4",
        )
        .bind(now_ms.cast_signed())
        .bind(&key.workflow)
        .bind(i64::from(key.frame))
        .bind(i64::from(key.attempt));
        session.execute(release).await?;
    }
    Ok(())
}

pub(super) async fn waiting(
    session: &mut Session<'_>,
    (namespace, workflow): (&str, &str),
    limit: u32,
) -> Result<Vec<Retry>, sqlx::Error> {
    let waiting = query(
        "SELECT * FROM retries WHERE give_up_reason = '' AND ($1 = '' OR workflow_id = $1)
             AND ($2 = '' OR namespace = $2)
         ORDER BY due_at_ms LIMIT $3",
    );
    let waiting = waiting.bind(workflow).bind(namespace).bind(i64::from(limit));
    let rows = session.rows(waiting).await?;
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
        route: Route {
            namespace: row.try_get("namespace")?,
            function: row.try_get("function")?,
            destination: row.try_get("destination")?,
        },
        class: convert::class_from(small(row, "class")?),
        failure: small(row, "failure")?,
        attempts_max: small(row, "attempts_max")?,
        error: message(row, "error")?,
        created_at_ms: unsigned(row, "created_at_ms")?,
        due_at_ms: unsigned(row, "due_at_ms")?,
        give_up_reason: row.try_get("give_up_reason")?,
        deferrals: small(row, "deferrals")?,
    })
}
