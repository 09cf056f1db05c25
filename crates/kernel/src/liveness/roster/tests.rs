//! Many workers: whose verdicts are held, and whose must not be.

use proptest::prelude::*;

use super::*;

/// The roster's 3 s of observation are over at 10 s.
const NOW: u64 = 100_000;

fn id(worker: usize) -> String {
    format!("worker-{worker:03}")
}

fn beat(worker: usize, incarnation: &str, stream: u64) -> RosterEvent {
    RosterEvent::Beat(Beat {
        worker_id: id(worker),
        incarnation: incarnation.into(),
        session_id: format!("session-{worker}-{incarnation}"),
        stream,
        first: false,
        attempts: Vec::new(),
    })
}

/// The first beat of a worker's first session.
fn birth(worker: usize) -> RosterEvent {
    match beat(worker, "a", 1) {
        RosterEvent::Beat(beat) => RosterEvent::Beat(Beat { first: true, ..beat }),
        other => other,
    }
}

fn lost(worker: usize, loss: Loss) -> RosterEvent {
    RosterEvent::StreamEnded { session_id: format!("session-{worker}-a"), stream: 1, loss }
}

/// Runs time from `from` to `to`: every tick that is due, and beats of some every 500 ms, each
/// worker at its own offset. Returns the deaths (worker, cause, when).
fn run(
    roster: &mut Roster,
    from: u64,
    to: u64,
    beating: impl Fn(usize, u64) -> bool,
    workers: usize,
) -> Vec<(String, Cause, u64)> {
    let mut deaths = Vec::new();
    for now in from..to {
        let mut effects = Vec::new();
        for worker in 0..workers {
            let offset = (worker as u64 * 137) % 500;
            if now % 500 == offset && beating(worker, now) {
                effects.extend(roster.apply(beat(worker, "a", 1), now));
            }
        }
        if roster.wake_at_ms(now).is_some_and(|at| at <= now) {
            effects.extend(roster.apply(RosterEvent::Tick, now));
            assert!(roster.wake_at_ms(now).is_none_or(|at| at > now), "a tick must make progress");
        }
        deaths.extend(effects.into_iter().filter_map(died));
    }
    deaths
}

fn died(effect: RosterEffect) -> Option<(String, Cause, u64)> {
    match effect {
        RosterEffect::Session { worker_id, effect: SessionEffect::Died(death), .. } => {
            Some((worker_id, death.cause, death.at_ms))
        }
        _ => None,
    }
}

/// `workers` that have beaten for five seconds until `NOW`.
fn beating(workers: usize) -> Roster {
    let mut roster = Roster::new(Policy::default(), NOW - 20_000);
    assert_eq!(run(&mut roster, NOW - 5_000, NOW, |_, _| true, workers), []);
    roster
}

#[test]
fn one_silent_worker_is_dead_in_time_and_the_others_live() {
    let mut roster = beating(4);
    let deaths = run(&mut roster, NOW, NOW + 5_000, |worker, _| worker != 2, 4);
    assert_eq!(deaths.len(), 1, "{deaths:?}");
    assert_eq!((&deaths[0].0, deaths[0].1), (&id(2), Cause::HeartbeatsStopped));
    assert!((NOW + 1_500..NOW + 2_100).contains(&deaths[0].2), "{deaths:?}");
}

#[test]
fn many_silent_workers_are_held_until_the_leases_have_decided() {
    let mut roster = beating(20);
    assert_eq!(run(&mut roster, NOW, NOW + 11_000, |worker, _| worker >= 7, 20), []);
    let deaths = run(&mut roster, NOW + 11_000, NOW + 13_000, |worker, _| worker >= 7, 20);
    assert_eq!(deaths.len(), 7);
}

#[test]
fn silence_of_two_is_no_mass() {
    let mut roster = beating(3);
    let deaths = run(&mut roster, NOW, NOW + 3_000, |worker, _| worker == 0, 3);
    assert_eq!(deaths.len(), 2);
}

