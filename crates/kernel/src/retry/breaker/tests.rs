//! The matrix of states and events, and what holds whatever happens.

use expect_test::expect_file;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000_000;
const POLICY: BreakerPolicy = BreakerPolicy {
    failures_in_row: 10,
    failures_percent: 50,
    calls_min: 20,
    window_ms: 30_000,
    open_ms: 15_000,
    open_ms_max: 120_000,
    probes: 5,
    probes_passed: 4,
    probes_ms_max: 30_000,
};

fn ended(outcome: Outcome, started_at_ms: u64) -> BreakerEvent {
    BreakerEvent::Ended { outcome, started_at_ms }
}

fn show(breaker: &Breaker) -> String {
    // Times as differences: they are what matters.
    let off = |ms: u64| i128::from(ms) - i128::from(NOW);
    match breaker {
        Breaker::Closed(closed) => {
            let (calls, failures) = closed.window.sums(POLICY.window_ms, NOW);
            let row = closed.failures_in_row;
            let since =
                if closed.since_ms == 0 { "ever".into() } else { off(closed.since_ms).to_string() };
            format!("closed since {since}, {failures} of {calls} failed, {row} in a row")
        }
        Breaker::Open(open) => {
            format!(
                "open the {}. time since {} until {}",
                open.times,
                off(open.since_ms),
                off(open.until_ms)
            )
        }
        Breaker::HalfOpen(half) => format!(
            "half open since {} after {} openings, {} taken, {} passed, {} failed, until {}",
            off(half.since_ms),
            half.times,
            half.taken,
            half.passed,
            half.failed,
            off(half.until_ms)
        ),
    }
}

fn closed(calls: u32, failures: u32, failures_in_row: u32) -> Breaker {
    let mut window = Window::default();
    window.add(POLICY.window_ms, NOW - 1_000, (calls, failures));
    Breaker::Closed(Closed { since_ms: NOW - 60_000, failures_in_row, window })
}

fn half_open(taken: u32, passed: u32, failed: u32) -> Breaker {
    let (since_ms, until_ms) = (NOW - 30_000, NOW);
    Breaker::HalfOpen(HalfOpen { since_ms, times: 1, taken, passed, failed, until_ms })
}

#[test]
fn every_event_in_every_state() {
    let open = |times, until_ms| Breaker::Open(Open { since_ms: NOW - 20_000, until_ms, times });
    let states = [
        ("closed, fresh", Breaker::default()),
        ("closed, nine failures in a row", closed(10, 9, 9)),
        ("closed, nineteen calls, half failed", closed(19, 9, 1)),
        ("open, not over", open(1, NOW + 1)),
        ("open, over", open(4, NOW)),
        ("half open, fresh", half_open(0, 0, 0)),
        ("half open, all probes taken", half_open(5, 3, 1)),
    ];
    let events = [
        ended(Outcome::Answered, NOW - 500),
        ended(Outcome::Failed, NOW - 500),
        ended(Outcome::Neutral, NOW - 500),
        ended(Outcome::Answered, NOW - 90_000),
        ended(Outcome::Failed, NOW - 90_000),
        BreakerEvent::ProbesWanted(0),
        BreakerEvent::ProbesWanted(3),
        BreakerEvent::ProbesWanted(50),
        BreakerEvent::TimePassed,
        BreakerEvent::Reset,
    ];
    let mut table = String::new();
    for (title, state) in &states {
        table += &format!("{title}: {}\n", show(state));
        for event in events {
            let name = match event {
                BreakerEvent::Ended { outcome, started_at_ms } => {
                    format!("Ended {outcome:?}, started {} before", NOW - started_at_ms)
                }
                other => format!("{other:?}"),
            };
            let step = state.clone().apply(&POLICY, event, NOW, 1 << 63);
            let effect = step.effect.map_or_else(|| "-".into(), |effect| format!("{effect:?}"));
            table += &format!("  {name}: {effect}\n    {}\n", show(&step.next));
        }
    }
    expect_file!["testdata/matrix.txt"].assert_eq(&table);
}

#[test]
fn an_opening_doubles_up_to_its_limit() {
    let lengths: Vec<u64> = (1..7).map(|times| open_ms(&POLICY, times, 0)).collect();
    assert_eq!(lengths, [15_000, 30_000, 60_000, 120_000, 120_000, 120_000]);
    assert_eq!(open_ms(&POLICY, 1, u64::MAX), 18_000);
    assert_eq!(open_ms(&POLICY, u32::MAX, 0), 120_000);
}

fn events() -> impl Strategy<Value = Vec<(u64, BreakerEvent)>> {
    let outcome = prop_oneof![
        3 => Just(Outcome::Failed), 2 => Just(Outcome::Answered), 1 => Just(Outcome::Neutral)
    ];
    let event = prop_oneof![
        8 => (outcome, 0..40_000_u64)
            .prop_map(|(outcome, ago)| ended(outcome, ago)),
        2 => (0..8_u32).prop_map(BreakerEvent::ProbesWanted),
        2 => Just(BreakerEvent::TimePassed),
        1 => Just(BreakerEvent::Reset),
    ];
    prop::collection::vec((0..6_000_u64, event), 1..200)
}

