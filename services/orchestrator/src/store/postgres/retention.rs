//! Removing what is over for long.

use planaria_store::{PostgresStore, retried};
use sqlx::Row;
use uuid::Uuid;

use super::query::{milliseconds, number};
use super::{position_of, rows};
use crate::store::{Expired, Expiry, Position, Shard, StoreError};

pub(super) async fn expired(
    store: &PostgresStore,
    shard: Shard,
    after: Uuid,
    ended: Expiry,
    limit: u32,
) -> Result<Expired, StoreError> {
    // Of all shards: the index is that of the ids. A page is a page whoever's rows are in it.
    let select = "SELECT id, shard, phase, started_at_ms, ended_at_ms FROM workflows
        WHERE id > $1 ORDER BY id LIMIT $2";
    let found = store.rows(sqlx::query(select).bind(after).bind(i64::from(limit))).await?;
    let mut seen = Vec::with_capacity(found.len());
    for row in &found {
        let phase = rows::phase_of(row.try_get("phase")?).unwrap_or_default();
        let started: i64 = row.try_get("started_at_ms")?;
        let ended: Option<i64> = row.try_get("ended_at_ms")?;
        let mine = row.try_get::<i32, _>("shard")? == number(shard);
        let ended = ended.filter(|_| mine).map(i64::cast_unsigned);
        seen.push((row.try_get("id")?, phase, started.cast_unsigned(), ended));
    }
    Ok(ended.choose(&seen, limit))
}

/// One statement, which is one transaction; it holds the shard's row, as commits do.
pub(super) async fn forget(
    store: &PostgresStore,
    (shard, log): (Shard, u64),
    ids: &[Uuid],
) -> Result<(), StoreError> {
    let forget = "WITH held AS (
            SELECT 1 FROM shards WHERE shard = $1 AND log = $2 AND holder <> '' FOR UPDATE
        ), gone AS (
            DELETE FROM workflows WHERE id = ANY ($3) AND shard = $1 AND phase IN (5, 6, 7)
                AND EXISTS (SELECT 1 FROM held)
            RETURNING id
        ), entries AS (
            DELETE FROM log WHERE workflow_id IN (SELECT id FROM gone) RETURNING position
        ), tasks_gone AS (
            DELETE FROM tasks WHERE workflow_id IN (SELECT id FROM gone)
        ), timers_gone AS (
            DELETE FROM timers WHERE workflow_id IN (SELECT id FROM gone)
        ), listeners_gone AS (
            DELETE FROM listeners WHERE workflow_id IN (SELECT id FROM gone)
        ), frozen_gone AS (
            DELETE FROM frozen WHERE workflow_id IN (SELECT id FROM gone)
        )
        UPDATE shards
        SET trimmed = GREATEST(trimmed, (SELECT coalesce(max(position), 0) FROM entries))
        WHERE shard = $1 AND log = $2 AND EXISTS (SELECT 1 FROM held)";
    let held = retried(|| {
        let query = sqlx::query(forget).bind(number(shard)).bind(log as i64).bind(ids);
        store.execute(query)
    });
    if held.await? > 0 { Ok(()) } else { Err(StoreError::Fenced) }
}

pub(super) async fn trim(
    store: &PostgresStore,
    (shard, log): (Shard, u64),
    before_ms: u64,
    limit: u32,
) -> Result<u64, StoreError> {
    let trim = "WITH held AS (
            SELECT 1 FROM shards WHERE shard = $1 AND log = $2 AND holder <> '' FOR UPDATE
        ), entries AS (
            DELETE FROM log WHERE shard = $1 AND EXISTS (SELECT 1 FROM held) AND position IN (
                SELECT position FROM log
                WHERE shard = $1 AND workflow_id IS NULL AND at_ms < $3 ORDER BY at_ms LIMIT $4
            ) RETURNING position
        ), marked AS (
            UPDATE shards
            SET trimmed = GREATEST(trimmed, (SELECT coalesce(max(position), 0) FROM entries))
            WHERE shard = $1 AND log = $2 AND EXISTS (SELECT 1 FROM entries)
        )
        SELECT (SELECT count(*) FROM held) AS held, (SELECT count(*) FROM entries) AS gone";
    let done = retried(|| {
        let query = sqlx::query(trim).bind(number(shard)).bind(log as i64);
        store.row(query.bind(milliseconds(before_ms)).bind(i64::from(limit)))
    });
    let row = done.await?.ok_or(sqlx::Error::RowNotFound)?;
    if row.try_get::<i64, _>("held")? == 0 {
        return Err(StoreError::Fenced);
    }
    Ok(row.try_get::<i64, _>("gone")?.cast_unsigned())
}

pub(super) async fn trimmed(store: &PostgresStore, shard: Shard) -> Result<Position, StoreError> {
    let select = sqlx::query("SELECT trimmed FROM shards WHERE shard = $1").bind(number(shard));
    let row = store.row(select).await?;
    Ok(row.map(|row| row.try_get("trimmed").map(position_of)).transpose()?.unwrap_or_default())
}
