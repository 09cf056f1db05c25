//! Who may have how much of a limit: holders (shards) settle one after the other, each with what
//! all of them said last.

/// What a holder says of itself when it settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// As many as it could use now: what runs and what waits.
    pub wanted: u32,
    /// As many as it keeps: never less than what runs, never more than it was granted before.
    pub kept: u32,
}

/// What another holder said when it settled last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// As many as it could use.
    pub wanted: u32,
    /// As many as it was granted.
    pub granted: u32,
}

/// What a holder has after it settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// As many as it holds, at every time until it settles again.
    pub granted: u32,
    /// As many as it may use. What it holds beyond that it is to give back as soon as it can:
    /// others wait for it, or the limit was lowered.
    pub share: u32,
}

/// Settles one holder of a limit of `total`.
///
/// `others` are all other holders in an order that all agree on, and `place` is where this one
/// stands among them. What does not come out even goes to those that `turn` names: it moves on with
/// time, so that with more holders than there is to hold each gets something now and then.
///
/// If every holder settles alone, keeps to what it was granted, and `kept` is no more than that,
/// then the sum of all grants never rises above `total`.
#[must_use]
pub fn settle(total: u32, claim: Claim, others: &[Held], place: usize, turn: u64) -> Grant {
    let mut wants: Vec<u32> = others.iter().map(|other| other.wanted).collect();
    let place = place.min(wants.len());
    wants.insert(place, claim.wanted);
    let taken = others.iter().fold(0_u32, |sum, other| sum.saturating_add(other.granted));
    let share = divide(total, &wants, turn)[place].min(total.saturating_sub(taken));
    Grant { granted: share.max(claim.kept), share }
}

/// Divides `total` over wants, max-min fair: nobody gets more than it wants, and nobody gets less
/// than another but for wanting less, or for a rest of one each that goes round with `turn`.
#[must_use]
pub fn divide(total: u32, wants: &[u32], turn: u64) -> Vec<u32> {
    let mut shares = vec![0; wants.len()];
    let mut left = total;
    loop {
        let open: Vec<usize> = (0..wants.len()).filter(|at| shares[*at] < wants[*at]).collect();
        let count = u32::try_from(open.len()).unwrap_or(u32::MAX);
        if count == 0 || left == 0 {
            return shares;
        }
        let each = left / count;
        if each == 0 {
            // Fewer are left than there are who want one: whose turn it is has one.
            let first = usize::try_from(turn % u64::from(count)).unwrap_or_default();
            for at in open.iter().cycle().skip(first).take(left as usize) {
                shares[*at] += 1;
            }
            return shares;
        }
        for at in open {
            let more = each.min(wants[at] - shares[at]);
            shares[at] += more;
            left -= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_little_gets_it_and_the_rest_is_equal() {
        assert_eq!(divide(10, &[2, 100, 100], 0), [2, 4, 4]);
        assert_eq!(divide(10, &[1, 2, 3], 0), [1, 2, 3]);
        assert_eq!(divide(0, &[1, 2], 0), [0, 0]);
        assert_eq!(divide(5, &[], 0), Vec::<u32>::new());
        assert_eq!(divide(u32::MAX, &[u32::MAX, 1], 0), [u32::MAX - 1, 1]);
    }

    #[test]
    fn a_rest_goes_round() {
        assert_eq!(divide(4, &[9, 9, 9], 0), [2, 1, 1]);
        assert_eq!(divide(4, &[9, 9, 9], 1), [1, 2, 1]);
        assert_eq!(divide(1, &[9, 0, 9], 1), [0, 0, 1]);
        assert_eq!(divide(2, &[1, 1, 1], 2), [1, 0, 1]);
    }

    #[test]
    fn nobody_is_granted_what_others_have_not_given_back() {
        let others = [Held { wanted: 9, granted: 4 }];
        let nothing = settle(4, Claim { wanted: 9, kept: 0 }, &others, 1, 0);
        assert_eq!(nothing, Grant { granted: 0, share: 0 });
        let given_back = [Held { wanted: 9, granted: 3 }];
        let one = settle(4, Claim { wanted: 9, kept: 0 }, &given_back, 1, 0);
        assert_eq!(one, Grant { granted: 1, share: 1 });
    }

    #[test]
    fn what_runs_stays_when_the_limit_is_lowered() {
        let others = [Held { wanted: 5, granted: 5 }];
        let kept = settle(2, Claim { wanted: 9, kept: 3 }, &others, 0, 0);
        assert_eq!(kept, Grant { granted: 3, share: 0 });
    }
}
