//! The steps of a schema, done once, in order, by one process at a time.
//!
//! The lock is a row: advisory locks are not everywhere.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::PostgresSchema;
use super::connect::Target;
use crate::failure::{Failure, failure};
use crate::{Error, Migration};

/// Two processes that begin with an empty database meet here; the second tries again.
const MEETINGS_MAX: u32 = 10;

/// Codes of a schema, table or row that another made at the same time.
const MADE_BY_ANOTHER: &[&str] = &["23505", "42P06", "42P07"];

const BOOKS: &str = "
    CREATE TABLE IF NOT EXISTS schema_steps (
        position INTEGER PRIMARY KEY,
        name     TEXT NOT NULL UNIQUE,
        at       TIMESTAMPTZ NOT NULL DEFAULT now()
    );
    CREATE TABLE IF NOT EXISTS schema_lock (
        id INTEGER PRIMARY KEY
    );
    INSERT INTO schema_lock (id) VALUES (1) ON CONFLICT DO NOTHING";

/// Does the steps that were not done yet, all in one transaction, and names them.
pub(super) async fn run(
    target: &Target,
    connection: &mut PgConnection,
    schema: &PostgresSchema,
) -> Result<Vec<&'static str>, Error> {
    prepare(connection, schema).await.map_err(|error| target.error(error))?;
    let mut tries = 0;
    loop {
        tries += 1;
        match steps(target, connection, schema).await {
            Err(Error::Migration { source, .. } | Error::Database { source, .. })
                if failure(&source) == Failure::Race && tries < MEETINGS_MAX => {}
            done => return done,
        }
    }
}

/// Refuses a schema that is not exactly the one that this release knows.
pub(super) async fn check(
    target: &Target,
    connection: &mut PgConnection,
    schema: &PostgresSchema,
) -> Result<(), Error> {
    let done = match done_steps(connection).await {
        Ok(done) => done,
        // There is no such table: nothing was ever done here.
        Err(error) if code(&error).is_some_and(|code| code == "42P01") => Vec::new(),
        Err(error) => return Err(target.error(error)),
    };
    match missing(target, &done, schema)? {
        [] => Ok(()),
        [first, ..] => Err(Error::SchemaOlder { store: target.place.clone(), step: first.name }),
    }
}

/// Makes the schema and the books of its steps, if they are missing.
async fn prepare(
    connection: &mut PgConnection,
    schema: &PostgresSchema,
) -> Result<(), sqlx::Error> {
    let mut tries = 0;
    loop {
        tries += 1;
        match make(connection, schema).await {
            Err(error)
                if tries < MEETINGS_MAX
                    && code(&error).is_some_and(|code| MADE_BY_ANOTHER.contains(&&*code)) => {}
            done => return done,
        }
    }
}

async fn make(connection: &mut PgConnection, schema: &PostgresSchema) -> Result<(), sqlx::Error> {
    // Asked first: who may not create a schema may still use the one that is there.
    let there = sqlx::query("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1")
        .bind(schema.name)
        .fetch_optional(&mut *connection)
        .await?;
    if there.is_none() {
        let create = format!("CREATE SCHEMA IF NOT EXISTS {}", schema.name);
        connection.execute(AssertSqlSafe(create)).await?;
    }
    let books = "SELECT 1 FROM pg_catalog.pg_tables
        WHERE schemaname = $1 AND tablename = 'schema_lock'";
    let there = sqlx::query(books).bind(schema.name).fetch_optional(&mut *connection).await?;
    if there.is_none() {
        connection.execute(BOOKS).await?;
    }
    Ok(())
}

async fn steps(
    target: &Target,
    connection: &mut PgConnection,
    schema: &PostgresSchema,
) -> Result<Vec<&'static str>, Error> {
    let failed = |source| target.error(source);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let lock = "SELECT id FROM schema_lock WHERE id = 1 FOR UPDATE";
    sqlx::query(lock).fetch_one(&mut *transaction).await.map_err(failed)?;
    let done = done_steps(&mut transaction).await.map_err(failed)?;
    let missing = missing(target, &done, schema)?;
    let mut names = Vec::new();
    for (number, migration) in missing.iter().enumerate() {
        let position = i32::try_from(done.len() + number).unwrap_or(i32::MAX);
        apply(&mut transaction, migration, position).await.map_err(|source| Error::Migration {
            store: target.place.clone(),
            step: migration.name,
            source,
        })?;
        names.push(migration.name);
    }
    transaction.commit().await.map_err(failed)?;
    Ok(names)
}

async fn done_steps(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let select = "SELECT name FROM schema_steps ORDER BY position";
    sqlx::query_scalar(select).fetch_all(connection).await
}

/// The steps that are yet to be done.
fn missing<'a>(
    target: &Target,
    done: &[String],
    schema: &'a PostgresSchema,
) -> Result<&'a [Migration], Error> {
    for (position, name) in done.iter().enumerate() {
        if schema.migrations.get(position).is_none_or(|known| known.name != name) {
            return Err(Error::SchemaNewer { store: target.place.clone(), step: name.clone() });
        }
    }
    Ok(schema.migrations.get(done.len()..).unwrap_or_default())
}

async fn apply(
    connection: &mut PgConnection,
    migration: &Migration,
    position: i32,
) -> Result<(), sqlx::Error> {
    connection.execute(migration.sql).await?;
    sqlx::query("INSERT INTO schema_steps (position, name) VALUES ($1, $2)")
        .bind(position)
        .bind(migration.name)
        .execute(connection)
        .await?;
    Ok(())
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}
