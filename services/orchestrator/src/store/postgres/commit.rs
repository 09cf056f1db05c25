//! Committing a batch: one statement for what a step changes, however many steps there are.

use planaria_kernel::workflow::{FrameId, Timer};
use planaria_proto::types::v1::Healing;
use planaria_store::PostgresStore;
use planaria_store::postgres::PostgresTransaction;
use prost::Message;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use uuid::Uuid;

use super::position_number;
use crate::store::plan::Plan;
use crate::store::rows::timer_number;
use crate::store::{LogEntry, PhaseChange, Shard, Subject, TaskKey, TaskRow, WorkflowRow};

type Statement<'q> = Query<'q, Postgres, PgArguments>;

/// The writer of a log: it commits for as long as the shard's row says the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) shard: Shard,
    pub(super) log: u64,
    pub(super) epoch: i64,
}

/// Whether it was committed; if not, the writer is not the shard's any more.
pub(super) async fn commit(
    store: &PostgresStore,
    writer: Writer,
    plan: &Plan<'_>,
) -> Result<bool, sqlx::Error> {
    if !is_more_than_steps(plan) {
        return was_held(&store.rows(steps(writer, plan)).await?);
    }
    let mut transaction = store.begin().await?;
    if !was_held(&transaction.rows(steps(writer, plan)).await?)? {
        return Ok(false);
    }
    let shard = i32::from(writer.shard.0);
    listeners(&mut transaction, shard, plan).await?;
    healings(&mut transaction, shard, plan).await?;
    sessions(&mut transaction, shard, plan).await?;
    super::frozen::change(&mut transaction, shard, plan).await?;
    transaction.commit().await?;
    Ok(true)
}

fn is_more_than_steps(plan: &Plan<'_>) -> bool {
    !(plan.listeners.is_empty()
        && plan.healings.is_empty()
        && plan.sessions_put.is_empty()
        && plan.sessions_gone.is_empty()
        && plan.renewed.is_empty()
        && plan.frozen.is_empty())
}

fn was_held(rows: &[PgRow]) -> Result<bool, sqlx::Error> {
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    Ok(row.try_get::<i64, _>("held")? > 0)
}

/// Log, workflows, tasks and timers. The numbers of the columns are those of `commit.sql`.
fn steps<'q>(writer: Writer, plan: &Plan<'_>) -> Statement<'q> {
    let query = sqlx::query(include_str!("commit.sql"))
        .bind(i32::from(writer.shard.0))
        .bind(writer.log as i64)
        .bind(writer.epoch);
    let query = bind_log(query, &plan.log);
    let query = bind_created(query, plan);
    let query = bind_changed(query, plan);
    let query = bind_task_keys(query, &plan.tasks_gone);
    let tasks: Vec<&TaskRow> = plan.tasks_put.values().copied().collect();
    let query = bind_task_ends(bind_task_heads(query, &tasks), &tasks);
    let query = bind_timers(query, plan);
    let query = query.bind(plan.cleared.iter().copied().collect::<Vec<Uuid>>());
    query.bind(column(&changed(plan), |(_, change)| change.started_at_ms.map(|at| at as i64)))
}

fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn bind_log<'q>(query: Statement<'q>, log: &[LogEntry]) -> Statement<'q> {
    let of_workflow = |entry: &LogEntry| match entry.subject {
        Subject::Workflow { id, first_seq } => Some((id, first_seq as i64)),
        Subject::Healing | Subject::Session => None,
    };
    query
        .bind(column(log, |entry| position_number(entry.position)))
        .bind(column(log, |entry| entry.at_ms as i64))
        .bind(column(log, |entry| entry.topics.cast_signed()))
        .bind(column(log, |entry| match entry.subject {
            Subject::Workflow { .. } => 0_i32,
            Subject::Healing => 1,
            Subject::Session => 2,
        }))
        .bind(column(log, |entry| of_workflow(entry).map(|(id, _)| id)))
        .bind(column(log, |entry| of_workflow(entry).map(|(_, first_seq)| first_seq)))
        .bind(column(log, |entry| &entry.body[..]))
}

fn bind_created<'q>(query: Statement<'q>, plan: &Plan<'_>) -> Statement<'q> {
    let rows: &[&WorkflowRow] = &plan.created;
    // A phase that changed in the same batch is the last word.
    let changed = |row: &WorkflowRow| plan.phases.get(&row.id).copied();
    query
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.definition.namespace.as_str()))
        .bind(column(rows, |row| row.definition.name.as_str()))
        .bind(column(rows, |row| row.definition.version.as_str()))
        .bind(column(rows, |row| changed(row).map_or(row.phase, |change| change.phase) as i32))
        .bind(column(rows, |row| row.started_at_ms as i64))
        .bind(column(rows, |row| {
            let ended_at_ms = changed(row).map_or(row.ended_at_ms, |change| change.ended_at_ms);
            ended_at_ms.map(|at| at as i64)
        }))
        .bind(column(rows, |row| row.idempotency_key.as_deref()))
        .bind(column(rows, |row| row.start_digest.as_deref()))
        .bind(column(rows, |row| {
            changed(row).map_or(row.fault.as_deref(), |change| change.fault.as_deref())
        }))
}

