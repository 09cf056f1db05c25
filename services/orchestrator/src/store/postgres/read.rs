//! Reading by key.

use bytes::Bytes;
use planaria_store::PostgresStore;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::query::number;
use super::rows;
use crate::store::rows::timer_from_number;
use crate::store::{
    DefinitionKey, DefinitionRow, SessionRow, Shard, StoreError, TaskKey, TaskRow, TimerKey,
    WorkflowRow, known, readable,
};

pub(super) async fn put_definition(
    store: &PostgresStore,
    definition: &DefinitionRow,
) -> Result<bool, StoreError> {
    let insert = "INSERT INTO definitions VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    let insert = sqlx::query(insert)
        .bind(&definition.key.namespace)
        .bind(&definition.key.name)
        .bind(&definition.key.version)
        .bind(definition.source.as_ref())
        .bind(&definition.digest)
        .bind(definition.published_at_ms as i64);
    Ok(store.execute(insert).await? == 1)
}

pub(super) async fn definition(
    store: &PostgresStore,
    key: &DefinitionKey,
) -> Result<Option<DefinitionRow>, StoreError> {
    let select = "SELECT * FROM definitions WHERE namespace = $1 AND name = $2 AND version = $3";
    let select = sqlx::query(select).bind(&key.namespace).bind(&key.name).bind(&key.version);
    store.row(select).await?.as_ref().map(rows::definition).transpose()
}

pub(super) async fn definition_keys(
    store: &PostgresStore,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<DefinitionKey>, StoreError> {
    let select = "SELECT namespace, name, version FROM definitions WHERE true";
    let mut query = QueryBuilder::<Postgres>::new(select);
    if let Some(namespace) = namespace {
        query.push(" AND namespace = ").push_bind(namespace);
    }
    if let Some(name) = name {
        query.push(" AND name = ").push_bind(name);
    }
    store.rows(query.build()).await?.iter().map(rows::definition_key).collect()
}

pub(super) async fn workflow_row(
    store: &PostgresStore,
    id: Uuid,
) -> Result<Option<WorkflowRow>, StoreError> {
    let row = store.row(sqlx::query("SELECT * FROM workflows WHERE id = $1").bind(id)).await?;
    row.as_ref().map(rows::workflow).transpose()
}

pub(super) async fn workflow_by_key(
    store: &PostgresStore,
    key: &str,
) -> Result<Option<WorkflowRow>, StoreError> {
    let select = sqlx::query("SELECT * FROM workflows WHERE idempotency_key = $1").bind(key);
    store.row(select).await?.as_ref().map(rows::workflow).transpose()
}

pub(super) async fn records(
    store: &PostgresStore,
    id: Uuid,
    after: u64,
    limit: u32,
) -> Result<Vec<Bytes>, StoreError> {
    // The record that begins at or before the number asked for may reach beyond it.
    let select = "SELECT body FROM log WHERE workflow_id = $1 AND first_seq >= coalesce(
            (SELECT max(first_seq) FROM log WHERE workflow_id = $1 AND first_seq <= $2), 0)
        ORDER BY first_seq LIMIT $3";
    let select = sqlx::query(select)
        .bind(id)
        .bind(i64::try_from(after.saturating_add(1)).unwrap_or(i64::MAX))
        .bind(i64::from(limit));
    let found = store.rows(select).await?;
    found.iter().map(|row| Ok(row.try_get::<Vec<u8>, _>("body")?.into())).collect()
}

pub(super) async fn tasks_of(
    store: &PostgresStore,
    ids: &[Uuid],
) -> Result<Vec<TaskRow>, StoreError> {
    let select = "SELECT * FROM tasks WHERE workflow_id = ANY ($1) ORDER BY workflow_id, frame";
    readable(store.rows(sqlx::query(select).bind(ids)).await?.iter().map(rows::task).collect())
}

