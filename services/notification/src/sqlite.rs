//! The store in SQLite: notification's own file. Only one process has it.

use std::path::Path;

use planaria_store::{Migration, SqliteSession, SqliteSettings, SqliteStore, sqlite};
use sqlx::sqlite::SqliteRow as Row;

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

type Session<'c> = SqliteSession<'c>;
type Store = SqliteWebhookStore;

const IS_SHARED: bool = false;

const NOW_MS: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now_ms";
/// The one writer of a file has every row.
const CLAIM: &str = "UPDATE deliveries SET next_at_ms = $3 WHERE id IN (
         SELECT id FROM deliveries WHERE webhook_id = $1 AND next_at_ms <= $2
         ORDER BY next_at_ms, id LIMIT $4)
     RETURNING *";

const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_webhooks", sql: include_str!("sqlite/0001_webhooks.sql") }];

/// Notification's own file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteWebhookStore {
    store: SqliteStore,
}

impl SqliteWebhookStore {
    pub(crate) async fn open(
        path: &Path,
        settings: &SqliteSettings,
    ) -> Result<Self, planaria_store::Error> {
        let store = sqlite::open_with(path, MIGRATIONS, settings).await?;
        Ok(Self { store })
    }
}
