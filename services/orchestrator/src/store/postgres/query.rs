//! Reading by condition: lists, counts, the log, and what the reconciler looks for.

use planaria_proto::types::v1::Phase;
use planaria_store::PostgresStore;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::{position_number, position_of, rows};
use crate::store::{
    LogEntry, Position, Shard, StoreError, TaskRow, TimerKey, WorkflowFilter, WorkflowRow, readable,
};

/// A shard as the store has it.
pub(super) fn number(shard: Shard) -> i32 {
    i32::from(shard.0)
}

/// A time as the store has it; there are none later than it can tell.
pub(super) fn milliseconds(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX)
}

pub(super) async fn workflows(
    store: &PostgresStore,
    filter: &WorkflowFilter,
) -> Result<Vec<WorkflowRow>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new("SELECT * FROM workflows w WHERE true");
    if !filter.phases.is_empty() {
        // Numbers, not parameters: the index of what is open serves only who names its condition.
        query.push(" AND phase IN (");
        let mut phases = query.separated(", ");
        for phase in &filter.phases {
            phases.push(*phase as i32);
        }
        query.push(")");
        let is_over = |phase: &Phase| matches!(phase, Phase::Cancelled | Phase::Completed);
        if !filter.phases.iter().any(is_over) {
            query.push(" AND phase NOT IN (5, 7)");
        }
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
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        query.push(task).push("0 AND t.function <> ALL (").push_bind(known).push("))");
    }
    if let Some(before) = filter.before {
        query.push(" AND id < ").push_bind(before);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(filter.limit));
    let found = store.rows(query.build()).await?;
    found.iter().map(rows::workflow).collect()
}

pub(super) async fn phase_counts(
    store: &PostgresStore,
    shard: Shard,
) -> Result<Vec<(Phase, u64)>, StoreError> {
    let select = "SELECT phase, count(*) AS count FROM workflows
        WHERE shard = $1 AND phase NOT IN (5, 7) GROUP BY phase";
    let found = store.rows(sqlx::query(select).bind(number(shard))).await?;
    let mut counts = Vec::new();
    for row in &found {
        let count: i64 = row.try_get("count")?;
        let phase = rows::phase_of(row.try_get("phase")?).unwrap_or_default();
        counts.push((phase, u64::try_from(count).unwrap_or_default()));
    }
    Ok(counts)
}

pub(super) async fn in_phase(
    store: &PostgresStore,
    phase: Phase,
    after: Uuid,
    limit: u32,
) -> Result<Vec<WorkflowRow>, StoreError> {
    let select = "SELECT * FROM workflows
        WHERE phase = $1 AND phase NOT IN (5, 7) AND id > $2
        ORDER BY id LIMIT $3";
    let select = sqlx::query(select).bind(phase as i32).bind(after);
    let found = store.rows(select.bind(i64::from(limit))).await?;
    found.iter().map(rows::workflow).collect()
}

