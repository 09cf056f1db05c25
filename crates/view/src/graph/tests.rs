use proptest::prelude::*;

use super::*;
use crate::document::{Case, Part, Then};

type Rectangle = (f64, f64, f64, f64);

fn rectangle(node: &Node) -> Rectangle {
    (node.x, node.y, node.x + node.width, node.y + node.height)
}

fn apart(a: Rectangle, b: Rectangle) -> bool {
    a.2 <= b.0 || b.2 <= a.0 || a.3 <= b.1 || b.3 <= a.1
}

fn holds(outer: Rectangle, inner: Rectangle) -> bool {
    outer.0 <= inner.0 && outer.1 <= inner.1 && inner.2 <= outer.2 && inner.3 <= outer.3
}

/// Two tasks overlap only where one is in the other, and all is within the drawing.
fn check(graph: &Graph) {
    let all = (0.0, 0.0, graph.width, graph.height);
    for (index, a) in graph.nodes.iter().enumerate() {
        assert!(holds(all, rectangle(a)), "{} sticks out", a.reference);
        for b in &graph.nodes[index + 1..] {
            let inside = b.reference.starts_with(&format!("{}/", a.reference));
            let fine = if inside {
                holds(rectangle(a), rectangle(b)) && b.y >= a.y + NODE_HEIGHT
            } else {
                apart(rectangle(a), rectangle(b))
            };
            assert!(fine, "{} and {}", a.reference, b.reference);
        }
    }
    for pill in &graph.pills {
        let place = (pill.x, pill.y - 11.0, pill.x + pill.width, pill.y + 11.0);
        assert!(holds(all, place), "{} sticks out", pill.text);
        let leaves = graph.nodes.iter().filter(|node| !node.is_box);
        assert!(leaves.clone().all(|node| apart(rectangle(node), place)), "{}", pill.text);
    }
    for edge in &graph.edges {
        for &(x, y) in &edge.points {
            assert!(holds(all, (x, y, x, y)), "{} to {} sticks out", edge.from, edge.to);
        }
        // Nothing runs across a task that it neither leaves nor enters.
        for ends in edge.points.windows(2) {
            let (x, y) = (ends[0].0.min(ends[1].0), ends[0].1.min(ends[1].1));
            let line = (x, y, ends[0].0.max(ends[1].0), ends[0].1.max(ends[1].1));
            let others = graph.nodes.iter().filter(|node| !node.is_box);
            let others = others.filter(|node| ![&edge.from, &edge.to].contains(&&node.reference));
            for node in others {
                assert!(
                    apart(rectangle(node), line),
                    "{} to {} crosses {}",
                    edge.from,
                    edge.to,
                    node.reference
                );
            }
        }
    }
}

fn drawn(source: &str) -> Graph {
    let graph = Graph::new(&Document::read(source.as_bytes()).expect("readable"));
    check(&graph);
    graph
}

#[test]
fn branches_stand_side_by_side() {
    let graph = drawn(
        "do: [ { all: { fork: { branches: [
            { a: { call: x } }, { b: { call: x } }, { c: { call: x } } ] } } } ]",
    );
    let of = |name: &str| graph.nodes.iter().find(|node| node.name == name).expect("there");
    assert_eq!((of("a").y, of("b").y), (of("b").y, of("c").y));
    assert!(of("a").x < of("b").x && of("b").x < of("c").x);
    assert_eq!(graph.beside(&of("a").reference, (1, 0)), Some(of("b")));
    assert_eq!(graph.beside(&of("b").reference, (0, -1)), Some(of("all")));
    assert_eq!(graph.beside(&of("a").reference, (-1, 0)), None);
}

