//! The matrix of states and events, and the rules one by one.

use expect_test::expect_file;

use super::*;

const NOW: u64 = 100_000;

fn conditions() -> Conditions {
    Conditions {
        pause_factor: 1,
        observe_until_ms: 0,
        start_until_ms: 0,
        hold_until_ms: 0,
        resume_ms: 150,
    }
}

fn beat(stream: u64) -> SessionEvent {
    SessionEvent::Beat { stream, attempts: Vec::new() }
}

fn ended(loss: Loss) -> SessionEvent {
    SessionEvent::StreamEnded { stream: 1, loss }
}

/// A session that beat until `NOW` on stream 1, then had the events at the given times.
fn session(events: &[(u64, SessionEvent)]) -> SessionLiveness {
    let policy = Policy::default();
    let mut state = SessionLiveness::first(&policy, 1, Vec::new(), false, NOW - 10_000);
    let beats = (1..=20).map(|beat_number| (NOW - 10_000 + beat_number * 500, beat(1)));
    for (at, event) in beats.chain(events.iter().cloned()) {
        state = state.apply(event, &policy, &conditions(), at).next;
    }
    state
}

fn after(events: &[(u64, SessionEvent)], event: SessionEvent, at: u64) -> Step {
    session(events).apply(event, &Policy::default(), &conditions(), at)
}

fn name(state: &SessionLiveness) -> String {
    match state {
        SessionLiveness::Alive(_) => "Alive".into(),
        SessionLiveness::Suspect(_, cause) => format!("Suspect({cause:?})"),
        SessionLiveness::Dead(death) => format!("Dead({:?})", death.cause),
        SessionLiveness::Left { .. } => "Left".into(),
    }
}

#[test]
fn every_event_in_every_state() {
    let silent = NOW + 1_900;
    let states: [(&str, Vec<(u64, SessionEvent)>); 6] = [
        ("alive", vec![]),
        ("alive, gateway lost", vec![(NOW, ended(Loss::Hop))]),
        ("suspect by silence", vec![(silent, SessionEvent::Tick)]),
        ("suspect by evidence", vec![(silent, ended(Loss::Reset))]),
        ("dead", vec![(silent, SessionEvent::Superseded)]),
        ("left", vec![(silent, SessionEvent::Ended { left: true })]),
    ];
    let events = [
        beat(1),
        beat(2),
        ended(Loss::Reset),
        ended(Loss::Closed),
        ended(Loss::Connection),
        ended(Loss::Hop),
        SessionEvent::StreamEnded { stream: 0, loss: Loss::Reset },
        SessionEvent::Superseded,
        SessionEvent::Ended { left: true },
        SessionEvent::Ended { left: false },
        SessionEvent::Tick,
    ];
    let mut table = String::new();
    for (title, past) in &states {
        table += &format!("{title}\n");
        let quick = if past.iter().all(|(at, _)| *at == NOW) { NOW + 100 } else { silent + 50 };
        for event in &events {
            let step = after(past, event.clone(), quick);
            let late = after(past, event.clone(), NOW + 9_000);
            table += &format!(
                "  {event:?}\n    soon: {} {:?}\n    9 s later: {} {:?}\n",
                name(&step.next),
                step.effects,
                name(&late.next),
                late.effects,
            );
        }
    }
    expect_file!["../testdata/session_matrix.txt"].assert_eq(&table);
}

#[test]
fn evidence_decides_after_150_ms() {
    for loss in [Loss::Reset, Loss::Closed, Loss::Connection] {
        let lost = [(NOW + 10, ended(loss))];
        assert!(after(&lost, SessionEvent::Tick, NOW + 159).next.watch().is_some(), "{loss:?}");
        let step = after(&lost, SessionEvent::Tick, NOW + 160);
        let [SessionEffect::Died(death)] = &step.effects[..] else { panic!("{step:?}") };
        assert_eq!((death.signal_ms, death.at_ms), (NOW + 10, NOW + 160));
    }
}

