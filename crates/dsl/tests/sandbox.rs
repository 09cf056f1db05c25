//! Hostile expressions end as errors, in bounded time, and harm nobody.

#![allow(clippy::panic, clippy::print_stdout, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use planaria_dsl::{
    Answer, Compiled, EvaluationRequest, ExpressionPool, MemoEvaluator, PoolConfig, compile,
};
use planaria_kernel::Json;
use planaria_kernel::definition::{Evaluation, Evaluator as _, Kind, NodeId, Scope};

/// A definition whose one task sets the value of an expression.
fn definition(program: &str) -> Compiled {
    let document = serde_json::json!({
        "document": {"dsl": "1.0.3", "namespace": "test", "name": "test", "version": "1.0.0"},
        "do": [{ "task": { "set": { "result": format!("${{{program}}}") } } }]
    });
    compile(document.to_string().as_bytes()).expect("compiles")
}

/// Asks for the value that the one task sets.
fn ask(compiled: &Compiled, input: &str, memo: &[Answer]) -> Result<Answer, EvaluationRequest> {
    let node = NodeId(1);
    let Kind::Set { value } = compiled.graph.node(node).kind else { panic!("a set") };
    let input = Json::from_valid(input.to_owned().into());
    let scope = Scope {
        graph: &compiled.graph,
        node,
        value: &input,
        input: Some(&input),
        output: None,
        context: &Json::EMPTY_OBJECT,
        task_input: &input,
        task_output: None,
        task_started_at_ms: 0,
        workflow_id: "w",
        workflow_input: &input,
        workflow_started_at_ms: 0,
        variables: &[],
    };
    let mut evaluator = MemoEvaluator::new(&compiled.expressions, memo);
    match evaluator.evaluate(value, &scope) {
        Evaluation::Done(planaria_kernel::definition::Evaluated::Value(value)) => Ok(Ok(value)),
        Evaluation::Done(other) => panic!("{other:?}"),
        Evaluation::Failed(message) => Ok(Err(message)),
        Evaluation::Pending => Err(evaluator.take_pending().expect("a question")),
    }
}

fn pool() -> ExpressionPool {
    let program = env!("CARGO_BIN_EXE_planaria-evaluator").into();
    ExpressionPool::new(PoolConfig::new(program, Vec::new()))
}

