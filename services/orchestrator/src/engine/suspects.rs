//! Suspects are tried apart: who is lost with whatever kills its worker is charged like it, and
//! only a loss without company tells the culprit.
//!
//! Suspects take a worker that has nothing else, and nothing but suspects joins them there: a batch
//! of them, the smaller the more often they were lost. What is left after the last batch is tried
//! alone. Workers under load are never empty by chance: some are kept free for suspects that wait.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::Engine;
use super::lane::Asked;
use super::route::Route;
use super::session::Session;

impl Session {
    /// How much it has to do, for whichever shard.
    fn load(&self) -> usize {
        self.running.len() + self.out.values().sum::<usize>()
    }

    /// Whether a suspect that asks for such a batch may be tried on its worker now: with nothing
    /// else, as far as is known, or with its like. What runs on a lent one is not known for sure.
    pub(super) fn has_room_for_suspect(&self, batch_max: u8) -> bool {
        if self.load() == 0 {
            return true;
        }
        let only_suspects = self.running.values().all(|running| running.batch_max.is_some());
        only_suspects && self.is_whole() && self.batch.has_room(batch_max)
    }

    /// Whether none of its slots is at another shard.
    fn is_whole(&self) -> bool {
        self.load() == self.running.len()
    }

    /// Whether what it runs is all that its worker has.
    pub(super) fn is_all_there_is(&self) -> bool {
        self.lent.is_none() && self.is_whole()
    }

    /// Whether it has a suspect.
    pub(super) fn has_suspect(&self) -> bool {
        self.running.values().any(|running| running.batch_max.is_some())
    }
}

/// Suspects that a worker tries together, from when it was empty until it is empty again: so
/// that those who ask for a smaller batch have their turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Batch {
    taken: u8,
    /// The least that any of them asked for.
    max: u8,
}

impl Batch {
    const fn has_room(self, batch_max: u8) -> bool {
        self.taken < self.max && self.taken < batch_max
    }

    /// A suspect joins it that asks for such a batch.
    pub(super) fn join(&mut self, batch_max: u8) {
        self.max = if self.taken == 0 { batch_max } else { self.max.min(batch_max) };
        self.taken = self.taken.saturating_add(1);
    }
}

impl Engine {
    /// Keeps workers free for the suspects that wait: one for each batch, but never more than half
    /// of those that could run them, or one if that is all.
    pub(super) fn keep_for_suspects(&mut self) {
        let is_kept = |session: &Session| session.is_apart && !session.has_suspect();
        let kept = self.sessions.iter().filter(|(_, session)| is_kept(session));
        let kept: HashSet<Uuid> = kept.map(|(id, _)| *id).collect();
        let mut keep: HashSet<Uuid> = HashSet::new();
        for (_, function, route) in self.routes.iter() {
            for (asked, waiting) in route.suspects() {
                let able = self.able(route, function, asked);
                let most = able.len().div_ceil(2);
                let (taken, mut free): (Vec<_>, Vec<_>) = able
                    .into_iter()
                    .partition(|(id, session)| session.has_suspect() || keep.contains(id));
                free.sort_by_key(|(id, session)| (!kept.contains(id), session.load()));
                let batches = waiting.div_ceil(asked.batch_max.map_or(1, usize::from));
                let count = batches.min(most.saturating_sub(taken.len()));
                keep.extend(free.iter().take(count).map(|(id, _)| *id));
            }
        }
        for id in keep.symmetric_difference(&kept) {
            if let Some(session) = self.sessions.get_mut(id) {
                session.is_apart = keep.contains(id);
                self.hungry.insert(*id);
            }
        }
    }

    /// The sessions that could run a route's suspects.
    fn able(&self, route: &Route, function: &str, asked: &Asked) -> Vec<(Uuid, &Session)> {
        let offer = route.sessions.iter().filter_map(|id| Some((*id, self.sessions.get(id)?)));
        offer
            .filter(|(_, session)| session.can_run(function, asked))
            .filter(|(_, session)| route.may_try(session, &self.sessions))
            .collect()
    }
}

impl Route {
    /// Whether a session may take a task now that asks for this.
    pub(super) fn fits(
        &self,
        session: &Session,
        sessions: &HashMap<Uuid, Session>,
        (function, asked): (&str, &Asked),
    ) -> bool {
        let may_try = || asked.batch_max.is_none() || self.may_try(session, sessions);
        session.fits(function, asked) && may_try()
    }

    /// Whether a session is one for suspects. A worker that another shard lent is so only where
    /// there is no other: it has to do there, and whoever that is would be lost with them.
    fn may_try(&self, session: &Session, sessions: &HashMap<Uuid, Session>) -> bool {
        let is_own = |session: &Session| session.lent.is_none() && session.is_up();
        let mut others = self.sessions.iter().filter_map(|id| sessions.get(id));
        session.lent.is_none() || !others.any(is_own)
    }
}
