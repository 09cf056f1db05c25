//! One holder's side of a limit: what runs, and what it may start until it settles again.

use super::division::{Claim, Grant};

/// What a holder has of one limit.
///
/// Whatever happens to the answers of the others, it keeps two rules: it has never more running
/// than it was granted or kept, and it gives back only what it has stopped using before it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    running: u32,
    /// The most that may run.
    granted: u32,
    /// What is its own as long as others want as much as they do.
    share: u32,
    /// The most that ran since it settled last.
    peak: u32,
}

impl Holder {
    /// A holder of which nothing is known but what it has running: that goes on, and nothing starts
    /// before it has settled.
    #[must_use]
    pub const fn new(running: u32) -> Self {
        Self { running, granted: running, share: 0, peak: running }
    }

    /// Attempts that run.
    #[must_use]
    pub const fn running(&self) -> u32 {
        self.running
    }

    /// How many may start now.
    #[must_use]
    pub fn room(&self) -> u32 {
        self.granted.min(self.share).saturating_sub(self.running)
    }

    /// One starts. The caller has looked whether there is [room](Self::room).
    pub fn start(&mut self) {
        self.running += 1;
        self.peak = self.peak.max(self.running);
    }

    /// One has ended.
    pub const fn end(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// It runs already, whether there is room or not.
    pub fn adopt(&mut self) {
        self.start();
        self.granted = self.granted.max(self.running);
    }

    /// So many run, whatever was counted before.
    pub fn recount(&mut self, running: u32) {
        self.running = running;
        self.peak = self.peak.max(running);
        self.granted = self.granted.max(running);
    }

    /// Whether it has something to give back that others wait for.
    #[must_use]
    pub fn has_surplus(&self) -> bool {
        self.granted > self.running.max(self.share)
    }

    /// What it says when it settles; from now on it keeps to that. What it has used since the last
    /// time it still wants: with many short attempts, what runs at one moment says little.
    pub fn claim(&mut self, waiting: u32) -> Claim {
        let wanted = self.running.saturating_add(waiting).max(self.peak);
        self.peak = self.running;
        self.granted = self.running.max(self.granted.min(self.share).min(wanted));
        Claim { wanted, kept: self.granted }
    }

    /// It has settled.
    pub fn told(&mut self, grant: Grant) {
        self.granted = grant.granted;
        self.share = grant.share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_starts_before_it_has_settled() {
        let mut holder = Holder::new(2);
        assert_eq!(holder.room(), 0);
        holder.end();
        assert_eq!(holder.room(), 0, "nobody knows whether the limit is still the same");
        holder.start();
        assert_eq!(holder.claim(5), Claim { wanted: 7, kept: 2 });
        holder.told(Grant { granted: 4, share: 4 });
        assert_eq!(holder.room(), 2);
    }

    #[test]
    fn what_others_wait_for_is_given_back_as_it_ends() {
        let mut holder = Holder::new(4);
        holder.told(Grant { granted: 4, share: 2 });
        holder.end();
        assert_eq!(holder.room(), 0, "the place is not its own any more");
        assert!(holder.has_surplus());
        assert_eq!(holder.claim(9), Claim { wanted: 12, kept: 3 });
        holder.told(Grant { granted: 3, share: 2 });
        assert!(!holder.has_surplus());
    }

    #[test]
    fn what_was_used_lately_is_kept_for_once() {
        let mut holder = Holder::new(0);
        holder.told(Grant { granted: 3, share: 3 });
        for _ in 0..3 {
            holder.start();
        }
        for _ in 0..3 {
            holder.end();
        }
        assert_eq!(holder.claim(0), Claim { wanted: 3, kept: 3 });
        assert_eq!(holder.claim(0), Claim { wanted: 0, kept: 0 });
        assert_eq!(holder.room(), 0);
    }
}
