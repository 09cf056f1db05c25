//! What is in the database at the end, read with plain SQL.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::Error;

/// What the orchestrators keep.
#[derive(Debug, Default)]
pub(crate) struct Database {
    /// Workflow by idempotency key: a key with several has several.
    pub(crate) workflows: BTreeMap<String, Vec<String>>,
    /// All ids.
    pub(crate) ids: BTreeSet<String>,
    /// Rows of workflows that are not over.
    pub(crate) open_workflows: u64,
    /// Rows that only open workflows have: tasks, timers, listeners.
    pub(crate) open_tasks: u64,
    pub(crate) open_timers: u64,
    pub(crate) open_listeners: u64,
    /// Of each log, its first and last sequence number, and how many entries there are.
    pub(crate) logs: Vec<(i64, i64, i64, i64)>,
}

/// Phases that a workflow does not leave by itself: cancelled, faulted, completed.
const OVER: &str = "(5, 6, 7)";
/// A position is the log's number, and the entry's behind it.
const SEQUENCE_BITS: u32 = 40;

/// The same questions for both databases, in the words that both understand.
macro_rules! questions {
    ($connection:expr, $schema:expr, $id:expr) => {{
        let connection = $connection;
        let schema: &str = $schema;
        let ask = |what: &str| what.replace("@", schema);
        let keys = ask(&format!("SELECT {}, idempotency_key FROM @workflows", $id));
        let rows: Vec<(String, Option<String>)> =
            sqlx::query_as(sqlx::AssertSqlSafe(keys)).fetch_all(&mut *connection).await?;
        let mut database = Database::default();
        for (id, key) in rows {
            let id = uuid(&id);
            database.workflows.entry(key.unwrap_or_default()).or_default().push(id.clone());
            database.ids.insert(id);
        }
        for (question, number) in [
            (
                format!("SELECT count(*) FROM @workflows WHERE phase NOT IN {OVER}"),
                &mut database.open_workflows,
            ),
            ("SELECT count(*) FROM @tasks".to_owned(), &mut database.open_tasks),
            ("SELECT count(*) FROM @timers".to_owned(), &mut database.open_timers),
            ("SELECT count(*) FROM @listeners".to_owned(), &mut database.open_listeners),
        ] {
            let question = sqlx::AssertSqlSafe(ask(&question));
            let (count,): (i64,) = sqlx::query_as(question).fetch_one(&mut *connection).await?;
            *number = u64::try_from(count)?;
        }
        let logs = format!(
            "SELECT position >> {SEQUENCE_BITS}, \
             min(position - ((position >> {SEQUENCE_BITS}) << {SEQUENCE_BITS})), \
             max(position - ((position >> {SEQUENCE_BITS}) << {SEQUENCE_BITS})), count(*) \
             FROM @log GROUP BY position >> {SEQUENCE_BITS}"
        );
        let logs = sqlx::AssertSqlSafe(ask(&logs));
        database.logs = sqlx::query_as(logs).fetch_all(&mut *connection).await?;
        Ok::<Database, Error>(database)
    }};
}

impl Database {
    pub(crate) async fn read(meta: &Value) -> Result<Self, Error> {
        if let Some(url) = meta["database"].as_str() {
            let mut connection = PgConnection::connect(url).await?;
            return questions!(&mut connection, "orchestrator.", "CAST(id AS TEXT)");
        }
        let folder = meta["data"].as_str().ok_or("no folder of files")?;
        let url = format!("sqlite://{folder}/orchestrator.db?mode=ro");
        let mut connection = SqliteConnection::connect(&url).await?;
        questions!(&mut connection, "", "lower(hex(id))")
    }
}

/// As it is written in the contract, with or without its dashes.
fn uuid(text: &str) -> String {
    let hex: String = text.chars().filter(|c| *c != '-').collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    parts.map(|part| hex.get(part).unwrap_or_default()).join("-")
}
