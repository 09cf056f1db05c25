//! From a URL to connections.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row};
use tokio::time::{Instant, sleep, timeout_at};

use super::words::{encrypted, words};
use super::{PostgresPlan, PostgresSchema};
use crate::Error;
use crate::failure::{Failure, failure};

/// The first major release whose SQL is spoken here.
const MAJOR_MIN: u32 = 14;

/// Prepared statements that each connection keeps.
const STATEMENTS_MAX: usize = 256;

/// A connection that nobody used for so long is asked whether it still stands: a server that
/// started again has forgotten it.
const TRUSTED: Duration = Duration::from_secs(1);

/// A connection that nobody used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a transaction may stand between two statements. Its locks are let go then: whoever
/// was stopped in the middle does not stop the others.
const IDLE_TRANSACTION_MS_MAX: u64 = 5_000;

/// What [`Target::connect`] and the pool connect to.
pub(super) struct Target {
    options: PgConnectOptions,
    plan: PostgresPlan,
    /// What sets up a session.
    session: String,
    /// What it is called in errors.
    pub(super) place: String,
    /// No statement is waited for longer than this.
    pub(super) patience: Duration,
}

impl Target {
    pub(super) fn new(plan: &PostgresPlan, schema: &PostgresSchema) -> Result<Self, Error> {
        let options = options(&plan.url)?;
        let place = format!(
            "PostgreSQL database `{}` at {}:{} (schema {})",
            options.get_database().unwrap_or(options.get_username()),
            options.get_host(),
            options.get_port(),
            schema.name,
        );
        // Commits are on disk before they are answered, whatever the server's default is. A plan
        // that was made when a table was empty is kept when it has grown: it must not be a scan of
        // the whole table. (Not every server has these two.)
        let session = format!(
            "SET search_path TO {}; SET synchronous_commit TO on; SET statement_timeout TO {}; \
             SET idle_in_transaction_session_timeout TO {IDLE_TRANSACTION_MS_MAX}; \
             SELECT set_config(name, 'off', false) FROM pg_catalog.pg_settings \
             WHERE name IN ('enable_seqscan', 'jit')",
            schema.name, plan.statement_ms_max,
        );
        // The server cancels in time, if it is there to do so.
        let patience = Duration::from_millis(plan.statement_ms_max + plan.connect_ms_max);
        Ok(Self { options, plan: plan.clone(), session, place, patience })
    }

    /// One connection to a server that will do. A server that is just starting is waited for.
    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        let deadline = self.deadline();
        loop {
            match self.attempt(deadline).await {
                Ok(mut connection) => {
                    self.check(&mut connection).await?;
                    return Ok(connection);
                }
                Err(failed) => {
                    let passing =
                        matches!(failure(&failed), Failure::Unreachable | Failure::NotReady);
                    if !passing || Instant::now() + PAUSE >= deadline {
                        return Err(self.error(failed));
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether the server will do now.
    pub(super) async fn look(&self) -> Result<(), Error> {
        let attempt = self.attempt(self.deadline()).await;
        let mut connection = attempt.map_err(|failed| self.error(failed))?;
        // One that stopped in the middle is looked at again.
        let checked = timeout_at(self.deadline(), self.check(&mut connection)).await;
        checked.unwrap_or_else(|_| Err(self.error(self.late())))?;
        self.close(connection).await;
        Ok(())
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.plan.connect_ms_max)
    }

    async fn attempt(&self, deadline: Instant) -> Result<PgConnection, sqlx::Error> {
        let connecting = async {
            let mut connection = PgConnection::connect_with(&self.options).await?;
            connection.execute(AssertSqlSafe(self.session.as_str())).await?;
            Ok(connection)
        };
        timeout_at(deadline, connecting).await.unwrap_or_else(|_| Err(self.late()))
    }

    fn late(&self) -> sqlx::Error {
        let text = format!("no answer within {} ms", self.plan.connect_ms_max);
        std::io::Error::new(std::io::ErrorKind::TimedOut, text).into()
    }

    /// Whether the server is one to work with.
    async fn check(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let question = "SELECT version() AS version,
            current_setting('server_version_num') AS number,
            current_setting('transaction_read_only') AS read_only";
        let answer = async {
            let row = sqlx::query(question).fetch_one(connection).await?;
            let (version, number) = (row.try_get("version")?, row.try_get("number")?);
            Ok::<(String, String, String), _>((version, number, row.try_get("read_only")?))
        };
        let (version, number, read_only) = answer.await.map_err(|error| self.error(error))?;
        let store = self.place.clone();
        if !suffices(&version, &number) {
            // `PostgreSQL 13.4 on x86_64-pc-linux-gnu, compiled by …`
            let version = version.split(" on ").next().unwrap_or_default().to_owned();
            return Err(Error::TooOld { store, version, oldest: MAJOR_MIN });
        }
        if read_only == "on" {
            return Err(Error::ReadOnly { store });
        }
        Ok(())
    }

    /// The pool; it connects when it is asked to.
    pub(super) fn pool(&self) -> PgPool {
        let session: std::sync::Arc<str> = self.session.as_str().into();
        PgPoolOptions::new()
            .max_connections(self.plan.connections_max.max(1))
            .min_connections(0)
            .acquire_timeout(Duration::from_millis(self.plan.connect_ms_max))
            .idle_timeout(IDLE_MAX)
            .max_lifetime(None)
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for >= TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move {
                    connection.execute(AssertSqlSafe(session.to_string())).await.map(drop)
                })
            })
            .connect_lazy_with(self.options.clone())
    }