pub(super) async fn tasks(
    store: &PostgresStore,
    shard: Shard,
    after: Option<TaskKey>,
    limit: u32,
) -> Result<Vec<TaskRow>, StoreError> {
    let (workflow, frame) = after.map_or((Uuid::nil(), 0), |key| (key.workflow, key.frame.0));
    let select = "SELECT * FROM tasks WHERE (workflow_id, frame) > ($1, $2) AND shard = $3
        ORDER BY workflow_id, frame LIMIT $4";
    let select = sqlx::query(select)
        .bind(workflow)
        .bind(i64::from(frame))
        .bind(number(shard))
        .bind(i64::from(limit));
    readable(store.rows(select).await?.iter().map(rows::task).collect())
}

pub(super) async fn timers_before(
    store: &PostgresStore,
    shard: Shard,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<(TimerKey, u64)>, StoreError> {
    let select = "SELECT * FROM timers WHERE shard = $1 AND due_ms < $2 ORDER BY due_ms LIMIT $3";
    let before_ms = i64::try_from(before_ms).unwrap_or(i64::MAX);
    let select = sqlx::query(select).bind(number(shard)).bind(before_ms);
    readable(store.rows(select.bind(i64::from(limit))).await?.iter().map(timer).collect())
}

pub(super) async fn timers_of(
    store: &PostgresStore,
    id: Uuid,
) -> Result<Vec<Option<(TimerKey, u64)>>, StoreError> {
    let select = sqlx::query("SELECT * FROM timers WHERE workflow_id = $1").bind(id);
    store.rows(select).await?.iter().map(|row| known(timer(row))).collect()
}

pub(super) async fn listeners_of(
    store: &PostgresStore,
    id: Uuid,
) -> Result<Vec<(TaskKey, String)>, StoreError> {
    let select = sqlx::query("SELECT * FROM listeners WHERE workflow_id = $1").bind(id);
    store.rows(select).await?.iter().map(listener).collect()
}

pub(super) fn timer(row: &PgRow) -> Result<(TimerKey, u64), StoreError> {
    let number: i32 = row.try_get("timer")?;
    let timer = timer_from_number(number.into())
        .ok_or_else(|| StoreError::Corrupt(format!("timer kind {number}")))?;
    let task = TaskKey { workflow: row.try_get("workflow_id")?, frame: rows::frame(row)? };
    let due_ms: i64 = row.try_get("due_ms")?;
    Ok((TimerKey { task, timer }, u64::try_from(due_ms).unwrap_or_default()))
}

pub(super) async fn sessions(
    store: &PostgresStore,
    shard: Shard,
) -> Result<Vec<SessionRow>, StoreError> {
    let select = sqlx::query("SELECT * FROM sessions WHERE shard = $1").bind(number(shard));
    store.rows(select).await?.iter().map(rows::session).collect()
}

pub(super) async fn session_of(
    store: &PostgresStore,
    worker_id: &str,
) -> Result<Option<Uuid>, StoreError> {
    let select = "SELECT id FROM sessions WHERE worker_id = $1 AND NOT is_lent";
    let row = store.row(sqlx::query(select).bind(worker_id)).await?;
    Ok(row.map(|row| row.try_get("id")).transpose()?)
}

pub(super) async fn open_healings(
    store: &PostgresStore,
    shard: Shard,
) -> Result<Vec<Bytes>, StoreError> {
    let select = "SELECT body FROM healings WHERE shard = $1 ORDER BY id LIMIT 10000";
    let found = store.rows(sqlx::query(select).bind(number(shard))).await?;
    found.iter().map(|row| Ok(row.try_get::<Vec<u8>, _>("body")?.into())).collect()
}

pub(super) async fn listeners(
    store: &PostgresStore,
    shard: Shard,
) -> Result<Vec<(TaskKey, String)>, StoreError> {
    let select = sqlx::query("SELECT * FROM listeners WHERE shard = $1").bind(number(shard));
    store.rows(select).await?.iter().map(listener).collect()
}

fn listener(row: &PgRow) -> Result<(TaskKey, String), StoreError> {
    let task = TaskKey { workflow: row.try_get("workflow_id")?, frame: rows::frame(row)? };
    Ok((task, row.try_get("event_type")?))
}
