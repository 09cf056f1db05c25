//! The store in SQLite: the retry engine's own file. Only one process has it.

use std::path::Path;

use planaria_store::{Migration, SqliteSession, SqliteSettings, SqliteStore, sqlite};
use sqlx::sqlite::{Sqlite as Db, SqliteRow as Row};

/// Does what changes nothing.
macro_rules! reading {
    ($store:ident, $session:ident => $asked:expr) => {{
        let asked = async {
            let mut connection = $store.store.readers().acquire().await?;
            let $session = &mut planaria_store::SqliteSession(&mut connection);
            $asked.await
        };
        $store.store.heard(asked.await)
    }};
}

/// Does one statement.
macro_rules! writing {
    ($store:ident, $session:ident => $asked:expr) => {{
        let asked = async {
            let mut connection = $store.store.writer().acquire().await?;
            let $session = &mut planaria_store::SqliteSession(&mut connection);
            $asked.await
        };
        $store.store.heard(asked.await)
    }};
}

/// Does several statements, all or none of them.
macro_rules! all_or_none {
    ($store:ident, $session:ident => $asked:expr) => {{
        let asked = async {
            let mut transaction = $store.store.writer().begin_with("BEGIN IMMEDIATE").await?;
            let $session = &mut planaria_store::SqliteSession(&mut transaction);
            let answer = $asked.await?;
            transaction.commit().await?;
            Ok(answer)
        };
        $store.store.heard(asked.await)
    }};
}

#[path = "store/breakers.rs"]
mod breakers;
#[path = "store/budgets.rs"]
mod budgets;
#[path = "store/changes.rs"]
mod changes;
#[path = "store/dead_letters.rs"]
mod dead_letters;
#[path = "store/encoded.rs"]
mod encoded;
#[path = "store/port.rs"]
mod port;
#[path = "store/redrives.rs"]
mod redrives;
#[path = "store/retries.rs"]
mod retries;
#[path = "store/rows.rs"]
mod rows;
#[cfg(test)]
mod tests;

type Session<'c> = SqliteSession<'c>;
type Store = SqliteRetryStore;

const IS_SHARED: bool = false;

/// The one writer of a file has every row.
const BREAKER_LOCKED: &str =
    "SELECT * FROM breakers WHERE namespace = $1 AND function = $2 AND destination = $3";
const BUDGET_LOCKED: &str =
    "SELECT counts FROM budgets WHERE namespace = $1 AND function = $2 AND destination = $3";
const RETRIES_CLAIMED: &str = "UPDATE retries SET ready_at_ms = $3, charges = charges + 1
     WHERE (workflow_id, frame) IN (
         SELECT workflow_id, frame FROM retries WHERE ready_at_ms <= $1
         ORDER BY ready_at_ms LIMIT $2)
     RETURNING *";
const REDRIVE_CLAIMED: &str = "UPDATE redrives SET claimed_until_ms = $2 WHERE id IN (
         SELECT id FROM redrives WHERE state = 1 AND claimed_until_ms <= $1
         ORDER BY claimed_until_ms LIMIT 1)
     RETURNING *";

const MIGRATIONS: &[Migration] = &[
    Migration { name: "0001_retries", sql: include_str!("sqlite/0001_retries.sql") },
    Migration { name: "0002_breakers", sql: include_str!("sqlite/0002_breakers.sql") },
];

/// The retry engine's own file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteRetryStore {
    store: SqliteStore,
}

impl SqliteRetryStore {
    pub(crate) async fn open(
        path: &Path,
        settings: &SqliteSettings,
    ) -> Result<Self, planaria_store::Error> {
        let store = sqlite::open_with(path, MIGRATIONS, settings).await?;
        Ok(Self { store })
    }
}
