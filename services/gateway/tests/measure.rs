//! What the gateway costs: unary calls through it and without it, on this machine.
//!
//! `cargo test --release -p planaria-gateway --test measure -- --ignored --nocapture`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic")]

mod mesh;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mesh::*;
use planaria_gateway::Config;
use planaria_proto::monitoring::v1::*;
use tokio::runtime::{Builder, Runtime};

const IN_FLIGHT: usize = 64;
const WARM_UP: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(4);
/// Of /proc: a tick is 10 ms.
const TICK_MICROS: u64 = 10_000;

fn runtime(name: &str) -> Runtime {
    Builder::new_multi_thread().worker_threads(2).thread_name(name).enable_all().build().unwrap()
}

/// Microseconds of CPU that the threads of a name have used.
fn cpu_micros(name: &str) -> u64 {
    let mut ticks = 0;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
        let Some((head, tail)) = stat.rsplit_once(") ") else { continue };
        if head.ends_with(&format!("({name}")) {
            let fields: Vec<&str> = tail.split(' ').collect();
            ticks += fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    ticks * TICK_MICROS
}

/// Calls per second with 64 in flight, and what the gateway's threads used per call, in
/// microseconds.
async fn rate(uri: &str, connections: usize) -> (f64, f64) {
    let done = Arc::new(AtomicU64::new(0));
    let mut callers = Vec::new();
    for _ in 0..connections {
        let client = watcher(uri).await;
        for _ in 0..IN_FLIGHT / connections {
            let (mut client, done) = (client.clone(), Arc::clone(&done));
            callers.push(tokio::spawn(async move {
                loop {
                    client.get_overview(GetOverviewRequest {}).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            }));
        }
    }
    window_of(WARM_UP).await;
    let (calls, cpu, start) = (done.load(Ordering::Relaxed), cpu_micros("gateway"), Instant::now());
    window_of(TIME).await;
    let calls = (done.load(Ordering::Relaxed) - calls) as f64;
    let (cpu, time) = (cpu_micros("gateway") - cpu, start.elapsed());
    for caller in callers {
        caller.abort();
    }
    (calls / time.as_secs_f64(), cpu as f64 / calls)
}

/// The time over which something is measured.
async fn window_of(length: Duration) {
    tokio::time::sleep(length).await;
}

#[test]
#[ignore = "a measurement, not a test"]
fn unary_calls_through_the_gateway_and_without_it() {
    let (services, gateways, clients) = (runtime("service"), runtime("gateway"), runtime("client"));
    let monitoring = services.block_on(monitoring());
    let upstreams = [("monitoring", monitoring.address)];
    let gateway = gateways.block_on(gateway(Config::default(), &upstreams));
    for connections in [1, 8, 64] {
        let (direct, _) = clients.block_on(rate(&monitoring.uri(), connections));
        let (through, cpu) = clients.block_on(rate(&gateway.uri(), connections));
        println!(
            "{IN_FLIGHT} in flight over {connections} connections: direct {direct:.0}/s, through \
             the gateway {through:.0}/s, which costs {cpu:.1} us of CPU per call"
        );
    }
}
