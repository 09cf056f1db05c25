//! What the observations of a session amount to, and when that can change.

use super::{Cause, Conditions, Loss, Policy, Verdict, Watch};

impl Watch {
    /// The verdict, what speaks for it, and since when (milliseconds).
    #[must_use]
    pub fn judge(
        &self,
        policy: &Policy,
        conditions: &Conditions,
        now: u64,
    ) -> (Verdict, Cause, u64) {
        if let Some((cause, since)) = self.evidence() {
            let over = now >= self.evidence_decides_ms(since, conditions);
            return (if over { Verdict::Dead } else { Verdict::Suspect }, cause, since);
        }
        let last = self.estimator.last_ms();
        let verdict = self.estimator.verdict(policy, conditions.pause_factor, now);
        if verdict == Verdict::Dead && now >= self.silence_decides_ms(policy, conditions) {
            return (Verdict::Dead, Cause::HeartbeatsStopped, last);
        }
        let hop = matches!(self.lost, Some((Loss::Hop, _)));
        let cause = if hop { Cause::HopLost } else { Cause::HeartbeatsStopped };
        let suspect = verdict != Verdict::Alive;
        (if suspect { Verdict::Suspect } else { Verdict::Alive }, cause, last)
    }

    /// When the verdict changes next if nothing happens.
    #[must_use]
    pub fn next_change_ms(&self, policy: &Policy, conditions: &Conditions, now: u64) -> u64 {
        if let Some((_, since)) = self.evidence() {
            return self.evidence_decides_ms(since, conditions);
        }
        let factor = conditions.pause_factor;
        let suspect = self.estimator.reaches_ms(policy, factor, policy.phi_suspect);
        if now < suspect { suspect } else { self.silence_decides_ms(policy, conditions) }
    }

    /// Since when and why the worker seems to have gone.
    #[must_use]
    pub fn evidence(&self) -> Option<(Cause, u64)> {
        let (loss, at) = self.lost?;
        match loss {
            Loss::Reset => Some((Cause::StreamReset, at)),
            Loss::Closed => Some((Cause::StreamClosed, at)),
            Loss::Connection => Some((Cause::ConnectionLost, at)),
            Loss::Hop => None,
        }
    }

    /// Whether the connection of the gateway between was lost, with nothing heard since.
    #[must_use]
    pub fn hop_lost(&self) -> bool {
        matches!(self.lost, Some((Loss::Hop, _)))
    }

    fn evidence_decides_ms(&self, since: u64, conditions: &Conditions) -> u64 {
        (since + conditions.resume_ms).max(self.observe_until_ms(conditions))
    }

    fn silence_decides_ms(&self, policy: &Policy, conditions: &Conditions) -> u64 {
        let factor = conditions.pause_factor;
        let dead = self.estimator.reaches_ms(policy, factor, policy.phi_dead);
        let grace = match self.lost {
            Some((Loss::Hop, at)) => at + policy.hop_grace_ms,
            _ => 0,
        };
        dead.max(grace).max(self.observe_until_ms(conditions)).max(conditions.hold_until_ms)
    }
}
