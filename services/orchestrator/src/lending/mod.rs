//! Workers of one shard execute tasks of every shard.
//!
//! For each session of a shard of this process and each other shard there is a [`pump`]: it keeps
//! a lent session open there and passes on what that is handed. When something waits in a shard (a
//! hint on the bus says so, or a second has passed), the free slots of all sessions here are lent
//! to it; what it does not use comes back at once.

mod pump;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use planaria_bus::{EventBus, Hint};
use planaria_proto::orchestrator::v1::LendSlotsRequest;
use planaria_proto::orchestrator::v1::lending_service_client::LendingServiceClient;
use planaria_runtime::ReplicaChannel;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::route::Peers;
use crate::engine::Command;
use crate::error::Error;
use crate::shards::{Local, Place, Shards};
use crate::store::Shard;

/// The hint that something waits in a shard.
const TOPIC: &str = "orchestrator.waits";
/// How often every other shard is offered what is free, without any hint.
const POLL: Duration = Duration::from_secs(1);
/// How often sessions and shards are looked through for pumps to begin and to end.
const SURVEY: Duration = Duration::from_millis(250);
/// Hints of a shard within this are one.
const GATHER: Duration = Duration::from_millis(2);
/// A call to another orchestrator.
const CALL: Duration = Duration::from_secs(2);

/// Which session of a worker is where; cheap to clone, all clones are one.
#[derive(Clone, Default)]
pub(crate) struct Lent {
    /// By the worker's own session and the shard it is lent to.
    sessions: Arc<RwLock<BTreeMap<(Uuid, Shard), Uuid>>>,
}

impl Lent {
    /// The sessions of a worker in other shards.
    pub(crate) fn of(&self, own: Uuid) -> Vec<(Shard, Uuid)> {
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let theirs = sessions.range((own, Shard(0))..=(own, Shard(u16::MAX)));
        theirs.map(|((_, shard), lent)| (*shard, *lent)).collect()
    }

    fn set(&self, own: Uuid, shard: Shard, lent: Option<Uuid>) {
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        match lent {
            Some(lent) => sessions.insert((own, shard), lent),
            None => sessions.remove(&(own, shard)),
        };
    }
}

/// Shards of this process in which tasks wait for workers; cheap to clone. However often it is told
/// of a shard, it is in here once.
#[derive(Clone, Default)]
pub(crate) struct NeedyShards {
    shards: Arc<Mutex<BTreeSet<Shard>>>,
    is_told: Arc<Notify>,
}

impl NeedyShards {
    /// Tasks wait in a shard.
    pub(crate) fn tell(&self, shard: Shard) {
        self.lock().insert(shard);
        self.is_told.notify_one();
    }

    /// Waits until something was told that may not have been taken yet.
    async fn told(&self) {
        self.is_told.notified().await;
    }

    fn take(&self) -> BTreeSet<Shard> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<Shard>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lends the workers of this process.
#[derive(Clone)]
pub(crate) struct Lender {
    pub(crate) shards: Shards,
    pub(crate) peers: Peers,
    pub(crate) lent: Lent,
    pub(crate) bus: Arc<dyn EventBus>,
    /// Where this process answers.
    pub(crate) address: String,
    /// Whose turn it is to be offered first.
    pub(crate) turn: Arc<AtomicUsize>,
}

impl Lender {
    /// Lends until `stop`. `waits` tells of tasks that wait in shards of this process.
    pub(crate) async fn run(self, waits: NeedyShards, stop: CancellationToken) {
        tokio::select! {
            () = self.tell(waits) => {}
            () = self.survey() => {}
            () = self.listen() => {}
            () = self.poll() => {}
            () = stop.cancelled() => {}
        }
    }

    /// Tells the others what waits here.
    async fn tell(&self, waits: NeedyShards) {
        loop {
            waits.told().await;
            sleep(GATHER).await;
            let shards = waits.take();
            if self.shards.all().len() < 2 {
                continue;
            }
            for shard in shards {
                self.bus.publish(TOPIC, Bytes::copy_from_slice(&shard.0.to_be_bytes()));
            }
        }
    }

