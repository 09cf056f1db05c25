//! A mesh of the real binary, its clients, and what becomes of work when processes die.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

#[allow(dead_code, reason = "the other tests use the rest")]
mod binary;

use binary::{Mesh, children, is_alive, planaria, signal, with_input};
use serde_json::{Value, json};

/// A workflow whose task works for so long.
fn sleeper(name: &str, seconds: f64) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: tests, name: {name}, version: '1.0.0' }}\n\
         do:\n  - first: {{ call: simulate, with: {{ sleep: PT0.05S, output: {{ a: 1 }} }} }}\n  \
         - second: {{ call: simulate, with: {{ sleep: PT{seconds}S, output: {{ b: 2 }} }} }}\n"
    )
}

fn run(mesh: &Mesh, source: &str, more: &[&str]) -> binary::Ended {
    let words = ["run", "-", "--output", "json", "--addr", &mesh.uri];
    with_input(&[&words[..], more].concat(), source)
}

#[tokio::test]
async fn a_file_runs_to_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(folder.path());
    let workers = mesh.workers().await;
    for (worker, id) in workers.as_array().unwrap().iter().zip(["worker-1", "worker-2"]) {
        assert_eq!((&worker["id"], &worker["liveness"]), (&json!(id), &json!("alive")));
        assert!(
            children(mesh.pid()).contains(&u32::try_from(worker["pid"].as_u64().unwrap()).unwrap())
        );
    }

    let result = run(&mesh, &sleeper("plain", 0.05), &["--input", "{\"x\": 1}"]).json();
    let members: Vec<_> = result.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["error", "id", "output", "status", "tasks"]);
    assert_eq!(result["status"], "completed");
    assert_eq!((&result["output"], &result["error"]), (&json!({ "b": 2 }), &Value::Null));
    let task = |name: &str, reference: &str| json!([name, reference, "completed", 1]);
    let tasks = result["tasks"].as_array().unwrap();
    let told: Vec<_> = tasks
        .iter()
        .map(|task| json!([task["name"], task["reference"], task["status"], task["attempts"]]))
        .collect();
    assert_eq!(told, [task("first", "/do/0/first"), task("second", "/do/1/second")]);
    assert!(tasks.iter().all(|task| task["startedAt"].is_string() && task["endedAt"].is_string()));

    let id = result["id"].as_str().unwrap();
    let history = mesh.json(&["workflow", "history", id]);
    assert_eq!(history[0]["workflowStarted"]["input"], json!({ "x": 1 }));
    assert_eq!(mesh.json(&["workflow", "get", id])["output"], json!({ "b": 2 }));
    let listed = mesh.json(&["workflow", "list", "--status", "completed"]);
    assert_eq!(listed[0]["id"], id);
    let definitions = mesh.json(&["definition", "list", "--name", "plain"]);
    assert_eq!(definitions[0]["reference"]["namespace"], "tests");
    assert!(mesh.end().success());
}

#[tokio::test]
async fn faults_and_bad_documents_have_their_status() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(folder.path());
    let raise = "document: { dsl: '1.0.3', namespace: tests, name: raise, version: '1.0.0' }\n\
                 do:\n  - no: { raise: { error: { type: https://e.com/no, status: 418 } } }\n";
    let ended = run(&mesh, raise, &[]);
    assert_eq!(ended.code(), 1, "{}", ended.err);
    let result: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&result["status"], &result["error"]["status"]), (&json!("faulted"), &json!(418)));

    let path = folder.path().join("bad.yaml");
    std::fs::write(&path, format!("{raise}  - yes: {{ nonsense: 1 }}\n")).unwrap();
    let ended = mesh.planaria(&["run", path.to_str().unwrap()]);
    assert_eq!(ended.code(), 3);
    let place = format!("{}:4:", path.display());
    assert!(ended.err.contains(&place), "{place} is not in {}", ended.err);
    let ended = mesh.planaria(&["workflow", "get", "nobody"]);
    assert!(ended.err.contains("[WORKFLOW_NOT_FOUND]"), "{}", ended.err);
}

#[tokio::test]
async fn what_a_killed_worker_had_is_run_again_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(folder.path());
    mesh.workers().await;
    mesh.planaria(&["status"]);
    let applied = with_input(&["apply", "-", "--addr", &mesh.uri], &sleeper("killed", 1.0));
    assert!(applied.status.success(), "{}", applied.err);
    let started = mesh.json(&["workflow", "start", "tests/killed:1.0.0"]);
    let id = started["id"].as_str().unwrap();

    let busy = |worker: &Value| worker["running"].as_u64() > Some(0);
    let runs = ["workflow", "get", id];
    mesh.until(&runs, |workflow| workflow["tasks"][1]["state"] == "running").await;
    let workers =
        mesh.until(&["worker", "list"], |workers| workers.as_array().unwrap().iter().any(busy));
    let workers = workers.await;
    let victim = workers.as_array().unwrap().iter().find(|worker| busy(worker)).unwrap();
    signal("-KILL", u32::try_from(victim["pid"].as_u64().unwrap()).unwrap());

    let ended = mesh.until(&runs, |workflow| workflow["status"] == "completed").await;
    let task = &ended["tasks"][1];
    assert_eq!((&task["attempts"], &task["losses"]), (&json!(2), &json!(1)));
    let healed = |healings: &Value| {
        healings.as_array().unwrap().iter().any(|healing| healing["healedAt"].is_string())
    };
    let healings = mesh.until(&["healing", "list", "--workflow", id], healed).await;
    let healing = &healings[0];
    assert_eq!((&healing["lostWorker"], &healing["action"]), (&victim["id"], &json!("rerun")));
    assert_ne!(healing["newWorker"], victim["id"]);
    // The dead one is there again, as another process.
    let back = |workers: &Value| {
        let workers = workers.as_array().unwrap();
        workers.iter().any(|worker| worker["id"] == victim["id"] && worker["pid"] != victim["pid"])
    };
    mesh.until(&["worker", "list"], back).await;
}

#[tokio::test]
async fn a_mesh_that_was_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(folder.path());
    mesh.workers().await;
    let applied = with_input(&["apply", "-", "--addr", &mesh.uri], &sleeper("resumed", 0.5));
    assert!(applied.status.success(), "{}", applied.err);
    let started = mesh.json(&["workflow", "start", "tests/resumed", "--input", "{}"]);
    let orphans = children(mesh.pid());
    mesh.kill();

    let mesh = Mesh::up(folder.path());
    let id = started["id"].as_str().unwrap();
    let runs = ["workflow", "get", id];
    let ended = mesh.until(&runs, |workflow| workflow["status"] == "completed").await;
    assert_eq!(ended["output"], json!({ "b": 2 }));
    // The children of the dead mesh noticed, and ended.
    let gone = async {
        while orphans.iter().any(|pid| is_alive(*pid)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(15), gone).await.unwrap();
}

#[test]
fn the_demo_heals() {
    let ended = planaria(&["demo", "--exit", "--output", "json"]);
    let story = ended.json();
    assert_eq!((&story["status"], &story["healed"]), (&json!("completed"), &json!(true)));
    assert!(story["runningAgainAfterMs"].as_u64().unwrap() < 5_000, "{story}");
}
