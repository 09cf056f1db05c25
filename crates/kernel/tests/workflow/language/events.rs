//! `emit` and `listen`.

use planaria_kernel::Json;
use planaria_kernel::definition::Read;
use planaria_kernel::workflow::{ErrorObject, Input, Rejected};
use serde_json::{Value, json};

use super::start;
use crate::definition::{Task, Work, call, set, task};
use crate::shell::Shell;
use crate::toy::{Expression, equal, literal, path};

fn listen(name: &str, filter: Expression) -> Task {
    task(name, Work::Listen { filter, read: Read::Data })
}

fn of_type(kind: &str) -> Expression {
    equal(path(".type"), literal(json!(kind)))
}

fn signal(shell: &mut Shell, id: &str, event: &Value) -> Result<(), Rejected> {
    let event = Json::from_value(event);
    shell.apply(Input::Signal { id: id.to_owned(), event }).map(|_| ())
}

fn publish(shell: &mut Shell, id: &str, event: &Value) -> Result<(), Rejected> {
    let event = Json::from_value(event);
    shell.apply(Input::Publish { id: id.to_owned(), event }).map(|_| ())
}

#[test]
fn a_listen_takes_the_event_that_its_filter_wants() {
    let mut shell = start(vec![listen("wait", of_type("paid"))], &json!({}));
    signal(&mut shell, "1", &json!({ "type": "other", "data": 1 })).unwrap();
    signal(&mut shell, "2", &json!({ "type": "paid", "data": { "sum": 7 } })).unwrap();
    assert_eq!(shell.output(), json!([{ "sum": 7 }]));
}

#[test]
fn an_earlier_signal_waits_for_the_listen() {
    let mut shell = start(vec![call("a"), listen("wait", of_type("paid"))], &json!({}));
    signal(&mut shell, "1", &json!({ "type": "paid", "data": "first" })).unwrap();
    signal(&mut shell, "2", &json!({ "type": "paid", "data": "second" })).unwrap();
    shell.returns("a", &json!(1));
    assert_eq!(shell.output(), json!(["first"]));
}

#[test]
fn an_earlier_signal_is_found_though_a_value_is_pending_after_the_listen_began() {
    let branches = vec![listen("wait", of_type("paid")), set("other", literal(json!(0)))];
    let tasks = vec![call("a"), task("fork", Work::Fork { branches, compete: false })];
    let mut shell = start(tasks, &json!({}));
    signal(&mut shell, "1", &json!({ "type": "paid", "data": 1 })).unwrap();
    shell.evaluator.pending_max = 5;
    shell.returns("a", &json!(1));
    assert!(shell.pendings > 0);
    assert_eq!(shell.output(), json!([[1], 0]));
}

#[test]
fn an_event_that_is_too_deep_is_a_fault() {
    // The event goes around its data, and a list goes around it where somebody listens.
    for (levels, fits) in [(Json::EVENT_DEPTH_MAX - 1, true), (Json::EVENT_DEPTH_MAX, false)] {
        let data = (0..levels).fold(json!(1), |inner, _| json!([inner]));
        let event = literal(json!({ "type": "deep", "data": data }));
        let shell = start(vec![task("tell", Work::Emit(event))], &json!({}));
        if fits {
            assert_eq!(shell.output()["data"], data);
        } else {
            assert_eq!(shell.error().kind, ErrorObject::LIMIT);
        }
    }
}

#[test]
fn each_event_goes_to_one_listen() {
    let branches = vec![listen("first", of_type("x")), listen("second", of_type("x"))];
    let tasks = vec![task("fork", Work::Fork { branches, compete: false })];
    let mut shell = start(tasks, &json!({}));
    signal(&mut shell, "1", &json!({ "type": "x", "data": 1 })).unwrap();
    signal(&mut shell, "2", &json!({ "type": "x", "data": 2 })).unwrap();
    assert_eq!(shell.output(), json!([[1], [2]]));
}

#[test]
fn the_same_signal_twice_is_one() {
    let mut shell = start(vec![listen("a", of_type("x")), listen("b", of_type("x"))], &json!({}));
    let event = json!({ "type": "x", "data": 1 });
    signal(&mut shell, "1", &event).unwrap();
    assert_eq!(signal(&mut shell, "1", &event), Err(Rejected::KnownEvent));
    assert_eq!(publish(&mut shell, "1", &event), Err(Rejected::KnownEvent));
    signal(&mut shell, "2", &event).unwrap();
    assert_eq!(shell.output(), json!([1]));
}