/// 2 running, 3 waiting.
pub(super) async fn quiet_workflows(
    store: &PostgresStore,
    shard: Shard,
    after: Uuid,
    limit: u32,
) -> Result<Vec<Uuid>, StoreError> {
    let select = "SELECT id FROM workflows w
        WHERE phase IN (2, 3) AND phase NOT IN (5, 7) AND id > $1 AND shard = $2
        AND NOT EXISTS (SELECT 1 FROM tasks t WHERE t.workflow_id = w.id)
        AND NOT EXISTS (SELECT 1 FROM timers m WHERE m.workflow_id = w.id)
        AND NOT EXISTS (SELECT 1 FROM listeners l WHERE l.workflow_id = w.id)
        ORDER BY id LIMIT $3";
    let select = sqlx::query(select).bind(after).bind(number(shard)).bind(i64::from(limit));
    let found = store.rows(select).await?;
    found.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

/// Whatever is not over: 5 cancelled, 6 faulted, 7 completed.
pub(super) async fn open_workflows(
    store: &PostgresStore,
    shard: Shard,
    after: Uuid,
    limit: u32,
) -> Result<Vec<Uuid>, StoreError> {
    let select = "SELECT id FROM workflows
        WHERE phase NOT IN (5, 7) AND phase <> 6 AND id > $1 AND shard = $2
        ORDER BY id LIMIT $3";
    let select = sqlx::query(select).bind(after).bind(number(shard)).bind(i64::from(limit));
    store.rows(select).await?.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

pub(super) async fn leftovers(
    store: &PostgresStore,
    shard: Shard,
    limit: u32,
) -> Result<Vec<Uuid>, StoreError> {
    let select = "SELECT w.id FROM (
            SELECT workflow_id FROM tasks WHERE shard = $1
            UNION SELECT workflow_id FROM timers WHERE shard = $1
            UNION SELECT workflow_id FROM listeners WHERE shard = $1
        ) left_over JOIN workflows w ON w.id = left_over.workflow_id
        WHERE w.phase IN (5, 6, 7) LIMIT $2";
    let select = sqlx::query(select).bind(number(shard)).bind(i64::from(limit));
    let found = store.rows(select).await?;
    found.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

pub(super) async fn orphans(
    store: &PostgresStore,
    shard: Shard,
    limit: u32,
) -> Result<Vec<TaskRow>, StoreError> {
    let select = "SELECT * FROM tasks t WHERE state = 1 AND shard = $1
        AND NOT EXISTS (
            SELECT 1 FROM sessions s WHERE s.shard = t.shard AND s.id = t.session_id)
        LIMIT $2";
    let select = sqlx::query(select).bind(number(shard)).bind(i64::from(limit));
    readable(store.rows(select).await?.iter().map(rows::task).collect())
}

pub(super) async fn queued_before(
    store: &PostgresStore,
    shard: Shard,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<TaskRow>, StoreError> {
    let select = "SELECT t.* FROM tasks t JOIN workflows w ON w.id = t.workflow_id
        WHERE t.state = 0 AND t.shard = $1 AND t.since_ms < $2 AND w.phase IN (2, 3) LIMIT $3";
    let select = sqlx::query(select).bind(number(shard)).bind(milliseconds(before_ms));
    let found = store.rows(select.bind(i64::from(limit))).await?;
    readable(found.iter().map(rows::task).collect())
}

pub(super) async fn overdue_timers(
    store: &PostgresStore,
    shard: Shard,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<TimerKey>, StoreError> {
    let select = "SELECT m.* FROM timers m JOIN workflows w ON w.id = m.workflow_id
        WHERE m.shard = $1 AND m.due_ms < $2 AND w.phase IN (2, 3) ORDER BY m.due_ms LIMIT $3";
    let select = sqlx::query(select).bind(number(shard)).bind(milliseconds(before_ms));
    let found = store.rows(select.bind(i64::from(limit))).await?;
    readable(found.iter().map(|row| Ok(super::read::timer(row)?.0)).collect())
}

/// The number of the last entry of a log.
pub(super) async fn last_seq(
    store: &PostgresStore,
    shard: Shard,
    log: u64,
) -> Result<u64, StoreError> {
    let first = position_number(Position { log, seq: 0 });
    let beyond = position_number(Position { log: log + 1, seq: 0 });
    let select = "SELECT max(position) AS last FROM log
        WHERE shard = $1 AND position >= $2 AND position < $3";
    let select = sqlx::query(select).bind(number(shard)).bind(first).bind(beyond);
    let row = store.row(select).await?.ok_or(sqlx::Error::RowNotFound)?;
    let last: Option<i64> = row.try_get("last")?;
    let last = last.map_or(0, |last| position_of(last).seq);
    // What was removed had its numbers too.
    let trimmed = super::retention::trimmed(store, shard).await?;
    Ok(if trimmed.log == log { last.max(trimmed.seq) } else { last })
}

pub(super) async fn log_entries(
    store: &PostgresStore,
    shard: Shard,
    after: Position,
    topics: u32,
    limit: u32,
) -> Result<(Vec<LogEntry>, Position), StoreError> {
    let select = "SELECT log.*, w.namespace, w.name, w.version
        FROM log LEFT JOIN workflows w ON w.id = log.workflow_id
        WHERE log.shard = $1 AND log.position > $2 ORDER BY log.position LIMIT $3";
    let select = sqlx::query(select).bind(number(shard)).bind(position_number(after));
    let found = store.rows(select.bind(i64::from(limit))).await?;
    let last = match found.last() {
        Some(row) => position_of(row.try_get("position")?),
        None => after,
    };
    let mut entries = Vec::new();
    for row in &found {
        let told: i32 = row.try_get("topics")?;
        if told.cast_unsigned() & topics != 0 {
            entries.push(rows::log_entry(row)?);
        }
    }
    Ok((entries, last))
}
