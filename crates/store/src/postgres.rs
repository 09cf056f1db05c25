//! PostgreSQL as a service wants it: a schema of its own, a pool whose sessions have their limits,
//! commits that are on disk.
//!
//! Only what CockroachDB and YugabyteDB speak too: no LISTEN, no advisory locks.

mod connect;
mod migrations;
mod statements;
mod words;

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::watch;

use crate::condition::{Condition, Probe};
use crate::{Error, Migration};

pub use statements::{PostgresTransaction, retried};

/// Where the database is and how it is used.
#[derive(Clone)]
pub struct PostgresPlan {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Connections of this store's pool.
    pub connections_max: u32,
    /// A connection must stand, or one of the pool become free, within this.
    pub connect_ms_max: u64,
    /// A statement that takes longer is cancelled.
    pub statement_ms_max: u64,
    /// Whether opening does the steps of the schema that are missing; otherwise it refuses.
    pub migrate: bool,
}

/// A service's part of the database.
#[derive(Debug, Clone, Copy)]
pub struct PostgresSchema {
    /// The name of the schema: a plain identifier in small letters.
    pub name: &'static str,
    /// Its steps, in order.
    pub migrations: &'static [Migration],
}

/// An open store; cheap to clone.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
    /// What it is called in errors.
    place: Arc<str>,
    /// No statement is waited for longer than this, whatever became of the server.
    patience: Duration,
    condition: Condition,
}

/// Opens the part of the database that belongs to a service, and brings its schema up to date.
///
/// # Errors
/// Each says what the operator can do: the server cannot be reached, refuses the user, is too old,
/// is read-only, has no connections left; the schema is newer than the release, or older and may
/// not be changed.
pub async fn open(plan: &PostgresPlan, schema: &PostgresSchema) -> Result<PostgresStore, Error> {
    let target = connect::Target::new(plan, schema)?;
    let mut connection = target.connect().await?;
    if plan.migrate {
        migrations::run(&target, &mut connection, schema).await?;
    } else {
        migrations::check(&target, &mut connection, schema).await?;
    }
    target.close(connection).await;
    let (pool, patience, place) = (target.pool(), target.patience, target.place.clone());
    let condition = Condition::new(place.clone(), probe(target));
    Ok(PostgresStore { pool, place: place.into(), patience, condition })
}

/// A connection of its own says most: a store that stands on old ones may have no new ones left.
fn probe(target: connect::Target) -> Probe {
    let target = Arc::new(target);
    Arc::new(move || {
        let target = Arc::clone(&target);
        Box::pin(async move { target.look().await })
    })
}

/// Brings a schema up to date and names the steps that were done, in order.
///
/// # Errors
/// As [`open`].
pub async fn migrate(
    plan: &PostgresPlan,
    schema: &PostgresSchema,
) -> Result<Vec<&'static str>, Error> {
    let target = connect::Target::new(plan, schema)?;
    let mut connection = target.connect().await?;
    let done = migrations::run(&target, &mut connection, schema).await?;
    target.close(connection).await;
    Ok(done)
}

impl PostgresStore {
    /// Server, database and schema, as errors name them.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong with the database while it is used, in words with what to do, and every change
    /// of it; nothing if it works.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.condition.watch()
    }

    /// The same over connections of its own: whoever uses these waits for nobody else.
    #[must_use]
    pub fn apart(&self, connections_max: u32) -> Self {
        let options = self.pool.options().clone().max_connections(connections_max.max(1));
        let pool = options.connect_lazy_with((*self.pool.connect_options()).clone());
        Self { pool, ..self.clone() }
    }

    /// Closes the connections in order. Optional; a store that is never closed loses nothing.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl std::fmt::Debug for PostgresPlan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        let mut plan = formatter.debug_struct("PostgresPlan");
        plan.field("connections_max", &self.connections_max).finish_non_exhaustive()
    }
}
