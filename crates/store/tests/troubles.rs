//! What stands in the way of a store while it is used: it is told once, and it is over when the
//! fault is over, without anybody's help.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use planaria_store::testing::TestDatabase;
use planaria_store::{Migration, PostgresPlan, PostgresSchema, PostgresStore, postgres, sqlite};
use tokio::sync::watch;
use tokio::time::timeout;

const NOTES: Migration =
    Migration { name: "0001_notes", sql: "CREATE TABLE notes (text TEXT NOT NULL)" };
const SCHEMA: PostgresSchema = PostgresSchema { name: "notes", migrations: &[NOTES] };

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

type Trouble = watch::Receiver<Option<String>>;

async fn told(trouble: &mut Trouble, text: &str) {
    let wanted = |told: &Option<String>| told.as_ref().is_some_and(|told| told.contains(text));
    let found = timeout(PATIENCE, trouble.wait_for(wanted)).await.is_ok();
    assert!(found, "{text}: it says {:?}", trouble.borrow());
}

async fn over(trouble: &mut Trouble) {
    let found = timeout(PATIENCE, trouble.wait_for(Option::is_none)).await.is_ok();
    assert!(found, "it still says {:?}", trouble.borrow());
}

async fn write(store: &PostgresStore) -> Result<u64, sqlx::Error> {
    store.execute("INSERT INTO notes VALUES ('a')").await
}

/// Ends every connection to a database that its user has made.
const END: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

/// What an operator does by mistake, what is said then, and how it is undone. `$user` and
/// `$database` stand for the test's own.
const FAULTS: [(&str, &str, &str); 3] = [
    (
        "ALTER DATABASE $database SET default_transaction_read_only = on",
        "is read-only: name the primary in `url` of [store]",
        "ALTER DATABASE $database SET default_transaction_read_only = off",
    ),
    (
        "ALTER USER $user CONNECTION LIMIT 0",
        "has no connection left: raise `max_connections`",
        "ALTER USER $user CONNECTION LIMIT -1",
    ),
    (
        "ALTER USER $user PASSWORD 'another'",
        "refuses user `$user`: check user and password",
        "ALTER USER $user PASSWORD 'word'",
    ),
];

#[tokio::test]
async fn a_fault_of_the_database_is_told_and_heals_by_itself() {
    let database = TestDatabase::create().await;
    let (before, name) = database.url.rsplit_once('/').unwrap();
    let user = format!("user_{name}");
    let named = |text: &str| text.replace("$user", &user).replace("$database", name);
    let owner = "CREATE USER $user PASSWORD 'word'; GRANT ALL ON DATABASE $database TO $user";
    database.execute(&named(owner)).await;
    let (_, server) = before.split_once('@').unwrap();
    let url = format!("postgres://{user}:word@{server}/{name}");
    let plan = PostgresPlan { url, connect_ms_max: 1_000, ..database.plan() };
    let store = postgres::open(&plan, &SCHEMA).await.unwrap();
    let mut trouble = store.trouble();
    for (fault, says, end) in FAULTS {
        write(&store).await.unwrap();
        database.execute(&named(fault)).await;
        database.execute(END).await;
        while write(&store).await.is_ok() {}
        told(&mut trouble, &named(says)).await;
        // Whoever may not write may not undo it either, unless it says that it may.
        database.execute(&format!("SET transaction_read_only = off; {}", named(end))).await;
        over(&mut trouble).await;
        // A connection of before may still be met, and then no more.
        while write(&store).await.is_err() {}
    }
    drop(store);
    database.execute(END).await;
    database.execute(&named("DROP OWNED BY $user; DROP USER $user")).await;
}

/// The driver takes a transaction that the database ended itself for one that goes on; nothing
/// more could be written until the next start.
#[tokio::test]
async fn a_file_on_a_full_disk_is_told_and_written_again_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite::open(&directory.path().join("notes.db"), &[NOTES]).await.unwrap();
    let mut trouble = store.trouble();
    // The limit of this connection stands for the size of the disk.
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(store.writer()).await.unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 1);
    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(store.writer()).await.unwrap();
    let write = async || {
        let mut transaction = store.writer().begin_with("BEGIN IMMEDIATE").await?;
        let text = "x".repeat(100_000);
        let insert = sqlx::query("INSERT INTO notes VALUES (?)").bind(text);
        insert.execute(&mut *transaction).await?;
        transaction.commit().await
    };
    let refused = store.heard(write().await).unwrap_err();
    assert!(refused.to_string().contains("full"), "{refused}");
    told(&mut trouble, "no space is left for the store").await;
    // The connection with the limit is gone: the disk has room.
    store.heard(write().await).unwrap();
    over(&mut trouble).await;
}

#[tokio::test]
async fn a_file_of_something_else_and_one_that_may_not_be_written_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.db");
    std::fs::create_dir(&path).unwrap();
    let error = sqlite::open(&path, &[NOTES]).await.unwrap_err().to_string();
    assert!(error.contains("let this user write it"), "{error}");
    std::fs::remove_dir(&path).unwrap();
    std::fs::write(&path, "a shopping list, much longer than a header".repeat(100)).unwrap();
    let error = sqlite::open(&path, &[NOTES]).await.unwrap_err().to_string();
    assert!(error.contains("put a backup in its place"), "{error}");
}
