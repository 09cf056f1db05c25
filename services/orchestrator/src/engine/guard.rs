//! Who looks for a task, and what may go: one session at one function of one namespace.

use std::collections::HashMap;

use uuid::Uuid;

use super::lane::{Asked, LaneKey, Parked, Waiting};
use super::permits::Permits;
use super::route::Route;
use super::session::Session;
use crate::gates::Gates;

/// What is asked of a session that looks for a task, and of what holds tasks back.
pub(crate) trait Guard {
    /// Whether anything of the function may start at all.
    fn admits_all(&mut self) -> bool;
    /// Whether the tasks of a lane may start.
    fn admits(&mut self, asked: &Asked, lane: &LaneKey) -> bool;
    /// Whether the session can execute what asks for this.
    fn fits(&self, asked: &Asked) -> bool;
    /// Whether the session should leave a task to another one, which is free.
    fn avoids(&self, asked: &Asked, task: &Waiting) -> bool;
}

/// What holds tasks back.
pub(crate) struct Doorkeeper<'a> {
    pub(crate) gates: &'a Gates,
    pub(crate) permits: &'a mut Permits,
}

/// The doorkeeper at one namespace's tasks of one route.
pub(crate) struct Door<'a, 'b> {
    pub(crate) keeper: &'a mut Doorkeeper<'b>,
    pub(crate) queue: &'a str,
    pub(crate) function: &'a str,
    pub(crate) namespace: &'a str,
    /// The session that looks, and those that offer the route. Without one, all fit.
    pub(crate) seeker: Option<Seeker<'a>>,
}

/// A session that looks for a task.
#[derive(Clone, Copy)]
pub(crate) struct Seeker<'a> {
    pub(crate) id: Uuid,
    pub(crate) session: &'a Session,
    pub(crate) sessions: &'a HashMap<Uuid, Session>,
    pub(crate) route: &'a Route,
}

impl Door<'_, '_> {
    fn parked(&self, lane: Option<(&Asked, &LaneKey)>) -> Parked {
        Parked {
            queue: self.queue.to_owned(),
            function: self.function.to_owned(),
            namespace: self.namespace.to_owned(),
            lane: lane.map(|(asked, lane)| (asked.clone(), lane.clone())),
        }
    }
}

impl Guard for Door<'_, '_> {
    fn admits_all(&mut self) -> bool {
        let of = (self.namespace, self.function);
        let Some(lacking) = self.keeper.permits.lacks(of, None, true) else { return true };
        let parked = self.parked(None);
        self.keeper.permits.park(lacking, parked);
        false
    }

    fn admits(&mut self, asked: &Asked, lane: &LaneKey) -> bool {
        let destination = lane.destination.as_deref();
        if !self.keeper.gates.passes(self.namespace, self.function, destination) {
            return false;
        }
        let (of, values) = ((self.namespace, self.function), lane.values.as_deref());
        let Some(lacking) = self.keeper.permits.lacks(of, values, false) else { return true };
        let parked = self.parked(Some((asked, lane)));
        self.keeper.permits.park(lacking, parked);
        false
    }

    fn fits(&self, asked: &Asked) -> bool {
        self.seeker.is_none_or(|seeker| {
            seeker.route.fits(seeker.session, seeker.sessions, (self.function, asked))
        })
    }

    fn avoids(&self, asked: &Asked, task: &Waiting) -> bool {
        let Some(Seeker { id, session, sessions, route }) = self.seeker else { return false };
        if task.avoid.as_deref() != Some(&*session.worker) {
            return false;
        }
        let others = route.sessions.iter().filter(|other| **other != id);
        let mut others = others.filter_map(|other| sessions.get(other));
        others.any(|other| {
            other.free() > 0
                && other.is_for(self.namespace)
                && route.fits(other, sessions, (self.function, asked))
        })
    }
}
