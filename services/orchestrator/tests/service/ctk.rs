//! The conformance kit of the language, as it is published: `tests/ctk/*.feature`.
//!
//! Scenarios that call something over the network are counted as not run.

use std::path::Path;

use planaria_proto::types::v1::{DefinitionReference, Phase};
use planaria_proto::workflow::v1::*;
use serde_json::{Value, json};

use crate::world::{World, document, json as document_of, payload};

/// The calls of these need a network; what they call is the worker's part, not the engine's.
const NOT_RUN: [&str; 9] = [
    "Call HTTP Using Basic Authentication",
    "Call HTTP With Content Output",
    "Call HTTP With Response Output",
    "Call OpenAPI With Content Output",
    "Call OpenAPI With Response Output",
    "Output Filtering",
    "Try Handle Caught Error",
    "Try Raise Uncaught Error",
    "Use Non-object Output",
];

/// A line of a scenario and the block of text behind it.
struct Step {
    words: String,
    block: String,
}

struct Scenario {
    name: String,
    steps: Vec<Step>,
}

/// Reads the scenarios of a feature file.
fn scenarios(text: &str) -> Vec<Scenario> {
    let mut found: Vec<Scenario> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let words = line.trim();
        if let Some(name) = words.strip_prefix("Scenario: ") {
            found.push(Scenario { name: name.to_owned(), steps: Vec::new() });
        } else if words.starts_with("\"\"\"") {
            let margin = line.len() - line.trim_start().len();
            let block = lines.by_ref().take_while(|line| line.trim() != "\"\"\"");
            let block: Vec<&str> = block.map(|line| line.get(margin..).unwrap_or("")).collect();
            let scenario = found.last_mut().expect("a scenario");
            scenario.steps.last_mut().expect("a step").block = block.join("\n");
        } else if !words.is_empty() && !words.starts_with('#') {
            let step = Step { words: words.to_owned(), block: String::new() };
            // What stands before the first scenario says who wants what.
            found.last_mut().into_iter().for_each(|scenario| {
                scenario.steps.push(Step { words: step.words.clone(), block: String::new() });
            });
        }
    }
    found
}

/// A workflow under way through its scenario.
struct Run<'a> {
    world: &'a World,
    definition: Option<DefinitionReference>,
    input: Value,
    ended: Option<RunWorkflowResponse>,
    order: Vec<String>,
}