/// Phases that change of workflows that were there before.
fn changed<'p>(plan: &Plan<'p>) -> Vec<(Uuid, &'p PhaseChange)> {
    let is_created = |id: Uuid| plan.created.iter().any(|row| row.id == id);
    let mut rows: Vec<_> = plan.phases.iter().map(|(id, change)| (*id, *change)).collect();
    if !plan.created.is_empty() {
        rows.retain(|(id, _)| !is_created(*id));
    }
    rows
}

fn bind_changed<'q>(query: Statement<'q>, plan: &Plan<'_>) -> Statement<'q> {
    let rows = changed(plan);
    query
        .bind(column(&rows, |(id, _)| *id))
        .bind(column(&rows, |(_, change)| change.phase as i32))
        .bind(column(&rows, |(_, change)| change.ended_at_ms.map(|at| at as i64)))
        .bind(column(&rows, |(_, change)| change.fault.as_deref()))
}

fn bind_task_keys<'q>(query: Statement<'q>, keys: &[TaskKey]) -> Statement<'q> {
    query.bind(column(keys, |key| key.workflow)).bind(column(keys, |key| i64::from(key.frame.0)))
}

fn bind_task_heads<'q>(query: Statement<'q>, rows: &[&TaskRow]) -> Statement<'q> {
    query
        .bind(column(rows, |row| row.key.workflow))
        .bind(column(rows, |row| i64::from(row.key.frame.0)))
        .bind(column(rows, |row| row.state.number() as i32))
        .bind(column(rows, |row| row.queue.as_str()))
        .bind(column(rows, |row| row.function.as_str()))
        .bind(column(rows, |row| row.version.as_deref()))
        .bind(column(rows, |row| row.labels.as_deref()))
        .bind(column(rows, |row| row.priority))
        .bind(column(rows, |row| i64::from(row.attempt)))
}

fn bind_task_ends<'q>(query: Statement<'q>, rows: &[&TaskRow]) -> Statement<'q> {
    query
        .bind(column(rows, |row| i64::from(row.failures)))
        .bind(column(rows, |row| i64::from(row.losses)))
        .bind(column(rows, |row| {
            (!row.lost_workers.is_empty()).then(|| row.lost_workers.join("\n"))
        }))
        .bind(column(rows, |row| row.session))
        .bind(column(rows, |row| row.since_ms as i64))
        .bind(column(rows, |row| row.latest_start_ms as i64))
        .bind(column(rows, |row| row.checkpoint.as_deref()))
        .bind(column(rows, |row| row.healing.as_deref()))
        .bind(column(rows, |row| row.namespace.as_str()))
        .bind(column(rows, |row| row.destination.as_deref()))
        .bind(column(rows, |row| row.limit_values_text()))
}

fn bind_timers<'q>(query: Statement<'q>, plan: &Plan<'_>) -> Statement<'q> {
    type Key = (Uuid, FrameId, Timer);
    let (mut gone, mut armed): (Vec<Key>, Vec<(Key, u64)>) = (Vec::new(), Vec::new());
    for (key, due_ms) in &plan.timers {
        match due_ms {
            Some(due_ms) => armed.push((*key, *due_ms)),
            None => gone.push(*key),
        }
    }
    query
        .bind(column(&gone, |(workflow, _, _)| *workflow))
        .bind(column(&gone, |(_, frame, _)| i64::from(frame.0)))
        .bind(column(&gone, |(_, _, timer)| timer_number(*timer) as i32))
        .bind(column(&armed, |((workflow, _, _), _)| *workflow))
        .bind(column(&armed, |((_, frame, _), _)| i64::from(frame.0)))
        .bind(column(&armed, |((_, _, timer), _)| timer_number(*timer) as i32))
        .bind(column(&armed, |(_, due_ms)| *due_ms as i64))
}