#[test]
fn a_reset_is_dead_after_150_ms_but_many_get_a_second() {
    let mut roster = beating(10);
    assert_eq!(roster.apply(lost(0, Loss::Reset), NOW).len(), 1);
    let deaths = run(&mut roster, NOW, NOW + 1_000, |worker, _| worker > 0, 10);
    assert_eq!(deaths, [(id(0), Cause::StreamReset, NOW + 150)]);

    let mut roster = beating(10);
    for worker in 0..4 {
        roster.apply(lost(worker, Loss::Reset), NOW + worker as u64);
    }
    let back = |worker, now| worker > 1 && (worker > 3 || now > NOW + 500);
    let deaths = run(&mut roster, NOW + 4, NOW + 3_000, back, 10);
    // Two came back in time.
    assert_eq!(deaths.len(), 2, "{deaths:?}");
    assert!(deaths.iter().all(|(_, _, at)| (NOW + 1_000..NOW + 1_010).contains(at)));
}

#[test]
fn a_lost_gateway_that_returns_kills_nobody() {
    for workers in [1, 2, 20] {
        let mut roster = beating(workers);
        for worker in 0..workers {
            roster.apply(lost(worker, Loss::Hop), NOW);
        }
        let deaths = run(&mut roster, NOW, NOW + 9_000, |_, now| now > NOW + 5_000, workers);
        assert_eq!(deaths, [], "{workers} workers");
    }
}

#[test]
fn a_newer_incarnation_ends_the_older_at_once_and_its_late_beats_are_refused() {
    let mut roster = beating(1);
    let deaths: Vec<_> = roster.apply(beat(0, "b", 2), NOW).into_iter().filter_map(died).collect();
    assert_eq!(deaths, [(id(0), Cause::NewIncarnation, NOW)]);
    let refused = |effects: Vec<RosterEffect>| {
        matches!(&effects[..], [RosterEffect::Session { effect: SessionEffect::Refused, .. }])
    };
    assert!(refused(roster.apply(beat(0, "a", 1), NOW + 1)));
    assert_eq!(roster.members()[&id(0)].incarnation, "b");
    // The same incarnation opened another session: late beats of the first one are refused too.
    let again = |session: &str| {
        RosterEvent::Beat(Beat {
            worker_id: id(0),
            incarnation: "b".into(),
            session_id: session.into(),
            stream: 3,
            first: false,
            attempts: Vec::new(),
        })
    };
    roster.apply(again("another"), NOW + 2);
    assert_eq!(roster.members()[&id(0)].session_id, "another");
    assert!(refused(roster.apply(beat(0, "b", 2), NOW + 3)));
    // Nobody takes another worker's session.
    assert!(refused(roster.apply(
        RosterEvent::Beat(Beat {
            worker_id: "thief".into(),
            incarnation: "z".into(),
            session_id: "another".into(),
            stream: 4,
            first: false,
            attempts: Vec::new(),
        }),
        NOW + 4,
    )));
}

#[test]
fn a_stalled_detector_looks_on_first() {
    let mut roster = beating(2);
    let woke = NOW + 15_000;
    let effects = roster.apply(RosterEvent::Late { lag_ms: 14_500 }, woke);
    assert!(effects.iter().cloned().filter_map(died).next().is_none(), "{effects:?}");
    assert!(effects.contains(&RosterEffect::Stalled { lag_ms: 14_500 }));
    assert_eq!(run(&mut roster, woke, woke + 8_000, |_, _| true, 2), []);
    // One that does not return after it is dead, once the pause has come down again.
    let mut roster = beating(2);
    roster.apply(RosterEvent::Late { lag_ms: 14_500 }, woke);
    assert_eq!(run(&mut roster, woke, woke + 2_999, |worker, _| worker == 0, 2), []);
    let deaths = run(&mut roster, woke + 2_999, woke + 4_000, |worker, _| worker == 0, 2);
    assert_eq!(deaths.len(), 1);
}

#[test]
fn a_late_look_reads_the_mail_first() {
    let mut roster = beating(1);
    let late = NOW + 2_200;
    assert_eq!(roster.apply(RosterEvent::Tick, late).into_iter().filter_map(died).next(), None);
    assert_eq!(roster.wake_at_ms(late), Some(late + 150));
    let deaths = roster.apply(RosterEvent::Tick, late + 150).into_iter().filter_map(died);
    assert_eq!(deaths.count(), 1);
}

#[test]
fn a_restarted_detector_looks_on_for_three_seconds() {
    let mut roster = Roster::new(Policy::default(), NOW);
    roster.apply(beat(0, "a", 1), NOW + 10);
    roster.apply(lost(0, Loss::Reset), NOW + 20);
    assert_eq!(run(&mut roster, NOW + 20, NOW + 2_999, |_, _| false, 1), []);
    assert_eq!(run(&mut roster, NOW + 2_999, NOW + 3_010, |_, _| false, 1).len(), 1);
}

