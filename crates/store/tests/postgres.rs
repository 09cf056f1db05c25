//! Schemas open where they can, and say plainly why where they cannot.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use planaria_store::postgres::{self, retried};
use planaria_store::testing::TestDatabase;
use planaria_store::{Error, Migration, PostgresPlan, PostgresSchema, PostgresStore};
use planaria_store::{Failure, failure};
use sqlx::Row;

const NOTES: Migration =
    Migration { name: "0001_notes", sql: "CREATE TABLE notes (text TEXT NOT NULL)" };
const INDEX: Migration = Migration {
    name: "0002_index",
    sql: "CREATE INDEX notes_text ON notes (text); INSERT INTO notes VALUES ('indexed')",
};
const BROKEN: Migration =
    Migration { name: "0002_broken", sql: "CREATE TABLE more (x INTEGER); SELECT nonsense" };

const OLD: PostgresSchema = PostgresSchema { name: "notes", migrations: &[NOTES] };
const NEW: PostgresSchema = PostgresSchema { name: "notes", migrations: &[NOTES, INDEX] };
const BAD: PostgresSchema = PostgresSchema { name: "notes", migrations: &[NOTES, BROKEN] };

async fn write(store: &PostgresStore, text: &str) -> Result<u64, sqlx::Error> {
    store.execute(sqlx::query("INSERT INTO notes VALUES ($1)").bind(text)).await
}