async fn listeners(
    transaction: &mut PostgresTransaction,
    shard: i32,
    plan: &Plan<'_>,
) -> Result<(), sqlx::Error> {
    let (mut closed, mut open): (Vec<TaskKey>, Vec<(TaskKey, &str)>) = (Vec::new(), Vec::new());
    for (key, event_type) in &plan.listeners {
        match event_type {
            Some(event_type) => open.push((*key, event_type)),
            None => closed.push(*key),
        }
    }
    if !closed.is_empty() {
        let delete = sqlx::query(
            "DELETE FROM listeners USING unnest($1::uuid[], $2::bigint[]) AS g (workflow_id, frame)
             WHERE listeners.workflow_id = g.workflow_id AND listeners.frame = g.frame",
        );
        transaction.execute(bind_task_keys(delete, &closed)).await?;
    }
    if !open.is_empty() {
        let put = sqlx::query(
            "INSERT INTO listeners (shard, workflow_id, frame, event_type)
             SELECT $1, l.* FROM unnest($2::uuid[], $3::bigint[], $4::text[]) AS l
             ON CONFLICT (workflow_id, frame) DO UPDATE SET event_type = excluded.event_type",
        )
        .bind(shard)
        .bind(column(&open, |(key, _)| key.workflow))
        .bind(column(&open, |(key, _)| i64::from(key.frame.0)))
        .bind(column(&open, |(_, event_type)| *event_type));
        transaction.execute(put).await?;
    }
    Ok(())
}

async fn healings(
    transaction: &mut PostgresTransaction,
    shard: i32,
    plan: &Plan<'_>,
) -> Result<(), sqlx::Error> {
    if plan.healings.is_empty() {
        return Ok(());
    }
    // Open ones are kept, to be gone on with; of those that are healed the log tells.
    let (healed, open): (Vec<&Healing>, Vec<_>) =
        plan.healings.values().copied().partition(|healing| healing.healed_at.is_some());
    let put = sqlx::query(
        "INSERT INTO healings (shard, id, body)
         SELECT $1, h.* FROM unnest($2::text[], $3::bytea[]) AS h
         ON CONFLICT (shard, id) DO UPDATE SET body = excluded.body",
    )
    .bind(shard)
    .bind(column(&open, |row| row.id.as_str()))
    .bind(column(&open, |row| row.encode_to_vec()));
    transaction.execute(put).await?;
    let gone = sqlx::query("DELETE FROM healings WHERE shard = $1 AND id = ANY ($2)")
        .bind(shard)
        .bind(column(&healed, |row| row.id.as_str()));
    transaction.execute(gone).await.map(drop)
}

async fn sessions(
    transaction: &mut PostgresTransaction,
    shard: i32,
    plan: &Plan<'_>,
) -> Result<(), sqlx::Error> {
    let rows = &plan.sessions_put;
    if !rows.is_empty() || !plan.sessions_gone.is_empty() {
        // A worker has one session in a shard: its next start takes the place of the last.
        let delete = "DELETE FROM sessions
            WHERE shard = $1 AND (id = ANY ($2::uuid[]) OR worker_id = ANY ($3::text[]))";
        let delete = sqlx::query(delete)
            .bind(shard)
            .bind(&plan.sessions_gone)
            .bind(column(rows, |row| row.worker_id.as_str()));
        transaction.execute(delete).await?;
    }
    if !rows.is_empty() {
        let put = sqlx::query(
            "INSERT INTO sessions (shard, id, worker_id, incarnation, announcement,
                 lease_until_ms, is_lent)
             SELECT $1, s.* FROM unnest(
                 $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::bigint[], $7::boolean[]
             ) AS s
             ON CONFLICT (shard, id) DO UPDATE SET
                 worker_id = excluded.worker_id, incarnation = excluded.incarnation,
                 announcement = excluded.announcement, is_lent = excluded.is_lent,
                 lease_until_ms = excluded.lease_until_ms",
        )
        .bind(shard)
        .bind(column(rows, |row| row.id))
        .bind(column(rows, |row| row.worker_id.as_str()))
        .bind(column(rows, |row| row.incarnation.as_str()))
        .bind(column(rows, |row| &row.announcement[..]))
        .bind(column(rows, |row| row.lease_until_ms as i64))
        .bind(column(rows, |row| row.is_lent));
        transaction.execute(put).await?;
    }
    if !plan.renewed.is_empty() {
        let renew = sqlx::query(
            "UPDATE sessions SET lease_until_ms = r.until_ms
             FROM unnest($2::uuid[], $3::bigint[]) AS r (id, until_ms)
             WHERE sessions.shard = $1 AND sessions.id = r.id",
        )
        .bind(shard)
        .bind(plan.renewed.keys().copied().collect::<Vec<Uuid>>())
        .bind(plan.renewed.values().map(|until_ms| *until_ms as i64).collect::<Vec<i64>>());
        transaction.execute(renew).await?;
    }
    Ok(())
}
