//! `planaria up`: there at once, and there again after its death.

use std::time::{Duration, Instant};

use planaria_proto::types::v1::Phase;
use planaria_sdk::{Client, Start};

use crate::ask;
use crate::binary::{Mesh, children, is_alive};
use crate::figures::Times;

const STARTS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_mesh_serves_its_first_request_soon() {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let folder = tempfile::tempdir().unwrap();
        let began = Instant::now();
        let mesh = Mesh::up(folder.path());
        let client = Client::connect(&mesh.uri).unwrap();
        client.list(Default::default()).await.unwrap();
        times.push(began.elapsed());
        assert!(mesh.end().success());
    }
    let times = Times::of(times);
    println!("`planaria up` on an empty folder: first request served after {times}");
    assert!(times.percentile(50) < Duration::from_secs(3), "{times}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_started_just_before_a_kill_completes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(folder.path());
    let client = Client::connect(&mesh.uri).unwrap();
    let document = "document: { dsl: '1.0.3', namespace: system, name: last, version: '1.0.0' }\n\
        do:\n  - work: { call: simulate, with: { sleep: PT0.2S, output: '${ .n }' } }\n";
    ask::put(&client, document).await;
    let mut ids = Vec::new();
    for n in 0..10 {
        let start = Start::new("system", "last").input(&serde_json::json!({ "n": n })).unwrap();
        ids.push(client.start(start).await.unwrap().workflow_id);
    }
    let orphans = children(mesh.pid());
    mesh.kill();

    let again = Instant::now();
    let mesh = Mesh::up(folder.path());
    let client = Client::connect(&mesh.uri).unwrap();
    for (n, id) in ids.iter().enumerate() {
        let ended = ask::ended(&client, id).await;
        assert_eq!(ended.phase(), Phase::Completed);
        assert_eq!(&ended.output.unwrap().data[..], n.to_string().as_bytes());
    }
    let took = again.elapsed();
    let gone = async || orphans.iter().all(|pid| !is_alive(*pid)).then_some(());
    ask::until("the workers of the dead mesh have ended", gone).await;
    println!("all completed {took:.1?} after the second `planaria up`");
    assert!(mesh.end().success());
}
