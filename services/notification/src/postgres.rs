//! The store in PostgreSQL: a schema that all replicas share.

use planaria_store::{
    Migration, PostgresPlan, PostgresSchema, PostgresSession, PostgresStore, postgres,
};
use sqlx::postgres::PgRow as Row;

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
        planaria_store::postgres::retried(|| async {
            let mut transaction = $store.store.begin().await?;
            let $session = &mut planaria_store::PostgresSession::Transaction(&mut transaction);
            let answer = $asked.await?;
            transaction.commit().await?;
            Ok(answer)
        })
        .await
    };
}

#[path = "store/deliveries.rs"]
mod deliveries;
#[path = "store/derivation.rs"]
mod derivation;
#[path = "store/port.rs"]
mod port;
#[path = "store/rows.rs"]
mod rows;
#[cfg(test)]
mod tests;
#[path = "store/webhooks.rs"]
mod webhooks;

type Session<'c> = PostgresSession<'c>;
type Store = PostgresWebhookStore;

const IS_SHARED: bool = true;

const NOW_MS: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms";
const CLAIM: &str = "UPDATE deliveries SET next_at_ms = $3 WHERE id IN (
         SELECT id FROM deliveries WHERE webhook_id = $1 AND next_at_ms <= $2
         ORDER BY next_at_ms, id LIMIT $4 FOR UPDATE SKIP LOCKED)
     RETURNING *";

/// Notification's part of the database.
pub const SCHEMA: PostgresSchema = PostgresSchema {
    name: "notification",
    migrations: &[Migration {
        name: "0001_webhooks",
        sql: include_str!("postgres/0001_webhooks.sql"),
    }],
};

/// The schema that notification's replicas share.
#[derive(Debug, Clone)]
pub(crate) struct PostgresWebhookStore {
    store: PostgresStore,
}

impl PostgresWebhookStore {
    pub(crate) async fn open(plan: &PostgresPlan) -> Result<Self, planaria_store::Error> {
        Ok(Self { store: postgres::open(plan, &SCHEMA).await? })
    }
}
