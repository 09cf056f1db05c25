//! Reading by condition: lists, counts, the log, and what the reconciler looks for.

use planaria_proto::types::v1::Phase;
use planaria_store::SqliteStore;
use sqlx::{QueryBuilder, Row, Sqlite};
use uuid::Uuid;

use super::{position_number, position_of, rows};
use crate::store::{
    LogEntry, Position, StoreError, TaskRow, TimerKey, WorkflowFilter, WorkflowRow, readable,
};

/// A time as the store has it; there are none later than it can tell.
fn milliseconds(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

pub(super) async fn workflows(
    store: &SqliteStore,
    filter: &WorkflowFilter,
) -> Result<Vec<WorkflowRow>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM workflows w WHERE 1 = 1");
    if !filter.phases.is_empty() {
        query.push(" AND phase IN (");
        let mut phases = query.separated(", ");
        for phase in &filter.phases {
            phases.push_bind(*phase as i32);
        }
        query.push(")");
    }
    let texts =
        [("namespace", &filter.namespace), ("name", &filter.name), ("version", &filter.version)];
    for (column, text) in texts {
        if let Some(text) = text {
            query.push(" AND ").push(column).push(" = ").push_bind(text);
        }
    }
    if let Some(after) = filter.started_after_ms {
        query.push(" AND started_at_ms >= ").push_bind(milliseconds(after));
    }
    if let Some(before) = filter.started_before_ms {
        query.push(" AND started_at_ms < ").push_bind(milliseconds(before));
    }
    let task = " AND EXISTS (SELECT 1 FROM tasks t WHERE t.workflow_id = w.id AND t.state = ";
    if filter.retrying {
        query.push(task).push("2)");
    }
    if filter.frozen {
        query.push(" AND EXISTS (SELECT 1 FROM frozen f WHERE f.workflow_id = w.id)");
    }
    if let Some(known) = &filter.waiting_beyond {
        query.push(task).push("0 AND t.function NOT IN (");
        let mut functions = query.separated(", ");
        for function in known {
            functions.push_bind(function);
        }
        query.push("))");
    }
    if let Some(before) = filter.before {
        query.push(" AND id < ").push_bind(before);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
    let found = query.build().fetch_all(store.readers()).await?;
    found.iter().map(rows::workflow).collect()
}

pub(super) async fn phase_counts(store: &SqliteStore) -> Result<Vec<(Phase, u64)>, StoreError> {
    let select = "SELECT phase, count(*) FROM workflows WHERE phase NOT IN (5, 7) GROUP BY phase";
    let found = sqlx::query(select).fetch_all(store.readers()).await?;
    let mut counts = Vec::new();
    for row in &found {
        let count: i64 = row.try_get(1)?;
        counts.push((
            rows::phase_of(row.try_get(0)?).unwrap_or_default(),
            u64::try_from(count).unwrap_or_default(),
        ));
    }
    Ok(counts)
}

pub(super) async fn in_phase(
    store: &SqliteStore,
    phase: Phase,
    after: Uuid,
    limit: u32,
) -> Result<Vec<WorkflowRow>, StoreError> {
    let select = "SELECT * FROM workflows WHERE phase = ? AND phase NOT IN (5, 7) AND id > ?
        ORDER BY id LIMIT ?";
    let found = sqlx::query(select)
        .bind(phase as i32)
        .bind(after)
        .bind(limit)
        .fetch_all(store.readers())
        .await?;
    found.iter().map(rows::workflow).collect()
}

/// 2 running, 3 waiting.
pub(super) async fn quiet_workflows(
    store: &SqliteStore,
    after: Uuid,
    limit: u32,
) -> Result<Vec<Uuid>, StoreError> {
    let select = "SELECT id FROM workflows w WHERE phase IN (2, 3) AND phase NOT IN (5, 7)
        AND id > ?
        AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.workflow_id = w.id)
        AND NOT EXISTS (SELECT 1 FROM timers m WHERE m.workflow_id = w.id)
        AND NOT EXISTS (SELECT 1 FROM listeners l WHERE l.workflow_id = w.id)
        ORDER BY id LIMIT ?";
    let found = sqlx::query(select).bind(after).bind(limit).fetch_all(store.readers()).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Whatever is not over: 5 cancelled, 6 faulted, 7 completed.
pub(super) async fn open_workflows(
    store: &SqliteStore,
    after: Uuid,
    limit: u32,
) -> Result<Vec<Uuid>, StoreError> {
    let select = "SELECT id FROM workflows WHERE phase NOT IN (5, 7) AND phase <> 6 AND id > ?
        ORDER BY id LIMIT ?";
    let found = sqlx::query(select).bind(after).bind(limit).fetch_all(store.readers()).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

pub(super) async fn leftovers(store: &SqliteStore, limit: u32) -> Result<Vec<Uuid>, StoreError> {
    let select = "SELECT DISTINCT w.id FROM (
            SELECT workflow_id FROM tasks UNION SELECT workflow_id FROM timers
            UNION SELECT workflow_id FROM listeners
        ) left_over JOIN workflows w ON w.id = left_over.workflow_id
        WHERE w.phase IN (5, 6, 7) LIMIT ?";
    let found = sqlx::query(select).bind(limit).fetch_all(store.readers()).await?;
    found.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

pub(super) async fn orphans(store: &SqliteStore, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
    let select = "SELECT * FROM tasks t WHERE state = 1
        AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = t.session_id) LIMIT ?";
    let found = sqlx::query(select).bind(limit).fetch_all(store.readers()).await?;
    readable(found.iter().map(rows::task).collect())
}

pub(super) async fn queued_before(
    store: &SqliteStore,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<TaskRow>, StoreError> {
    let select = "SELECT t.* FROM tasks t JOIN workflows w ON w.id = t.workflow_id
        WHERE t.state = 0 AND t.since_ms < ? AND w.phase IN (2, 3) LIMIT ?";
    let found =
        sqlx::query(select).bind(before_ms as i64).bind(limit).fetch_all(store.readers()).await?;
    readable(found.iter().map(rows::task).collect())
}

pub(super) async fn overdue_timers(
    store: &SqliteStore,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<TimerKey>, StoreError> {
    let select = "SELECT m.* FROM timers m JOIN workflows w ON w.id = m.workflow_id
        WHERE m.due_ms < ? AND w.phase IN (2, 3) ORDER BY m.due_ms LIMIT ?";
    let found =
        sqlx::query(select).bind(before_ms as i64).bind(limit).fetch_all(store.readers()).await?;
    readable(found.iter().map(|row| Ok(super::read::timer(row)?.0)).collect())
}

/// The number of the last entry of a log.
pub(super) async fn last_seq(store: &SqliteStore, log: u64) -> Result<u64, StoreError> {
    let first = position_number(Position { log, seq: 0 });
    let beyond = position_number(Position { log: log + 1, seq: 0 });
    let select = "SELECT max(position) FROM log WHERE position >= ? AND position < ?";
    // By the writer: it waits for whatever is still under way there.
    let last: Option<i64> =
        sqlx::query_scalar(select).bind(first).bind(beyond).fetch_one(store.writer()).await?;
    let last = last.map_or(0, |last| position_of(last).seq);
    // What was removed had its numbers too.
    let trimmed = super::retention::trimmed(store).await?;
    Ok(if trimmed.log == log { last.max(trimmed.seq) } else { last })
}

pub(super) async fn log_entries(
    store: &SqliteStore,
    after: Position,
    topics: u32,
    limit: u32,
) -> Result<(Vec<LogEntry>, Position), StoreError> {
    let select = "SELECT log.*, w.namespace, w.name, w.version
        FROM log LEFT JOIN workflows w ON w.id = log.workflow_id
        WHERE position > ? ORDER BY position LIMIT ?";
    let found = sqlx::query(select)
        .bind(position_number(after))
        .bind(limit)
        .fetch_all(store.readers())
        .await?;
    let last = match found.last() {
        Some(row) => position_of(row.try_get("position")?),
        None => after,
    };
    let mut entries = Vec::new();
    for row in &found {
        let wanted: u32 = row.try_get("topics")?;
        if wanted & topics != 0 {
            entries.push(rows::log_entry(row)?);
        }
    }
    Ok((entries, last))
}
