//! Suspects are tried apart: who is lost with whatever kills its worker is charged like it, and
//! only a loss without company tells the culprit.
//!
//! Suspects go only to workers that are kept for them, and begin there in batches, the smaller the
//! more often they were lost; the next batch may begin when the last has outlived its probation.
//! Workers under load are never empty by chance: one that comes back from its end is kept at once,
//! one that has work is emptied where suspects have waited for long.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use planaria_runtime::clock::now_ms;
use tokio::time::Instant;
use uuid::Uuid;

use super::Engine;
use super::entry::Evidence;
use super::lane::Asked;
use super::route::Route;
use super::session::{NOT_SENT, Running, Session};
use crate::store::Trial;

/// Suspects begin together that come within this.
const BATCH_MS: u64 = 100;

/// A worker that has work is emptied for suspects only if no empty one came for so long: who died
/// of one is mostly back sooner.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked after who tries suspects, while anybody does.
const TRIALS: Duration = Duration::from_millis(50);

impl Session {
    /// How much it has to do, for whichever shard.
    fn load(&self) -> usize {
        self.running.len() + self.out.values().sum::<usize>()
    }

    /// Whether a suspect may be tried on its worker now: with nothing else, as far as is known, or
    /// with its like, in the batch that begins. What runs on a lent one is not known for sure.
    pub(super) fn may_try(&self, trial: Trial) -> bool {
        if self.load() == 0 {
            return true;
        }
        if !self.is_whole() || self.running.values().any(|running| running.trial.is_none()) {
            return false;
        }
        let now_ms = now_ms();
        let on_probation = self.on_probation(now_ms);
        let (count, batch_max) = on_probation.fold((0, trial.batch_max), |(count, max), other| {
            (count + 1, other.trial.map_or(max, |trial| trial.batch_max.min(max)))
        });
        let begins = |running: &Running| now_ms.saturating_sub(running.since_ms) <= BATCH_MS;
        count < usize::from(batch_max) && self.on_probation(now_ms).all(begins)
    }

    /// The suspects that have not been tried for long enough, at some time in Unix milliseconds.
    fn on_probation(&self, at_ms: u64) -> impl Iterator<Item = &Running> {
        self.running.values().filter(move |running| running.is_on_probation(at_ms))
    }

    /// What its worker's end at a time says of each of its attempts. What was not sent to it killed
    /// nobody.
    pub(super) fn evidence(&self, at_ms: u64) -> impl Fn(&Running) -> Evidence + use<> {
        let is_known = self.lent.is_none() && self.is_whole();
        let sent = || self.running.values().filter(|running| running.was_sent());
        let is_one = sent().count() == 1;
        let is_trial = sent().all(|running| running.trial.is_some());
        let tried = sent().filter(|running| running.is_on_probation(at_ms)).count();
        move |running| match (tried, running.is_on_probation(at_ms)) {
            _ if !is_known || !running.was_sent() => Evidence::Company,
            _ if is_one => Evidence::Against,
            (1, true) if is_trial => Evidence::Against,
            (1.., false) if is_trial => Evidence::Cleared,
            _ => Evidence::Company,
        }
    }

    /// Whether none of its slots is at another shard.
    fn is_whole(&self) -> bool {
        self.load() == self.running.len()
    }

    /// What it has to do beside suspects.
    fn others(&self) -> usize {
        let suspects = self.running.values().filter(|running| running.trial.is_some());
        self.load() - suspects.count()
    }
}

impl Running {
    const fn was_sent(&self) -> bool {
        self.attempt != 0 && self.since_ms != NOT_SENT
    }

    /// Whether it is a suspect that has not been tried for long enough.
    fn is_on_probation(&self, at_ms: u64) -> bool {
        // Who is not sent yet has not begun.
        let has_run_ms = at_ms.saturating_sub(self.since_ms);
        self.trial.is_some_and(|trial| has_run_ms < trial.probation_ms)
    }
}

