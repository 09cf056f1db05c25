//! What statements are done on, with the same words for both databases, so that a service can
//! write a statement once where both speak it: `$1` for the first value, `BIGINT` for numbers.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Execute, Executor, Postgres, Sqlite, SqliteConnection};

use crate::PostgresStore;
use crate::postgres::PostgresTransaction;

/// A connection to SQLite, or a transaction on one.
#[derive(Debug)]
pub struct SqliteSession<'c>(pub &'c mut SqliteConnection);

impl SqliteSession<'_> {
    /// All rows of a statement.
    ///
    /// # Errors
    /// What the database said.
    pub async fn rows<'q>(
        &mut self,
        query: impl Execute<'q, Sqlite> + 'q,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        (&mut *self.0).fetch_all(query).await
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    /// As [`SqliteSession::rows`].
    pub async fn row<'q>(
        &mut self,
        query: impl Execute<'q, Sqlite> + 'q,
    ) -> Result<Option<SqliteRow>, sqlx::Error> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// Does a statement and tells how many rows it changed.
    ///
    /// # Errors
    /// As [`SqliteSession::rows`].
    pub async fn execute<'q>(
        &mut self,
        query: impl Execute<'q, Sqlite> + 'q,
    ) -> Result<u64, sqlx::Error> {
        Ok((&mut *self.0).execute(query).await?.rows_affected())
    }
}

/// A store in PostgreSQL, each statement for itself, or a transaction on one.
#[derive(Debug)]
pub enum PostgresSession<'c> {
    /// Each statement for itself.
    Store(&'c PostgresStore),
    /// All or none.
    Transaction(&'c mut PostgresTransaction),
}

impl PostgresSession<'_> {
    /// All rows of a statement.
    ///
    /// # Errors
    /// What the database said, or that it said nothing in time.
    pub async fn rows<'q>(
        &mut self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        match self {
            Self::Store(store) => store.rows(query).await,
            Self::Transaction(transaction) => transaction.rows(query).await,
        }
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    /// As [`PostgresSession::rows`].
    pub async fn row<'q>(
        &mut self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Option<PgRow>, sqlx::Error> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// Does a statement and tells how many rows it changed.
    ///
    /// # Errors
    /// As [`PostgresSession::rows`].
    pub async fn execute<'q>(
        &mut self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<u64, sqlx::Error> {
        match self {
            Self::Store(store) => store.execute(query).await,
            Self::Transaction(transaction) => transaction.execute(query).await,
        }
    }
}
