//! Committing a batch: what the steps of many workflows have in common goes into few statements.

use std::collections::BTreeSet;

use planaria_proto::types::v1::Healing;
use planaria_store::SqliteStore;
use prost::Message;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqliteConnection};
use uuid::Uuid;

use super::position_number;
use crate::store::plan::Plan;
use crate::store::rows::timer_number;
use crate::store::{LogEntry, StoreError, Subject, TaskRow, WorkflowRow, Write};

/// Rows of one multi-row statement; a batch is cut into the largest that fit, so that few different
/// statements exist and all are prepared once.
const CHUNKS: [usize; 3] = [32, 8, 1];

pub(super) async fn commit(
    store: &SqliteStore,
    writes: &[Write],
    log: u64,
    last_seq: u64,
) -> Result<Vec<LogEntry>, StoreError> {
    let plan = Plan::of(writes, log, last_seq);
    let mut transaction = store.writer().begin_with("BEGIN IMMEDIATE").await?;
    plan.execute(&mut transaction).await?;
    transaction.commit().await?;
    Ok(plan.log)
}

impl Plan<'_> {
    async fn execute(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        // The fence first: a step whose number is taken must undo nothing but itself.
        put(connection, LOG, &self.log, bind_log).await?;
        put(connection, WORKFLOWS, &self.created, |row, to| self.bind_workflow(row, to)).await?;
        self.change_phases(connection).await?;
        self.clear_open(connection).await?;
        let tasks: Vec<&TaskRow> = self.tasks_put.values().copied().collect();
        put(connection, TASKS, &tasks, bind_task).await?;
        put(connection, TASKS_GONE, &self.tasks_gone, |key, to| {
            to.add(key.workflow)?;
            to.add(key.frame.0)
        })
        .await?;
        self.change_timers(connection).await?;
        self.change_listeners(connection).await?;
        self.change_healings(connection).await?;
        super::frozen::change(connection, self).await?;
        self.change_sessions(connection).await
    }

    fn bind_workflow(&self, row: &&WorkflowRow, to: &mut SqliteArguments) -> Bound {
        let (phase, ended, fault) = match self.phases.get(&row.id) {
            Some(change) => (change.phase, change.ended_at_ms, &change.fault),
            None => (row.phase, row.ended_at_ms, &row.fault),
        };
        to.add(row.id)?;
        to.add(row.definition.namespace.clone())?;
        to.add(row.definition.name.clone())?;
        to.add(row.definition.version.clone())?;
        to.add(phase as i32)?;
        to.add(row.started_at_ms as i64)?;
        to.add(ended.map(|at| at as i64))?;
        to.add(row.idempotency_key.clone())?;
        to.add(row.start_digest.clone())?;
        to.add(fault.as_ref().map(|fault| fault.to_vec()))
    }

    async fn change_phases(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let created: BTreeSet<Uuid> = self.created.iter().map(|row| row.id).collect();
        let changed = self.phases.iter().filter(|(id, _)| !created.contains(*id));
        let update = "UPDATE workflows SET phase = ?, ended_at_ms = ?, fault = ?,
            started_at_ms = coalesce(?, started_at_ms) WHERE id = ?";
        for (id, change) in changed {
            sqlx::query(update)
                .bind(change.phase as i32)
                .bind(change.ended_at_ms.map(|at| at as i64))
                .bind(change.fault.as_ref().map(|fault| fault.to_vec()))
                .bind(change.started_at_ms.map(|at| at as i64))
                .bind(*id)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    async fn clear_open(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        for id in &self.cleared {
            for delete in [
                "DELETE FROM tasks WHERE workflow_id = ?",
                "DELETE FROM timers WHERE workflow_id = ?",
                "DELETE FROM listeners WHERE workflow_id = ?",
            ] {
                sqlx::query(delete).bind(*id).execute(&mut *connection).await?;
            }
        }
        Ok(())
    }

    async fn change_timers(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let armed: Vec<_> =
            self.timers.iter().filter_map(|(key, due_ms)| due_ms.map(|due| (key, due))).collect();
        put(connection, TIMERS, &armed, |((id, frame, timer), due_ms), to| {
            to.add(*id)?;
            to.add(frame.0)?;
            to.add(timer_number(*timer))?;
            to.add(*due_ms as i64)
        })
        .await?;
        let gone: Vec<_> =
            self.timers.iter().filter(|(_, due)| due.is_none()).map(|(key, _)| key).collect();
        put(connection, TIMERS_GONE, &gone, |(id, frame, timer), to| {
            to.add(*id)?;
            to.add(frame.0)?;
            to.add(timer_number(*timer))
        })
        .await
    }

    async fn change_listeners(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let open: Vec<_> =
            self.listeners.iter().filter_map(|(key, kind)| kind.map(|kind| (key, kind))).collect();
        put(connection, LISTENERS, &open, |(key, kind), to| {
            to.add(key.workflow)?;
            to.add(key.frame.0)?;
            to.add((*kind).to_owned())
        })
        .await?;
        let closed: Vec<_> =
            self.listeners.iter().filter(|(_, kind)| kind.is_none()).map(|(key, _)| key).collect();
        put(connection, LISTENERS_GONE, &closed, |key, to| {
            to.add(key.workflow)?;
            to.add(key.frame.0)
        })
        .await
    }

    /// Open ones are kept, to be gone on with; of those that are healed the log tells.
    async fn change_healings(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let (healed, open): (Vec<&Healing>, Vec<_>) =
            self.healings.values().copied().partition(|healing| healing.healed_at.is_some());
        put(connection, HEALINGS, &open, |healing, to| {
            to.add(healing.id.clone())?;
            to.add(healing.encode_to_vec())
        })
        .await?;
        put(connection, HEALINGS_GONE, &healed, |healing, to| to.add(healing.id.clone())).await
    }

    async fn change_sessions(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        for id in &self.sessions_gone {
            sqlx::query("DELETE FROM sessions WHERE id = ?")
                .bind(*id)
                .execute(&mut *connection)
                .await?;
        }
        put(connection, SESSIONS, &self.sessions_put, |row, to| {
            to.add(row.id)?;
            to.add(row.worker_id.clone())?;
            to.add(row.incarnation.clone())?;
            to.add(row.announcement.to_vec())?;
            to.add(row.lease_until_ms as i64)?;
            to.add(row.is_lent)
        })
        .await?;
        for (id, until_ms) in &self.renewed {
            sqlx::query("UPDATE sessions SET lease_until_ms = ? WHERE id = ?")
                .bind(*until_ms as i64)
                .bind(*id)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

type Bound = Result<(), sqlx::error::BoxDynError>;

/// A statement over many rows: `before (?, …), (?, …) after`.
#[derive(Clone, Copy)]
struct ManyRows {
    before: &'static str,
    columns: usize,
    after: &'static str,
}

const LOG: ManyRows = ManyRows { before: "INSERT INTO log VALUES ", columns: 7, after: "" };
const WORKFLOWS: ManyRows =
    ManyRows { before: "INSERT INTO workflows VALUES ", columns: 10, after: "" };
const TASKS: ManyRows =
    ManyRows { before: "INSERT OR REPLACE INTO tasks VALUES ", columns: 20, after: "" };
const TASKS_GONE: ManyRows = ManyRows {
    before: "DELETE FROM tasks WHERE (workflow_id, frame) IN (VALUES ",
    columns: 2,
    after: ")",
};
const TIMERS: ManyRows =
    ManyRows { before: "INSERT OR REPLACE INTO timers VALUES ", columns: 4, after: "" };
const TIMERS_GONE: ManyRows = ManyRows {
    before: "DELETE FROM timers WHERE (workflow_id, frame, timer) IN (VALUES ",
    columns: 3,
    after: ")",
};
const LISTENERS: ManyRows =
    ManyRows { before: "INSERT OR REPLACE INTO listeners VALUES ", columns: 3, after: "" };
const LISTENERS_GONE: ManyRows = ManyRows {
    before: "DELETE FROM listeners WHERE (workflow_id, frame) IN (VALUES ",
    columns: 2,
    after: ")",
};
const HEALINGS: ManyRows =
    ManyRows { before: "INSERT OR REPLACE INTO healings VALUES ", columns: 2, after: "" };
const HEALINGS_GONE: ManyRows =
    ManyRows { before: "DELETE FROM healings WHERE id IN (VALUES ", columns: 1, after: ")" };
const SESSIONS: ManyRows =
    ManyRows { before: "INSERT OR REPLACE INTO sessions VALUES ", columns: 6, after: "" };

impl ManyRows {
    fn sql(self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; self.columns].join(","));
        format!("{}{}{}", self.before, vec![row; rows].join(","), self.after)
    }
}

/// Executes a statement for all rows, in chunks.
async fn put<T>(
    connection: &mut SqliteConnection,
    statement: ManyRows,
    rows: &[T],
    bind: impl Fn(&T, &mut SqliteArguments) -> Bound,
) -> Result<(), StoreError> {
    let mut rest = rows;
    for chunk in CHUNKS {
        while rest.len() >= chunk {
            let (now, later) = rest.split_at(chunk);
            rest = later;
            let mut arguments = SqliteArguments::default();
            for row in now {
                bind(row, &mut arguments).map_err(StoreError::Failed)?;
            }
            let sql = AssertSqlSafe(statement.sql(chunk));
            sqlx::query_with(sql, arguments).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

fn bind_log(entry: &LogEntry, to: &mut SqliteArguments) -> Bound {
    to.add(position_number(entry.position))?;
    to.add(entry.at_ms as i64)?;
    to.add(entry.topics)?;
    let (subject, id, first_seq) = match entry.subject {
        Subject::Workflow { id, first_seq } => (0, Some(id), Some(first_seq as i64)),
        Subject::Healing => (1, None, None),
        Subject::Session => (2, None, None),
    };
    to.add(subject)?;
    to.add(id)?;
    to.add(first_seq)?;
    to.add(entry.body.to_vec())
}

fn bind_task(row: &&TaskRow, to: &mut SqliteArguments) -> Bound {
    to.add(row.key.workflow)?;
    to.add(row.key.frame.0)?;
    to.add(row.state.number())?;
    to.add(row.queue.clone())?;
    to.add(row.function.clone())?;
    to.add(row.version.clone())?;
    to.add(row.labels.clone())?;
    to.add(row.priority)?;
    to.add(row.attempt)?;
    to.add(row.failures)?;
    to.add(row.losses)?;
    to.add((!row.lost_workers.is_empty()).then(|| row.lost_workers.join("\n")))?;
    to.add(row.session)?;
    to.add(row.since_ms as i64)?;
    to.add(row.latest_start_ms as i64)?;
    to.add(row.checkpoint.as_ref().map(|checkpoint| checkpoint.to_vec()))?;
    to.add(row.healing.clone())?;
    to.add(row.namespace.clone())?;
    to.add(row.destination.clone())?;
    to.add(row.limit_values_text())
}
