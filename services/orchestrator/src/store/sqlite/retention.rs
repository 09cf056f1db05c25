//! Removing what is over for long.

use planaria_store::SqliteStore;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{position_of, rows};
use crate::store::{Expired, Expiry, Position, StoreError};

pub(super) async fn expired(
    store: &SqliteStore,
    after: Uuid,
    ended: Expiry,
    limit: u32,
) -> Result<Expired, StoreError> {
    let select = "SELECT id, phase, started_at_ms, ended_at_ms FROM workflows
        WHERE id > ? ORDER BY id LIMIT ?";
    let found = sqlx::query(select).bind(after).bind(limit).fetch_all(store.readers()).await?;
    let mut seen = Vec::with_capacity(found.len());
    for row in &found {
        let phase = rows::phase_of(row.try_get("phase")?).unwrap_or_default();
        let started: i64 = row.try_get("started_at_ms")?;
        let ended: Option<i64> = row.try_get("ended_at_ms")?;
        seen.push((
            row.try_get("id")?,
            phase,
            started.cast_unsigned(),
            ended.map(i64::cast_unsigned),
        ));
    }
    Ok(ended.choose(&seen, limit))
}

pub(super) async fn forget(store: &SqliteStore, ids: &[Uuid]) -> Result<(), StoreError> {
    let mut transaction = store.writer().begin_with("BEGIN IMMEDIATE").await?;
    for id in ids {
        let gone = "DELETE FROM workflows WHERE id = ? AND phase IN (5, 6, 7)";
        let gone = sqlx::query(gone).bind(*id).execute(&mut *transaction).await?;
        if gone.rows_affected() == 0 {
            continue;
        }
        let last = "SELECT max(position) FROM log WHERE workflow_id = ?";
        let last: Option<i64> =
            sqlx::query_scalar(last).bind(*id).fetch_one(&mut *transaction).await?;
        mark(&mut transaction, last).await?;
        for delete in [
            "DELETE FROM log WHERE workflow_id = ?",
            "DELETE FROM tasks WHERE workflow_id = ?",
            "DELETE FROM timers WHERE workflow_id = ?",
            "DELETE FROM listeners WHERE workflow_id = ?",
            "DELETE FROM frozen WHERE workflow_id = ?",
        ] {
            sqlx::query(delete).bind(*id).execute(&mut *transaction).await?;
        }
    }
    Ok(transaction.commit().await?)
}

pub(super) async fn trim(
    store: &SqliteStore,
    before_ms: u64,
    limit: u32,
) -> Result<u64, StoreError> {
    let delete = "DELETE FROM log WHERE position IN (
            SELECT position FROM log WHERE workflow_id IS NULL AND at_ms < ?
            ORDER BY at_ms LIMIT ?
        ) RETURNING position";
    let before = i64::try_from(before_ms).unwrap_or(i64::MAX);
    let mut transaction = store.writer().begin_with("BEGIN IMMEDIATE").await?;
    let gone: Vec<i64> =
        sqlx::query_scalar(delete).bind(before).bind(limit).fetch_all(&mut *transaction).await?;
    mark(&mut transaction, gone.iter().max().copied()).await?;
    transaction.commit().await?;
    Ok(gone.len() as u64)
}

/// Everything up to a position may have gaps.
async fn mark(connection: &mut SqliteConnection, last: Option<i64>) -> Result<(), StoreError> {
    if let Some(last) = last {
        sqlx::query("UPDATE trimmed SET position = max(position, ?)")
            .bind(last)
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn trimmed(store: &SqliteStore) -> Result<Position, StoreError> {
    let select = sqlx::query_scalar("SELECT position FROM trimmed");
    Ok(position_of(select.fetch_one(store.readers()).await?))
}
