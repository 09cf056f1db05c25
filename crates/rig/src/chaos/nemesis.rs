//! Who breaks things: drawn from a seed, every target in turn, often while something else is still
//! broken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, Target};
use super::fault::{Fault, Place};
use super::solo;
use crate::journal::Journal;
use crate::proxy::Cut;

/// The pause between two faults.
const PAUSE_MS: std::ops::Range<u64> = 2_000..10_000;
/// So many of a hundred follow at once, while the last is still there.
const DOUBLE_PERCENT: u8 = 20;
const DOUBLE_MS: std::ops::Range<u64> = 50..500;
const DOWN_MS: std::ops::Range<u64> = 100..2_000;
const CUT_MS: std::ops::Range<u64> = 1_000..8_000;
const STOPS_MS: [u64; 3] = [500, 3_000, 15_000];
/// Of these, one replica at a time: a mesh without any door answers nobody.
const ONE_AT_A_TIME: [&str; 2] = ["gateway", "orchestrator"];

/// What it did.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Faults that were done and shown to have bitten.
    pub(super) bitten: u32,
    /// Faults that were done and cannot be shown to have bitten.
    pub(super) doubtful: u32,
}

/// Breaks things until the stop, then waits until everything is mended. Each round begins with a
/// solo; then everything has its turn.
pub(super) async fn run(
    cluster: Arc<Cluster>,
    seed: u64,
    journal: Journal,
    stop: CancellationToken,
) -> Account {
    let mut random = Rng::with_seed(seed);
    let mut hand = Hand {
        cluster,
        journal,
        busy: Arc::default(),
        account: Arc::default(),
        faults: JoinSet::new(),
        decks: BTreeMap::new(),
    };
    let breaking = async {
        for round in 0.. {
            hand.mended().await;
            for step in solo::plan(&hand.cluster.targets, round, &mut random) {
                pause(step.calm_ms).await;
                for (delay_ms, fault, target) in step.faults {
                    hand.apply(delay_ms, fault, target);
                }
                hand.mended().await;
            }
            hand.everything(&mut random).await;
        }
    };
    stop.run_until_cancelled(breaking).await;
    hand.mended().await;
    hand.journal.write(&json!({ "kind": "healed", "at_ms": crate::journal::now_ms() })).await;
    let mut account = hand.account.lock().await;
    std::mem::take(&mut *account)
}

async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// Who does it, and writes down what came of it.
struct Hand {
    cluster: Arc<Cluster>,
    journal: Journal,
    /// To whom something is being done.
    busy: Arc<Mutex<Vec<Arc<str>>>>,
    account: Arc<Mutex<Account>>,
    faults: JoinSet<()>,
    /// What is still to be done to each service, before it begins anew.
    decks: BTreeMap<&'static str, Vec<Fault>>,
}

impl Hand {
    /// Everybody's turn, in a drawn order, some at once.
    async fn everything(&mut self, random: &mut Rng) {
        let targets = &self.cluster.targets;
        let mut turns: Vec<_> = targets.iter().map(|target| target.service).collect();
        turns.sort_unstable();
        turns.dedup();
        random.shuffle(&mut turns);
        for service in turns {
            let double = random.u8(..100) < DOUBLE_PERCENT;
            pause(random.u64(if double { DOUBLE_MS } else { PAUSE_MS })).await;
            let mut deck = self.decks.remove(service).unwrap_or_default();
            if deck.is_empty() {
                deck = all(service, &self.cluster, random);
                random.shuffle(&mut deck);
            }
            let target = choose(service, &self.cluster, &self.busy, random).await;
            if let Some(target) = target
                && let Some(fault) = deck.pop()
            {
                self.apply(0, fault, target);
            }
            self.decks.insert(service, deck);
        }
    }

    fn apply(&mut self, delay_ms: u64, fault: Fault, target: Target) {
        let (cluster, journal) = (Arc::clone(&self.cluster), self.journal.clone());
        let (busy, account) = (Arc::clone(&self.busy), Arc::clone(&self.account));
        self.faults.spawn(async move {
            pause(delay_ms).await;
            let told = fault.apply(&target, &cluster).await;
            journal.write(&told).await;
            busy.lock().await.retain(|name| *name != target.member.name);
            let mut account = account.lock().await;
            match (told["bitten"].is_null(), told["skipped"].is_null()) {
                (false, _) => account.bitten += 1,
                (true, true) => account.doubtful += 1,
                (true, false) => (),
            }
        });
    }

    /// Waits until nothing is broken.
    async fn mended(&mut self) {
        while self.faults.join_next().await.is_some() {}
    }
}

/// A replica that nothing is being done to.
async fn choose(
    service: &str,
    cluster: &Cluster,
    busy: &Mutex<Vec<Arc<str>>>,
    random: &mut Rng,
) -> Option<Target> {
    let mut busy = busy.lock().await;
    let replicas: Vec<_> =
        cluster.targets.iter().filter(|target| target.service == service).collect();
    let is_busy = |target: &Target| busy.contains(&target.member.name);
    if ONE_AT_A_TIME.contains(&service) && replicas.iter().any(|target| is_busy(target)) {
        return None;
    }
    let free: Vec<_> = replicas.into_iter().filter(|target| !is_busy(target)).collect();
    let chosen = free.get(random.usize(..free.len().max(1)))?;
    busy.push(Arc::clone(&chosen.member.name));
    Some((*chosen).clone())
}

/// Everything that can be done to a service.
fn all(service: &str, cluster: &Cluster, random: &mut Rng) -> Vec<Fault> {
    let mut down_ms = || random.u64(DOWN_MS);
    let mut faults = match service {
        "postgres" => return (0..3).map(|_| Fault::Crash { down_ms: down_ms() }).collect(),
        "redis" => vec![Fault::Flush, Fault::Flush],
        _ => vec![Fault::Terminate { down_ms: down_ms() }],
    };
    faults.push(Fault::Kill { down_ms: down_ms() });
    faults.push(Fault::Kill { down_ms: down_ms() });
    faults.extend(STOPS_MS.map(|ms| Fault::Stop { ms }));
    let links = cluster.targets.iter().find(|target| target.service == service);
    let Some(links) = links.map(|target| &target.links) else { return faults };
    let places = [
        (Place::Front, &links.front),
        (Place::Postgres, &links.postgres),
        (Place::Redis, &links.redis),
        (Place::Gateway, &links.gateway),
    ];
    for (place, _) in places.into_iter().filter(|(_, link)| link.is_some()) {
        for cut in [Cut::Blackhole, Cut::Reset] {
            faults.push(Fault::Cut { place, cut, ms: random.u64(CUT_MS) });
        }
    }
    faults
}
