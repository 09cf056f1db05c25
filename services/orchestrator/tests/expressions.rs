//! Hostile expressions end as errors of their own workflow; a neighbour does not notice.
//!
//! Without the usual harness, because this very program is what the orchestrator starts to evaluate
//! expressions.

#![allow(clippy::print_stdout, reason = "it speaks the language of test runners")]

#[path = "service/world.rs"]
#[allow(dead_code, reason = "the other tests use the rest")]
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use planaria_proto::types::v1::Phase;
use serde_json::json;
use world::World;

const NAME: &str = "hostile_expressions_harm_nobody_else";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    if has(planaria_dsl::evaluator_child::ARGUMENT) {
        return planaria_dsl::evaluator_child::main();
    }
    if has("--list") {
        if !has("--ignored") {
            println!("{NAME}: test");
        }
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(hostile_expressions_harm_nobody_else());
    println!("{NAME}: ok");
    ExitCode::SUCCESS
}

async fn hostile_expressions_harm_nobody_else() {
    let world = World::new().await;
    let hostile = [
        ("recursion", "def f: f + 1; f"),
        ("endless", "def f: f; f"),
        ("loop", "[limit(1e12; repeat(1))] | length"),
        ("range", "[range(1e9)] | length"),
        ("until", "0 | until(false; . + 1)"),
        ("string", "\"x\" * 4e9 | length"),
        ("nested", "reduce range(1e6) as $i (0; [.])"),
        ("error", "error(\"no\")"),
        ("many", "range(3)"),
    ];
    for (name, program) in hostile {
        let tasks = format!("- bad: {{ set: {{ a: '${{ {program} }}' }} }}");
        world.publish(name, &tasks).await;
    }
    world.publish("good", "- good: { set: { a: '${ [range(3)] | add }' } }").await;
    world.publish("local", "- good: { set: { a: '${ .n }' } }").await;
    let mut slowest = Duration::ZERO;
    let bad = hostile.map(|(name, _)| {
        let world = &world;
        async move {
            let began = Instant::now();
            let ran = world.run(name, json!({})).await;
            assert_eq!(ran.phase(), Phase::Faulted, "{name}");
            let error = ran.error.expect("an error");
            assert!(error.r#type.ends_with("/expression"), "{name}: {error:?}");
            assert_eq!(error.instance, "/do/0/bad", "{name}");
            assert!(began.elapsed() < Duration::from_secs(10), "{name}: {:?}", began.elapsed());
            assert!(error.detail.len() < 4_096, "{name}: {}", error.detail.len());
        }
    });
    let good = async {
        for n in 0..20 {
            let began = Instant::now();
            let ran = world.run("local", json!({ "n": n })).await;
            slowest = slowest.max(began.elapsed());
            assert_eq!(world::json(ran.output), json!({ "a": n }));
        }
        let ran = world.run("good", json!({})).await;
        assert_eq!(world::json(ran.output), json!({"a": 3}));
    };
    tokio::join!(futures_util::future::join_all(bad), good);
    assert!(slowest < Duration::from_secs(2), "a neighbour waited {slowest:?}");
}
