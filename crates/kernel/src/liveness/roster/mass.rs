//! What many workers do at once is more likely our fault, or a proxy's, than theirs.

use super::{Conditions, Member, Roster, RosterEffect};

impl Roster {
    /// The conditions as of now; if they changed, everyone's next change has moved.
    pub(super) fn renew_conditions(&mut self, now: u64) {
        let resume_ms = if now < self.mass_reset_until_ms {
            self.policy.resume_ms_mass
        } else {
            self.policy.resume_ms
        };
        let conditions = Conditions {
            pause_factor: self.own_health.pause_factor(now),
            observe_until_ms: self.own_health.observe_until_ms(),
            start_until_ms: self.own_health.start_until_ms(),
            hold_until_ms: self.hold_until_ms,
            resume_ms,
        };
        if conditions != self.conditions {
            self.conditions = conditions;
            let watched = self.members.iter().filter(|(_, member)| is_watched(member));
            let ids: Vec<String> = watched.map(|(id, _)| id.clone()).collect();
            for id in ids {
                self.plan(&id, now);
            }
        }
    }

    /// When the conditions change next by themselves.
    pub(super) fn condition_changes_ms(&self, now: u64) -> Option<u64> {
        let reset = Some(self.mass_reset_until_ms).filter(|at| now < *at);
        [self.own_health.factor_changes_ms(now), reset].into_iter().flatten().min()
    }

    /// Asked before a verdict for silence: holds all of them if too many fell silent with it.
    pub(super) fn hold_for_mass_silence(&mut self, now: u64) -> Option<RosterEffect> {
        let (mut silent, mut watched) = (0, 0);
        for watch in self.members.values().filter_map(|member| member.liveness.watch()) {
            watched += 1;
            let pause_ms = self.policy.pause_ms * self.conditions.pause_factor;
            // Overdue, though perhaps not suspect yet: their beats are not in step.
            let overdue =
                watch.estimator.last_ms() + watch.estimator.mean_ms() as u64 + pause_ms / 2;
            let window_ms = if watch.hop_lost() {
                // Silent together because of one gateway, however long ago that was.
                self.policy.hold_ms
            } else {
                self.policy.mass_window_ms * self.conditions.pause_factor
            };
            silent += usize::from(overdue <= now && now - overdue <= window_ms);
        }
        if !self.policy.is_mass(silent, watched) {
            return None;
        }
        self.hold_until_ms = now + self.policy.hold_ms;
        self.renew_conditions(now);
        Some(RosterEffect::Held { silent, watched })
    }

    /// After the loss of a stream: if many were lost just now, a proxy may have reset them, and
    /// their workers get longer to come back.
    pub(super) fn watch_for_mass_resets(&mut self, now: u64) {
        let (mut lost, mut watched) = (0, 0);
        for watch in self.members.values().filter_map(|member| member.liveness.watch()) {
            watched += 1;
            let recent = |since: u64| now - since.min(now) <= self.policy.mass_window_ms;
            lost += usize::from(watch.evidence().is_some_and(|(_, since)| recent(since)));
        }
        if self.policy.is_mass(lost, watched) {
            self.mass_reset_until_ms = now + self.policy.mass_window_ms;
            self.renew_conditions(now);
        }
    }
}

fn is_watched(member: &Member) -> bool {
    member.liveness.watch().is_some()
}
