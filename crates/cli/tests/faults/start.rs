//! What keeps a mesh from starting: it says why and what to do, ends with status 1, and never says
//! that it is ready.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;

use planaria_store::testing::TestDatabase;
use planaria_store::{Migration, sqlite};

use crate::binary;

/// A setting, its value, and what must be said. `$closed` is an address where nobody listens,
/// `$silent` one where nobody answers, `$database` the URL of a database, `$server`
/// the same without the database, `$host` its address alone.
type Case = (&'static str, &'static str, &'static [&'static str]);

const CASES: &[Case] = &[
    // The database.
    (
        "STORE__URL",
        "postgres://u:hush@$closed/d",
        &["cannot be reached: check that it runs", "Connection refused"],
    ),
    (
        "STORE__URL",
        "postgres://u:hush@$silent/d",
        &["cannot be reached: check that it runs", "no answer within 1000 ms"],
    ),
    (
        "STORE__URL",
        "postgres://nobody:hush@$host/postgres",
        &["refuses user `nobody`: check user and password of `url` in [store]"],
    ),
    (
        "STORE__URL",
        "$server/not_there",
        &["`not_there`", "does not exist: create it with `createdb`"],
    ),
    (
        "STORE__URL",
        "mysql://u:hush@h/d",
        &["`url` in [store] is not postgres://user:password@host:port/database"],
    ),
    (
        "STORE__URL",
        "$database?sslmod=require",
        &["the unknown word `sslmod`; did you mean `sslmode`?"],
    ),
    ("STORE__URL", "$database?sslmode=on", &["`sslmode=on`, which is no mode"]),
    (
        "STORE__URL",
        "$database?sslmode=require",
        &["cannot be spoken to over TLS", "the server has `ssl = on`"],
    ),
    (
        "STORE__URL",
        "$database?sslrootcert=/nowhere/ca.pem",
        &["cannot read /nowhere/ca.pem that `sslrootcert`", "No such file"],
    ),
    // The bus.
    (
        "BUS__URL",
        "http://h",
        &["bus.url is not the address of a Redis server", "rediss:// for TLS"],
    ),
    ("BUS__URL", "rediss://:hush@h#insecure", &["bus.url", "would trust everybody"]),
    ("BUS__CA_FILE", "/nowhere/ca.pem", &["bus.ca_file is set, and bus.url has no TLS"]),
    // The settings.
    (
        "STOER__URL",
        "x",
        &["unknown section `stoer` in variable PLANARIA__STOER__URL; did you mean `store`?"],
    ),
    (
        "STORE__URLL",
        "x",
        &["unknown key `urll` in variable PLANARIA__STORE__URLL; did you mean `url`?"],
    ),
    ("ORCHESTRATOR__LEASE_MSS", "1", &["unknown key `lease_mss`", "did you mean `lease_ms`?"]),
    ("WORKER__IDD", "x", &["unknown key `idd`", "did you mean `id`?"]),
    ("STORE__CONNECTIONS_MAX", "many", &["PLANARIA__STORE__CONNECTIONS_MAX", "expected u32"]),
    ("DIRECTORY__GATEWAYS", "http://h:1", &["[directory] names `gateways`, which is no service"]),
    ("TELEMETRY__OTLP_URL", "collector", &["telemetry.otlp_url is not the address of a collector"]),
];

/// Runs `up` until it ends by itself; its standard input stays open.
fn refused(settings: &[(&str, &str)], arguments: &[&str], folder: &Path) -> String {
    let mut command = binary::command(&["up", "--end-with-stdin", "--data-dir"]);
    command.arg(folder).args(arguments);
    if !arguments.contains(&"--port") {
        command.args(["--port", "0"]);
    }
    command.env("PLANARIA__STORE__CONNECT_MS_MAX", "1000");
    for (setting, value) in settings {
        command.env(format!("PLANARIA__{setting}"), value);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let stdin = child.stdin.take();
    // The first word of a mesh that starts nevertheless ends it.
    let mut first = [0];
    if child.stdout.as_mut().unwrap().read(&mut first).unwrap() > 0 {
        drop(stdin);
        child.stdout.as_mut().unwrap().read_to_string(&mut out).unwrap();
        panic!("{settings:?} {arguments:?}: it started: {out}");
    }
    child.stderr.as_mut().unwrap().read_to_string(&mut err).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{settings:?} {arguments:?}: {err}");
    // One message, for people: no log of what else went wrong because of it.
    assert!(err.starts_with("error: ") && !err.contains("{\""), "{settings:?}: {err}");
    assert_eq!(err.matches("error: ").count(), 1, "{settings:?}: {err}");
    assert!(!err.contains("hush@") && !err.contains("internal error"), "{settings:?}: {err}");
    err
}

fn assert_says(err: &str, says: &[&str]) {
    for says in says {
        assert!(err.contains(says), "{says:?} is not in: {err}");
    }
}

#[tokio::test]
async fn what_is_wrong_in_the_settings_or_behind_them_is_said_and_nothing_starts() {
    let database = TestDatabase::create().await;
    let server = database.url.rsplit_once('/').unwrap().0.to_owned();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = server.rsplit_once('@').unwrap().1;
    for (setting, value, says) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let value = value
            .replace("$closed", &closed.to_string())
            .replace("$silent", &silent.local_addr().unwrap().to_string())
            .replace("$database", &database.url)
            .replace("$server", &server)
            .replace("$host", host);
        assert_says(&refused(&[(setting, &value)], &[], folder.path()), says);
    }
}