#[test]
fn a_resume_within_150_ms_is_life() {
    let step = after(
        &[(NOW + 10, ended(Loss::Reset)), (NOW + 150, beat(2))],
        ended(Loss::Reset),
        NOW + 500,
    );
    assert!(matches!(step.next, SessionLiveness::Alive(_)), "{step:?}");
    // The end of the old stream may be seen after the beginning of the new one.
    let step = after(
        &[(NOW + 10, beat(2)), (NOW + 20, ended(Loss::Reset))],
        SessionEvent::Tick,
        NOW + 500,
    );
    assert!(matches!(step.next, SessionLiveness::Alive(_)), "{step:?}");
}

#[test]
fn a_lost_gateway_decides_nothing_for_its_grace() {
    let lost = [(NOW, ended(Loss::Hop))];
    let step = after(&lost, SessionEvent::Tick, NOW + 5_999);
    assert_eq!(name(&step.next), "Suspect(HopLost)");
    assert_eq!(
        name(&after(&lost, SessionEvent::Tick, NOW + 6_000).next),
        "Dead(HeartbeatsStopped)"
    );
}

#[test]
fn conditions_hold_verdicts_and_move_the_next_change() {
    let policy = Policy::default();
    let hold = Conditions { hold_until_ms: NOW + 20_000, ..conditions() };
    let step = session(&[]).apply(SessionEvent::Tick, &policy, &hold, NOW + 15_000);
    assert_eq!(name(&step.next), "Suspect(HeartbeatsStopped)");
    let watch = step.next.watch().unwrap();
    assert_eq!(watch.next_change_ms(&policy, &hold, NOW + 15_000), NOW + 20_000);
    for observe in [
        Conditions { observe_until_ms: NOW + 3_000, ..conditions() },
        Conditions { start_until_ms: NOW + 3_000, ..conditions() },
    ] {
        let lost = session(&[(NOW, ended(Loss::Reset))]);
        let step = lost.apply(SessionEvent::Tick, &policy, &observe, NOW + 2_999);
        assert_eq!(name(&step.next), "Suspect(StreamReset)");
        let step = step.next.apply(SessionEvent::Tick, &policy, &observe, NOW + 3_000);
        assert_eq!(name(&step.next), "Dead(StreamReset)");
    }
}

#[test]
fn the_verdict_changes_when_it_was_said_to() {
    let policy = Policy::default();
    for past in [vec![], vec![(NOW, ended(Loss::Hop))], vec![(NOW, ended(Loss::Closed))]] {
        let mut state = session(&past);
        let mut changes = Vec::new();
        while let Some(watch) = state.watch() {
            let from = changes.last().map_or(NOW, |(at, _)| *at);
            let at = watch.next_change_ms(&policy, &conditions(), from);
            let early = state.clone().apply(SessionEvent::Tick, &policy, &conditions(), at - 1);
            assert_eq!(early.effects, [], "{past:?} changed before {at}");
            let step = state.apply(SessionEvent::Tick, &policy, &conditions(), at);
            assert_eq!(step.effects.len(), 1, "{past:?} did not change at {at}");
            changes.push((at, name(&step.next)));
            state = step.next;
        }
        assert!(changes.len() <= 2);
    }
}

#[test]
fn stalls_are_told_with_the_beat_that_shows_them() {
    let inventory = |count| SessionEvent::Beat {
        stream: 1,
        attempts: vec![AttemptReport {
            attempt_id: "a".into(),
            progress_count: count,
            progress_timeout_ms: Some(1_000),
        }],
    };
    let past = [(NOW, inventory(1)), (NOW + 500, inventory(1))];
    let step = after(&past, inventory(1), NOW + 1_000);
    assert_eq!(step.effects, [SessionEffect::Stalled("a".into(), NOW)]);
    assert_eq!(after(&past, inventory(2), NOW + 1_000).effects, []);
}
