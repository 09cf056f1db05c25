//! Suspects run alone: who is lost with whatever kills its worker is charged like it, and only a
//! loss without company tells the culprit.
//!
//! A suspect takes a worker that has nothing else, and nothing joins it there. Workers under load
//! are never empty by chance: one is kept free for the suspects of a route until it is.

use std::cmp::Reverse;
use std::collections::HashSet;

use uuid::Uuid;

use super::Engine;
use super::lane::Asked;
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
    /// Keeps a worker free for the suspects of each route that wait, and no other.
    pub(super) fn keep_for_suspects(&mut self) {
        let kept: HashSet<Uuid> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_apart && !session.has_suspect())
            .map(|(id, _)| *id)
            .collect();
        let mut wanted: Vec<(String, Asked, Vec<Uuid>)> = Vec::new();
        for (_, function, route) in self.routes.iter() {
            for asked in route.suspects() {
                wanted.push((function.to_owned(), asked.clone(), route.sessions.clone()));
            }
        }
        let mut keep: HashSet<Uuid> = HashSet::new();
        for (function, asked, sessions) in wanted {
            let able = sessions.iter().filter_map(|id| Some((*id, self.sessions.get(id)?)));
            let mut able: Vec<(Uuid, &Session)> =
                able.filter(|(_, session)| session.can_run(&function, &asked)).collect();
            // A lent worker is kept only where there is no other: it has to do elsewhere, too.
            if able.iter().any(|(_, session)| session.lent.is_none()) {
                able.retain(|(_, session)| session.lent.is_none());
            }
            if able.iter().any(|(id, session)| keep.contains(id) || session.has_suspect()) {
                continue;
            }
            let best = able
                .iter()
                .max_by_key(|(id, session)| (kept.contains(id), Reverse(session.load())));
            keep.extend(best.map(|(id, _)| *id));
        }
        for id in keep.symmetric_difference(&kept) {
            if let Some(session) = self.sessions.get_mut(id) {
                session.is_apart = keep.contains(id);
                self.hungry.insert(*id);
            }
        }
    }
}
