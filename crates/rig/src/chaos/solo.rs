//! One thing broken at a time, while nothing else is: what the times of recoveries are taken from.

use fastrand::Rng;

use super::cluster::Target;
use super::fault::{Fault, Place};
use crate::proxy::Cut;

/// Whatever was broken before is over for so long.
const CALM_MS: u64 = 7_000;
/// Between two faults of the same worker: what it had runs elsewhere by then.
const PAUSE_MS: u64 = 3_000;
const DOWN_MS: std::ops::Range<u64> = 300..1_500;
const AWAY_MS: u64 = 5_000;
/// A worker that is away for longer than its lease, while no failure detector is there.
const LEASE_MS: u64 = 12_000;
const BLIND_MS: u64 = 15_000;
const BLIND_BEFORE_MS: u64 = 1_000;

/// What is done at once, each thing after its delay.
#[derive(Debug)]
pub(super) struct Step {
    /// Nothing is done for so long before it.
    pub(super) calm_ms: u64,
    pub(super) faults: Vec<(u64, Fault, Target)>,
}

/// The solo of a round, 0 for the first: an orchestrator, then one worker several times, in the end
/// in one of three ways.
pub(super) fn plan(targets: &[Target], round: usize, random: &mut Rng) -> Vec<Step> {
    let of = |service: &str| -> Vec<Target> {
        targets.iter().filter(|target| target.service == service).cloned().collect()
    };
    let (orchestrators, workers) = (of("orchestrator"), of("worker"));
    let Some(orchestrator) = random.choice(orchestrators) else { return Vec::new() };
    let Some(worker) = random.choice(workers) else { return Vec::new() };
    let mut kill = || Fault::Kill { down_ms: random.u64(DOWN_MS) };
    let mut steps = vec![
        // Before the first one nothing was broken.
        (if round == 0 { 0 } else { CALM_MS }, vec![(0, kill(), orchestrator)]),
        (CALM_MS, vec![(0, kill(), worker.clone())]),
        (PAUSE_MS, vec![(0, kill(), worker.clone())]),
    ];
    let last = match round % 3 {
        0 => vec![(0, Fault::Stop { ms: AWAY_MS }, worker)],
        1 => {
            let (place, cut) = (Place::Gateway, Cut::Blackhole);
            vec![(0, Fault::Cut { place, cut, ms: AWAY_MS }, worker)]
        }
        _ => {
            let mut faults = vec![(BLIND_BEFORE_MS, Fault::Kill { down_ms: LEASE_MS }, worker)];
            let detectors = of("failure-detector").into_iter();
            faults.extend(detectors.map(|target| (0, Fault::Kill { down_ms: BLIND_MS }, target)));
            faults
        }
    };
    steps.push((PAUSE_MS, last));
    steps.push((PAUSE_MS, Vec::new()));
    steps.into_iter().map(|(calm_ms, faults)| Step { calm_ms, faults }).collect()
}
