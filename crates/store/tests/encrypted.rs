//! TLS to PostgreSQL: whom it trusts, and what it says of those it does not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use planaria_store::{Migration, PostgresPlan, PostgresSchema, postgres};
use planaria_test_servers::Postgres;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const NOTES: Migration =
    Migration { name: "0001_notes", sql: "CREATE TABLE notes (text TEXT NOT NULL)" };
const SCHEMA: PostgresSchema = PostgresSchema { name: "notes", migrations: &[NOTES] };

/// Makes an authority, another one, and a certificate of the first for `localhost`; by the server,
/// whose files they are.
const CERTIFICATES: &str = "cat > /dev/null; umask 077
    new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \"$@\" 2>&1; }
    new -x509 -subj /CN=authority -keyout ca.key -out ca.pem
    new -x509 -subj /CN=another -keyout other.key -out other.pem
    new -subj /CN=localhost -keyout server.key -out server.csr
    echo subjectAltName=DNS:localhost > names
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
        -extfile names -out server.crt 2>&1";

/// What the URL says behind the `?`, and what is said then; empty: it opens. The address is of
/// `localhost`, and not its name.
const CASES: [(&str, &str, &str); 8] = [
    ("localhost", "sslmode=verify-full&sslrootcert=$folder/ca.pem", ""),
    ("127.0.0.1", "sslmode=verify-ca&sslrootcert=$folder/ca.pem", ""),
    ("127.0.0.1", "sslmode=require", ""),
    ("127.0.0.1", "", ""),
    (
        "127.0.0.1",
        "sslmode=verify-full&sslrootcert=$folder/ca.pem",
        "for `verify-full` names the host",
    ),
    ("localhost", "sslmode=verify-full&sslrootcert=$folder/other.pem", "`sslrootcert` names"),
    ("localhost", "sslmode=require&sslrootcert=$folder/other.pem", "`sslrootcert` names"),
    ("localhost", "sslmode=verify-full", "(else of the system's)"),
];

#[tokio::test]
async fn a_server_is_trusted_as_the_url_asks() {
    let folder = tempfile::tempdir().unwrap();
    // The server may be another user's process.
    let server = start(folder.path().to_owned()).await;
    let plan = |host: &str, words: &str| {
        let url = server.url.replacen("127.0.0.1", host, 1);
        PostgresPlan {
            url: format!("{url}?{words}"),
            connections_max: 2,
            connect_ms_max: 5_000,
            statement_ms_max: 30_000,
            migrate: true,
        }
    };
    let plain = postgres::open(&plan("localhost", "sslmode=require"), &SCHEMA).await.unwrap_err();
    assert!(plain.to_string().contains("the server has `ssl = on`"), "{plain}");

    let data = encrypt(&server.url).await;
    for (host, words, says) in CASES {
        let words = words.replace("$folder", data.to_str().unwrap());
        let opened = postgres::open(&plan(host, &words), &SCHEMA).await;
        match opened.map(drop).map_err(|error| error.to_string()) {
            Ok(()) => assert_eq!(says, "", "{words} was trusted"),
            Err(error) => assert!(!says.is_empty() && error.contains(says), "{words}: {error}"),
        }
    }
    let store = postgres::open(&plan("127.0.0.1", ""), &SCHEMA).await.unwrap();
    let question = "SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    assert!(store.row(question).await.unwrap().is_some(), "where TLS is to be had it is taken");
}

async fn start(folder: PathBuf) -> Postgres {
    let started = tokio::task::spawn_blocking(move || open_folder(&folder)).await.unwrap();
    started.unwrap_or_else(|problem| panic!("{problem}"))
}

fn open_folder(folder: &Path) -> Result<Postgres, String> {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(folder, all).map_err(|error| error.to_string())?;
    planaria_test_servers::postgres(folder)
}

/// Has the server speak TLS; answers the folder with the certificates.
async fn encrypt(url: &str) -> PathBuf {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let make = format!("COPY (SELECT 1) TO PROGRAM $make${CERTIFICATES}$make$");
    connection.execute(AssertSqlSafe(make)).await.unwrap();
    for setting in ["ssl_cert_file = 'server.crt'", "ssl_key_file = 'server.key'", "ssl = on"] {
        connection.execute(AssertSqlSafe(format!("ALTER SYSTEM SET {setting}"))).await.unwrap();
    }
    connection.execute("SELECT pg_reload_conf()").await.unwrap();
    let folder = "SELECT current_setting('data_directory')";
    let folder: String = sqlx::query_scalar(folder).fetch_one(&mut connection).await.unwrap();
    while PgConnection::connect(&format!("{url}?sslmode=require")).await.is_err() {}
    folder.into()
}
