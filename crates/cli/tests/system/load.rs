//! A client that starts workflows at a steady pace, tries each call at most twice, and keeps what
//! became of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use planaria_proto::workflow::v1::{GetWorkflowRequest, StartWorkflowRequest};
use planaria_sdk::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::binary::look_again;
use crate::workload;

/// Between two starts.
const PACE: Duration = Duration::from_millis(25);
/// How long a try may take.
const TRY: Duration = Duration::from_secs(5);

/// A workflow that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) n: usize,
    pub(crate) at: Instant,
    pub(crate) id: String,
}

impl Started {
    /// The shard that has it: the last two bytes of its id.
    pub(crate) fn shard(&self) -> u16 {
        shard_of(&self.id)
    }
}

/// The shard of a workflow or session.
pub(crate) fn shard_of(id: &str) -> u16 {
    let bytes = *id.parse::<Uuid>().unwrap().as_bytes();
    u16::from_be_bytes([bytes[14], bytes[15]])
}

#[derive(Debug, Default)]
struct Seen {
    started: Vec<Started>,
    calls: usize,
    retried: Vec<String>,
    failed: Vec<String>,
}

/// The client while it works.
pub(crate) struct Load {
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// What became of the calls.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) calls: usize,
    /// Why each call that was tried twice was.
    pub(crate) retried: Vec<String>,
    /// Why each call failed twice.
    pub(crate) failed: Vec<String>,
}

impl Load {
    /// Begins; the second try of a call goes to the next of these gateways.
    pub(crate) fn begin(gateways: &[String], seed: u64) -> Self {
        let clients: Vec<Client> =
            gateways.iter().map(|uri| Client::connect(uri).unwrap()).collect();
        let (seen, stop) = (Arc::<Mutex<Seen>>::default(), CancellationToken::new());
        let task = tokio::spawn(start_many(clients.into(), seed, Arc::clone(&seen), stop.clone()));
        Self { seen, stop, task }
    }

    /// The workflows that were accepted in a stretch of time.
    pub(crate) fn between(&self, from: Instant, to: Instant) -> Vec<Started> {
        let seen = self.seen.lock().unwrap();
        let within = |one: &&Started| (from..to).contains(&one.at);
        seen.started.iter().filter(within).cloned().collect()
    }

    /// How many were accepted in a stretch of time, by shard.
    pub(crate) fn shares(&self, from: Instant, to: Instant) -> BTreeMap<u16, usize> {
        let mut shares = BTreeMap::new();
        for one in self.between(from, to) {
            *shares.entry(one.shard()).or_default() += 1;
        }
        shares
    }

    /// Ends, and answers what was accepted and what became of the calls.
    pub(crate) async fn end(self) -> (Vec<Started>, Calls) {
        self.stop.cancel();
        self.task.await.unwrap();
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        (seen.started, Calls { calls: seen.calls, retried: seen.retried, failed: seen.failed })
    }
}

async fn start_many(
    clients: Arc<[Client]>,
    seed: u64,
    seen: Arc<Mutex<Seen>>,
    stop: CancellationToken,
) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut calls = JoinSet::new();
    for n in 0.. {
        tokio::select! {
            _ = pace.tick() => {}
            () = stop.cancelled() => break,
        }
        let request = StartWorkflowRequest { start: Some(workload::one(n, seed, &mut random)) };
        calls.spawn(start_and_look(Arc::clone(&clients), n, request, Arc::clone(&seen)));
    }
    while calls.join_next().await.is_some() {}
}

async fn start_and_look(
    clients: Arc<[Client]>,
    n: usize,
    request: StartWorkflowRequest,
    seen: Arc<Mutex<Seen>>,
) {
    let starts = |client: &Client| {
        let (client, request) = (client.clone(), request.clone());
        async move {
            let answer = client.workflow_service().start_workflow(request).await?;
            Ok(answer.into_inner().workflow_id)
        }
    };
    let Some(id) = twice(&clients, n, &seen, starts).await else { return };
    seen.lock().unwrap().started.push(Started { n, at: Instant::now(), id: id.clone() });
    let looks = |client: &Client| {
        let (client, workflow_id) = (client.clone(), id.clone());
        async move {
            let request = GetWorkflowRequest { workflow_id };
            client.workflow_service().get_workflow(request).await.map(drop)
        }
    };
    // Asked through the other gateway than it was started by.
    twice(&clients, n + 1, &seen, looks).await;
}

/// Calls, and once more if that fails.
async fn twice<T, F: Future<Output = Result<T, Status>>>(
    clients: &[Client],
    turn: usize,
    seen: &Mutex<Seen>,
    call: impl Fn(&Client) -> F,
) -> Option<T> {
    seen.lock().unwrap().calls += 1;
    let mut problems = Vec::new();
    for client in clients.iter().cycle().skip(turn % clients.len()).take(2) {
        let answer = tokio::time::timeout(TRY, call(client)).await;
        problems.push(match answer {
            Ok(Ok(answer)) => {
                seen.lock().unwrap().retried.extend(problems);
                return Some(answer);
            }
            Ok(Err(status)) => format!("{:?}: {}", status.code(), status.message()),
            Err(_) => format!("no answer within {TRY:?}"),
        });
        look_again().await;
    }
    seen.lock().unwrap().failed.push(problems.join(", then "));
    None
}