async fn notes(store: &PostgresStore) -> Vec<String> {
    let rows = store.rows(sqlx::query("SELECT text FROM notes ORDER BY text")).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn refused(plan: &PostgresPlan, schema: &PostgresSchema) -> Error {
    postgres::open(plan, schema).await.unwrap_err()
}

/// Says what to do, and never the password.
fn assert_clear(error: &Error, plan: &PostgresPlan, advice: &str) {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    assert!(text.contains(advice), "{text}");
    let password = plan.url.split([':', '@']).nth(2).unwrap();
    assert!(!text.contains(password), "{text}");
    assert!(!format!("{error:?} {plan:?}").contains(password));
}

#[tokio::test]
async fn a_schema_is_made_and_grows_and_keeps_what_was_committed() {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let store = postgres::open(&plan, &OLD).await.unwrap();
    write(&store, "a").await.unwrap();
    drop(store);
    assert_eq!(postgres::migrate(&plan, &NEW).await.unwrap(), ["0002_index"]);
    assert_eq!(postgres::migrate(&plan, &NEW).await.unwrap(), [""; 0]);
    let store = postgres::open(&plan, &NEW).await.unwrap();
    assert_eq!(notes(&store).await, ["a", "indexed"]);
    // Two schemas of a database know nothing of each other.
    let other = PostgresSchema { name: "other", ..OLD };
    assert_eq!(notes(&postgres::open(&plan, &other).await.unwrap()).await, [""; 0]);
}

#[tokio::test]
async fn of_many_that_begin_at_once_one_does_the_steps() {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let opening = (0..8).map(|_| {
        let plan = plan.clone();
        tokio::spawn(async move { postgres::migrate(&plan, &NEW).await.unwrap() })
    });
    let mut done = Vec::new();
    for opened in opening.collect::<Vec<_>>() {
        done.extend(opened.await.unwrap());
    }
    assert_eq!(done, ["0001_notes", "0002_index"]);
}

#[tokio::test]
async fn every_session_has_its_settings() {
    let database = TestDatabase::create().await;
    let store = postgres::open(&database.plan(), &OLD).await.unwrap();
    for (setting, expected) in [
        ("synchronous_commit", "on"),
        ("search_path", "notes"),
        ("enable_seqscan", "off"),
        ("jit", "off"),
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "5s"),
    ] {
        let question = sqlx::query("SELECT current_setting($1)").bind(setting);
        let row = store.row(question).await.unwrap().unwrap();
        assert_eq!(row.get::<String, _>(0), expected, "{setting}");
    }
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_cancelled_and_the_store_goes_on() {
    let database = TestDatabase::create().await;
    let plan = PostgresPlan { statement_ms_max: 2_000, connections_max: 1, ..database.plan() };
    let store = postgres::open(&plan, &OLD).await.unwrap();
    let error = store.rows("SELECT pg_sleep(600)").await.unwrap_err();
    assert!(error.to_string().contains("statement timeout"), "{error}");
    write(&store, "a").await.unwrap();
}

#[tokio::test]
async fn a_transaction_lasts_only_if_it_was_committed() {
    let database = TestDatabase::create().await;
    let store = postgres::open(&database.plan(), &OLD).await.unwrap();
    let mut kept = store.begin().await.unwrap();
    assert_eq!(kept.execute("INSERT INTO notes VALUES ('kept')").await.unwrap(), 1);
    kept.commit().await.unwrap();
    let mut dropped = store.begin().await.unwrap();
    dropped.execute("INSERT INTO notes VALUES ('dropped')").await.unwrap();
    drop(dropped);
    // A failed statement is not forgotten: the server would call its COMMIT a success.
    let mut failed = store.begin().await.unwrap();
    failed.execute("INSERT INTO notes VALUES ('failed')").await.unwrap();
    assert!(failed.execute("INSERT INTO notes VALUES (NULL)").await.is_err());
    assert!(failed.commit().await.is_err());
    assert_eq!(notes(&store).await, ["kept"]);
}

#[tokio::test]
async fn what_was_in_anothers_way_is_tried_again() {
    let database = TestDatabase::create().await;
    let store = postgres::open(&database.plan(), &OLD).await.unwrap();
    for text in ["a", "b"] {
        write(&store, text).await.unwrap();
    }
    // Each locks one row and then wants the other's: a deadlock, of which one is the victim.
    let meeting = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let first_tries = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let swap = |first: &'static str, second: &'static str| {
        let (store, meeting, tries) = (store.clone(), meeting.clone(), first_tries.clone());
        tokio::spawn(async move {
            let lock = "SELECT 1 FROM notes WHERE text = $1 FOR UPDATE";
            retried(async || {
                let mut transaction = store.begin().await?;
                transaction.rows(sqlx::query(lock).bind(first)).await?;
                // Only the first tries meet.
                if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2 {
                    meeting.wait().await;
                }
                transaction.rows(sqlx::query(lock).bind(second)).await?;
                transaction.commit().await
            })
            .await
        })
    };
    let (one, other) = (swap("a", "b"), swap("b", "a"));
    one.await.unwrap().unwrap();
    other.await.unwrap().unwrap();
    assert!(first_tries.load(std::sync::atomic::Ordering::SeqCst) > 2);
}

#[tokio::test]
async fn a_server_that_nobody_reaches_is_named() {
    let database = TestDatabase::create().await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [closed, silent.local_addr().unwrap()] {
        let url = format!("postgres://planaria:secret@{address}/planaria");
        let plan = PostgresPlan { url, connect_ms_max: 100, ..database.plan() };
        let error = refused(&plan, &OLD).await;
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert_clear(&error, &plan, &format!("`planaria` at {address} (schema notes)"));
    }
}

#[tokio::test]
async fn who_may_not_come_in_is_told_so() {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let url = plan.url.replacen("planaria-test", "wrong-word", 1);
    let wrong = PostgresPlan { url, ..plan.clone() };
    if wrong.url != plan.url {
        let error = refused(&wrong, &OLD).await;
        assert!(matches!(error, Error::LogIn { .. }), "{error}");
        assert_clear(&error, &wrong, "check user and password");
    }
    let missing = PostgresPlan { url: format!("{}_not", plan.url), ..plan };
    let error = refused(&missing, &OLD).await;
    assert!(matches!(error, Error::DatabaseMissing { .. }), "{error}");
    assert_clear(&error, &missing, "`createdb`");
}

#[tokio::test]
async fn newer_older_and_broken_schemas_change_nothing() {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let waiting = PostgresPlan { migrate: false, ..plan.clone() };
    let error = refused(&waiting, &NEW).await;
    assert!(matches!(error, Error::SchemaOlder { step: "0001_notes", .. }), "{error}");
    assert_clear(&error, &plan, "`planaria migrate`");

    let error = refused(&plan, &BAD).await;
    assert!(matches!(error, Error::Migration { step: "0002_broken", .. }), "{error}");
    assert_eq!(postgres::migrate(&plan, &NEW).await.unwrap(), ["0001_notes", "0002_index"]);
    for plan in [&plan, &waiting] {
        let error = refused(plan, &OLD).await;
        let newer = matches!(&error, Error::SchemaNewer { step, .. } if step == "0002_index");
        assert!(newer, "{error}");
        assert_clear(&error, plan, "run the release that wrote it");
    }
    postgres::open(&waiting, &NEW).await.unwrap();
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_named() {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let store = postgres::open(&plan, &OLD).await.unwrap();
    let name = plan.url.rsplit('/').next().unwrap();
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    database.execute(&set).await;
    let error = refused(&plan, &OLD).await;
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    assert_clear(&error, &plan, "is read-only");
    store.execute("SET default_transaction_read_only = on").await.unwrap();
    let error = write(&store, "x").await.unwrap_err();
    assert_eq!(failure(&error), Failure::ReadOnly);
}

#[tokio::test]
async fn a_server_without_a_free_connection_is_named() {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let user = format!("crowd_{}", std::process::id());
    let create = format!("CREATE USER {user} PASSWORD 'crowd-word' CONNECTION LIMIT 0");
    database.execute(&create).await;
    let (_, rest) = plan.url.split_once('@').unwrap();
    let crowd = PostgresPlan {
        url: format!("postgres://{user}:crowd-word@{rest}"),
        connect_ms_max: 500,
        ..plan
    };
    let error = refused(&crowd, &OLD).await;
    database.execute(&format!("DROP USER {user}")).await;
    assert!(matches!(error, Error::TooManyConnections { .. }), "{error}");
    assert_clear(&error, &crowd, "`connections_max` in [store]");
}

#[tokio::test]
async fn a_user_without_rights_is_told_which_and_how_to_go_on() {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let user = format!("reader_{}", std::process::id());
    let create = format!("CREATE USER {user} PASSWORD 'guest-word'");
    database.execute(&create).await;
    let (_, rest) = plan.url.split_once('@').unwrap();
    let url = format!("postgres://{user}:guest-word@{rest}");
    let guest = PostgresPlan { url, ..plan };
    let error = refused(&guest, &OLD).await;
    database.execute(&format!("DROP USER {user}")).await;
    assert!(matches!(error, Error::Privilege { .. }), "{error}");
    assert_clear(&error, &guest, "grant CREATE on the database");
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let database = TestDatabase::create().await;
    let plan = PostgresPlan { connections_max: 1, ..database.plan() };
    let store = postgres::open(&plan, &OLD).await.unwrap();
    write(&store, "before").await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    database.execute(end).await;
    // The next one may meet the closed connection; nobody meets it twice.
    if let Err(error) = write(&store, "lost").await {
        let lost = [Failure::Unreachable, Failure::NotReady];
        assert!(lost.contains(&failure(&error)), "{error}");
        write(&store, "after").await.unwrap();
    }
}
