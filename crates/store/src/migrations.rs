//! The schema of a store as a list of steps, each done once, in order.

use std::path::Path;

use sqlx::{SqliteConnection, SqlitePool};

use crate::Error;

/// One step of a schema. Steps are only ever appended to a service's list, never changed.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its name, such as `0001_retries`: unique in the list, and what errors speak of.
    pub name: &'static str,
    /// One or more statements, without `BEGIN` and `COMMIT`.
    pub sql: &'static str,
}

/// Does the steps that were not done yet, all in one transaction.
pub(crate) async fn run(
    writer: &SqlitePool,
    path: &Path,
    migrations: &[Migration],
) -> Result<(), Error> {
    let failed = |source| Error::of(path, source);
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    let done = done_steps(&mut transaction).await.map_err(failed)?;
    for (position, name) in done.iter().enumerate() {
        if migrations.get(position).is_none_or(|known| known.name != name) {
            return Err(Error::SchemaNewer {
                store: path.display().to_string(),
                step: name.clone(),
            });
        }
    }
    for migration in migrations.iter().skip(done.len()) {
        apply(&mut transaction, migration).await.map_err(|source| Error::Migration {
            store: path.display().to_string(),
            step: migration.name,
            source,
        })?;
    }
    transaction.commit().await.map_err(failed)
}

async fn done_steps(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let table = "CREATE TABLE IF NOT EXISTS schema_steps (
        position INTEGER PRIMARY KEY,
        name     TEXT NOT NULL UNIQUE,
        at       TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    ) STRICT";
    sqlx::raw_sql(table).execute(&mut *connection).await?;
    sqlx::query_scalar("SELECT name FROM schema_steps ORDER BY position")
        .fetch_all(connection)
        .await
}

async fn apply(
    connection: &mut SqliteConnection,
    migration: &Migration,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(migration.sql).execute(&mut *connection).await?;
    sqlx::query("INSERT INTO schema_steps (name) VALUES (?)")
        .bind(migration.name)
        .execute(connection)
        .await?;
    Ok(())
}
