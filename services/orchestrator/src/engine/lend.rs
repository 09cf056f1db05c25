//! Sharing workers with other shards: slots that are lent out, and slots that are lent to us.

use planaria_proto::task::v1::{Assignment, OpenSessionRequest};
use planaria_runtime::clock::now_ms;
use uuid::Uuid;

use super::Engine;
use super::command::Reply;
use super::session::Handed;
use crate::error::Error;
use crate::store::Shard;
use std::sync::Arc;

/// Slots of one session that are offered to another shard at once.
const OFFERED_MAX: usize = 256;

impl Engine {
    /// The sessions whose workers belong to this shard.
    pub(super) fn own_sessions(&self) -> Vec<(Uuid, Arc<OpenSessionRequest>)> {
        let own = self.sessions.iter().filter(|(_, session)| session.lent.is_none());
        own.map(|(id, session)| (*id, session.announced.clone())).collect()
    }

    /// Takes free slots of own sessions, or of one of them, for another shard, where something may
    /// wait. Answers how many of which session.
    pub(super) fn offer(
        &mut self,
        to: Shard,
        shares: usize,
        only: Option<Uuid>,
    ) -> Vec<(Uuid, usize)> {
        let mut offered = Vec::new();
        let is_asked = |id: &Uuid| only.is_none_or(|only| only == *id);
        for (id, session) in self.sessions.iter_mut().filter(|(id, _)| is_asked(id)) {
            if session.is_apart {
                continue;
            }
            let slots = session.free().div_ceil(shares.max(1)).min(OFFERED_MAX);
            if session.lent.is_none() && slots > 0 {
                *session.out.entry(to).or_default() += slots;
                offered.push((*id, slots));
            }
        }
        offered
    }

    /// Slots came back from another shard.
    pub(super) fn take_back(&mut self, id: Uuid, from: Shard, slots: usize) {
        if let Some(session) = self.sessions.get_mut(&id)
            && let Some(out) = session.out.get_mut(&from)
        {
            *out = out.saturating_sub(slots);
            self.hungry.insert(id);
        }
    }

    /// So many slots of a session are at another shard, and no more.
    pub(super) fn held_by(&mut self, id: Uuid, by: Shard, slots: usize) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.out.insert(by, slots);
            self.hungry.insert(id);
        }
    }

    /// Passes on what another shard hands to a worker of this one. What cannot be passed on is
    /// found missing in the worker's inventory.
    pub(super) fn pass_on(&mut self, id: Uuid, assignments: Vec<Assignment>) {
        let session = self.sessions.get_mut(&id);
        let handed = Handed { assignments, ..Handed::default() };
        let sent = session.map(|session| session.hand(handed));
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!(session = %id, "nobody follows it: attempts are not passed on");
        }
    }

    /// Slots are lent to a lent session: what waits takes them.
    pub(super) fn lend(&mut self, id: Uuid, slots: usize, reply: Reply<()>) {
        let session = self.sessions.get_mut(&id);
        let lent = session.and_then(|session| session.lent.as_mut());
        let Some(lent) = lent else {
            let _ = reply.send(Err(Error::SessionNotFound));
            return;
        };
        lent.credit += slots;
        lent.since_ms = now_ms();
        self.hungry.insert(id);
        self.idle_lent.insert(id);
        let _ = reply.send(Ok(()));
    }

    /// Gives back what was lent and nobody wants.
    pub(super) fn return_idle(&mut self) {
        for id in self.idle_lent.drain() {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let Some(lent) = session.lent.as_mut() else { continue };
            let returned = std::mem::take(&mut lent.credit);
            if returned > 0 {
                // If nobody follows it any more, the next one is told what it holds.
                let _ = session.hand(Handed { returned, ..Handed::default() });
            }
        }
    }
}
