//! What the order of waiting tasks promises, tried with random loads.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Shares, turn_ms};

const STEP_MS: u64 = 10_000;

/// Tasks of one millisecond each, one after the other: a stream of priority `high` keeps the worker
/// busy, one task of priority `low` comes at `at_ms`. How long that waits.
fn waited_ms(low: i32, high: i32, at_ms: u64, backlog: u64) -> u64 {
    let mut waiting: BTreeSet<(i64, u64)> = BTreeSet::new();
    for number in 0..backlog {
        waiting.insert((turn_ms(0, high, STEP_MS), number));
    }
    for now_ms in 0.. {
        waiting.insert((turn_ms(now_ms, high, STEP_MS), backlog + now_ms));
        if now_ms == at_ms {
            waiting.insert((turn_ms(now_ms, low, STEP_MS), u64::MAX));
        }
        if waiting.pop_first().is_some_and(|(_, number)| number == u64::MAX) {
            return now_ms - at_ms;
        }
    }
    unreachable!("time has no end")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The number of steps between two priorities bounds what the lower one waits for the higher.
    #[test]
    fn a_low_priority_waits_for_a_bounded_time(
        low in -3..3_i32, above in 0..4_i32, at_ms in 0..500_u64, backlog in 0..500_u64,
    ) {
        let waited = waited_ms(low, low + above, at_ms, backlog);
        let steps = u64::from(above.unsigned_abs());
        prop_assert!(waited <= steps * STEP_MS + backlog + 1, "{waited} ms");
        // And priority counts: nothing that comes within the steps is overtaken.
        prop_assert!(waited >= steps * STEP_MS, "{waited} ms");
    }

    /// Whatever the backlogs are: of what several want, none gets more than its share and two.
    #[test]
    fn each_gets_its_share(
        backlogs in prop::collection::vec(1..2_000_u32, 2..6), handed in 1..3_000_u32,
    ) {
        let mut shares = Shares::default();
        let mut left: BTreeMap<String, u32> = BTreeMap::new();
        for (number, backlog) in backlogs.iter().enumerate() {
            left.insert(number.to_string(), *backlog);
            shares.join(&number.to_string());
        }
        let mut got: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..handed {
            let next = left.keys().min_by_key(|name| shares.pass(name)).cloned();
            let Some(next) = next else { break };
            if left.len() > 1 {
                shares.charge(&next);
            }
            *got.entry(next.clone()).or_default() += 1;
            if let Some(rest) = left.get_mut(&next) {
                *rest -= 1;
            }
            if left[&next] == 0 {
                left.remove(&next);
                shares.leave(&next);
            }
            // Of two who still want, none is ahead by more than one.
            let count = |name: &String| got.get(name).copied().unwrap_or_default();
            if left.len() > 1 {
                let most = left.keys().map(count).max().unwrap_or_default();
                let least = left.keys().map(count).min().unwrap_or_default();
                prop_assert!(most - least <= 1, "{got:?}");
            }
        }
    }

    /// One with a single task now and then waits for one of each other at most, however much they
    /// have.
    #[test]
    fn a_noisy_neighbour_delays_nobody(pauses in prop::collection::vec(1..50_u32, 1..50)) {
        let mut shares = Shares::default();
        for name in ["noisy", "loud"] {
            shares.join(name);
        }
        for pause in pauses {
            for _ in 0..pause {
                let next = ["noisy", "loud"].into_iter().min_by_key(|name| shares.pass(name));
                shares.charge(next.expect("two"));
            }
            shares.join("quiet");
            let mut before = 0;
            loop {
                // The others have waited longer: a tie is theirs.
                let all = ["noisy", "loud", "quiet"];
                let next = all.into_iter().min_by_key(|name| shares.pass(name)).expect("three");
                shares.charge(next);
                if next == "quiet" {
                    break;
                }
                before += 1;
            }
            shares.leave("quiet");
            prop_assert!(before <= 4, "{before} went first");
        }
    }
}
