//! Services on a PostgreSQL database: what they say where it is not as it should be, and that they
//! do not half start then.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod binary;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use binary::Ended;
use planaria_store::testing::TestDatabase;

/// Who keeps something.
const KEEPERS: [&str; 5] =
    ["gateway", "orchestrator", "retry-engine", "notification", "monitoring"];

/// A command with a database and a folder of its own.
fn command(url: &str, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = binary::command(arguments);
    command.env("PLANARIA__STORE__URL", url).env("PLANARIA__STORE__CONNECT_MS_MAX", "2000");
    if arguments[0] == "serve" {
        command.args(["--listen", "127.0.0.1:0", "--admin", "off", "--end-with-stdin"]);
        command.arg("--data-dir").arg(folder);
    }
    command
}

fn ended(command: &mut Command) -> Ended {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = child.spawn().unwrap().wait_with_output().unwrap();
    Ended {
        status: output.status,
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The service ended at once, said why and what to do, and never that it serves.
fn assert_refused(url: &str, service: &str, reason: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ended = ended(&mut command(url, folder.path(), &["serve", service]));
    assert_eq!((ended.code(), ended.out.as_str()), (1, ""), "{service}: {}", ended.err);
    let said = format!("error: {service} failed: ");
    assert!(ended.err.contains(&said) && ended.err.contains(reason), "{}", ended.err);
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(!ended.err.contains(password), "{}", ended.err);
}

#[test]
fn a_database_that_is_not_there_is_named_by_every_service() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://planaria:pass-word@{closed}/planaria");
    for service in KEEPERS {
        assert_refused(&url, service, &format!("`planaria` at {closed}"));
    }
    assert_refused("mysql://planaria:pass-word@localhost/planaria", "gateway", "[store]");
}

#[tokio::test]
async fn a_wrong_password_is_said_to_be_one() {
    let database = TestDatabase::create().await;
    let (before, rest) = database.url.split_once("planaria-test").unwrap();
    let url = format!("{before}wrong-word{rest}");
    for service in KEEPERS {
        assert_refused(&url, service, "check user and password of `url` in [store]");
    }
}

#[tokio::test]
async fn migrate_does_what_is_missing_and_services_may_be_told_to_wait_for_it() {
    let database = TestDatabase::create().await;
    let folder = tempfile::tempdir().unwrap();
    let told = |arguments: &[&str]| {
        let mut command = command(&database.url, folder.path(), arguments);
        command.env("PLANARIA__STORE__MIGRATE", "false");
        command
    };
    for service in KEEPERS {
        let ended = ended(&mut told(&["serve", service]));
        assert_eq!((ended.code(), ended.out.as_str()), (1, ""), "{service}: {}", ended.err);
        assert!(ended.err.contains("run `planaria migrate`"), "{}", ended.err);
    }
    let first = ended(&mut told(&["migrate", "--output", "json"])).json();
    for (schema, done) in first.as_array().unwrap().iter().zip(KEEPERS) {
        assert_eq!(schema["service"], done);
        assert!(!schema["done"].as_array().unwrap().is_empty(), "{schema}");
    }
    let second = ended(&mut told(&["migrate"]));
    assert!(second.status.success(), "{}", second.err);
    assert_eq!(second.out.matches("it was up to date").count(), KEEPERS.len(), "{}", second.out);

    let mut child = told(&["serve", "retry-engine"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("retry-engine at http://127.0.0.1:"), "{line}");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    // Nothing of it is in a file.
    assert!(!folder.path().join("retry-engine.db").exists());
}

#[test]
fn migrate_without_a_database_says_what_to_set() {
    let ended = binary::planaria(&["migrate"]);
    assert_eq!((ended.code(), ended.out.as_str()), (1, ""));
    assert!(ended.err.contains("the settings name no database"), "{}", ended.err);
    assert!(ended.err.contains("set `url` in [store]"), "{}", ended.err);
}

#[test]
fn passwords_are_not_printed() {
    let url = "postgres://planaria:pass-word@localhost/planaria";
    let words = ["serve", "orchestrator", "--print-config"];
    let ended = ended(binary::command(&words).env("PLANARIA__STORE__URL", url));
    assert!(ended.status.success(), "{}", ended.err);
    assert!(ended.out.contains("postgres://planaria:***@localhost/planaria"), "{}", ended.out);
    assert!(!ended.out.contains("pass-word"));
}
