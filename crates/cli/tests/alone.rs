//! What the binary says and does without a mesh.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod binary;

use binary::{planaria, with_input};

/// A port where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:1";

#[test]
fn a_mesh_that_is_not_there_is_named_with_what_to_do() {
    for words in [&["workflow", "list"][..], &["status"], &["worker", "list"]] {
        let ended = planaria(&[words, &["--addr", NOWHERE]].concat());
        assert_eq!((ended.code(), ended.out.as_str()), (1, ""));
        assert_eq!(
            ended.err,
            "error: no Planaria answers at http://127.0.0.1:1\n  \
             try: start one with `planaria up`, or name another with --addr\n"
        );
    }
}

#[test]
fn a_workflow_that_cannot_be_run_is_status_3() {
    let source = "document: {}";
    let cases: [&[&str]; 4] = [
        &["run", "-", "--addr", NOWHERE],
        &["run", "/nowhere/order.yaml", "--addr", NOWHERE],
        &["run", "-", "--input", "{", "--addr", NOWHERE],
        &["run", "--unknown"],
    ];
    for words in cases {
        let ended = with_input(words, source);
        assert_eq!((ended.code(), ended.out.as_str()), (3, ""), "{words:?}: {}", ended.err);
        assert!(ended.err.starts_with("error: "), "{}", ended.err);
    }
}

#[test]
fn settings_are_printed_as_they_are_in_effect() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("planaria.toml");
    std::fs::write(&config, "[failure-detector]\nphi_dead = 9.5\n").unwrap();
    let config = config.to_str().unwrap();
    let words = ["serve", "failure-detector", "--print-config", "--config", config];
    let ended = planaria(&words);
    assert!(ended.status.success(), "{}", ended.err);
    assert!(ended.out.contains("phi_dead = 9.5\n") && ended.out.contains("[failure-detector]\n"));
    // What it prints can be read again, and means the same.
    std::fs::write(config, &ended.out).unwrap();
    assert_eq!(planaria(&words).out, ended.out);

    std::fs::write(config, "[failure-detector]\nphi_ded = 9.5\n").unwrap();
    let ended = planaria(&words);
    assert_eq!(ended.code(), 1);
    assert!(ended.err.contains("did you mean `phi_dead`?"), "{}", ended.err);

    std::fs::write(config, "[directory]\norchestra = 'http://localhost:1'\n").unwrap();
    let ended = planaria(&words);
    assert!(ended.err.contains("[directory] names `orchestra`, which is no service"));
}

#[test]
fn a_taken_port_is_said_so() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let ended = planaria(&["up", "--port", &port, "--data-dir", data_dir]);
    assert_eq!((ended.code(), ended.out.as_str()), (1, ""));
    assert!(ended.err.contains(&format!("127.0.0.1:{port} is taken")), "{}", ended.err);
}

#[test]
fn completions_know_the_commands() {
    let ended = planaria(&["completions", "bash"]);
    assert!(ended.status.success() && ended.out.contains("dead-letter"));
}
