//! Gets this process a shard, keeps it, takes over those of the dead, and gives back what others
//! ask for.
//!
//! No clock of the store or of another machine is compared with ours: a holder is dead when its
//! beat stood still for the length of the lease by our own clock, while we could read it all that
//! time. The store's row decides between those who find that at the same moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use planaria_runtime::Readiness;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Local, Shards};
use crate::config::Config;
use crate::engine::{self, Handle, Parts};
use crate::log::LogTail;
use crate::store::{Holder, Shard, ShardRegistry, ShardRow, StoreError};

/// Makes what an engine is made of, for one shard.
pub(crate) type Workshop = Box<dyn Fn(&ShardRow, &LogTail) -> Parts + Send>;

/// The keeper of this process's shards.
pub(crate) struct Keeper {
    registry: Arc<dyn ShardRegistry>,
    shards: Shards,
    holder: Holder,
    config: Config,
    workshop: Workshop,
    readiness: Readiness,
    engines: BTreeMap<Shard, Engine>,
    /// When each row was seen to change last.
    seen: HashMap<Shard, Seen>,
    last_look: Instant,
    last_beat: Instant,
    /// This process ends: it takes nothing over any more.
    leaving: bool,
}

/// What was seen of a shard's row.
struct Seen {
    log: u64,
    beat: u64,
    /// Since when it stands still.
    since: Instant,
    /// Whether it was seen to change at all.
    moved: bool,
}

struct Engine {
    log: u64,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The pause after the store could not be read.
const PAUSE: Duration = Duration::from_millis(250);

impl Keeper {
    /// A keeper without shards.
    pub(crate) fn new(
        registry: Arc<dyn ShardRegistry>,
        shards: Shards,
        holder: Holder,
        config: Config,
        workshop: Workshop,
        readiness: Readiness,
    ) -> Self {
        let now = Instant::now();
        Self {
            registry,
            shards,
            holder,
            config,
            workshop,
            readiness,
            engines: BTreeMap::new(),
            seen: HashMap::new(),
            last_look: now,
            last_beat: now,
            leaving: false,
        }
    }

    /// Keeps shards until `stop`, then waits for the requests under way, which hold `requests`,
    /// ends the engines, and gives the shards back.
    pub(crate) async fn run(
        mut self,
        stop: CancellationToken,
        mut requests: mpsc::Receiver<std::convert::Infallible>,
    ) {
        tokio::select! {
            () = self.keep() => {}
            () = stop.cancelled() => {}
        }
        // Requests still need the engines, and those their shards.
        self.leaving = true;
        tokio::select! {
            () = self.keep() => {}
            _ = requests.recv() => {}
        }
        let shards: Vec<Shard> = self.engines.keys().copied().collect();
        for shard in shards {
            self.give_back(shard).await;
        }
    }

    /// Returns only if an engine failed.
    async fn keep(&mut self) {
        loop {
            if self.engines.is_empty() && !self.leaving {
                self.readiness.set(false);
                match self.first().await {
                    Ok(row) => self.launch(&row),
                    Err(error) => {
                        planaria_store::tell("no shard can be had yet", &error);
                        sleep(PAUSE).await;
                        continue;
                    }
                }
                self.readiness.set(true);
            }
            if !self.registry.is_shared() {
                self.ended().await;
            } else {
                let poll = Duration::from_millis(self.config.shard_poll_ms.max(1));
                let shards = self.shards.clone();
                tokio::select! {
                    () = self.ended() => {}
                    () = sleep(poll) => self.look().await,
                    () = shards.wanted() => self.look().await,
                }
            }
            if !self.bury() {
                return;
            }
        }
    }

    /// Waits until an engine has ended by itself.
    async fn ended(&mut self) {
        let tasks = self.engines.values_mut().map(|engine| &mut engine.task);
        let tasks: Vec<_> = tasks.collect();
        if tasks.is_empty() {
            std::future::pending::<()>().await;
        }
        let (_, _, _) = futures_util::future::select_all(tasks).await;
    }

    /// Forgets engines that have ended: they were replaced. `false` if one failed.
    fn bury(&mut self) -> bool {
        let over: Vec<Shard> = self
            .engines
            .iter()
            .filter(|(_, engine)| engine.task.is_finished())
            .map(|(shard, _)| *shard)
            .collect();
        for shard in over {
            self.shards.remove(shard);
            let Some(engine) = self.engines.remove(&shard) else { continue };
            if !engine.stop.is_cancelled() {
                tracing::error!(%shard, "the shard's engine failed");
                return false;
            }
            tracing::warn!(%shard, log = engine.log, "another orchestrator has the shard now");
        }
        true
    }

    /// A shard to begin with: one that nobody has, one that a holder of several gives away, one
    /// whose holder is dead, or a new one.
    async fn first(&mut self) -> Result<ShardRow, StoreError> {
        let begun = Instant::now();
        let lease = Duration::from_millis(self.config.shard_lease_ms);
        let mut asked = false;
        self.seen.clear();
        loop {
            let rows = self.registry.shards().await?;
            self.observe(&rows);
            let mine = |row: &&ShardRow| {
                row.holder.is_empty()
                    && (row.wanted_by.is_empty()
                        || row.wanted_by == self.holder.id
                        || begun.elapsed() > lease)
            };
            if let Some(free) = rows.iter().find(mine).or_else(|| self.dead(&rows, lease))
                && let Some(row) = self.registry.take(free, &self.holder).await?
            {
                return Ok(row);
            }
            let rich = rows.iter().find(|row| held_by(&rows, &row.holder) > 1);
            let waiting = if let Some(rich) = rich.filter(|_| !asked) {
                asked = true;
                self.registry.want(rich.shard, rich.log, &self.holder.id).await?;
                true
            } else {
                // A holder that was not seen to beat may be dead: its shard is better than a new
                // one, which would be one more for ever.
                let silent = |row: &ShardRow| {
                    let moved = self.seen.get(&row.shard).is_some_and(|seen| seen.moved);
                    !row.holder.is_empty() && !moved
                };
                asked || rows.iter().any(silent)
            };
            if (!waiting || begun.elapsed() > lease * 2)
                && let Some(row) = self.registry.create(&self.holder).await?
            {
                return Ok(row);
            }
            sleep(Duration::from_millis(self.config.shard_poll_ms.clamp(1, 100))).await;
        }
    }