impl Run<'_> {
    /// YAML as a value: what a workflow yields that sets it.
    async fn value(&self, yaml: &str) -> Value {
        let indented: Vec<String> = yaml.lines().map(|line| format!("        {line}")).collect();
        let tasks = format!("- value:\n    set:\n      value:\n{}", indented.join("\n"));
        let source = document("value", &tasks).replace("namespace: test", "namespace: values");
        let digest = format!(
            "1.0.0-{}",
            yaml.bytes()
                .fold(7_u64, |sum, byte| { sum.wrapping_mul(31).wrapping_add(u64::from(byte)) })
        );
        let source = source.replace("version: 1.0.0", &format!("version: {digest}"));
        let request = PutDefinitionRequest { source: source.into() };
        let put = self.world.definitions().put_definition(request).await.expect("a value");
        let definition = put.into_inner().definition.expect("published").reference;
        let start = WorkflowStart { definition, ..WorkflowStart::default() };
        let request = RunWorkflowRequest { start: Some(start) };
        let ran = self.world.workflows().run_workflow(request).await.expect("ran").into_inner();
        document_of(ran.output)["value"].clone()
    }

    async fn execute(&mut self) {
        let start = WorkflowStart {
            definition: self.definition.clone(),
            input: Some(payload(&self.input)),
            ..WorkflowStart::default()
        };
        let request = RunWorkflowRequest { start: Some(start) };
        let ran = self.world.workflows().run_workflow(request).await.expect("ran").into_inner();
        let workflow = self.world.get(&ran.workflow_id).await;
        self.order = workflow.tasks.into_iter().map(|task| task.name).collect();
        self.ended = Some(ran);
    }

    fn output(&self) -> Value {
        let ended = self.ended.as_ref().expect("it was executed");
        assert_eq!(ended.phase(), Phase::Completed, "{:?}", ended.error);
        document_of(ended.output.clone())
    }

    fn property(&self, path: &str) -> Value {
        let output = self.output();
        let pointer = format!("/{}", path.replace('.', "/"));
        output.pointer(&pointer).unwrap_or_else(|| panic!("{path} is not in {output}")).clone()
    }

    async fn step(&mut self, step: &Step) {
        let words = step.words.split_once(' ').expect("a keyword first").1;
        let quoted: Vec<&str> = words.split('\'').skip(1).step_by(2).collect();
        match words {
            "a workflow with definition:" => {
                let request = PutDefinitionRequest { source: step.block.clone().into() };
                let put = self.world.definitions().put_definition(request).await;
                let put = put.expect("a valid definition").into_inner();
                self.definition = put.definition.expect("published").reference;
            }
            "given the workflow input is:" => self.input = self.value(&step.block).await,
            "the workflow is executed" => self.execute().await,
            "the workflow should complete" => drop(self.output()),
            "the workflow should complete with output:" => {
                assert_eq!(self.output(), self.value(&step.block).await);
            }
            "the workflow should fault with error:" => {
                let ended = self.ended.clone().expect("it was executed");
                let error = ended.error.expect("an error");
                let told = json!({
                    "type": error.r#type, "status": error.status,
                    "title": error.title, "instance": error.instance,
                });
                assert_eq!(told, self.value(&step.block).await);
            }
            _ if words.starts_with("the workflow output should have properties") => {
                for path in quoted {
                    self.property(path);
                }
            }
            _ if words.ends_with("property with value:") => {
                assert_eq!(self.property(quoted[0]), self.value(&step.block).await);
            }
            _ if words.ends_with("items") => {
                let count = words.split_whitespace().rev().nth(1).and_then(|n| n.parse().ok());
                let items = self.property(quoted[0]);
                assert_eq!(items.as_array().map(Vec::len), count, "{items}");
            }
            _ => self.ordered(words),
        }
    }

    /// `<task> should run first`, `last` or `after <task>`.
    fn ordered(&self, words: &str) {
        let position = |name: &str| {
            let found = self.order.iter().position(|ran| ran == name);
            found.unwrap_or_else(|| panic!("{name} did not run: {:?}", self.order))
        };
        let words: Vec<&str> = words.split_whitespace().collect();
        match words.as_slice() {
            [task, "should", "run", "first"] => assert_eq!(position(task), 0),
            [task, "should", "run", "last"] => {
                assert_eq!(position(task), self.order.len() - 1, "{:?}", self.order);
            }
            [task, "should", "run", "after", other] => assert!(position(task) > position(other)),
            _ => panic!("unknown step: {words:?}"),
        }
    }
}

#[tokio::test]
async fn the_conformance_kit_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ctk");
    let mut passed = Vec::new();
    let mut not_run = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the kit") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "feature") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a feature");
        for scenario in scenarios(&text) {
            if scenario.steps[0].block.contains("https://petstore")
                || scenario.steps[0].block.contains("https://httpbin")
            {
                println!("not run: {}", scenario.name);
                not_run.push(scenario.name);
                continue;
            }
            // Some scenarios publish under the same name and version.
            let world = World::new().await;
            let input = json!({});
            let mut run =
                Run { world: &world, definition: None, input, ended: None, order: Vec::new() };
            println!("{}", scenario.name);
            for step in &scenario.steps {
                println!("    {}", step.words);
                run.step(step).await;
            }
            passed.push(scenario.name);
        }
    }
    not_run.sort();
    assert_eq!(not_run, NOT_RUN);
    assert_eq!(passed.len(), 12, "{passed:?}");
}
