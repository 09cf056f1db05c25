//! The place in the log and what is derived from it, in the words of both databases.

use super::{NOW_MS, Session, rows};
use crate::records::NewDelivery;
use crate::store::{Derivation, Step};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// The database's own clock: replicas may differ in theirs.
async fn now_ms(session: &mut Session<'_>) -> Result<u64> {
    let row = session.row(sqlx::query(NOW_MS)).await?.ok_or(sqlx::Error::RowNotFound)?;
    rows::number(&row, "now_ms")
}

pub(super) async fn take(
    session: &mut Session<'_>,
    holder: &str,
    lease_ms: u64,
) -> Result<Option<Derivation>> {
    let now_ms = now_ms(session).await?;
    let query = sqlx::query(
        "UPDATE place SET holder = $1, held_until_ms = $2
         WHERE id = 1 AND cursor <> '' AND (holder = $1 OR held_until_ms <= $3)
         RETURNING cursor, version",
    )
    .bind(holder)
    .bind(now_ms.saturating_add(lease_ms).cast_signed())
    .bind(now_ms.cast_signed());
    let Some(place) = session.row(query).await? else { return Ok(None) };
    // Their changes wait for this transaction, or it for theirs: the version is of these.
    let webhooks = session.rows(sqlx::query("SELECT * FROM webhooks WHERE enabled")).await?;
    Ok(Some(Derivation {
        cursor: rows::cursor(&place, "cursor")?,
        version: rows::number(&place, "version")?,
        webhooks: webhooks.iter().map(rows::webhook).collect::<Result<_>>()?,
    }))
}

pub(super) async fn save(
    session: &mut Session<'_>,
    step: Step<'_>,
    deliveries: &[NewDelivery],
    created_at_ms: u64,
) -> Result<bool> {
    let until_ms = now_ms(session).await?.saturating_add(step.lease_ms);
    let query = sqlx::query(
        "UPDATE place SET cursor = $1, held_until_ms = $2
         WHERE id = 1 AND holder = $3 AND version = $4 AND cursor = $5",
    )
    .bind(step.to.to_string())
    .bind(until_ms.cast_signed())
    .bind(step.holder)
    .bind(step.version.cast_signed())
    .bind(step.from.to_string());
    if session.execute(query).await? == 0 {
        return Ok(false);
    }
    for delivery in deliveries {
        insert(session, delivery, created_at_ms, created_at_ms).await?;
    }
    Ok(true)
}

/// What is there already stays as it is.
pub(super) async fn insert(
    session: &mut Session<'_>,
    delivery: &NewDelivery,
    created_at_ms: u64,
    next_at_ms: u64,
) -> Result<()> {
    let query = sqlx::query(
        "INSERT INTO deliveries (id, webhook_id, namespace, event_id, event_type, state,
             attempts, created_at_ms, next_at_ms, status, error, took_ms, response, body)
         VALUES ($1, $2, $3, $4, $5, 1, 0, $6, $7, 0, '', 0, '', $8)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&delivery.id)
    .bind(&delivery.webhook)
    .bind(&delivery.namespace)
    .bind(&delivery.event_id)
    .bind(&delivery.event_type)
    .bind(created_at_ms.cast_signed())
    .bind(next_at_ms.cast_signed())
    .bind(delivery.body.as_slice());
    session.execute(query).await?;
    Ok(())
}

pub(super) async fn release(session: &mut Session<'_>, holder: &str) -> Result<()> {
    let query = sqlx::query("UPDATE place SET held_until_ms = 0 WHERE id = 1 AND holder = $1");
    session.execute(query.bind(holder)).await?;
    Ok(())
}