    /// Notes which rows changed since they were seen last.
    fn observe(&mut self, rows: &[ShardRow]) {
        let now = Instant::now();
        // While nothing could be read, nobody could be seen to live.
        let gap = now - self.last_look;
        let was_blind = gap > Duration::from_millis(self.config.shard_lease_ms) / 2;
        self.last_look = now;
        for row in rows {
            let known = self.seen.get(&row.shard);
            let same = known.is_some_and(|seen| (seen.log, seen.beat) == (row.log, row.beat));
            if !same || was_blind {
                let moved = known.is_some_and(|seen| seen.moved || !same);
                let (log, beat) = (row.log, row.beat);
                self.seen.insert(row.shard, Seen { log, beat, since: now, moved });
            }
        }
    }

    /// A shard whose holder stood still for that long.
    fn dead<'a>(&self, rows: &'a [ShardRow], lease: Duration) -> Option<&'a ShardRow> {
        rows.iter().find(|row| {
            !row.holder.is_empty()
                && row.holder != self.holder.id
                && self.seen.get(&row.shard).is_some_and(|seen| seen.since.elapsed() > lease)
        })
    }

    /// One look at the store: beats, learns where the others are, takes over, gives back.
    async fn look(&mut self) {
        if let Err(error) = self.try_look().await {
            planaria_store::tell("the shards cannot be read", &error);
        }
    }

    async fn try_look(&mut self) -> Result<(), StoreError> {
        if self.last_beat.elapsed() >= Duration::from_millis(self.config.shard_beat_ms) {
            self.beat().await?;
            self.last_beat = Instant::now();
        }
        let look = self.shards.look();
        let rows = self.registry.shards().await?;
        self.observe(&rows);
        self.shards.learn(look, &rows);
        if self.leaving {
            return Ok(());
        }
        for row in &rows {
            let mine = row.holder == self.holder.id;
            let wanted = !row.wanted_by.is_empty() && row.wanted_by != self.holder.id;
            if mine && wanted && self.engines.len() > 1 {
                self.give_back(row.shard).await;
            }
        }
        // Who has fewer shards comes first.
        let patience = Duration::from_millis(100) * u32::try_from(self.engines.len()).unwrap_or(9);
        let lease = Duration::from_millis(self.config.shard_lease_ms) + patience;
        let beat = Duration::from_millis(self.config.shard_beat_ms);
        let free = rows.iter().find(|row| {
            let stands = |seen: &Seen| seen.since.elapsed();
            let free_for = self.seen.get(&row.shard).map_or(Duration::ZERO, stands);
            let promised = !row.wanted_by.is_empty() && free_for < beat * 4;
            row.holder.is_empty() && !promised && free_for > patience
        });
        if let Some(row) = free.or_else(|| self.dead(&rows, lease))
            && let Some(taken) = self.registry.take(row, &self.holder).await?
        {
            tracing::warn!(shard = %row.shard, from = row.address, log = taken.log,
                "took a shard over");
            self.launch(&taken);
        }
        Ok(())
    }

    async fn beat(&mut self) -> Result<(), StoreError> {
        let held: Vec<(Shard, u64)> =
            self.engines.iter().map(|(shard, engine)| (*shard, engine.log)).collect();
        for (shard, log) in held {
            if self.registry.beat(shard, log).await?.is_none()
                && let Some(engine) = self.engines.get(&shard)
            {
                // Its engine will find out with its next commit; it need not come to that.
                engine.stop.cancel();
            }
        }
        Ok(())
    }

    fn launch(&mut self, row: &ShardRow) {
        let store = self.registry.store(row.shard, row.log);
        let tail = LogTail::new(store, self.config.log_tail_max);
        let parts = (self.workshop)(row, &tail);
        let (commands, received) = mpsc::channel(self.config.commands_max);
        let stop = CancellationToken::new();
        let task = tokio::spawn(engine::run(parts, received, stop.clone()));
        self.engines.insert(row.shard, Engine { log: row.log, stop, task });
        tracing::info!(shard = %row.shard, log = row.log, "shard opened");
        self.shards.add(Local { shard: row.shard, engine: Handle::new(commands), tail });
    }

    /// Ends a shard's engine once it has committed what it has taken, and gives the shard back.
    async fn give_back(&mut self, shard: Shard) {
        let Some(engine) = self.engines.remove(&shard) else { return };
        self.shards.remove(shard);
        engine.stop.cancel();
        if let Err(error) = engine.task.await {
            tracing::error!(%error, %shard, "the shard's engine failed");
        }
        match self.registry.give_back(shard, engine.log).await {
            Ok(()) => tracing::info!(%shard, "shard given back"),
            Err(error) => {
                planaria_store::tell(&format!("others must find shard {shard} themselves"), &error);
            }
        }
    }
}

fn held_by(rows: &[ShardRow], holder: &str) -> usize {
    rows.iter().filter(|row| !holder.is_empty() && row.holder == holder).count()
}