proptest! {
    #[test]
    fn what_holds_whatever_happens(events in events(), bits: u64) {
        let mut now_ms = NOW;
        let mut breaker = Breaker::default();
        for (pause, event) in events {
            now_ms += pause;
            let event = match event {
                BreakerEvent::Ended { outcome, started_at_ms: ago_ms } => {
                    ended(outcome, now_ms - ago_ms)
                }
                other => other,
            };
            let before = breaker.clone();
            let step = breaker.apply(&POLICY, event, now_ms, bits);
            match (&before, &step.next) {
                (Breaker::Open(open), Breaker::HalfOpen(_)) => {
                    prop_assert!(now_ms >= open.until_ms);
                }
                (Breaker::Open(_), Breaker::Closed(_)) => {
                    prop_assert_eq!(event, BreakerEvent::Reset);
                }
                (Breaker::Closed(_), Breaker::HalfOpen(_)) => {
                    prop_assert!(false, "a phase was skipped");
                }
                (Breaker::HalfOpen(half), Breaker::Open(open)) => {
                    prop_assert_eq!(open.times, half.times + 1);
                }
                (Breaker::Closed(_), Breaker::Open(open)) => {
                    prop_assert_eq!(open.times, 1);
                    prop_assert!(open.until_ms >= now_ms + POLICY.open_ms);
                    prop_assert!(open.until_ms <= now_ms + POLICY.open_ms * 6 / 5);
                }
                _ => {}
            }
            // Open lets nothing through, half open no more than its probes.
            match (&before, step.effect) {
                (Breaker::Open(_), Some(BreakerEffect::Probes(_))) => prop_assert!(false, "leaks"),
                (Breaker::HalfOpen(half), Some(BreakerEffect::Probes(count))) => {
                    prop_assert!(half.taken + count <= POLICY.probes);
                }
                _ => {}
            }
            // A change of phase is told, and nothing else is.
            let changed = std::mem::discriminant(&before) != std::mem::discriminant(&step.next);
            let told = matches!(step.effect, Some(BreakerEffect::Opened | BreakerEffect::Closed));
            prop_assert!(!changed || step.effect.is_some());
            prop_assert!(!told || changed);
            breaker = step.next;
        }
    }

    /// A far side that never answers opens it after ten calls, and keeps it open but for probes.
    #[test]
    fn a_dead_far_side_gets_ten_calls_and_then_probes(bits: u64, openings in 1..8_u32) {
        let mut breaker = Breaker::default();
        let mut now_ms = NOW;
        let mut calls = 0;
        for _ in 0..openings {
            while !matches!(breaker, Breaker::Open(_)) {
                calls += 1;
                let event = BreakerEvent::ProbesWanted(1);
                breaker = breaker.apply(&POLICY, event, now_ms, bits).next;
                let event = ended(Outcome::Failed, now_ms);
                breaker = breaker.apply(&POLICY, event, now_ms, bits).next;
            }
            now_ms = breaker.deadline_ms().unwrap();
            breaker = breaker.apply(&POLICY, BreakerEvent::TimePassed, now_ms, bits).next;
        }
        prop_assert_eq!(calls, 10 + 2 * (openings - 1));
    }
}

/// Pseudo-random bits, the same for the same seed (Vigna, "splitmix64").
fn draws(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}

/// In how many of 1 000 minutes a breaker opens whose far side fails so many of ten calls a second
/// per hundred; and how many of those that open are closed again by their first probes.
fn minutes_that_open(failing_percent: u64) -> (u32, u32) {
    let policy = BreakerPolicy::default();
    let (mut opened, mut closed) = (0, 0);
    for seed in 0..1_000 {
        let mut draw = draws(seed);
        let mut breaker = Breaker::default();
        let mut now_ms = NOW;
        let mut call = |breaker: Breaker, now_ms: u64| {
            let failed = draw() % 100 < failing_percent;
            let outcome = if failed { Outcome::Failed } else { Outcome::Answered };
            breaker.apply(&policy, ended(outcome, now_ms), now_ms, draw()).next
        };
        while now_ms < NOW + 60_000 && matches!(breaker, Breaker::Closed(_)) {
            now_ms += 100;
            breaker = call(breaker, now_ms);
        }
        let Breaker::Open(open) = breaker else { continue };
        opened += 1;
        let half_open =
            Breaker::Open(open).apply(&policy, BreakerEvent::TimePassed, open.until_ms, 0);
        let mut breaker = half_open.next;
        for _ in 0..policy.probes {
            if matches!(breaker, Breaker::HalfOpen(_)) {
                breaker = call(breaker, open.until_ms);
            }
        }
        closed += u32::from(matches!(breaker, Breaker::Closed(_)));
    }
    (opened, closed)
}

#[test]
fn what_mostly_answers_stays_in_use_and_what_mostly_fails_does_not() {
    let (opened, _) = minutes_that_open(30);
    assert!(opened < 15, "{opened} of 1 000 minutes with 30 failures of 100 calls");
    let (opened, closed) = minutes_that_open(70);
    assert_eq!(opened, 1_000, "70 failures of 100 calls");
    assert!(closed < 200, "{closed} of 1 000 breakers closed while 70 of 100 calls failed");
}
