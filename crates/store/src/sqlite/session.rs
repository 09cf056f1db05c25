//! Statements apart or together.

use sqlx::sqlite::SqliteRow;
use sqlx::{Execute, Sqlite, Transaction};

use super::SqliteStore;

/// What statements are done in: each by itself, or all together. PostgreSQL's has the same
/// methods, so that what both databases are asked in the same words is written once.
#[derive(Debug)]
pub enum SqliteSession {
    /// Each statement by itself; it cannot write.
    Apart(SqliteStore),
    /// Together, once it is committed.
    Together(Transaction<'static, Sqlite>),
}

impl SqliteStore {
    /// For reading: each statement by itself.
    #[must_use]
    pub fn reading(&self) -> SqliteSession {
        SqliteSession::Apart(self.clone())
    }

    /// For writing: begins a transaction, once those before it are over.
    ///
    /// # Errors
    /// What the database said.
    pub async fn writing(&self) -> Result<SqliteSession, sqlx::Error> {
        self.writer().begin_with("BEGIN IMMEDIATE").await.map(SqliteSession::Together)
    }
}

impl SqliteSession {
    /// All rows of a statement.
    ///
    /// # Errors
    /// What the database said.
    pub async fn rows<'q>(
        &mut self,
        query: impl Execute<'q, Sqlite> + 'q,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        use sqlx::Executor as _;
        match self {
            Self::Apart(store) => store.readers().fetch_all(query).await,
            Self::Together(transaction) => (**transaction).fetch_all(query).await,
        }
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
        use sqlx::Executor as _;
        let done = match self {
            Self::Apart(store) => store.readers().execute(query).await,
            Self::Together(transaction) => (**transaction).execute(query).await,
        };
        Ok(done?.rows_affected())
    }

    /// Makes it last, if it is a transaction.
    ///
    /// # Errors
    /// What the database said.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Apart(_) => Ok(()),
            Self::Together(transaction) => transaction.commit().await,
        }
    }
}
