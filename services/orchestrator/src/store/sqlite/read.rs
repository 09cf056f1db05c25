//! Reading by key.

use bytes::Bytes;
use planaria_kernel::workflow::FrameId;
use planaria_store::SqliteStore;
use sqlx::{QueryBuilder, Row, Sqlite};
use uuid::Uuid;

use super::rows;
use crate::store::rows::timer_from_number;
use crate::store::{
    DefinitionKey, DefinitionRow, SessionRow, StoreError, TaskKey, TaskRow, TimerKey, WorkflowRow,
    known, readable,
};

pub(super) async fn put_definition(
    store: &SqliteStore,
    definition: &DefinitionRow,
) -> Result<bool, StoreError> {
    let insert = "INSERT INTO definitions VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
    let done = sqlx::query(insert)
        .bind(&definition.key.namespace)
        .bind(&definition.key.name)
        .bind(&definition.key.version)
        .bind(definition.source.as_ref())
        .bind(&definition.digest)
        .bind(definition.published_at_ms as i64)
        .execute(store.writer())
        .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn definition(
    store: &SqliteStore,
    key: &DefinitionKey,
) -> Result<Option<DefinitionRow>, StoreError> {
    let select = "SELECT * FROM definitions WHERE namespace = ? AND name = ? AND version = ?";
    let row = sqlx::query(select)
        .bind(&key.namespace)
        .bind(&key.name)
        .bind(&key.version)
        .fetch_optional(store.readers())
        .await?;
    row.as_ref().map(rows::definition).transpose()
}

pub(super) async fn definition_keys(
    store: &SqliteStore,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<Vec<DefinitionKey>, StoreError> {
    let select = "SELECT namespace, name, version FROM definitions WHERE 1 = 1";
    let mut query = QueryBuilder::<Sqlite>::new(select);
    if let Some(namespace) = namespace {
        query.push(" AND namespace = ").push_bind(namespace);
    }
    if let Some(name) = name {
        query.push(" AND name = ").push_bind(name);
    }
    let found = query.build().fetch_all(store.readers()).await?;
    found.iter().map(rows::definition_key).collect()
}

pub(super) async fn workflow_row(
    store: &SqliteStore,
    id: Uuid,
) -> Result<Option<WorkflowRow>, StoreError> {
    let row = sqlx::query("SELECT * FROM workflows WHERE id = ?")
        .bind(id)
        .fetch_optional(store.readers())
        .await?;
    row.as_ref().map(rows::workflow).transpose()
}

pub(super) async fn workflow_by_key(
    store: &SqliteStore,
    key: &str,
) -> Result<Option<WorkflowRow>, StoreError> {
    let row = sqlx::query("SELECT * FROM workflows WHERE idempotency_key = ?")
        .bind(key)
        .fetch_optional(store.readers())
        .await?;
    row.as_ref().map(rows::workflow).transpose()
}

pub(super) async fn records(
    store: &SqliteStore,
    id: Uuid,
    after: u64,
    limit: u32,
) -> Result<Vec<Bytes>, StoreError> {
    // The record that begins at or before the number asked for may reach beyond it.
    let select = "SELECT body FROM log WHERE workflow_id = ?1 AND first_seq >= coalesce(
            (SELECT max(first_seq) FROM log WHERE workflow_id = ?1 AND first_seq <= ?2), 0)
        ORDER BY first_seq LIMIT ?3";
    let found = sqlx::query(select)
        .bind(id)
        .bind(i64::try_from(after.saturating_add(1)).unwrap_or(i64::MAX))
        .bind(limit)
        .fetch_all(store.readers())
        .await?;
    found.iter().map(|row| Ok(row.try_get::<Vec<u8>, _>(0)?.into())).collect()
}

pub(super) async fn tasks_of(
    store: &SqliteStore,
    ids: &[Uuid],
) -> Result<Vec<TaskRow>, StoreError> {
    let mut tasks = Vec::new();
    for id in ids {
        let found = sqlx::query("SELECT * FROM tasks WHERE workflow_id = ?")
            .bind(*id)
            .fetch_all(store.readers())
            .await?;
        tasks.extend(readable(found.iter().map(rows::task).collect())?);
    }
    Ok(tasks)
}

pub(super) async fn tasks(
    store: &SqliteStore,
    after: Option<TaskKey>,
    limit: u32,
) -> Result<Vec<TaskRow>, StoreError> {
    let after = after.unwrap_or(TaskKey { workflow: Uuid::nil(), frame: FrameId(0) });
    let select = "SELECT * FROM tasks WHERE (workflow_id, frame) > (?, ?)
        ORDER BY workflow_id, frame LIMIT ?";
    let found = sqlx::query(select)
        .bind(after.workflow)
        .bind(after.frame.0)
        .bind(limit)
        .fetch_all(store.readers())
        .await?;
    readable(found.iter().map(rows::task).collect())
}

pub(super) async fn timers_before(
    store: &SqliteStore,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<(TimerKey, u64)>, StoreError> {
    let found = sqlx::query("SELECT * FROM timers WHERE due_ms < ? ORDER BY due_ms LIMIT ?")
        .bind(before_ms as i64)
        .bind(limit)
        .fetch_all(store.readers())
        .await?;
    readable(found.iter().map(timer).collect())
}

pub(super) async fn timers_of(
    store: &SqliteStore,
    id: Uuid,
) -> Result<Vec<Option<(TimerKey, u64)>>, StoreError> {
    let select = sqlx::query("SELECT * FROM timers WHERE workflow_id = ?").bind(id);
    let found = select.fetch_all(store.readers()).await?;
    found.iter().map(|row| known(timer(row))).collect()
}

pub(super) async fn listeners_of(
    store: &SqliteStore,
    id: Uuid,
) -> Result<Vec<(TaskKey, String)>, StoreError> {
    let select = sqlx::query("SELECT * FROM listeners WHERE workflow_id = ?").bind(id);
    select.fetch_all(store.readers()).await?.iter().map(listener).collect()
}

pub(super) fn timer(row: &sqlx::sqlite::SqliteRow) -> Result<(TimerKey, u64), StoreError> {
    let number: i64 = row.try_get("timer")?;
    let timer = timer_from_number(number)
        .ok_or_else(|| StoreError::Corrupt(format!("timer kind {number}")))?;
    let frame = FrameId(row.try_get("frame")?);
    let task = TaskKey { workflow: row.try_get("workflow_id")?, frame };
    let due_ms: i64 = row.try_get("due_ms")?;
    Ok((TimerKey { task, timer }, u64::try_from(due_ms).unwrap_or_default()))
}

pub(super) async fn sessions(store: &SqliteStore) -> Result<Vec<SessionRow>, StoreError> {
    let found = sqlx::query("SELECT * FROM sessions").fetch_all(store.readers()).await?;
    found.iter().map(rows::session).collect()
}

pub(super) async fn session_of(
    store: &SqliteStore,
    worker_id: &str,
) -> Result<Option<Uuid>, StoreError> {
    let select = "SELECT id FROM sessions WHERE worker_id = ? AND NOT is_lent";
    Ok(sqlx::query_scalar(select).bind(worker_id).fetch_optional(store.readers()).await?)
}

pub(super) async fn open_healings(store: &SqliteStore) -> Result<Vec<Bytes>, StoreError> {
    let select = "SELECT body FROM healings ORDER BY id LIMIT 10000";
    let found = sqlx::query(select).fetch_all(store.readers()).await?;
    found.iter().map(|row| Ok(row.try_get::<Vec<u8>, _>(0)?.into())).collect()
}

pub(super) async fn listeners(store: &SqliteStore) -> Result<Vec<(TaskKey, String)>, StoreError> {
    let found = sqlx::query("SELECT * FROM listeners").fetch_all(store.readers()).await?;
    found.iter().map(listener).collect()
}

fn listener(row: &sqlx::sqlite::SqliteRow) -> Result<(TaskKey, String), StoreError> {
    let frame = FrameId(row.try_get("frame")?);
    let task = TaskKey { workflow: row.try_get("workflow_id")?, frame };
    Ok((task, row.try_get("event_type")?))
}
