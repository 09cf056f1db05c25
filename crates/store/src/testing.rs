//! For tests: a fresh PostgreSQL database, dropped with the value.
//!
//! It is made on the server that `PLANARIA_TEST_POSTGRES_URL` names (a superuser's URL); without
//! the variable, on a private server that all test processes of this user share and that ends
//! after the last of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use planaria_test_servers::Postgres;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::PostgresPlan;

/// Names the server to use.
const VARIABLE: &str = "PLANARIA_TEST_POSTGRES_URL";

/// A database of one test.
#[derive(Debug)]
pub struct TestDatabase {
    /// Of its superuser, with the password.
    pub url: String,
    name: String,
}

impl TestDatabase {
    /// Makes an empty database.
    ///
    /// # Panics
    /// There is no server: the text says what to install.
    pub async fn create() -> Self {
        let server = tokio::task::spawn_blocking(server).await.expect("the thread does not panic");
        let server = server
            .unwrap_or_else(|problem| unreachable!("{problem}; or let {VARIABLE} name a server"));
        let name = name();
        administer(&server, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        let (base, _) = server.rsplit_once('/').expect("the URL ends with a database");
        Self { url: format!("{base}/{name}"), name }
    }

    /// How a service would open it, with few connections.
    #[must_use]
    pub fn plan(&self) -> PostgresPlan {
        PostgresPlan {
            url: self.url.clone(),
            connections_max: 4,
            connect_ms_max: 10_000,
            statement_ms_max: 30_000,
            migrate: true,
        }
    }

    /// Does something as a superuser in this database.
    ///
    /// # Panics
    /// The database refuses it.
    pub async fn execute(&self, statements: &str) {
        administer(&self.url, statements).await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (base, _) = self.url.rsplit_once('/').unwrap_or_default();
        let server = format!("{base}/postgres");
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // A thread of its own: the test's runtime may be ending, and a failure here is none of
        // the test's.
        let ending = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.is_ok_and(|runtime| runtime.block_on(try_administer(&server, &drop)).is_ok())
        });
        let _dropped = ending.join();
    }
}

async fn administer(url: &str, statements: &str) {
    if let Err(error) = try_administer(url, statements).await {
        unreachable!("`{statements}` failed: {error}");
    }
}

async fn try_administer(url: &str, statements: &str) -> Result<(), sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let mut connection = PgConnection::connect_with(&options).await?;
    connection.execute(AssertSqlSafe(statements)).await?;
    connection.close().await
}

/// The URL of the server; the private one stays for as long as this process.
#[expect(clippy::disallowed_methods, reason = "tests have no settings")]
fn server() -> Result<String, String> {
    static PRIVATE: OnceLock<Result<Postgres, String>> = OnceLock::new();
    if let Ok(url) = std::env::var(VARIABLE) {
        return Ok(url);
    }
    let private = PRIVATE.get_or_init(|| {
        let user = std::env::var("USER").unwrap_or_default();
        let folder = std::env::temp_dir().join(format!("planaria-test-servers-{user}"));
        planaria_test_servers::postgres(&folder)
    });
    private.as_ref().map(|server| server.url.clone()).map_err(Clone::clone)
}

/// One that no other test has.
#[expect(clippy::disallowed_methods, reason = "only to be unlike any other")]
fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("test_{}_{number}_{}", std::process::id(), now.as_nanos())
}