#[tokio::test]
async fn a_database_that_will_not_do_is_named_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::create().await;
    let name = database.url.rsplit('/').next().unwrap();
    let refused = |says: &[&str]| {
        assert_says(&refused(&[("STORE__URL", &database.url)], &[], folder.path()), says);
    };
    database
        .execute(
            "CREATE SCHEMA monitoring; CREATE TABLE monitoring.schema_steps
                 (position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, at TIMESTAMPTZ);
             INSERT INTO monitoring.schema_steps VALUES (0, '0099_future')",
        )
        .await;
    refused(&["monitoring failed", "`0099_future`", "run the release that wrote it"]);
    database.execute("DROP SCHEMA monitoring CASCADE").await;
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    database.execute(&read_only).await;
    refused(&["is read-only: name the primary in `url` of [store]"]);
}

#[tokio::test]
async fn files_that_will_not_do_are_named_and_nothing_starts() {
    const FUTURE: Migration = Migration { name: "0099_future", sql: "SELECT 1" };
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    let file = |folder: &str| inside(folder).join("orchestrator.db");

    drop(sqlite::open(&file("newer"), &[FUTURE]).await.unwrap());
    let says = ["`0099_future`", "run the release that wrote it"];
    assert_says(&refused(&[], &[], &inside("newer")), &says);

    std::fs::create_dir_all(file("folder")).unwrap();
    assert_says(&refused(&[], &[], &inside("folder")), &["for writing: let this user write it"]);

    std::fs::create_dir_all(inside("other")).unwrap();
    std::fs::write(file("other"), "a shopping list, longer than a header".repeat(99)).unwrap();
    let says = ["is not a SQLite database, or it is damaged: put a backup in its place"];
    assert_says(&refused(&[], &[], &inside("other")), &says);

    let held = sqlite::open(&file("held"), &[]).await.unwrap();
    let pid = format!("is in use by process {}", std::process::id());
    assert_says(&refused(&[], &[], &inside("held")), &[&pid, "stop that process, or name another"]);
    drop(held);

    std::fs::write(inside("file"), "").unwrap();
    let says = ["cannot create the data directory", "try: name another with --data-dir"];
    assert_says(&refused(&[], &[], &inside("file").join("data")), &says);

    std::fs::write(inside("bad.toml"), "[store\n").unwrap();
    let bad = inside("bad.toml");
    let says = ["is not valid TOML", "line 1"];
    assert_says(&refused(&[], &["--config", bad.to_str().unwrap()], folder.path()), &says);
    let says = ["cannot read the settings file /nowhere.toml that --config names", "No such file"];
    assert_says(&refused(&[], &["--config", "/nowhere.toml"], folder.path()), &says);
}

#[test]
fn ports_that_are_taken_are_named_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    // Of the admin port, which is above by 1000, too.
    let (public, admin) = loop {
        let public = TcpListener::bind("127.0.0.1:0").unwrap();
        let above = public.local_addr().unwrap().port().checked_add(1_000);
        if let Some(Ok(admin)) = above.map(|port| TcpListener::bind(("127.0.0.1", port))) {
            break (public, admin);
        }
    };
    let port = public.local_addr().unwrap().port().to_string();
    let taken = [public.local_addr().unwrap(), admin.local_addr().unwrap()];
    let mut listeners = vec![admin, public];
    for address in taken {
        let err = refused(&[], &["--port", &port], folder.path());
        assert_says(&err, &[&format!("{address} is taken"), "`ss -ltnp` names it"]);
        // Then the other.
        listeners.pop();
    }
    let words = ["serve", "retry-engine", "--listen", "192.0.2.1:7304", "--data-dir"];
    let ended = binary::planaria(&[&words[..], &[folder.path().to_str().unwrap()]].concat());
    assert_eq!(ended.code(), 1, "{}", ended.err);
    assert_says(&ended.err, &["192.0.2.1:7304", "no such address", "`ip address` shows them"]);
}
