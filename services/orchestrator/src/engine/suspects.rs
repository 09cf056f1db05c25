//! Suspects run alone: who is lost with whatever kills its worker is charged like it, and only a
//! loss without company tells the culprit.
//!
//! A suspect takes a worker that has nothing else, and nothing joins it there. Workers under load
//! are never empty by chance: some are kept free for the suspects that wait.

use std::collections::HashSet;

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

    /// Whether nothing is known to run on its worker. Of a lent one that is not known for sure.
    pub(super) fn is_idle(&self) -> bool {
        self.load() == 0
    }

    /// Whether what it runs is all that its worker has.
    pub(super) fn is_all_there_is(&self) -> bool {
        self.lent.is_none() && self.load() == self.running.len()
    }

    /// Whether it has a suspect.
    fn has_suspect(&self) -> bool {
        self.running.values().any(|running| running.is_suspect)
    }
}

impl Engine {
    /// Keeps workers free for the suspects that wait: one for each, but never more than half of
    /// those that could run them, or one if that is all.
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
                let count = waiting.min(most.saturating_sub(taken.len()));
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

    /// The sessions that could run a route's tasks. A worker that another shard lent is among them
    /// only where there is no other: it has to do elsewhere, too.
    fn able(&self, route: &Route, function: &str, asked: &Asked) -> Vec<(Uuid, &Session)> {
        let offer = route.sessions.iter().filter_map(|id| Some((*id, self.sessions.get(id)?)));
        let mut able: Vec<_> =
            offer.filter(|(_, session)| session.can_run(function, asked)).collect();
        if able.iter().any(|(_, session)| session.lent.is_none()) {
            able.retain(|(_, session)| session.lent.is_none());
        }
        able
    }
}
