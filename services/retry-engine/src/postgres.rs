//! The store in PostgreSQL: a schema that all replicas share.

use planaria_store::{
    Migration, PostgresPlan, PostgresSchema, PostgresSession, PostgresStore, postgres,
};
use sqlx::postgres::{PgRow as Row, Postgres as Db};

/// Does what changes nothing.
macro_rules! reading {
    ($store:ident, $session:ident => $asked:expr) => {{
        let $session = &mut planaria_store::PostgresSession::Store(&$store.store);
        $asked.await
    }};
}

/// Does one statement.
macro_rules! writing {
    ($store:ident, $session:ident => $asked:expr) => {
        reading!($store, $session => $asked)
    };
}

/// Does several statements, all or none of them.
macro_rules! all_or_none {
    ($store:ident, $session:ident => $asked:expr) => {
        planaria_store::retried(|| async {
            let mut transaction = $store.store.begin().await?;
            let $session = &mut planaria_store::PostgresSession::Transaction(&mut transaction);
            let answer = $asked.await?;
            transaction.commit().await?;
            Ok(answer)
        })
        .await
    };
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

type Session<'c> = PostgresSession<'c>;
type Store = PostgresRetryStore;

const IS_SHARED: bool = true;

const BREAKER_LOCKED: &str = "SELECT * FROM breakers
     WHERE namespace = $1 AND function = $2 AND destination = $3 FOR UPDATE";
const BUDGET_LOCKED: &str = "SELECT counts FROM budgets
     WHERE namespace = $1 AND function = $2 AND destination = $3 FOR UPDATE";
const RETRIES_CLAIMED: &str = "UPDATE retries SET ready_at_ms = $3, charges = charges + 1
     WHERE (workflow_id, frame) IN (
         SELECT workflow_id, frame FROM retries WHERE ready_at_ms <= $1
         ORDER BY ready_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED)
     RETURNING *";
const REDRIVE_CLAIMED: &str = "UPDATE redrives SET claimed_until_ms = $2 WHERE id IN (
         SELECT id FROM redrives WHERE state = 1 AND claimed_until_ms <= $1
         ORDER BY claimed_until_ms LIMIT 1 FOR UPDATE SKIP LOCKED)
     RETURNING *";

/// The retry engine's part of the database.
pub const SCHEMA: PostgresSchema = PostgresSchema {
    name: "retry_engine",
    migrations: &[
        Migration { name: "0001_retries", sql: include_str!("postgres/0001_retries.sql") },
        Migration { name: "0002_breakers", sql: include_str!("postgres/0002_breakers.sql") },
    ],
};

/// The schema that the retry engine's replicas share.
#[derive(Debug, Clone)]
pub(crate) struct PostgresRetryStore {
    store: PostgresStore,
}

impl PostgresRetryStore {
    pub(crate) async fn open(plan: &PostgresPlan) -> Result<Self, planaria_store::Error> {
        Ok(Self { store: postgres::open(plan, &SCHEMA).await? })
    }
}
