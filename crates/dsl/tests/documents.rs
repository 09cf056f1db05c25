//! What is wrong with a document is said with its place; what is right becomes the right graph.

use std::fmt::Write as _;

use expect_test::{expect, expect_file};
use planaria_dsl::{Limits, compile, compile_within};
use planaria_kernel::definition::{Backoff, DurationValue, Kind, Then};

const HEADER: &str = "document: { dsl: '1.0.3', namespace: test, name: test, version: '1.0.0' }\n";

/// The problems of a document, one a line, each with place, pointer and reason.
fn problems(source: &str) -> String {
    let mut text = String::new();
    for problem in compile(source.as_bytes()).expect_err("problems") {
        let _ = writeln!(text, "{} {problem}", problem.reason);
    }
    text
}

#[track_caller]
fn check(name: &str, body: &str) {
    expect_file![format!("./problems/{name}.txt")].assert_eq(&problems(&format!("{HEADER}{body}")));
}

#[test]
fn the_header_is_checked() {
    let source = "document: { dsl: '0.9', namespace: -a, name: a_b, version: '1', titel: x }\n";
    expect_file!["./problems/header.txt"].assert_eq(&problems(source));
    expect![[r#"
        TYPE_MISMATCH 1:1: expected an object, found an array
    "#]]
    .assert_eq(&problems("- a\n"));
    expect![[r#"
        SYNTAX_INVALID the document is empty
    "#]]
    .assert_eq(&problems(""));
    expect![[r#"
        SYNTAX_INVALID 1:11: unclosed bracket '['
    "#]]
    .assert_eq(&problems("document: [\n"));
}

#[test]
fn all_problems_are_reported() {
    let body = "\
do:
  - first: { set: { a: '${ .a + }' }, then: thrid }
  - second: { cal: pay }
  - third: { wait: 30S, iff: true }
  - fourth: { call: pay:1, with: [1], metadata: { planaria: { quue: a, priority: high } } }
  - { a: {}, b: {} }
  - fifth: { set: { a: '${ env.HOME }', b: '${ $nope }', c: '${ nope }' } }
  - sixth: { raise: { error: missing } }
  - seventh: { do: [] }
  - eighth: { fork: { branches: [ { x: { set: { a: 1 }, then: y } }, { y: { set: { a: 1 } } } ] } }
schedule: { every: PT1H }
evaluate: { language: js, mode: loose }
";
    check("all", body);
}

#[test]
fn references_are_checked() {
    let body = "\
use:
  functions:
    again: { do: [ { x: { call: again } } ] }
    unused: { run: { shell: { command: ls } } }
  retries: { slow: { delay: PT1S, limit: { attempt: { count: -1 } } } }
  timeouts: { long: { after: { weeks: 1 } } }
do:
  - a: { call: again, timeout: lnog }
  - b:
      try: [ { x: { call: pay } } ]
      catch: { as: context, retry: solw }
  - c: { call: 'pay:1.0.0@elsewhere' }
  - d: { for: { in: 3, each: 1x }, do: [ { x: { set: { y: '${ $item }' } } } ] }
";
    check("references", body);
}

#[test]
fn schemas_are_checked_and_nothing_is_fetched() {
    let body = "\
input: { schema: { format: json, document: { type: nonsense } } }
do:
  - a: { set: { a: 1 }, input: { schema: { resource: { endpoint: 'https://a.example/b' } } } }
  - b: { set: { a: 1 }, output: { schema: { document: { $ref: 'https://a.example/b' } } } }
  - c: { set: { a: 1 }, output: { schema: { format: avro, document: {} } } }
";
    check("schemas", body);
}

#[test]
fn events_are_checked() {
    let body = "\
do:
  - a: { emit: { event: { with: { source: x } } } }
  - b: { emit: { event: { with: { type: x, myKey: 1 } } } }
  - c: { listen: { to: { one: { with: {} } } } }
  - d: { listen: { to: { one: { with: { type: x }, correlate: { a: { from: .b } } } } } }
  - e: { listen: { to: { one: { with: { type: x } } }, read: all } }
";
    check("events", body);
}

#[test]
fn http_is_checked() {
    let body = "\
do:
  - a: { call: http, with: { method: get, endpoint: 'https://a/{+b}', output: text } }
  - b: { call: http, with: { endpoint: 'https://a', headers: { a: 1 }, body: 1, redirect: 1 } }
  - c: { call: http }
  - d:
      call: http
      with:
        method: get
        endpoint: { uri: 'https://a', authentication: { basic: { username: a } } }
";
    check("http", body);
}

#[test]
fn the_graph_is_the_document() {
    let body = "\
timeout: { after: PT1H }
do:
  - reserve:
      call: reserve-stock:1.2.0@default
      with: { sku: '${ .sku }' }
      timeout: { after: { minutes: 1, seconds: 30 } }
      metadata:
        planaria: { queue: fast, priority: 5, heartbeat: PT2S, retry: { attempts: 3 } }
  - loop:
      for: { in: .items, each: line }
      while: $line != null
      do:
        - choose:
            switch:
              - default: { then: last }
              - big: { when: $line.count > $index, then: end }
            then: exit
        - last: { wait: { milliseconds: 5 } }
  - safe:
      try: [ { pay: { call: pay } } ]
      catch:
        errors: { with: { status: 503 } }
        retry: { delay: PT1S, backoff: { exponential: { multiplier: 3, maxDelay: PT1M } } }
        do: [ { note: { set: { error: '${ $error }' } } } ]
        then: reserve
";
    let compiled = compile(format!("{HEADER}{body}").as_bytes()).expect("compiles");
    let mut text = String::new();
    for node in &compiled.graph.nodes {
        let parent = node.parent.map(|parent| parent.0);
        let _ = writeln!(text, "{} parent={parent:?} then={:?}", node.reference, node.then);
    }
    expect![[r#"
        /do parent=None then=Continue
        /do/0/reserve parent=Some(0) then=Continue
        /do/1/loop parent=Some(0) then=Continue
        /do/1/loop/do parent=Some(2) then=Continue
        /do/1/loop/do/0/choose parent=Some(3) then=Exit
        /do/1/loop/do/1/last parent=Some(3) then=Continue
        /do/2/safe parent=Some(0) then=Continue
        /do/2/safe/try parent=Some(6) then=Continue
        /do/2/safe/try/0/pay parent=Some(7) then=Continue
        /do/2/safe/catch/do parent=Some(6) then=Continue
        /do/2/safe/catch/do/0/note parent=Some(9) then=Continue
    "#]]
    .assert_eq(&text);
    let graph = &compiled.graph;
    assert_eq!(graph.nodes[0].timeout, Some(DurationValue::Fixed(3_600_000)));
    let node = |reference| graph.node(graph.find(reference).expect(reference));
    let Kind::Call(call) = &node("/do/0/reserve").kind else { panic!("a call") };
    assert_eq!((&*call.queue, call.priority, call.progress_timeout_ms), ("fast", 5, Some(2000)));
    assert_eq!(call.version.as_deref(), Some("1.2.0"));
    assert_eq!(
        call.retry.as_ref().map(|retry| (retry.attempts_max, retry.cap_ms)),
        Some((3, 100_000))
    );
    assert_eq!(node("/do/0/reserve").timeout, Some(DurationValue::Fixed(90_000)));
    let Kind::Switch { cases } = &node("/do/1/loop/do/0/choose").kind else { panic!("a switch") };
    let last = graph.find("/do/1/loop/do/1/last").expect("there");
    assert_eq!(
        cases.iter().map(|case| case.then).collect::<Vec<_>>(),
        [Then::End, Then::Goto(last)]
    );
    let Kind::Try { catch, .. } = &node("/do/2/safe").kind else { panic!("a try") };
    let backoff = catch.retry.as_ref().map(|retry| retry.backoff);
    let expected = Backoff::Exponential { multiplier: 3.0, delay_max_ms: Some(60_000) };
    assert_eq!(backoff, Some(expected));
    assert_eq!(catch.then, graph.find("/do/0/reserve").map(Then::Goto));
    let functions: Vec<_> = compiled
        .functions
        .iter()
        .map(|used| (used.function.as_str(), used.queue.as_str()))
        .collect();
    assert_eq!(functions, [("reserve-stock", "fast"), ("pay", "default")]);
}

#[test]
fn warnings_do_not_refuse() {
    let body = "do: [ { a: { set: { greeting: 'Hello ${ .name }!' } } } ]\n";
    let compiled = compile(format!("{HEADER}{body}").as_bytes()).expect("compiles");
    assert_eq!(compiled.warnings.len(), 1);
    assert_eq!(compiled.warnings[0].pointer, "/do/0/a/set/greeting");
}

#[test]
fn hostile_texts_do_not_exhaust_the_compiler() {
    let many = |piece: &str, count: usize| piece.repeat(count);
    for program in [
        many("-", 8000),
        many("[", 4000) + &many("]", 4000),
        many("(", 4000) + "1" + &many(")", 4000),
        many("{a:", 2000) + "1" + &many("}", 2000),
        many("1+", 4000) + "1",
        many(".|", 4000) + ".",
        many("try ", 2000) + "1",
        many(". as $x|", 1000) + "1",
        many("if . then ", 800) + "1" + &many(" end", 800),
        many("def f: ", 1000) + "1" + &many("; f", 1000),
        many("\"\\(", 2000) + "1" + &many(")\"", 2000),
        many("reduce ", 1000),
        many("label $x|", 800) + "1",
        many(".[", 4000),
        many("\"", 8001),
        many("a", 9000),
    ] {
        let document = serde_json::json!({
            "document": {"dsl": "1.0.3", "namespace": "a", "name": "a", "version": "1.0.0"},
            "do": [{ "a": { "set": { "a": format!("${{{program}}}") } } }]
        });
        // Whether it compiles is of no importance here; that this process lives is.
        let outcome = compile(document.to_string().as_bytes());
        drop(outcome);
    }
}

#[test]
fn expansion_of_functions_is_bounded() {
    let mut source = format!("{HEADER}use:\n  functions:\n    f0: {{ set: {{ a: 1 }} }}\n");
    for level in 1..40 {
        let below = level - 1;
        let _ = writeln!(
            source,
            "    f{level}: {{ do: [{{ a: {{ call: f{below} }} }}, {{ b: {{ call: f{below} }} }}] }}"
        );
    }
    source.push_str("do: [ { a: { call: f39 } } ]\n");
    let limits = Limits { tasks_max: 500, ..Limits::default() };
    let problems = compile_within(source.as_bytes(), &limits).expect_err("too many");
    assert!(problems.iter().any(|problem| problem.reason == "LIMIT_EXCEEDED"), "{problems:?}");
}
