//! The metered part against jaq: the same programs on the same inputs yield the same.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use jaq_json::Val;
use proptest::prelude::*;

use super::{Outcome, STEPS_MAX, run};
use crate::expression::jq::{self, Engine};
use crate::expression::program::Program;
use crate::expression::value;

const BYTES_MAX: usize = 64 * 1024;

/// What the metered evaluator says; `None` = it is for the pool.
fn metered(program: &Program, arguments: &[Val], input: &Val) -> Option<Result<String, String>> {
    let filter = program.filter.as_ref()?;
    match run(filter, arguments, input.clone(), &Cell::new(STEPS_MAX)) {
        Outcome::Value(result) => Some(text(&result)),
        Outcome::Failed(message) => Some(Err(message)),
        Outcome::Escalate => None,
    }
}

fn text(result: &Val) -> Result<String, String> {
    let text = value::write(result, BYTES_MAX)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Both answers; `None` if the metered part has none.
fn both(source: &str, input: &str) -> Option<(Result<String, String>, Result<String, String>)> {
    let engine = Engine::new();
    let variables: Vec<Arc<str>> = vec!["$x".into(), "$context".into()];
    let program = Program::new(&engine, source, &variables).expect(source);
    let input = value::read(input.as_bytes()).expect("json");
    let values: Vec<Val> = program
        .arguments
        .iter()
        .map(|argument| {
            let text = if &*argument.name == "$x" { "7" } else { r#"{"a":{"b":[1,"é"]}}"# };
            value::read(text.as_bytes()).expect("json")
        })
        .collect();
    let mine = metered(&program, &values, &input)?;
    let names: Vec<&str> = program.arguments.iter().map(|argument| &*argument.name).collect();
    let filter = engine.compile(source, &names).expect(source);
    let theirs = jq::run(&filter, values, input).and_then(|result| text(&result));
    Some((mine, theirs))
}

/// JSON documents, small and various.
fn documents() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        (-3_i64..12).prop_map(|number| number.to_string()),
        prop_oneof![Just("1.5"), Just("-0.0"), Just("1e3"), Just("9007199254740993"), Just("2.50")]
            .prop_map(str::to_owned),
        prop_oneof![Just("a"), Just(""), Just("red"), Just("é😀"), Just("\\n\\\"")]
            .prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![Just("a"), Just("b"), Just("colors"), Just("é")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|members| {
                let members: Vec<String> =
                    members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

/// Programs of the metered part.
fn programs() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => prop_oneof![
            Just("."), Just(".a"), Just(".b?"), Just(".[]"), Just(".[]?"), Just(".a.b"),
            Just(".[0]"), Just(".[-1]?"), Just(".[1:]"), Just(".[:-1]?"), Just(".\"é\""),
            Just(".colors[0].a?"), Just("$x"), Just("$context.a.b"), Just("$context"),
        ],
        3 => prop_oneof![
            Just("0"), Just("1"), Just("2.5"), Just("-1"), Just("1e2"), Just("null"),
            Just("true"), Just("false"), Just("\"red\""), Just("\"\""), Just("[]"), Just("{}"),
        ],
        3 => prop_oneof![
            Just("length"), Just("keys"), Just("keys_unsorted"), Just("not"), Just("type"),
            Just("tostring"), Just("tojson"), Just("ascii_downcase"), Just("ascii_upcase"),
            Just("floor"), Just("ceil"), Just("round"), Just("add"), Just("any"), Just("all"),
            Just("first"), Just("last"), Just("empty"), Just("error(\"no\")"),
        ],
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 32, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let operator = prop_oneof![
            Just("+"),
            Just("-"),
            Just("*"),
            Just("/"),
            Just("%"),
            Just("=="),
            Just("!="),
            Just("<"),
            Just("<="),
            Just(">"),
            Just(">="),
            Just("and"),
            Just("or"),
            Just("//"),
            Just(","),
            Just("|"),
        ];
        let call = prop_oneof![
            Just("map"),
            Just("select"),
            Just("any"),
            Just("all"),
            Just("add"),
            Just("has"),
            Just("startswith"),
            Just("endswith"),
            Just("ltrimstr"),
            Just("rtrimstr"),
        ];
        prop_oneof![
            4 => (two.clone(), operator).prop_map(|((l, r), op)| format!("({l} {op} {r})")),
            2 => (call, inner.clone()).prop_map(|(call, inner)| format!("{call}({inner})")),
            1 => inner.clone().prop_map(|inner| format!("[{inner}]")),
            1 => inner.clone().prop_map(|inner| format!("({inner})?")),
            1 => inner.clone().prop_map(|inner| format!("(-({inner}))")),
            1 => inner.clone().prop_map(|inner| format!("\"<\\({inner})>\"")),
            1 => two.clone().prop_map(|(l, r)| format!("{{a: ({l}), \"b\": ({r}), $x}}")),
            1 => two.clone().prop_map(|(l, r)| format!("{{({l}): ({r})}}")),
            1 => two.clone().prop_map(|(l, r)| format!("({l} as $x | {r})")),
            1 => two.clone().prop_map(|(l, r)| format!("({l})[{r}]")),
            1 => two.clone().prop_map(|(l, r)| format!(".colors[{l}][{r}]?")),
            1 => two.clone().prop_map(|(l, r)| format!(".a[{l}].b[{r}]")),
            1 => two.clone().prop_map(|(l, r)| format!(".[{l}:{r}]")),
            1 => (two, inner).prop_map(|((i, t), e)| format!("if {i} then {t} else {e} end")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn results_are_those_of_jaq(source in programs(), input in documents()) {
        if let Some((mine, theirs)) = both(&source, &input) {
            prop_assert_eq!(mine, theirs, "{} on {}", source, input);
        }
    }
}

#[test]
fn ordinary_expressions_are_metered() {
    for (source, input, expected) in [
        (".color == \"red\"", r#"{"color":"red"}"#, Ok("true")),
        (".colors + [ \"red\" ]", "{}", Ok(r#"["red"]"#)),
        ("{ ids: [ $x, .id ] }", r#"{"id":2}"#, Ok(r#"{"ids":[7,2]}"#)),
        ("\"Hello \\(.a.b) \\(.n)!\"", r#"{"a":{"b":"J"},"n":1}"#, Ok("\"Hello J 1!\"")),
        ("(.items | length) > 2 and .items[0].ok", r#"{"items":[{"ok":1},2,3]}"#, Ok("true")),
        ("[.items[] | select(.p > 1) | .p * 2] | add", r#"{"items":[{"p":1},{"p":2}]}"#, Ok("4")),
        (". + { status: \"sold\" }", r#"{"id":1}"#, Ok(r#"{"id":1,"status":"sold"}"#)),
        (".a.b", "[]", Err("cannot index [] with \"a\"")),
        ("empty", "1", Err(jq::NO_VALUE)),
        (".[]", "[1,2]", Err(jq::MANY_VALUES)),
    ] {
        let (mine, theirs) = both(source, input).expect(source);
        assert_eq!(mine.as_deref().map_err(String::as_str), expected, "{source}");
        assert_eq!(mine, theirs, "{source}");
    }
}

#[test]
fn what_grows_is_for_the_pool() {
    let mut doubled = String::from("[.,.]");
    let mut summed = String::from(". + .");
    for _ in 0..30 {
        doubled.push_str(" | [.,.]");
        summed.push_str(" | . + .");
    }
    for source in [
        format!("{doubled} | . == ."),
        format!("{doubled} | tojson | length"),
        format!("{doubled} | . - ."),
        format!("\"abcdefgh\" | {summed} | length"),
        format!("[1,2] | {summed} | length"),
        "[.[], .[]] | [(.[], .[]) * (.[], .[])] | [.[] + .[]] | length".to_owned(),
        "\"x\" * 4e9".to_owned(),
        "9223372036854775807 * 9223372036854775807 | . * . | . * .".to_owned(),
        "def f: f; f".to_owned(),
        "[range(1e9)]".to_owned(),
        "..".to_owned(),
    ] {
        let engine = Engine::new();
        let program = Program::new(&engine, &source, &[]).expect("a program");
        let input = value::read(b"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]").expect("json");
        let started = Instant::now();
        assert_eq!(metered(&program, &[], &input), None, "{source}");
        assert!(started.elapsed().as_millis() < 500, "{source} took {:?}", started.elapsed());
    }
}