#[test]
fn a_new_detector_judges_at_once_whom_it_has_heard_from_the_first_beat_on() {
    let mut roster = Roster::new(Policy::default(), NOW);
    roster.apply(birth(0), NOW + 10);
    roster.apply(birth(1), NOW + 10);
    roster.apply(lost(0, Loss::Reset), NOW + 20);
    let deaths = run(&mut roster, NOW + 20, NOW + 2_999, |_, _| false, 2);
    assert_eq!(deaths[0], (id(0), Cause::StreamReset, NOW + 170));
    assert_eq!((&deaths[1].0, deaths[1].1), (&id(1), Cause::HeartbeatsStopped));
    assert_eq!(deaths.len(), 2);
    // Stopped, it has missed something of them too.
    let mut roster = Roster::new(Policy::default(), NOW);
    roster.apply(birth(0), NOW + 10);
    roster.apply(RosterEvent::Late { lag_ms: 1_500 }, NOW + 1_600);
    roster.apply(lost(0, Loss::Reset), NOW + 1_610);
    assert_eq!(run(&mut roster, NOW + 1_610, NOW + 4_599, |_, _| false, 1), []);
    assert_eq!(run(&mut roster, NOW + 4_599, NOW + 4_610, |_, _| false, 1).len(), 1);
}

#[test]
fn of_unknown_sessions_nothing_is_said() {
    let mut roster = beating(1);
    let event = RosterEvent::Ended { session_id: "unknown".into(), left: false };
    assert_eq!(roster.apply(event, NOW), []);
}

#[test]
fn the_ended_are_listed_for_a_while_and_make_room_when_it_is_needed() {
    let policy = Policy { workers_max: 2, ..Policy::default() };
    let mut roster = Roster::new(policy, 0);
    roster.apply(beat(0, "a", 1), NOW);
    roster.apply(beat(1, "a", 1), NOW);
    assert_eq!(roster.apply(beat(2, "a", 1), NOW), [RosterEffect::Full]);
    roster.apply(RosterEvent::Ended { session_id: "session-0-a".into(), left: true }, NOW);
    let effects = roster.apply(beat(2, "a", 1), NOW);
    assert_eq!(effects[0], RosterEffect::Removed { worker_id: id(0) });
    assert_eq!(roster.members().len(), 2);

    roster.apply(RosterEvent::Ended { session_id: "session-1-a".into(), left: false }, NOW);
    run(&mut roster, NOW, NOW + 100, |worker, _| worker == 2, 3);
    let effects = roster.apply(RosterEvent::Tick, NOW + 600_000);
    assert!(effects.contains(&RosterEffect::Removed { worker_id: id(1) }), "{effects:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the number of workers and of the silent ones: silence of a mass is held, of a
    /// minority is not.
    #[test]
    fn hold_rule(workers in 1_usize..40, silent in 1_usize..40) {
        let silent = silent.min(workers);
        let mut roster = beating(workers);
        let deaths = run(&mut roster, NOW, NOW + 4_000, |worker, _| worker >= silent, workers);
        let mass = Policy::default().is_mass(silent, workers);
        prop_assert_eq!(deaths.len(), if mass { 0 } else { silent });
    }

    /// Any order of events leaves the indexes in step with the members.
    #[test]
    fn indexes_agree(events in prop::collection::vec((0_usize..5, 0_u8..7, 0_u64..900), 0..120)) {
        let mut roster = Roster::new(Policy { workers_max: 4, ..Policy::default() }, 0);
        let mut now = 0;
        for (worker, kind, pause) in events {
            now += pause;
            let session_id = format!("session-{worker}-a");
            roster.apply(match kind {
                0 | 1 => beat(worker, "a", 1),
                2 => beat(worker, "b", 2),
                3 => lost(worker, Loss::Reset),
                4 => RosterEvent::Ended { session_id, left: pause % 2 == 0 },
                5 => RosterEvent::Late { lag_ms: pause * 3 },
                _ => RosterEvent::Tick,
            }, now);
            prop_assert_eq!(roster.agenda.len(), roster.members.len());
            prop_assert_eq!(roster.sessions.len(), roster.members.len());
            for (id, member) in &roster.members {
                prop_assert!(roster.agenda.contains(&(member.due_ms, id.clone())));
                prop_assert_eq!(roster.sessions.get(&member.session_id), Some(id));
            }
        }
    }
}
