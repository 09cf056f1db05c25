//! Pools: sessions that offer the same, among which namespaces have fair shares.
//!
//! What a namespace had of some workers says nothing about what it should have of others: so the
//! books are kept for each pool by itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use planaria_kernel::flow::Shares;
use uuid::Uuid;

use super::session::Session;

/// All pools.
#[derive(Default)]
pub(crate) struct Pools {
    pools: BTreeMap<Arc<Offers>, Pool>,
    of: HashMap<Uuid, Arc<Offers>>,
}

/// What sessions of a pool offer, in order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Offers {
    queues: Vec<String>,
    functions: Vec<String>,
}

#[derive(Default)]
struct Pool {
    sessions: usize,
    shares: Shares,
}

impl Pools {
    /// A session begins to offer something. Answers whether it is the first of its pool, whose
    /// books are to be opened with [`Pools::join`] for all who wait then.
    pub(crate) fn enter(&mut self, id: Uuid, session: &Session) -> bool {
        let mut queues = session.queues.clone();
        let mut functions: Vec<String> = session.functions.keys().cloned().collect();
        queues.sort_unstable();
        queues.dedup();
        functions.sort_unstable();
        let offers = Arc::new(Offers { queues, functions });
        let pool = self.pools.entry(offers.clone()).or_default();
        pool.sessions += 1;
        let is_first = pool.sessions == 1;
        self.of.insert(id, offers);
        is_first
    }

    /// A session is over.
    pub(crate) fn exit(&mut self, id: Uuid) {
        let Some(offers) = self.of.remove(&id) else { return };
        let Some(pool) = self.pools.get_mut(&offers) else { return };
        pool.sessions -= 1;
        if pool.sessions == 0 {
            self.pools.remove(&offers);
        }
    }

    /// The shares of a session's pool.
    pub(crate) fn shares(&self, id: Uuid) -> Option<&Shares> {
        self.pools.get(self.of.get(&id)?).map(|pool| &pool.shares)
    }

    /// The same, to be written.
    pub(crate) fn shares_mut(&mut self, id: Uuid) -> Option<&mut Shares> {
        self.pools.get_mut(self.of.get(&id)?).map(|pool| &mut pool.shares)
    }

    /// A namespace begins to have something that may go in a route.
    pub(crate) fn join(&mut self, queue: &str, function: &str, namespace: &str) {
        for shares in self.of_route(queue, function) {
            shares.join(namespace);
        }
    }

    /// A namespace has nothing more that may go in a route.
    pub(crate) fn leave(&mut self, queue: &str, function: &str, namespace: &str) {
        for shares in self.of_route(queue, function) {
            shares.leave(namespace);
        }
    }

    fn of_route(&mut self, queue: &str, function: &str) -> impl Iterator<Item = &mut Shares> {
        let pools = self.pools.iter_mut().filter(move |(offers, _)| {
            let has = |names: &[String], name: &str| {
                names.binary_search_by(|own| own.as_str().cmp(name)).is_ok()
            };
            has(&offers.queues, queue) && has(&offers.functions, function)
        });
        pools.map(|(_, pool)| &mut pool.shares)
    }
}
