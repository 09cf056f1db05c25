//! The shards of this process, and where the others are.
//!
//! Whoever asks for a workflow or session asks for its shard's [`Place`]: an engine of this
//! process, or the address of the orchestrator that has it. A shard whose holder died is on the
//! move until somebody has taken it over; who asks for it meanwhile waits.

mod keeper;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::engine::Handle;
use crate::error::Error;
use crate::log::LogTail;
use crate::store::{Shard, ShardRow};

pub(crate) use keeper::{Keeper, Workshop};

/// Where shards are; cheap to clone, all clones are one.
#[derive(Clone)]
pub(crate) struct Shards {
    inner: Arc<Inner>,
}

struct Inner {
    places: RwLock<Places>,
    /// Counts the changes of `places`.
    changes: watch::Sender<u64>,
    next: AtomicUsize,
    wait: Duration,
    /// Whether there may be shards of others.
    is_shared: bool,
    /// Looks at the store that were begun.
    looks: AtomicU64,
    /// Somebody asked for a shard that is not known: it may be new.
    wanted: Notify,
}

#[derive(Default)]
struct Places {
    here: BTreeMap<Shard, Local>,
    /// Every shard, as the store had it last.
    rows: BTreeMap<Shard, ShardRow>,
    /// The look at the store that showed them.
    look: u64,
}

/// An engine of this process.
#[derive(Clone)]
pub(crate) struct Local {
    /// Its shard.
    pub shard: Shard,
    /// The engine.
    pub engine: Handle,
    /// The end of the shard's log.
    pub tail: LogTail,
}

/// Where a shard is.
pub(crate) enum Place {
    /// In this process.
    Here(Local),
    /// At the orchestrator with this address.
    There(String),
}

impl Shards {
    /// No shard yet; whoever asks for one that is on the move waits for at most `wait`.
    #[must_use]
    pub(crate) fn new(wait: Duration, is_shared: bool) -> Self {
        let (changes, _) = watch::channel(0);
        let (places, next, wanted) = (RwLock::default(), AtomicUsize::new(0), Notify::new());
        let looks = AtomicU64::new(0);
        Self { inner: Arc::new(Inner { places, changes, next, wait, is_shared, looks, wanted }) }
    }

    /// The engines of this process.
    #[must_use]
    pub(crate) fn here(&self) -> Vec<Local> {
        self.read(|places| places.here.values().cloned().collect())
    }

    /// The addresses of the other orchestrators that have shards.
    #[must_use]
    pub(crate) fn elsewhere(&self) -> BTreeSet<String> {
        self.read(|places| {
            let others = places.rows.values().filter(|row| !places.here.contains_key(&row.shard));
            let others = others.filter(|row| !row.holder.is_empty());
            others.map(|row| row.address.clone()).collect()
        })
    }

    /// Every shard there is.
    #[must_use]
    pub(crate) fn all(&self) -> BTreeSet<Shard> {
        self.read(|places| places.rows.keys().chain(places.here.keys()).copied().collect())
    }

    /// An engine of this process for what belongs to no shard yet, in turn.
    ///
    /// # Errors
    /// This process has no shard, for longer than callers wait.
    pub(crate) async fn any(&self) -> Result<Local, Error> {
        let turn = self.inner.next.fetch_add(1, Ordering::Relaxed);
        self.until(|places| places.here.values().nth(turn % places.here.len().max(1)).cloned())
            .await
    }

    /// The shard for something with a name, the same for all that ask while the shards are the
    /// same: the one with the highest hash together with the name (rendezvous hashing), so that a
    /// new shard takes names from all others alike and nothing else moves.
    pub(crate) async fn of_name(&self, name: &str) -> Result<Shard, Error> {
        let weight = |shard: &Shard| {
            let mut hasher = DefaultHasher::new();
            (shard, name).hash(&mut hasher);
            hasher.finish()
        };
        self.until(|places| {
            let shards = places.rows.keys().chain(places.here.keys());
            shards.copied().max_by_key(weight)
        })
        .await
    }

    /// Where a shard is. One that is not known may be new: the store is looked at again. What never
    /// was a shard is anywhere: it is not found there.
    ///
    /// # Errors
    /// It is on the move for longer than callers wait.
    pub(crate) async fn place(&self, shard: Shard) -> Result<Place, Error> {
        // A look that was begun before the question may be older than the shard.
        let too_old = self.inner.looks.load(Ordering::Acquire);
        self.until(|places| {
            if let Some(local) = places.here.get(&shard) {
                return Some(Place::Here(local.clone()));
            }
            match places.rows.get(&shard) {
                Some(row) if row.holder.is_empty() => None,
                Some(row) if places.here.is_empty() || !row.address.is_empty() => {
                    Some(Place::There(row.address.clone()))
                }
                None if self.inner.is_shared && places.look <= too_old => {
                    self.inner.wanted.notify_one();
                    None
                }
                _ => places.here.values().next().cloned().map(Place::Here),
            }
        })
        .await
    }

