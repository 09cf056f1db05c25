//! What a mesh costs that has nothing to do.

use std::time::Duration;

use crate::binary::{Mesh, children};

const WINDOW: Duration = Duration::from_secs(20);

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let below = children(*pid);
        all.extend(below);
        next += 1;
    }
    all
}

/// Processor time used so far, in clock ticks: fields 14 and 15, counted behind the name.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1;
    fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

/// Memory in KiB, where what several processes share counts once.
fn pss_kib(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The time over which something is measured.
async fn window_of(length: Duration) {
    tokio::time::sleep(length).await;
}

#[tokio::test]
async fn an_idle_mesh_costs_next_to_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mesh = Mesh::up(folder.path());
    mesh.workers().await;
    let processes = family(mesh.pid());
    let used = || processes.iter().map(|pid| ticks(*pid)).collect::<Vec<_>>();
    let before = used();
    window_of(WINDOW).await;
    let after = used();
    let per_second = rustix::param::clock_ticks_per_second() as f64 * WINDOW.as_secs_f64();
    let percent: Vec<f64> = before
        .iter()
        .zip(&after)
        .map(|(before, after)| (after - before) as f64 * 100.0 / per_second)
        .collect();
    let mib: Vec<f64> = processes.iter().map(|pid| pss_kib(*pid) as f64 / 1024.0).collect();
    let (cpu, memory) = (percent.iter().sum::<f64>(), mib.iter().sum::<f64>());
    println!(
        "idle `planaria up` with 2 workers over {WINDOW:?}: {cpu:.2} % of a core {percent:.2?}"
    );
    println!("its memory (PSS): {memory:.1} MiB {mib:.1?}, the mesh first, then its children");
    assert_eq!(family(mesh.pid()), processes, "processes came or went");
    assert!(cpu < 5.0, "{cpu} % of a core");
    assert!(memory < 150.0, "{memory} MiB");
}