#[test]
fn a_published_event_is_for_whoever_listens_now() {
    let mut shell = start(vec![call("a"), listen("wait", of_type("x"))], &json!({}));
    let event = json!({ "type": "x", "data": 1 });
    assert_eq!(publish(&mut shell, "1", &event), Err(Rejected::NobodyListens));
    shell.returns("a", &json!(1));
    let other = json!({ "type": "y" });
    assert_eq!(publish(&mut shell, "2", &other), Err(Rejected::NobodyListens));
    publish(&mut shell, "1", &event).unwrap();
    assert_eq!(shell.output(), json!([1]));
}

#[test]
fn the_inbox_has_a_limit() {
    let mut shell = start(vec![call("a")], &json!({}));
    shell.limits.inbox_events_max = 2;
    signal(&mut shell, "1", &json!({})).unwrap();
    signal(&mut shell, "2", &json!({})).unwrap();
    assert_eq!(signal(&mut shell, "3", &json!({})), Err(Rejected::InboxFull));
}

#[test]
fn a_listen_reads_data_or_the_whole_envelope() {
    let event = json!({ "type": "x", "data": 1 });
    for (read, expected) in
        [(Read::Data, json!([1])), (Read::Raw, json!([1])), (Read::Envelope, json!([event]))]
    {
        let listen = task("wait", Work::Listen { filter: of_type("x"), read });
        let mut shell = start(vec![listen], &json!({}));
        signal(&mut shell, "1", &event).unwrap();
        assert_eq!(shell.output(), expected);
    }
}

#[test]
fn a_change_of_the_context_may_make_an_event_wanted() {
    let wants = equal(path("$context.wanted"), path(".type"));
    let export = call("a").export_as(literal(json!({ "wanted": "x" })));
    let branches = vec![listen("wait", wants), export];
    let tasks = vec![task("fork", Work::Fork { branches, compete: false })];
    let mut shell = start(tasks, &json!({}));
    signal(&mut shell, "1", &json!({ "type": "x", "data": 1 })).unwrap();
    shell.returns("a", &json!(2));
    assert_eq!(shell.output(), json!([[1], 2]));
}

#[test]
fn a_suspended_workflow_keeps_signals_until_it_is_resumed() {
    let mut shell = start(vec![listen("wait", of_type("x"))], &json!({}));
    shell.apply(Input::Suspend { reason: "hold".to_owned() }).unwrap();
    let event = json!({ "type": "x", "data": 1 });
    signal(&mut shell, "1", &event).unwrap();
    let refused = Err(Rejected::PhaseInvalid { phase: "suspended" });
    assert_eq!(publish(&mut shell, "2", &event), refused);
    shell.apply(Input::Resume).unwrap();
    assert_eq!(shell.output(), json!([1]));
}

#[test]
fn an_emit_publishes_a_whole_cloud_event_and_yields_it() {
    let attributes = json!({ "type": "shipped", "data": { "n": 1 } });
    let shell = start(vec![task("tell", Work::Emit(literal(attributes)))], &json!({}));
    let expected = json!({
        "id": "w-2",
        "source": "/workflows/w",
        "specversion": "1.0",
        "time": "1970-01-01T00:16:40.000Z",
        "type": "shipped",
        "data": { "n": 1 },
    });
    assert_eq!(shell.output(), expected);
    let published: Vec<Value> = shell.published.iter().map(Json::to_value).collect();
    assert_eq!(published, [expected]);
}

#[test]
fn an_emit_keeps_what_the_author_said() {
    let attributes = json!({ "id": "mine", "source": "urn:me", "time": "then", "type": "t" });
    let shell = start(vec![task("tell", Work::Emit(literal(attributes)))], &json!({}));
    let output = shell.output();
    assert_eq!(output["id"], json!("mine"));
    assert_eq!((&output["source"], &output["time"]), (&json!("urn:me"), &json!("then")));
    let error = start(vec![task("tell", Work::Emit(literal(json!(3))))], &json!({})).error();
    assert!(error.kind.ends_with("/errors/expression"));
}

#[test]
fn an_event_that_a_fault_kept_from_its_listen_is_taken_after_the_retry() {
    let bad = task("bad", Work::Raise(literal(json!({ "type": "urn:bad", "status": 400 }))));
    let branches = vec![listen("wait", of_type("x")), bad];
    let fork = task("fork", Work::Fork { branches, compete: false });
    for by_hand in [false, true] {
        let mut shell = start(vec![call("a"), fork.clone()], &json!({}));
        signal(&mut shell, "1", &json!({ "type": "x", "data": 1 })).unwrap();
        shell.returns("a", &json!(0));
        assert_eq!(shell.error().kind, "urn:bad");
        if by_hand {
            let frame = shell.frame("bad");
            let reason = "by hand".to_owned();
            shell.apply(Input::Skip { frame, output: None, reason }).unwrap();
            assert_eq!(shell.output(), json!([[1], 0]));
        } else {
            shell.apply(Input::Retry { reason: "again".to_owned() }).unwrap();
            assert_eq!(shell.error().kind, "urn:bad");
        }
    }
}
