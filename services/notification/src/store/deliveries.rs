//! Deliveries, in the words of both databases.

use planaria_proto::notification::v1::DeliveryState;

use super::{CLAIM, Session, derivation, rows};
use crate::records::{Attempt, Delivery, Fate, NewDelivery, Webhook};
use crate::store::{DeliveryFilter, Resend, Retained};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Failed deliveries that one call sends again.
const RESENT_MAX: i64 = 10_000;

pub(super) async fn due(session: &mut Session<'_>, now_ms: u64) -> Result<Vec<Webhook>> {
    let query = sqlx::query(
        "SELECT * FROM webhooks WHERE enabled AND EXISTS (
             SELECT 1 FROM deliveries
             WHERE deliveries.webhook_id = webhooks.id AND deliveries.next_at_ms <= $1)",
    )
    .bind(now_ms.cast_signed());
    session.rows(query).await?.iter().map(rows::webhook).collect()
}

pub(super) async fn next_due_ms(session: &mut Session<'_>, now_ms: u64) -> Result<Option<u64>> {
    let query = sqlx::query(
        "SELECT min(each.next_at_ms) AS next_at_ms FROM (
             SELECT (SELECT min(next_at_ms) FROM deliveries
                 WHERE webhook_id = webhooks.id AND next_at_ms > $1) AS next_at_ms
             FROM webhooks WHERE enabled) AS each",
    )
    .bind(now_ms.cast_signed());
    let row = session.row(query).await?.ok_or(sqlx::Error::RowNotFound)?;
    let next_at_ms: Option<i64> = sqlx::Row::try_get(&row, "next_at_ms")?;
    Ok(next_at_ms.map(i64::cast_unsigned))
}

pub(super) async fn claim(
    session: &mut Session<'_>,
    webhook: &str,
    (now_ms, until_ms): (u64, u64),
    limit: u32,
) -> Result<Vec<Delivery>> {
    let query = sqlx::query(CLAIM)
        .bind(webhook)
        .bind(now_ms.cast_signed())
        .bind(until_ms.cast_signed())
        .bind(i64::from(limit));
    let claimed = session.rows(query).await?;
    let mut claimed = claimed.iter().map(rows::delivery).collect::<Result<Vec<_>>>()?;
    claimed
        .sort_by(|one, other| (one.created_at_ms, &one.id).cmp(&(other.created_at_ms, &other.id)));
    Ok(claimed)
}

pub(super) async fn settle(
    session: &mut Session<'_>,
    id: &str,
    attempts: u32,
    attempt: &Attempt,
    fate: Fate,
) -> Result<()> {
    let (state, next_at_ms) = match fate {
        Fate::Delivered => (DeliveryState::Delivered, None),
        Fate::Again(at_ms) => (DeliveryState::Pending, Some(at_ms.cast_signed())),
        Fate::GivenUp => (DeliveryState::Failed, None),
    };
    let query = sqlx::query(
        "UPDATE deliveries SET state = $2, next_at_ms = $3, attempts = $4,
             attempted_at_ms = $5, status = $6, error = $7, took_ms = $8, response = $9
         WHERE id = $1 AND state = 1 AND (attempts < $4 OR $2 = 2)",
    )
    .bind(id)
    .bind(i64::from(i32::from(state)))
    .bind(next_at_ms)
    .bind(i64::from(attempts))
    .bind(attempt.at_ms.cast_signed())
    .bind(i64::from(attempt.status))
    .bind(&attempt.error)
    .bind(attempt.took_ms.cast_signed())
    .bind(&attempt.response);
    session.execute(query).await?;
    Ok(())
}

pub(super) async fn add(
    session: &mut Session<'_>,
    delivery: &NewDelivery,
    now_ms: u64,
    until_ms: u64,
) -> Result<()> {
    derivation::insert(session, delivery, now_ms, until_ms).await
}

pub(super) async fn list(
    session: &mut Session<'_>,
    filter: &DeliveryFilter,
    limit: u32,
) -> Result<Vec<Delivery>> {
    let (before_ms, before_id) = match &filter.before {
        Some((at_ms, id)) => (at_ms.cast_signed(), id.as_str()),
        None => (i64::MAX, ""),
    };
    let state = filter.state.map_or(0, i32::from);
    let query = sqlx::query(
        "SELECT id, webhook_id, namespace, event_id, event_type, state, attempts, created_at_ms,
             next_at_ms, attempted_at_ms, status, error, took_ms, response,
             substr(body, 1, 0) AS body
         FROM deliveries
         WHERE ($1 = '' OR webhook_id = $1) AND ($2 = '' OR namespace = $2)
             AND ($3 = 0 OR state = $3) AND substr(event_type, 1, length($4)) = $4
             AND (created_at_ms, id) < ($5, $6)
         ORDER BY created_at_ms DESC, id DESC LIMIT $7",
    )
    .bind(&filter.webhook)
    .bind(&filter.namespace)
    .bind(i64::from(state))
    .bind(&filter.event_type)
    .bind(before_ms)
    .bind(before_id)
    .bind(i64::from(limit));
    session.rows(query).await?.iter().map(rows::delivery).collect()
}

pub(super) async fn delivery(session: &mut Session<'_>, id: &str) -> Result<Option<Delivery>> {
    let row = session.row(sqlx::query("SELECT * FROM deliveries WHERE id = $1").bind(id)).await?;
    row.as_ref().map(rows::delivery).transpose()
}

pub(super) async fn resend(session: &mut Session<'_>, which: &Resend, now_ms: u64) -> Result<u64> {
    let now_ms = now_ms.cast_signed();
    match which {
        Resend::Ids(ids) => {
            let mut resent = 0;
            for id in ids {
                let query = sqlx::query(
                    "UPDATE deliveries SET state = 1, attempts = 0, next_at_ms = $2
                     WHERE id = $1 AND state <> 1",
                );
                resent += session.execute(query.bind(id).bind(now_ms)).await?;
            }
            Ok(resent)
        }
        Resend::FailedOf(webhook) => {
            let query = sqlx::query(
                "UPDATE deliveries SET state = 1, attempts = 0, next_at_ms = $2
                 WHERE id IN (SELECT id FROM deliveries WHERE webhook_id = $1 AND state = 3
                     ORDER BY created_at_ms, id LIMIT $3)",
            );
            session.execute(query.bind(webhook).bind(now_ms).bind(RESENT_MAX)).await
        }
    }
}

pub(super) async fn clear(session: &mut Session<'_>, retained: &Retained) -> Result<u64> {
    let batch_max = i64::from(retained.batch_max);
    let old = "DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE created_at_ms < $1 ORDER BY created_at_ms LIMIT $2)";
    let beyond = "DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE next_at_ms IS NULL
        ORDER BY created_at_ms DESC, id DESC LIMIT $2 OFFSET $1)";
    let mut gone = 0;
    for (statement, bound) in
        [(old, retained.from_ms.cast_signed()), (beyond, retained.settled_max.into())]
    {
        gone += session.execute(sqlx::query(statement).bind(bound).bind(batch_max)).await?;
    }
    Ok(gone)
}