    /// Ends a connection in order, if that is quickly done.
    pub(super) async fn close(&self, connection: PgConnection) {
        // A server that does not want to hear it finds out by itself.
        drop(timeout_at(self.deadline(), connection.close()).await);
    }

    /// Says what an error of the database means.
    pub(super) fn error(&self, source: sqlx::Error) -> Error {
        let (store, user) = (self.place.clone(), self.options.get_username().to_owned());
        match failure(&source) {
            Failure::Unreachable => Error::Unreachable { store, source },
            Failure::Tls => Error::Tls { store, source },
            Failure::NotReady => Error::NotReady { store },
            Failure::LogIn => Error::LogIn { store, user },
            Failure::DatabaseMissing => Error::DatabaseMissing { store },
            Failure::Privilege => Error::Privilege { store, user, source },
            Failure::TooManyConnections => Error::TooManyConnections { store },
            Failure::ReadOnly => Error::ReadOnly { store },
            Failure::Full => Error::Full { store },
            Failure::Broken | Failure::Race | Failure::Other => Error::Database { store, source },
        }
    }
}

fn options(url: &str) -> Result<PgConnectOptions, Error> {
    let refused = |why: String| Error::Url { why };
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Err(refused("it starts with another scheme".into()));
    }
    let words = words(url)?;
    let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| match error {
        sqlx::Error::Configuration(why) => refused(why.to_string()),
        other => refused(other.to_string()),
    })?;
    Ok(encrypted(options, &words)?
        .application_name("planaria")
        .statement_cache_capacity(STATEMENTS_MAX))
}

/// Whether a server is new enough, by what it says of itself. CockroachDB claims an old release of
/// PostgreSQL and speaks what is needed.
fn suffices(version: &str, number: &str) -> bool {
    let major = number.parse::<u32>().map_or(0, |number| number / 10_000);
    major >= MAJOR_MIN || version.starts_with("CockroachDB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_do_not_suffice() {
        assert!(suffices("PostgreSQL 15.18 (Debian) on x86_64", "150018"));
        assert!(suffices("PostgreSQL 14.0 on x86_64", "140000"));
        assert!(!suffices("PostgreSQL 13.22 on x86_64", "130022"));
        assert!(!suffices("PostgreSQL 9.6.24 on x86_64", "90624"));
        assert!(!suffices("PostgreSQL", ""));
        assert!(suffices("CockroachDB CCL v25.2.0 (x86_64)", "130000"));
        assert!(!suffices("PostgreSQL 11.2-YB-2024.2 on x86_64", "110002"));
    }

    #[test]
    fn urls_are_refused_without_saying_what_they_hide() {
        for url in ["mysql://a:secret@b/c", "postgres://a:secret@b:port/c", "secret"] {
            let error = options(url).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("[store]") && !error.contains("secret"), "{url}: {error}");
        }
    }
}