    /// Resolves when the store is to be looked at without delay.
    async fn wanted(&self) {
        self.inner.wanted.notified().await;
    }

    /// The number of a look at the store that begins now.
    fn look(&self) -> u64 {
        self.inner.looks.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Waits until a shard is not at an address any more that did not answer, but no longer than
    /// callers wait.
    pub(crate) async fn moved_from(&self, shard: Shard, address: &str) {
        let gone = self.until(|places| {
            let there = places.rows.get(&shard).is_some_and(|row| row.address == address);
            (places.here.contains_key(&shard) || !there).then_some(())
        });
        // Nothing else can be done about it; the caller is told to try again either way.
        drop(gone.await);
    }

    async fn until<T>(&self, find: impl Fn(&Places) -> Option<T>) -> Result<T, Error> {
        if let Some(found) = self.read(&find) {
            return Ok(found);
        }
        let mut changes = self.inner.changes.subscribe();
        let waited = tokio::time::timeout(self.inner.wait, async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = self.read(&find) {
                    return found;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        });
        waited.await.map_err(|_| Error::Moving)
    }

    fn read<T>(&self, look: impl FnOnce(&Places) -> T) -> T {
        look(&self.inner.places.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Places)) {
        change(&mut self.inner.places.write().unwrap_or_else(PoisonError::into_inner));
        self.inner.changes.send_modify(|count| *count += 1);
    }

    fn add(&self, local: Local) {
        self.change(|places| drop(places.here.insert(local.shard, local)));
    }

    fn remove(&self, shard: Shard) {
        self.change(|places| {
            if let Some(local) = places.here.remove(&shard) {
                local.tail.close();
            }
        });
    }

    /// What a look at the store showed.
    fn learn(&self, look: u64, rows: &[ShardRow]) {
        let rows = rows.iter().map(|row| (row.shard, row.clone())).collect();
        self.change(|places| (places.rows, places.look) = (rows, look));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(shard: u16, holder: &str) -> ShardRow {
        let address =
            if holder.is_empty() { String::new() } else { format!("http://{holder}:7301") };
        let holder = holder.to_owned();
        ShardRow { shard: Shard(shard), log: 1, holder, address, beat: 0, wanted_by: String::new() }
    }

    fn shards(rows: &[ShardRow]) -> Shards {
        let shards = Shards::new(Duration::from_millis(5), true);
        shards.learn(shards.look(), rows);
        shards
    }

    #[tokio::test]
    async fn a_new_shard_takes_names_from_all_others_and_nothing_else_moves() {
        let three: Vec<ShardRow> = (0..3).map(|number| row(number, "a")).collect();
        let four: Vec<ShardRow> = (0..4).map(|number| row(number, "a")).collect();
        let (before, after) = (shards(&three), shards(&four));
        let mut moved = BTreeMap::new();
        for number in 0..4_000 {
            let name = format!("name-{number}");
            let (was, is) =
                (before.of_name(&name).await.unwrap(), after.of_name(&name).await.unwrap());
            if was != is {
                assert_eq!(is, Shard(3));
                *moved.entry(was).or_insert(0) += 1;
            }
        }
        for count in [0, 1, 2].map(|shard| moved[&Shard(shard)]) {
            assert!((250..420).contains(&count), "{moved:?}");
        }
    }

    #[tokio::test]
    async fn a_shard_on_the_move_is_waited_for() {
        let shards = Shards::new(Duration::from_secs(60), true);
        shards.learn(shards.look(), &[row(0, "")]);
        let place = shards.place(Shard(0));
        let taken = async { shards.learn(shards.look(), &[row(0, "b")]) };
        let (place, ()) = tokio::join!(place, taken);
        assert!(matches!(place, Ok(Place::There(at)) if at == "http://b:7301"));
    }

    #[tokio::test]
    async fn a_shard_that_is_not_known_yet_is_looked_for() {
        let shards = Shards::new(Duration::from_secs(60), true);
        shards.learn(shards.look(), &[row(0, "a")]);
        // Under way when the question comes: it need not show what the question is about.
        let under_way = shards.look();
        let looked = async {
            shards.wanted().await;
            shards.learn(under_way, &[row(0, "a")]);
            shards.wanted().await;
            shards.learn(shards.look(), &[row(0, "a"), row(1, "b")]);
        };
        let (place, ()) = tokio::join!(shards.place(Shard(1)), looked);
        assert!(matches!(place, Ok(Place::There(at)) if at == "http://b:7301"));
    }

    #[tokio::test]
    async fn it_is_not_waited_for_for_ever() {
        let shards = shards(&[row(0, "")]);
        assert!(matches!(shards.place(Shard(0)).await, Err(Error::Moving)));
        assert!(matches!(shards.any().await, Err(Error::Moving)));
    }
}
