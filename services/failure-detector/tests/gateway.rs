//! The real gateway between workers and detector: what its death says, and what a worker's does.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod mesh;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mesh::{Mesh, Running, Worker, connect, listen};
use planaria_failure_detector::Config;
use planaria_proto::types::v1::Signal;
use planaria_runtime::service::Deps;
use planaria_runtime::{ClientLimits, Directory};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

struct Gateway {
    address: SocketAddr,
    stop: CancellationToken,
    running: Running<Result<(), planaria_gateway::Error>>,
    _folder: tempfile::TempDir,
}

async fn gateway(listener: TcpListener, mesh: &Mesh) -> Gateway {
    let directory = Directory::new(ClientLimits::default());
    directory.set("failure-detector", [format!("http://{}", mesh.address)]).unwrap();
    let stop = CancellationToken::new();
    let folder = tempfile::tempdir().unwrap();
    let deps = Deps::new(directory, folder.path(), stop.clone());
    let address = listener.local_addr().unwrap();
    let door = planaria_gateway::build(planaria_gateway::Config::default(), deps).await.unwrap();
    let running = Running(tokio::spawn(door.serve(listener, None)));
    Gateway { address, stop, running, _folder: folder }
}

/// A connection to the gateway that can be cut as by the death of its process.
async fn wire(to: SocketAddr) -> (SocketAddr, Running) {
    let listener = listen().await;
    let address = listener.local_addr().unwrap();
    let wire = Running(tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect(to).await.unwrap();
        let _cut = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }));
    (address, wire)
}

#[tokio::test]
async fn a_worker_killed_behind_the_gateway_is_dead_within_400_ms() {
    let mut mesh = Mesh::start(Config::default()).await;
    let gateway = gateway(listen().await, &mesh).await;
    let (address, wire) = wire(gateway.address).await;
    let _killed = Worker::connect(address, "killed", "1").await.keep_beating();
    let _other = Worker::connect(gateway.address, "other", "1").await.keep_beating();
    mesh.quiet(600).await;
    let before = Instant::now();
    drop(wire);
    let verdict = mesh.verdict().await;
    assert!(before.elapsed() < Duration::from_millis(400), "{:?}", before.elapsed());
    assert_eq!(verdict.session_id, "session-killed-1");
    assert_eq!(verdict.signal(), Signal::StreamLost);
    mesh.quiet(1_000).await;
}

#[tokio::test]
async fn the_death_and_the_drain_of_the_gateway_kill_nobody() {
    for crash in [true, false] {
        let mut mesh = Mesh::start(Config::default()).await;
        let first = gateway(listen().await, &mesh).await;
        let mut messages = Vec::new();
        let mut beating = Vec::new();
        for id in ["one", "two"] {
            let worker = Worker::connect(first.address, id, "1").await;
            messages.push(worker.message.clone());
            beating.push(worker.keep_beating());
        }
        mesh.quiet(600).await;
        if crash {
            drop(first.running);
        } else {
            first.stop.cancel();
        }
        mesh.quiet(3_500).await;
        let second = gateway(listen().await, &mesh).await;
        let mut resumed = Vec::new();
        for message in messages {
            let channel = connect(second.address).await;
            resumed.push(Worker::open(channel, message).await.keep_beating());
        }
        mesh.quiet(1_500).await;
    }
}
