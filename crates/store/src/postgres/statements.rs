//! Statements and transactions within their time.
//!
//! A connection whose statement was given up in the middle is closed, never used again: what
//! comes next from the server would be the answer to somebody else's question.

use std::io;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgRow;
use sqlx::{Execute, Executor, PgConnection, Postgres};
use tokio::time::{sleep, timeout};

use super::PostgresStore;
use crate::Error;
use crate::failure::{Failure, failure};

/// Transactions that were in another's way are tried so often.
const TRIES_MAX: u32 = 6;

/// Before the second try; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(2);

impl PostgresStore {
    /// All rows of a statement.
    ///
    /// # Errors
    /// What the database said, or that it said nothing in time.
    pub async fn rows<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut lease = self.lease().await?;
        let done = lease.rows(query).await;
        self.heard(lease.settle(done))
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    /// As [`PostgresStore::rows`].
    pub async fn row<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Option<PgRow>, sqlx::Error> {
        Ok(self.rows(query).await?.into_iter().next())
    }

    /// Does a statement, in a transaction of its own, and tells how many rows it changed.
    ///
    /// # Errors
    /// As [`PostgresStore::rows`].
    pub async fn execute<'q>(
        &self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<u64, sqlx::Error> {
        let mut lease = self.lease().await?;
        let done = lease.execute(query).await;
        self.heard(lease.settle(done))
    }

    /// Begins a transaction. Dropped before its commit, it changes nothing.
    ///
    /// # Errors
    /// As [`PostgresStore::rows`].
    pub async fn begin(&self) -> Result<PostgresTransaction, sqlx::Error> {
        let mut lease = self.lease().await?;
        self.heard(lease.execute("BEGIN").await)?;
        Ok(PostgresTransaction { lease, failed: false, store: self.clone() })
    }

    async fn lease(&self) -> Result<Lease, sqlx::Error> {
        let connection = Some(self.heard(self.pool.acquire().await)?);
        Ok(Lease { connection, patience: self.patience })
    }

    /// Passes on what the database answered, having taken note of a trouble in it.
    fn heard<T>(&self, answer: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        if let Err(error) = &answer {
            // A full disk alone is told before anybody looked.
            let full = || Error::Full { store: self.place.to_string() };
            self.condition.met(failure(error), full);
        }
        answer
    }
}

/// Statements that are done together or not at all. READ COMMITTED is enough for all of them.
#[derive(Debug)]
pub struct PostgresTransaction {
    lease: Lease,
    failed: bool,
    store: PostgresStore,
}

impl PostgresTransaction {
    /// All rows of a statement.
    ///
    /// # Errors
    /// As [`PostgresStore::rows`]; the transaction can only be dropped then.
    pub async fn rows<'q>(
        &mut self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let done = self.lease.rows(query).await;
        self.failed |= done.is_err();
        self.store.heard(done)
    }

    /// Does a statement and tells how many rows it changed.
    ///
    /// # Errors
    /// As [`PostgresTransaction::rows`].
    pub async fn execute<'q>(
        &mut self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<u64, sqlx::Error> {
        let done = self.lease.execute(query).await;
        self.failed |= done.is_err();
        self.store.heard(done)
    }

    /// Makes it last.
    ///
    /// # Errors
    /// As [`PostgresStore::rows`]. If the connection was lost, nobody knows whether it lasts.
    pub async fn commit(mut self) -> Result<(), sqlx::Error> {
        if self.failed {
            // The server would answer COMMIT with ROLLBACK, as if all were well.
            return Err(sqlx::Error::Protocol("a statement of the transaction failed".into()));
        }
        let done = self.lease.execute("COMMIT").await;
        self.store.heard(self.lease.settle(done.map(drop)))
    }
}

/// Tries again what can be tried again: two transactions were in each other's way.
///
/// # Errors
/// The first that is another, or the last.
pub async fn retried<T, F>(mut attempt: impl FnMut() -> F) -> Result<T, sqlx::Error>
where
    F: Future<Output = Result<T, sqlx::Error>>,
{
    let mut pause = PAUSE;
    for _ in 1..TRIES_MAX {
        match attempt().await {
            Err(error) if failure(&error) == Failure::Race => sleep(pause).await,
            done => return done,
        }
        pause *= 2;
    }
    attempt().await
}

/// A connection that is closed unless it is given back.
#[derive(Debug)]
struct Lease {
    connection: Option<PoolConnection<Postgres>>,
    patience: Duration,
}

impl Lease {
    async fn rows<'q>(
        &mut self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let patience = self.patience;
        within(patience, self.connection()?.fetch_all(query)).await
    }

    async fn execute<'q>(
        &mut self,
        query: impl Execute<'q, Postgres> + 'q,
    ) -> Result<u64, sqlx::Error> {
        let patience = self.patience;
        Ok(within(patience, self.connection()?.execute(query)).await?.rows_affected())
    }

    fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// The last statement is over; where its answer was heard, the connection is good for others.
    fn settle<T>(mut self, done: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let is_good = match &done {
            Ok(_) => true,
            // Behind the same address there may be another primary by now: a new connection finds
            // it, this one never does.
            Err(error @ sqlx::Error::Database(_)) => failure(error) != Failure::ReadOnly,
            Err(_) => false,
        };
        if is_good {
            drop(self.connection.take());
        }
        done
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

async fn within<T>(
    patience: Duration,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match timeout(patience, statement).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
    }
}