    /// Keeps a pump for each own session and other shard.
    async fn survey(&self) {
        let mut pumps: HashMap<(Uuid, Shard), Pump> = HashMap::new();
        let mut tick = interval(SURVEY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let all = self.shards.all();
            let mut wanted = BTreeSet::new();
            for local in self.shards.here() {
                if all.len() < 2 && pumps.is_empty() {
                    continue;
                }
                let Ok(own) = local.engine.ask(Command::OwnSessions).await else { continue };
                for (session, announced) in own {
                    for &shard in all.iter().filter(|shard| **shard != local.shard) {
                        wanted.insert((session, shard));
                        let begin = || {
                            let worker = (*announced).clone();
                            let pump = pump::Pump::new(self, &local, (session, shard), worker);
                            Pump { task: tokio::spawn(pump.run()) }
                        };
                        let pump = pumps.entry((session, shard)).or_insert_with(begin);
                        if pump.task.is_finished() {
                            *pump = begin();
                        }
                    }
                }
            }
            pumps.retain(|key, _| wanted.contains(key));
        }
    }

    /// Lends when something waits somewhere.
    async fn listen(&self) {
        let mut hints = self.bus.subscribe(&[TOPIC]);
        while let Some(hint) = hints.next().await {
            match hint {
                Hint::News { body, .. } => {
                    let number = <[u8; 2]>::try_from(&body[..]).map(u16::from_be_bytes);
                    if let Ok(number) = number {
                        self.lend_to(Shard(number), 1).await;
                    }
                }
                Hint::Gap => self.lend_to_all().await,
            }
        }
        std::future::pending::<()>().await;
    }

    /// Hints can be lost.
    async fn poll(&self) {
        loop {
            sleep(POLL).await;
            self.lend_to_all().await;
        }
    }

    async fn lend_to_all(&self) {
        let mut shards: Vec<Shard> = self.shards.all().into_iter().collect();
        let others = shards.len().saturating_sub(1);
        // Another one first each time: a worker with one slot has it for one shard at a time.
        if !shards.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % shards.len();
            shards.rotate_left(first);
        }
        for shard in shards {
            self.lend_to(shard, others).await;
        }
    }

    /// Offers a shard what is free here, or its share of that.
    async fn lend_to(&self, to: Shard, shares: usize) {
        for local in self.shards.here().into_iter().filter(|local| local.shard != to) {
            self.lend_from(&local, to, shares, None).await;
        }
    }

    /// Offers a shard what is free in one of this process, of all its sessions or one.
    async fn lend_from(&self, local: &Local, to: Shard, shares: usize, only: Option<Uuid>) {
        let offer = local.engine.ask(|reply| Command::Offer { to, shares, only, reply }).await;
        for (own, slots) in offer.unwrap_or_default() {
            tokio::spawn(self.clone().lend(local.clone(), own, to, slots));
        }
    }

    /// Lends slots of a session, or has them back if that fails.
    async fn lend(self, local: Local, own: Uuid, to: Shard, slots: usize) {
        let lent = self.lent.of(own).into_iter().find(|(shard, _)| *shard == to);
        let outcome = match lent {
            Some((_, session)) => self.call_lend(to, session, slots).await,
            None => Err(Error::SessionNotFound),
        };
        if outcome.is_err() {
            drop(local.engine.send(Command::TakeBack(own, to, slots)).await);
        }
    }

    async fn call_lend(&self, to: Shard, session: Uuid, slots: usize) -> Result<(), Error> {
        let mut client = LendingServiceClient::new(self.channel(to).await?);
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let request = LendSlotsRequest { session_id: session.to_string(), slots };
        let mut request = tonic::Request::new(request);
        request.set_timeout(CALL);
        match tokio::time::timeout(CALL, client.lend_slots(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::Moving),
        }
    }

    /// The orchestrator that has a shard; it may be this one.
    async fn channel(&self, shard: Shard) -> Result<ReplicaChannel, Error> {
        match self.shards.place(shard).await? {
            Place::Here(_) => self.peers.channel(&self.address),
            Place::There(address) => self.peers.channel(&address),
        }
    }
}

struct Pump {
    task: JoinHandle<()>,
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.task.abort();
    }
}
