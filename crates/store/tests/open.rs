//! Stores open where they can, and say plainly why where they cannot.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use planaria_store::{Error, Migration, SqliteSettings, SqliteStore, sqlite};

const NOTES: Migration =
    Migration { name: "0001_notes", sql: "CREATE TABLE notes (text TEXT NOT NULL) STRICT" };
const INDEX: Migration = Migration {
    name: "0002_index",
    sql: "CREATE INDEX notes_text ON notes (text); INSERT INTO notes VALUES ('indexed')",
};
const BROKEN: Migration =
    Migration { name: "0002_broken", sql: "CREATE TABLE more (x) STRICT; SELECT nonsense" };

async fn write(store: &SqliteStore, text: &str) {
    let insert = sqlx::query("INSERT INTO notes VALUES (?)").bind(text);
    insert.execute(store.writer()).await.unwrap();
}

async fn notes(store: &SqliteStore) -> Vec<String> {
    let select = sqlx::query_scalar("SELECT text FROM notes ORDER BY rowid");
    select.fetch_all(store.readers()).await.unwrap()
}

async fn refused(path: &Path, migrations: &[Migration]) -> Error {
    let settings = SqliteSettings { lock_ms_max: 0, ..SqliteSettings::default() };
    sqlite::open_with(path, migrations, &settings).await.unwrap_err()
}

#[tokio::test]
async fn a_store_is_made_with_its_directory_and_keeps_what_was_committed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/deep/notes.db");
    let store = sqlite::open(&path, &[NOTES]).await.unwrap();
    write(&store, "one").await;
    drop(store);
    // The schema grows; what was done is not done again.
    let store = sqlite::open(&path, &[NOTES, INDEX]).await.unwrap();
    assert_eq!(notes(&store).await, ["one", "indexed"]);
    drop(store);
    let store = sqlite::open(&path, &[NOTES, INDEX]).await.unwrap();
    assert_eq!(notes(&store).await, ["one", "indexed"]);
}

#[tokio::test]
async fn every_connection_has_its_settings() {
    let directory = tempfile::tempdir().unwrap();
    let store = sqlite::open(&directory.path().join("notes.db"), &[NOTES]).await.unwrap();
    for (pool, cache) in [(store.writer(), "-4096"), (store.readers(), "-1024")] {
        for (pragma, expected) in [
            ("SELECT journal_mode FROM pragma_journal_mode", "wal"),
            ("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous", "2"),
            ("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys", "0"),
            ("SELECT CAST(cache_size AS TEXT) FROM pragma_cache_size", cache),
            ("SELECT CAST(temp_store AS TEXT) FROM pragma_temp_store", "2"),
            ("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout", "5000"),
        ] {
            let value: String = sqlx::query_scalar(pragma).fetch_one(pool).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
    }
    let refused = sqlx::query("INSERT INTO notes VALUES ('x')").execute(store.readers()).await;
    assert!(refused.unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_who_the_first_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.db");
    let store = sqlite::open(&path, &[NOTES]).await.unwrap();
    let error = refused(&path, &[NOTES]).await;
    let pid = std::process::id().to_string();
    assert!(matches!(&error, Error::InUse { pid: said, .. } if *said == pid), "{error}");
    assert!(error.to_string().contains("notes.db.lock"), "{error}");
    // The next one waits for a predecessor that is ending.
    let (next, ()) = tokio::join!(sqlite::open(&path, &[NOTES]), async { drop(store) });
    next.unwrap();
}

#[tokio::test]
async fn what_is_not_ours_to_open_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.db");
    std::fs::write(&path, "this is a shopping list, not a database at all".repeat(100)).unwrap();
    assert!(matches!(refused(&path, &[NOTES]).await, Error::NotADatabase { .. }));
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept.starts_with("this is a shopping list"), "the file was changed");

    let below_a_file = path.join("notes.db");
    assert!(matches!(refused(&below_a_file, &[NOTES]).await, Error::Directory { .. }));
    let directory_itself = directory.path().join("folder");
    std::fs::create_dir(&directory_itself).unwrap();
    assert!(matches!(refused(&directory_itself, &[NOTES]).await, Error::NotWritable { .. }));
}

#[tokio::test]
async fn a_directory_without_permission_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let closed = directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o500)).unwrap();
    // The superuser may write everywhere; then there is nothing to see.
    if std::fs::write(closed.join("probe"), "").is_err() {
        let error = refused(&closed.join("notes.db"), &[NOTES]).await;
        assert!(matches!(error, Error::Directory { .. }), "{error}");
    }
}

#[tokio::test]
async fn newer_and_broken_schemas_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.db");
    drop(sqlite::open(&path, &[NOTES, INDEX]).await.unwrap());
    let error = refused(&path, &[NOTES]).await;
    assert!(matches!(&error, Error::SchemaNewer { step, .. } if step == "0002_index"), "{error}");

    let other = directory.path().join("other.db");
    let error = refused(&other, &[NOTES, BROKEN]).await;
    assert!(matches!(&error, Error::Migration { step: "0002_broken", .. }), "{error}");
    let store = sqlite::open(&other, &[NOTES]).await.unwrap();
    assert_eq!(notes(&store).await, [""; 0]);
}

/// Runs in the child of the test below, which kills it in the middle of its writing.
#[tokio::test]
#[ignore = "a helper process of the next test"]
#[expect(clippy::disallowed_methods, reason = "the parent says where")]
async fn writer_process() {
    let Ok(path) = std::env::var("STORE_OF_THE_WRITER") else { return };
    let store = sqlite::open(Path::new(&path), &[NOTES]).await.unwrap();
    for number in 0_u64.. {
        write(&store, &number.to_string()).await;
        println!("\nwrote {number}");
    }
}

#[tokio::test]
async fn a_store_opens_after_its_owner_was_killed() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.db");
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "writer_process"])
        .env("STORE_OF_THE_WRITER", &path)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    while acknowledged < 50 {
        let line = lines.next_line().await.unwrap().expect("the writer ended by itself");
        acknowledged += usize::from(line.starts_with("wrote "));
    }
    assert!(matches!(refused(&path, &[NOTES]).await, Error::InUse { .. }));
    child.kill().await.unwrap();
    let store = sqlite::open(&path, &[NOTES]).await.unwrap();
    let kept = notes(&store).await;
    assert!(kept.len() >= acknowledged, "{} of {acknowledged}", kept.len());
    assert!(kept.iter().enumerate().all(|(at, text)| *text == at.to_string()));
}