/// Evaluates a program as the orchestrator would.
async fn evaluate(pool: &ExpressionPool, namespace: &str, program: &str, input: &str) -> Answer {
    let compiled = definition(program);
    match ask(&compiled, input, &[]) {
        Ok(answer) => answer,
        Err(request) => {
            let answer = pool.evaluate(namespace, request).await;
            ask(&compiled, input, &[answer]).expect("the memo answers")
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_bounded_is_answered_by_the_pool() {
    let pool = pool();
    for (program, input, expected) in [
        ("[range(3)]", "null", Ok(r#"{"result":[0,1,2]}"#)),
        ("[.[] | tonumber] | sort", r#"["2","1"]"#, Ok(r#"{"result":[1,2]}"#)),
        ("test(\"^a+$\")", "\"aaa\"", Ok(r#"{"result":true}"#)),
        ("reduce .[] as $i (0; . + $i)", "[1,2,3]", Ok(r#"{"result":6}"#)),
        ("\"\\($task.reference) \\($workflow.id) \\($runtime.name)\" | @base64d | 1", "1", Err("")),
        ("try error(\"x\") catch .", "1", Ok(r#"{"result":"x"}"#)),
        ("range(2)", "1", Err("more than one value")),
        ("tonumber", "\"x\"", Err("x")),
    ] {
        let answer = evaluate(&pool, "honest", program, input).await;
        match (answer, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value.as_bytes(), expected, "{program}"),
            (Err(message), Err(part)) => assert!(message.contains(part), "{program}: {message}"),
            (answer, _) => panic!("{program}: {answer:?}"),
        }
    }
    assert!(pool.children() <= 1, "one after the other needs one process");
}

const HOSTILE: [&str; 15] = [
    "def f: [f]; f",
    "def f: f; f",
    "def f: 1 + f; f",
    "[range(1e9)]",
    "\"x\" * 4e9",
    "\"x\" * 4000000000",
    "[limit(1e9; repeat(1))]",
    "last(repeat(1))",
    "last(range(1e15))",
    "[recurse(. + 1; true)]",
    "reduce range(1e6) as $i (0; [.]) | tojson",
    "reduce range(1e6) as $i (0; [.]) | [.] == [.]",
    "reduce range(60) as $i (1; [., .]) | tojson | length",
    "2 | until(false; . * .)",
    "\"x\" * 300000",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_expressions_end_and_neighbours_live() {
    let pool = pool();
    // The processes are there and warm: what is measured is evaluation.
    let warm = evaluate(&pool, "honest", "[range(3)] | sort", "null").await;
    assert!(warm.is_ok());
    let neighbour = tokio::spawn({
        let pool = pool.clone();
        async move {
            let mut slowest = Duration::ZERO;
            for _ in 0..100 {
                let started = Instant::now();
                let answer = evaluate(&pool, "honest", "[range(3)] | sort", "null").await;
                assert_eq!(answer.expect("honest").as_bytes(), r#"{"result":[0,1,2]}"#);
                slowest = slowest.max(started.elapsed());
            }
            slowest
        }
    });
    for program in HOSTILE {
        let started = Instant::now();
        let answer = evaluate(&pool, "hostile", program, "null").await;
        let took = started.elapsed();
        let message = answer.expect_err(program);
        assert!(took < Duration::from_secs(3), "{program} took {took:?}");
        println!("{program}: {message} ({took:?})");
    }
    let slowest = neighbour.await.expect("the neighbour lives");
    println!("the neighbour's slowest: {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert!(pool.children() <= 4);
}

/// Patterns that take some engines for ever: they may have a result, but must have it soon.
const PATTERNS: [&str; 4] = [
    "\"a\" * 60000 + \"b\" | test(\"(a|aa)+$(a|aa)+$(a*)*$\")",
    "\"a\" * 100000 | [match(\"(a?){500}(a){500}\"; \"g\")] | length",
    "\"a\" * 100000 | gsub(\"(?<x>a*)*\"; .x + .x)",
    "\"a\" | test(\"((((a{100}){100}){100}){100}){100}\")",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_end_soon() {
    let pool = pool();
    for program in PATTERNS {
        let started = Instant::now();
        let answer = evaluate(&pool, "hostile", program, "null").await;
        let took = started.elapsed();
        assert!(took < Duration::from_secs(3), "{program} took {took:?}");
        println!("{program}: {} ({took:?})", answer.is_ok());
    }
    assert!(evaluate(&pool, "honest", "[range(3)]", "null").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_namespace_leaves_room_for_others() {
    let pool = pool();
    let compiled = Arc::new(definition("def f: f; f"));
    let flood: Vec<_> = (0..20)
        .map(|_| {
            let (pool, compiled) = (pool.clone(), compiled.clone());
            tokio::spawn(async move {
                let request = ask(&compiled, "null", &[]).expect_err("for the pool");
                pool.evaluate("hostile", request).await
            })
        })
        .collect();
    let answer = evaluate(&pool, "honest", "[range(3)]", "null").await;
    assert!(answer.is_ok());
    assert!(flood.iter().any(|task| !task.is_finished()), "the honest one did not wait for all");
    for task in flood {
        let message = task.await.expect("ends").expect_err("hostile");
        assert!(message.contains("ms of CPU"), "{message}");
    }
}

#[test]
fn bounded_expressions_need_no_pool() {
    let compiled = definition(".items[0].price * 2 > 10 and .kind == \"book\"");
    let input = r#"{"kind":"book","items":[{"price":6}],"more":{"a":[1,2,3]}}"#;
    let rounds = 20_000_u32;
    let started = Instant::now();
    for _ in 0..rounds {
        let answer = ask(&compiled, input, &[]).expect("here").expect("a value");
        assert_eq!(answer.as_bytes(), r#"{"result":true}"#);
    }
    println!("one bounded evaluation: {:?}", started.elapsed() / rounds);
}