#[test]
fn a_switch_leads_where_its_cases_say() {
    let graph = drawn(
        "do:
  - choose:
      switch:
        - yes: { when: x, then: approve }
        - later: { when: y, then: wait }
        - stop: { when: z, then: end }
        - otherwise: { then: refuse }
  - approve: { set: { a: 1 }, then: end }
  - refuse: { set: { a: 2 } }
  - wait: { wait: PT1S, then: choose }
",
    );
    let ways: Vec<_> = graph
        .edges
        .iter()
        .filter(|edge| edge.from == "/do/0/choose" && !edge.to.is_empty())
        .map(|edge| (&*edge.to, edge.label.as_ref().map_or("", |label| &*label.0)))
        .collect();
    let told = [("/do/1/approve", "yes"), ("/do/3/wait", "later"), ("/do/2/refuse", "otherwise")];
    assert_eq!(ways.len(), 3);
    assert!(told.iter().all(|way| ways.contains(way)), "{ways:?}");
    assert_eq!(
        graph.pills.iter().map(|pill| &*pill.text).collect::<Vec<_>>(),
        ["stop: end", "end"]
    );
    // Nothing falls through from approve to refuse, and the last one goes back.
    assert!(!graph.edges.iter().any(|edge| edge.from == "/do/1/approve" && !edge.to.is_empty()));
    assert!(graph.edges.iter().any(|edge| edge.from == "/do/3/wait" && edge.to == "/do/0/choose"));
}

#[test]
fn a_catch_stands_beside_what_is_tried() {
    let graph = drawn(
        "do: [ { pay: {
            try: [ { charge: { call: x } } ], catch: { do: [ { note: { set: { a: 1 } } } ] } } } ]",
    );
    assert_eq!(graph.zones.iter().map(|zone| zone.label).collect::<Vec<_>>(), ["try", "catch"]);
    assert!(graph.edges.iter().any(|edge| edge.dashed && edge.to == "/do/0/pay/catch/do/0/note"));
}

#[test]
fn paths_have_round_corners() {
    let points = vec![(0.0, 0.0), (20.0, 0.0), (20.0, 20.0)];
    let edge = Edge { points, label: None, from: String::new(), to: String::new(), dashed: false };
    assert_eq!(edge.path(), "M0.0 0.0L12.0 0.0Q20.0 0.0 20.0 8.0L20.0 20.0");
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Call), Just(Kind::Set), Just(Kind::Wait), Just(Kind::Raise)]
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        4 => Just(Then::Continue),
        1 => Just(Then::Exit),
        1 => Just(Then::End),
        3 => (0u8..6).prop_map(|to| Then::Task(format!("t{to}"))),
    ]
}

fn task() -> impl Strategy<Value = Task> {
    let cases = proptest::collection::vec((then(), any::<bool>()), 0..4);
    let leaf =
        (kind(), then(), cases, any::<bool>()).prop_map(|(kind, then, cases, conditional)| {
            let switch = !cases.is_empty();
            Task {
                reference: String::new(),
                name: String::new(),
                kind: if switch { Kind::Switch } else { kind },
                detail: String::new(),
                lines: (1, 1),
                conditional,
                then,
                catch_then: Then::Continue,
                cases: cases
                    .into_iter()
                    .map(|(then, conditional)| Case { name: "a case".into(), conditional, then })
                    .collect(),
                parts: Vec::new(),
            }
        });
    leaf.prop_recursive(3, 40, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 1..5);
        let box_kind =
            prop_oneof![Just(Kind::Do), Just(Kind::For), Just(Kind::Fork), Just(Kind::Try)];
        (inner, box_kind, proptest::collection::vec(list, 1..4)).prop_map(
            |(mut task, kind, parts)| {
                (task.kind, task.cases) = (kind, Vec::new());
                let label = |index| match (kind, index) {
                    (Kind::Try, 0) => "try",
                    (Kind::Try, _) => "catch",
                    _ => "",
                };
                task.parts = parts
                    .into_iter()
                    .enumerate()
                    .map(|(index, tasks)| Part { label: label(index), tasks })
                    .collect();
                task
            },
        )
    })
}

fn named(tasks: &mut [Task], reference: &str) {
    for (index, task) in tasks.iter_mut().enumerate() {
        task.name = format!("t{index}");
        task.reference = format!("{reference}/{index}/{}", task.name);
        for (number, part) in task.parts.iter_mut().enumerate() {
            named(&mut part.tasks, &format!("{}/{number}", task.reference));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn nothing_overlaps(mut tasks in proptest::collection::vec(task(), 1..7)) {
        named(&mut tasks, "/do");
        check(&Graph::new(&Document { tasks }));
    }
}
