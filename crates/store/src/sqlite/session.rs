//! Statements on a connection.

use sqlx::sqlite::SqliteRow;
use sqlx::{Execute, Executor, Sqlite, SqliteConnection};

/// What statements are done in: a connection, in a transaction or not. PostgreSQL's has the same
/// methods, so that what both databases are asked in the same words is written once.
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
        (*self.0).fetch_all(query).await
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    /// What the database said.
    pub async fn row<'q>(
        &mut self,
        query: impl Execute<'q, Sqlite> + 'q,
    ) -> Result<Option<SqliteRow>, sqlx::Error> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// Does a statement and tells how many rows it changed.
    ///
    /// # Errors
    /// What the database said.
    pub async fn execute<'q>(
        &mut self,
        query: impl Execute<'q, Sqlite> + 'q,
    ) -> Result<u64, sqlx::Error> {
        Ok((*self.0).execute(query).await?.rows_affected())
    }
}
