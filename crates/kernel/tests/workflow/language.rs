//! The language, kind by kind, as the specification's reference has it.

mod data_flow;
mod errors;
mod events;
mod flow;
mod forks;
mod loops;
mod retries;
mod timeouts;

use planaria_kernel::Json;
use planaria_kernel::workflow::{ErrorObject, FrameId, Input, Phase, Rejected, Timer};
use serde_json::Value;

use crate::definition::{Definition, Task, Work, task};
use crate::shell::Shell;

/// Starts a workflow of these tasks.
pub(crate) fn start(tasks: Vec<Task>, input: &Value) -> Shell {
    start_root(task("do", Work::Do(tasks)), input)
}

/// Starts a workflow with properties of its own.
pub(crate) fn start_root(root: Task, input: &Value) -> Shell {
    let mut shell = Shell::new(&Definition::of_root(&root));
    shell.apply(Input::Start { input: Json::from_value(input) }).unwrap();
    shell
}

impl Shell {
    /// The latest run of the task of that name, which is open.
    pub(crate) fn frame(&self, name: &str) -> FrameId {
        let graph = self.graph();
        let mut frames = self.workflow.frames.iter().rev();
        let found = frames.find(|(_, frame)| &*graph.node(frame.node).name == name);
        *found.unwrap_or_else(|| panic!("{name} is not open\n{}", self.story())).0
    }

    pub(crate) fn returned(&mut self, name: &str, output: &Value) -> Result<(), Rejected> {
        let frame = self.frame(name);
        let execution = self.execution(frame);
        let output = Json::from_value(output);
        self.apply(Input::Returned { frame, output, execution }).map(|_| ())
    }

    /// The function gives that back.
    pub(crate) fn returns(&mut self, name: &str, output: &Value) {
        self.returned(name, output).unwrap();
    }

    /// The system gives up on the function.
    pub(crate) fn gives_up(&mut self, name: &str, error: ErrorObject) {
        let frame = self.frame(name);
        self.apply(Input::GiveUp { frame, error }).unwrap();
    }

    /// The clock reaches the timer's time, and it fires.
    pub(crate) fn fires(&mut self, name: &str, timer: Timer) {
        let frame = self.frame(name);
        self.now_ms = self.timers[&(frame, timer)];
        self.apply(Input::TimerFired { frame, timer }).unwrap();
    }

    /// What the function gets.
    pub(crate) fn arguments(&self, name: &str) -> Value {
        self.tasks[&self.frame(name)].arguments.to_value()
    }

    /// The output of a completed workflow.
    pub(crate) fn output(&self) -> Value {
        self.check_replay();
        match &self.workflow.phase {
            Phase::Completed { output } => output.to_value(),
            other => panic!("not completed but {other:?}\n{}", self.story()),
        }
    }

    /// The error of a faulted workflow.
    pub(crate) fn error(&self) -> ErrorObject {
        self.check_replay();
        match &self.workflow.phase {
            Phase::Faulted { error, .. } => error.clone(),
            other => panic!("not faulted but {other:?}\n{}", self.story()),
        }
    }

    /// Names of the tasks that were entered, in order, bodies left out.
    pub(crate) fn entered(&self) -> Vec<String> {
        use planaria_kernel::workflow::Fact;
        let graph = self.graph();
        let names = self.history.iter().filter_map(|recorded| match &recorded.fact {
            Fact::TaskStarted(started) => Some(graph.node(started.node).name.to_string()),
            _ => None,
        });
        names.filter(|name| name != "do" && !name.starts_with('/')).collect()
    }
}
