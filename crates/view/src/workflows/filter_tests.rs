use planaria_proto::workflow::v1::TaskRun;
use proptest::prelude::*;

use super::*;

fn started() -> impl Strategy<Value = Started> {
    let moment = proptest::option::of(-1_000_000_000_000i64..10_000_000_000_000);
    prop_oneof![
        Just(Started::Ever),
        (0..PRESETS.len()).prop_map(|index| Started::Last(PRESETS[index].2)),
        (moment.clone(), moment).prop_map(|bounds| match bounds {
            (None, None) => Started::Ever,
            (after, before) => Started::Between(after, before),
        }),
    ]
}

fn definition_parts() -> impl Strategy<Value = Definition> {
    ("[a-z0-9-]{0,8}", "[a-z0-9-]{0,8}", "([0-9]{1,3}\\.[0-9]\\.[0-9](-rc\\.1\\+b)?)?")
        .prop_map(|(namespace, name, version)| Definition { namespace, name, version })
}

fn filters() -> impl Strategy<Value = WorkflowFilter> {
    let phases = proptest::sample::subsequence(PHASES.to_vec(), 0..=PHASES.len());
    let marks = any::<(bool, bool, bool)>();
    (phases, definition_parts(), started(), marks, ".{0,24}").prop_map(
        |(phases, definition, started, marks, text)| WorkflowFilter {
            phases,
            definition,
            started,
            retrying: marks.0,
            waiting_for_worker: marks.1,
            frozen: marks.2,
            text,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(filter in filters()) {
        let query = filter.to_query();
        prop_assert!(query.is_ascii() && !query.contains(' ') && !query.contains('#'));
        prop_assert_eq!(WorkflowFilter::from_query(&query), filter);
    }

    #[test]
    fn no_address_is_too_odd(query in ".{0,80}") {
        let read = WorkflowFilter::from_query(&query);
        // What was understood is written as it was understood.
        prop_assert_eq!(WorkflowFilter::from_query(&read.to_query()), read);
    }

    #[test]
    fn what_the_mesh_is_asked_for_has_the_moments(at in -5_000_000_000_000i64..5_000_000_000_000) {
        let filter = WorkflowFilter {
            started: Started::Between(Some(at), None),
            ..WorkflowFilter::default()
        };
        prop_assert_eq!(words::millis(&filter.request(0).started_after.unwrap()), at);
    }
}

fn workflow() -> Workflow {
    Workflow {
        id: "01a2-w1".into(),
        definition: Some(DefinitionReference {
            namespace: "shop".into(),
            name: "order".into(),
            version: "1.0.0".into(),
        }),
        phase: Phase::Running as i32,
        started_at: Some(timestamp(50_000)),
        waiting_for: "a worker of Charge-card".into(),
        ..Workflow::default()
    }
}

#[test]
fn an_address_for_people() {
    let address = "?phase=faulted,running&definition=shop/order:1.0.0&since=1h&retrying=yes";
    let filter = WorkflowFilter::from_query(address);
    assert_eq!(filter.phases, [Phase::Running, Phase::Faulted]);
    assert_eq!(filter.definition.to_string(), "shop/order:1.0.0");
    assert_eq!((filter.started, filter.retrying), (Started::Last(3600), true));
    assert_eq!(WorkflowFilter::from_query("text=50%+off%21").text, "50% off!");
    assert_eq!(WorkflowFilter::default().to_query(), "");
}

#[test]
fn definitions_are_told_apart_by_their_parts() {
    for (text, parts) in [
        ("order", ("", "order", "")),
        ("shop/", ("shop", "", "")),
        ("order:2.0.0", ("", "order", "2.0.0")),
        (" shop/order:1.0.0 ", ("shop", "order", "1.0.0")),
    ] {
        let Ok(read) = text.parse::<Definition>();
        let (namespace, name, version) = parts;
        assert_eq!((&*read.namespace, &*read.name, &*read.version), (namespace, name, version));
    }
}

#[test]
fn one_workflow_is_judged_as_the_mesh_would() {
    let holds = |query: &str, workflow: &Workflow| {
        WorkflowFilter::from_query(query).holds(workflow, 60_000)
    };
    for query in ["", "phase=running", "definition=shop/order", "since=15m", "after=50000"] {
        assert_eq!(holds(query, &workflow()), Some(true), "{query}");
    }
    for query in ["phase=faulted", "definition=x/", "before=50000", "retrying=yes", "frozen=yes"] {
        assert_eq!(holds(query, &workflow()), Some(false), "{query}");
    }
    assert_eq!(holds("waiting=yes", &workflow()), None);
    let retried = TaskRun { state: "retrying".into(), ..TaskRun::default() };
    let retrying = Workflow { tasks: vec![retried], ..workflow() };
    assert_eq!(holds("retrying=yes", &retrying), Some(true));
}

#[test]
fn the_text_is_sought_in_what_is_seen() {
    for (text, found) in
        [("", true), ("W1", true), ("shop/ORDER:1", true), ("charge", true), ("x", false)]
    {
        let filter = WorkflowFilter { text: text.into(), ..WorkflowFilter::default() };
        assert_eq!(filter.text_holds(&workflow()), found, "{text}");
    }
}
