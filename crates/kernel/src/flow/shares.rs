//! Fair shares by stride scheduling (Waldspurger and Weihl, 1995): those who want the same thing
//! get it in turn, however much each of them wants.

use std::collections::BTreeMap;

/// How far a hand-out moves the pass of who gets it.
const STRIDE: u64 = 1;

/// Who shares something, and how much of it each has had.
///
/// Everyone has a *pass*; whoever wants something and has the least pass is next, which moves the
/// pass on. Only what somebody else wanted too is [charged](Shares::charge). Who comes back after
/// having wanted nothing begins where those who want are: being idle earns no credit.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    names: BTreeMap<String, Share>,
    /// The pass of the last who was charged, before that.
    now: u64,
}

#[derive(Clone, Debug)]
struct Share {
    pass: u64,
    /// Places where it wants something; 0 = it is idle.
    places: u32,
}

impl Shares {
    /// A name begins to want something in one more place.
    pub fn join(&mut self, name: &str) {
        if let Some(share) = self.names.get_mut(name).filter(|share| share.places > 0) {
            share.places += 1;
            return;
        }
        let wanting = self.names.values().filter(|share| share.places > 0);
        let least = wanting.map(|share| share.pass).min().unwrap_or(self.now);
        if let Some(share) = self.names.get_mut(name) {
            *share = Share { pass: share.pass.max(least), places: 1 };
            return;
        }
        // Of the idle, only those who had more than others must be remembered.
        self.names.retain(|_, share| share.places > 0 || share.pass > least);
        self.names.insert(name.to_owned(), Share { pass: least, places: 1 });
    }

    /// A name wants nothing more in one of its places.
    pub fn leave(&mut self, name: &str) {
        if let Some(share) = self.names.get_mut(name) {
            share.places = share.places.saturating_sub(1);
        }
    }

    /// The pass of a name; of those who want the same, the least is next.
    #[must_use]
    pub fn pass(&self, name: &str) -> u64 {
        self.names.get(name).map_or(self.now, |share| share.pass)
    }

    /// A name got something that others wanted too.
    pub fn charge(&mut self, name: &str) {
        if let Some(share) = self.names.get_mut(name) {
            self.now = share.pass;
            share.pass = share.pass.saturating_add(STRIDE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    /// Hands out one after the other among those named. Who got them.
    fn hand_out<'a>(shares: &mut Shares, wanting: &[&'a str], times: usize) -> Vec<&'a str> {
        let hand = |_| {
            let next = wanting.iter().min_by_key(|name| shares.pass(name)).expect("somebody");
            shares.charge(next);
            *next
        };
        (0..times).map(hand).collect()
    }

    #[test]
    fn two_who_want_get_in_turn() {
        let mut shares = Shares::default();
        shares.join("a");
        shares.join("b");
        assert_eq!(hand_out(&mut shares, &["a", "b"], 4), ["a", "b", "a", "b"]);
    }

    #[test]
    fn who_was_idle_has_no_credit() {
        let mut shares = Shares::default();
        for name in ["a", "b", "c"] {
            shares.join(name);
        }
        shares.leave("c");
        hand_out(&mut shares, &["a", "b"], 1_000);
        shares.join("c");
        let got = hand_out(&mut shares, &["a", "b", "c"], 30);
        assert_eq!(got.iter().filter(|name| **name == "c").count(), 10);
    }

    #[test]
    fn who_had_more_than_others_does_not_lose_that_by_leaving() {
        let mut shares = Shares::default();
        shares.join("a");
        shares.join("b");
        shares.charge("a");
        shares.leave("a");
        shares.join("a");
        assert_eq!(hand_out(&mut shares, &["a", "b"], 2), ["b", "a"]);
    }

    #[test]
    fn the_first_to_come_back_does_not_find_the_past() {
        let mut shares = Shares::default();
        shares.join("a");
        shares.join("b");
        shares.leave("b");
        shares.join("c");
        hand_out(&mut shares, &["a", "c"], 1_000);
        shares.leave("a");
        shares.leave("c");
        // Nobody wants anything: whoever comes first is where the others were, not where it was.
        shares.join("b");
        shares.join("a");
        let got = hand_out(&mut shares, &["a", "b"], 10);
        assert_eq!(got.iter().filter(|name| **name == "a").count(), 5);
    }

    #[test]
    fn who_wants_in_two_places_is_idle_after_leaving_both() {
        let mut shares = Shares::default();
        for name in ["a", "b", "b", "c"] {
            shares.join(name);
        }
        shares.leave("b");
        hand_out(&mut shares, &["a", "c"], 10);
        // It wanted all the time: it is owed what it did not get.
        assert_eq!(hand_out(&mut shares, &["a", "b", "c"], 5), ["b"; 5]);
        shares.leave("b");
        hand_out(&mut shares, &["a", "c"], 10);
        shares.join("b");
        let got = hand_out(&mut shares, &["a", "b", "c"], 3);
        assert_eq!(got.iter().filter(|name| **name == "b").count(), 1);
    }

    #[test]
    fn the_idle_are_forgotten() {
        let mut shares = Shares::default();
        shares.join("stays");
        for number in 0..10_000 {
            let name = number.to_string();
            shares.join(&name);
            shares.leave(&name);
        }
        assert!(shares.names.len() <= 2, "{}", shares.names.len());
    }
}