impl Engine {
    /// Keeps workers free for the suspects that wait: one for each batch, but never more than half
    /// of those that could run them, or one if that is all. Suspects go nowhere else.
    pub(super) fn keep_for_suspects(&mut self) {
        let now_ms = now_ms();
        let mut keep: HashSet<Uuid> = HashSet::new();
        let (mut is_on, mut lacks) = (false, false);
        let is_patient = self.lacking_since.is_none_or(|since| since.elapsed() < PATIENCE);
        for (_, function, route) in self.routes.iter() {
            for (asked, waiting) in route.suspects() {
                is_on = true;
                let able = self.able(route, function, asked);
                let most = able.len().div_ceil(2);
                let (taken, mut free): (Vec<_>, Vec<_>) =
                    able.into_iter().partition(|(id, _)| keep.contains(id));
                let is_ready = |session: &Session| session.is_apart || session.others() == 0;
                free.retain(|(_, session)| is_ready(session) || !is_patient);
                free.sort_by_key(|(_, session)| {
                    let tries = session.on_probation(now_ms).count();
                    (!session.is_apart, session.others(), tries)
                });
                let batch_max = asked.trial.map_or(1, |trial| usize::from(trial.batch_max));
                let batches = waiting.div_ceil(batch_max);
                let count = batches.min(most.saturating_sub(taken.len()));
                lacks |= count > free.len();
                keep.extend(free.iter().take(count).map(|(id, _)| *id));
            }
        }
        for (id, session) in &mut self.sessions {
            let is_kept = keep.contains(id);
            let was_apart = session.is_apart;
            session.is_apart =
                is_kept || (was_apart && session.on_probation(now_ms).next().is_some());
            is_on |= session.is_apart;
            if is_kept || was_apart != session.is_apart {
                self.hungry.insert(*id);
            }
        }
        self.lacking_since = lacks.then(|| self.lacking_since.unwrap_or_else(Instant::now));
        self.next_trials = is_on.then(|| Instant::now() + TRIALS);
    }

    /// The sessions that could run a route's suspects.
    fn able(&self, route: &Route, function: &str, asked: &Asked) -> Vec<(Uuid, &Session)> {
        let offer = route.sessions.iter().filter_map(|id| Some((*id, self.sessions.get(id)?)));
        offer
            .filter(|(_, session)| session.is_up() && session.can_run(function, asked))
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
        let may_try = || asked.trial.is_none() || self.may_try(session, sessions);
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

#[cfg(test)]
mod tests {
    use planaria_kernel::workflow::FrameId;
    use planaria_proto::task::v1::OpenSessionRequest;

    use super::*;
    use crate::store::TaskKey;

    const DIED_MS: u64 = 10_000;

    fn session(is_lent: bool, running: &[Running]) -> Session {
        let mut session = Session::new(&OpenSessionRequest::default(), is_lent, 0);
        for (number, running) in running.iter().enumerate() {
            let frame = FrameId(u32::try_from(number).expect("a few"));
            session.hold(TaskKey { workflow: Uuid::nil(), frame }, *running);
        }
        session
    }

    fn says(session: &Session, running: &[Running]) -> Vec<Evidence> {
        running.iter().map(session.evidence(DIED_MS)).collect()
    }

    #[test]
    fn an_end_speaks_against_who_began_last_and_for_who_had_outlived_it() {
        use Evidence::{Against, Cleared, Company};
        let running = |trial, since_ms| Running { attempt: 1, since_ms, missed: 0, trial };
        let trial = Some(Trial { batch_max: 8, probation_ms: 300 });
        let (new, old) = (running(trial, DIED_MS - 299), running(trial, DIED_MS - 300));
        let normal = running(None, DIED_MS - 10);
        let reserved = Running { attempt: 0, ..new };
        let unsent = running(trial, NOT_SENT);
        for (running, expected) in [
            (vec![normal], vec![Against]),
            (vec![old], vec![Against]),
            (vec![new, new], vec![Company, Company]),
            (vec![new, old, old], vec![Against, Cleared, Cleared]),
            (vec![new, new, old], vec![Company, Company, Cleared]),
            (vec![old, old], vec![Company, Company]),
            // With what is above suspicion beside them nobody was tried.
            (vec![new, normal], vec![Company, Company]),
            (vec![new, old, normal], vec![Company, Company, Company]),
            // What was not sent did not do it, and is no reason to acquit another.
            (vec![old, reserved], vec![Against, Company]),
            (vec![new, unsent], vec![Against, Company]),
            (vec![old, old, unsent], vec![Company, Company, Company]),
        ] {
            assert_eq!(says(&session(false, &running), &running), expected, "{running:?}");
            // Nobody knows what else a worker had that another shard lent.
            let unknown = vec![Company; expected.len()];
            assert_eq!(says(&session(true, &running), &running), unknown, "{running:?}");
        }
    }
}
