//! What is wrong with a document is said with its place; what is right becomes the right graph.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
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
fn check(body: &str, expected: Expect) {
    expected.assert_eq(&problems(&format!("{HEADER}{body}")));
}

#[test]
fn the_header_is_checked() {
    let source = "document: { dsl: '0.9', namespace: -a, name: a_b, version: '1', titel: x }\n";
    expect![[r#"
        KEY_MISSING 1:1: "do" is missing here
        VERSION_UNSUPPORTED 1:18: /document/dsl: version "0.9" of the language is not 1.0.3 (or 1.0.0 to 1.0.2)
        VALUE_INVALID 1:36: /document/namespace: "-a" is not a valid namespace: letters, digits and inner hyphens, at most 63
        VALUE_INVALID 1:46: /document/name: "a_b" is not a valid name: letters, digits and inner hyphens, at most 63
        VALUE_INVALID 1:60: /document/version: "1" is not a semantic version such as 1.0.0
        KEY_UNKNOWN 1:65: /document/titel: the key "titel" is unknown here; did you mean "title"?
    "#]].assert_eq(&problems(source));
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
    check(
        body,
        expect![[r#"
        EXPRESSION_INVALID 3:24: /do/0/first/set/a: expected term at the end of the expression
        REFERENCE_UNKNOWN 3:45: /do/0/first/then: "thrid" is neither a task of the same list nor continue, exit or end; did you mean "third"?
        KEY_MISSING 4:13: /do/1/second: a task needs one of call, emit, for, fork, listen, raise, run, set, switch, try, wait, do
        KEY_UNKNOWN 4:15: /do/1/second/cal: the key "cal" is unknown here; did you mean "call"?
        VALUE_INVALID 5:20: /do/2/third/wait: "30S" is not an ISO 8601 duration such as PT1M30S
        KEY_UNKNOWN 5:25: /do/2/third/iff: the key "iff" is unknown here; did you mean "if"?
        VALUE_INVALID 6:21: /do/3/fourth/call: "1" is not a semantic version such as 1.0.0
        TYPE_MISMATCH 7:5: /do/4: expected an object with one member: its name and what it is
        EXPRESSION_FORBIDDEN 8:24: /do/5/fifth/set/a: an expression may not use env
        EXPRESSION_INVALID 8:44: /do/5/fifth/set/b: there is no variable $nope here
        EXPRESSION_INVALID 8:61: /do/5/fifth/set/c: there is no filter nope/0
        REFERENCE_UNKNOWN 9:30: /do/6/sixth/raise/error: use.errors has no "missing"
        VALUE_INVALID 10:20: /do/7/seventh/do: the list is empty
        REFERENCE_UNKNOWN 11:63: /do/8/eighth/fork/branches/0/x/then: a branch runs by itself: it cannot go to "y", only continue, exit or end
        NOT_SUPPORTED_YET 12:11: /schedule: a schedule is not supported yet
        NOT_SUPPORTED_YET 13:23: /evaluate/language: an expression language other than jq is not supported yet
        NOT_SUPPORTED_YET 13:33: /evaluate/mode: the mode "loose" is not supported yet
    "#]],
    );
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
    check(
        body,
        expect![[r#"
        REFERENCE_CYCLE 4:33: /use/functions/again/do/0/x/call: the function "again" calls itself
        NOT_SUPPORTED_YET 5:29: /use/functions/unused/run/shell: run: shell is not supported yet
        KEY_MISSING 7:30: /use/timeouts/long/after: a duration needs days, hours, minutes, seconds or milliseconds
        KEY_UNKNOWN 7:32: /use/timeouts/long/after/weeks: the key "weeks" is unknown here; known are days, hours, minutes, seconds, milliseconds
        REFERENCE_UNKNOWN 9:32: /do/0/a/timeout: use.timeouts has no "lnog"; did you mean "long"?
        VALUE_INVALID 12:20: /do/1/b/catch/as: $context has a meaning of its own
        REFERENCE_UNKNOWN 12:36: /do/1/b/catch/retry: use.retries has no "solw"; did you mean "slow"?
        NOT_SUPPORTED_YET 13:16: /do/2/c/call: a catalog other than the default one is not supported yet
        TYPE_MISMATCH 14:21: /do/3/d/for/in: expected an expression or an array, found a number
        VALUE_INVALID 14:30: /do/3/d/for/each: "1x" cannot be a variable: letters, digits and _
        EXPRESSION_INVALID 14:59: /do/3/d/do/0/x/set/y: there is no variable $item here
    "#]],
    );
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
    check(
        body,
        expect![[r#"
        SCHEMA_INVALID 2:44: /input/schema/document: not a valid JSON schema: "nonsense" is not valid under any of the schemas listed in the 'anyOf' keyword
        NOT_SUPPORTED_YET 4:54: /do/0/a/input/schema/resource: a schema in an external resource is not supported yet
        SCHEMA_INVALID 5:55: /do/1/b/output/schema/document: not a valid JSON schema: Resource 'https://a.example/b' is not present in a registry and retrieving it failed: `resolve-http` feature or a custom resolver is required to resolve external schemas via HTTP
        NOT_SUPPORTED_YET 6:53: /do/2/c/output/schema/format: a schema format other than json is not supported yet
    "#]],
    );
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
    check(
        body,
        expect![[r#"
        KEY_MISSING 3:33: /do/0/a/emit/event/with: "type" is missing here
        KEY_UNKNOWN 4:51: /do/1/b/emit/event/with/myKey: "myKey" cannot be an event attribute: a to z and 0 to 9 only
        KEY_MISSING 5:39: /do/2/c/listen/to/one/with: a filter needs at least one attribute
        NOT_SUPPORTED_YET 6:63: /do/3/d/listen/to/one/correlate: correlate is not supported yet
        VALUE_INVALID 7:62: /do/4/e/listen/read: "all" is not one of data, envelope, raw; known are data, envelope, raw
    "#]],
    );
}

#[test]
fn http_is_checked() {
    let body = "\
do:
  - a: { call: http, with: { method: get, endpoint: 'https://a/{+b}', output: text } }
  - b: { call: http, with: { endpoint: 'https://a', headers: { a: 1 }, body: 1, redirect: 1 } }
  - c: { call: http }
  - d: { call: http, with: { method: get, endpoint: { uri: 'https://a', authentication: { basic: { username: a } } } } }
";
    check(
        body,
        expect![[r#"
        VALUE_INVALID 3:53: /do/0/a/with/endpoint: URI templates have no operator '+', only {name}
        VALUE_INVALID 3:79: /do/0/a/with/output: "text" is not one of raw, content, response; known are raw, content, response
        KEY_MISSING 4:28: /do/1/b/with: "method" is missing here
        TYPE_MISMATCH 4:67: /do/1/b/with/headers/a: expected a string, found a number
        TYPE_MISMATCH 4:91: /do/1/b/with/redirect: expected a boolean, found a number
        KEY_MISSING 5:8: /do/2/c: "with" is missing here
        KEY_MISSING 6:98: /do/3/d/with/endpoint/authentication/basic: "password" is missing here
    "#]],
    );
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
      metadata: { planaria: { queue: fast, priority: 5, heartbeat: PT2S, labels: { region: eu }, retry: { attempts: 3 } } }
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
            "    f{level}: {{ do: [ {{ a: {{ call: f{below} }} }}, {{ b: {{ call: f{below} }} }} ] }}"
        );
    }
    source.push_str("do: [ { a: { call: f39 } } ]\n");
    let limits = Limits { tasks_max: 500, ..Limits::default() };
    let problems = compile_within(source.as_bytes(), &limits).expect_err("too many");
    assert!(problems.iter().any(|problem| problem.reason == "LIMIT_EXCEEDED"), "{problems:?}");
}
