//! A shell around the machine as the orchestrator is one: it commits steps, keeps the books that
//! effects ask for, and asks again while an expression's value is pending. After every commit it
//! checks what must always hold.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use planaria_kernel::Json;
use planaria_kernel::definition::{Evaluated, Evaluation, Evaluator as _, Graph, Kind, Scope};
use planaria_kernel::workflow::{
    Effect, Execution, Fact, FrameId, FrameState, Input, Limits, Phase, Recorded, Rejected,
    RerunPlan, Surroundings, Timer, Workflow, apply,
};
use serde_json::Value;

use crate::definition::Definition;
use crate::toy::Toy;

/// A function task in the books.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskRow {
    /// The attempt that runs.
    pub(crate) attempt: u32,
    pub(crate) arguments: Json,
    pub(crate) deadline_ms: Option<u64>,
}

/// The shell.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    pub(crate) workflow: Workflow,
    pub(crate) history: Vec<Recorded>,
    pub(crate) evaluator: Toy,
    pub(crate) limits: Limits,
    pub(crate) now_ms: u64,
    pub(crate) random: u64,
    pub(crate) tasks: BTreeMap<FrameId, TaskRow>,
    pub(crate) timers: BTreeMap<(FrameId, Timer), u64>,
    pub(crate) published: Vec<Json>,
    /// The machine asked for [`Input::Continue`].
    pub(crate) wants_continue: bool,
    /// How often a value was pending.
    pub(crate) pendings: usize,
    /// The highest attempt ever handed out, per frame.
    handed_out: BTreeMap<FrameId, u32>,
    /// The state folded fact by fact beside the live one.
    shadow: Workflow,
    /// Length of the history and the state at every commit.
    pub(crate) commits: Vec<(usize, Workflow)>,
    /// Highest frame number ever used.
    frame_highest: u32,
}

impl Shell {
    pub(crate) fn new(definition: &Definition) -> Self {
        let workflow = Workflow::new("w".into(), definition.graph.clone());
        Self {
            shadow: workflow.clone(),
            workflow,
            history: Vec::new(),
            evaluator: Toy::new(definition.tables.clone()),
            limits: Limits::default(),
            now_ms: 1_000_000,
            random: 0,
            tasks: BTreeMap::new(),
            timers: BTreeMap::new(),
            published: Vec::new(),
            wants_continue: false,
            pendings: 0,
            handed_out: BTreeMap::new(),
            commits: Vec::new(),
            frame_highest: 0,
        }
    }

    /// Applies an input until its step is finished, commits it, and runs its effects.
    pub(crate) fn apply(&mut self, input: Input) -> Result<Vec<Fact>, Rejected> {
        let (facts, effects) = self.finish_step(&input)?;
        self.note(&input);
        self.commit(&facts);
        self.wants_continue = false;
        self.run(effects);
        self.check();
        Ok(facts)
    }

    /// Asks again while something is pending.
    fn finish_step(&mut self, input: &Input) -> Result<(Vec<Fact>, Vec<Effect>), Rejected> {
        let (mut facts, mut effects) = (Vec::new(), Vec::new());
        loop {
            let before = self.workflow.clone();
            let again = if facts.is_empty() { input.clone() } else { Input::Continue };
            let mut surroundings = Surroundings {
                now_ms: self.now_ms,
                random: self.random,
                limits: &self.limits,
                evaluator: &mut self.evaluator,
            };
            let step = apply(&mut self.workflow, again, &mut surroundings);
            let step = step.inspect_err(|rejected| {
                assert!(facts.is_empty(), "rejected half-way: {rejected}");
                assert_eq!(self.workflow, before, "a rejected input changed the state");
            })?;
            if step.facts.is_empty() {
                assert_eq!(self.workflow, before, "the state changed without a fact");
                assert!(!step.pending || step.effects.is_empty(), "effects without facts");
            }
            facts.extend(step.facts);
            effects.extend(step.effects);
            if !step.pending {
                return Ok((facts, effects));
            }
            self.pendings += 1;
            assert!(self.pendings < 100_000, "pending for ever");
        }
    }

    /// What the shell itself knows with an accepted input.
    fn note(&mut self, input: &Input) {
        match input {
            Input::Returned { frame, .. } => {
                self.tasks.remove(frame);
            }
            Input::AttemptFailed(failed) => self.hand_out(failed.frame),
            Input::AttemptLost(lost) => self.hand_out(lost.frame),
            Input::TimerFired { frame, timer } => {
                self.timers.remove(&(*frame, *timer));
            }
            _ => {}
        }
    }

    fn hand_out(&mut self, frame: FrameId) {
        let row = self.tasks.get_mut(&frame).expect("an open function task is in the books");
        row.attempt += 1;
        self.handed_out.insert(frame, row.attempt);
    }

    fn commit(&mut self, facts: &[Fact]) {
        for fact in facts {
            self.check_order(fact);
            self.shadow.record(fact, self.now_ms);
            self.history.push(Recorded { at_ms: self.now_ms, fact: fact.clone() });
        }
        self.commits.push((self.history.len(), self.workflow.clone()));
        assert_eq!(self.workflow.seq, self.history.len() as u64, "seq has gaps");
        self.holds(self.shadow == self.workflow, "the fold differs from the live state");
    }

    /// What may follow what.
    fn check_order(&mut self, fact: &Fact) {
        match self.shadow.phase {
            Phase::Pending => assert!(matches!(fact, Fact::WorkflowStarted { .. })),
            Phase::Faulted { .. } => assert!(
                matches!(fact, Fact::WorkflowRetried { .. } | Fact::WorkflowCancelled { .. }),
                "{fact:?} after a fault"
            ),
            Phase::Completed { .. } | Phase::Cancelled => panic!("{fact:?} after the end"),
            Phase::Running | Phase::Suspended => {}
        }
        let Fact::TaskStarted(started) = fact else { return };
        if started.frame.0 > self.frame_highest {
            self.frame_highest = started.frame.0;
            return;
        }
        let frame = self.shadow.frames.get(&started.frame).expect("a frame number was used twice");
        assert_eq!((frame.node, frame.parent), (started.node, started.parent));
        assert_eq!(frame.state, FrameState::Entering, "an open frame was entered again");
    }

    fn run(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Schedule { frame, attempt, arguments, deadline_ms, .. } => {
                    let row = TaskRow { attempt, arguments, deadline_ms };
                    if let Some(known) = self.tasks.get_mut(&frame) {
                        assert_eq!(known.attempt, attempt, "another attempt while one runs");
                        *known = row;
                        continue;
                    }
                    let last = self.handed_out.insert(frame, attempt).unwrap_or(0);
                    let story = || format!("attempt {attempt} after {last}\n{}", self.story());
                    assert!(attempt > last, "{}", story());
                    self.tasks.insert(frame, row);
                }
                Effect::Abandon { frame } => {
                    self.tasks.remove(&frame);
                }
                Effect::Arm { frame, timer, due_ms } => {
                    self.timers.insert((frame, timer), due_ms);
                }
                Effect::Disarm { frame, timer } => {
                    self.timers.remove(&(frame, timer));
                }
                Effect::Publish { event } => self.published.push(event),
                Effect::End => {
                    self.tasks.clear();
                    self.timers.clear();
                }
                Effect::Continue => self.wants_continue = true,
            }
        }
    }

    /// What must hold after every commit.
    fn check(&mut self) {
        self.check_books();
        if self.workflow.phase != Phase::Running {
            return;
        }
        if self.workflow.can_continue() {
            self.holds(self.wants_continue, "nobody knows that there is more to do");
        } else {
            self.holds(self.workflow.has_something_open(), "stuck: nothing is open");
            self.check_events();
        }
    }

    /// The books are what the state says that they are.
    fn check_books(&self) {
        let (mut tasks, mut timers) = (BTreeMap::new(), BTreeMap::new());
        for effect in self.workflow.standing_effects() {
            match effect {
                Effect::Schedule { frame, attempt, arguments, deadline_ms, .. } => {
                    tasks.insert(frame, TaskRow { attempt, arguments, deadline_ms });
                }
                Effect::Arm { frame, timer, due_ms } => {
                    timers.insert((frame, timer), due_ms);
                }
                other => panic!("{other:?} stands"),
            }
        }
        let story = || self.story();
        assert_eq!(self.tasks, tasks, "tasks in the books, and of the state\n{}", story());
        assert_eq!(self.timers, timers, "timers in the books, and of the state\n{}", story());
    }

    /// No task waits for an event that is there.
    fn check_events(&mut self) {
        let mut evaluator = self.evaluator.clone();
        evaluator.pending_max = 0;
        for frame in self.workflow.frames.values() {
            let kind = &self.workflow.graph.node(frame.node).kind;
            let (FrameState::Listen, Kind::Listen { filter, .. }) = (&frame.state, kind) else {
                continue;
            };
            for received in self.workflow.inbox.values() {
                let answer = evaluator.evaluate(
                    *filter,
                    &Scope {
                        graph: &self.workflow.graph,
                        node: frame.node,
                        value: &received.event,
                        input: Some(&frame.input),
                        output: None,
                        context: &self.workflow.context,
                        task_input: &frame.raw_input,
                        task_output: None,
                        task_started_at_ms: frame.started_at_ms,
                        workflow_id: &self.workflow.id,
                        workflow_input: &self.workflow.input,
                        workflow_started_at_ms: self.workflow.started_at_ms,
                        variables: &frame.variables,
                    },
                );
                let Evaluation::Done(Evaluated::Value(takes)) = answer else { continue };
                self.holds(!takes.is_true(), "an event that a task waits for lies in the inbox");
            }
        }
    }

    /// Folding every committed part of the history yields the state of that time.
    pub(crate) fn check_replay(&self) {
        let (id, graph) = (&self.workflow.id, &self.workflow.graph);
        for (length, state) in &self.commits {
            let folded = Workflow::fold(id, graph, &self.history[..*length]);
            self.holds(folded == *state, "the fold of a prefix differs from the state then");
        }
    }

    /// Goes on from an earlier place, as the orchestrator does. Whether there was such a place.
    pub(crate) fn rerun(&mut self, reference: &str, input: Option<&Value>) -> bool {
        let node = self.graph().find(reference).expect("a known reference");
        let input = input.map(Json::from_value);
        let highest = self.handed_out.values().copied().max().unwrap_or(0);
        let (id, graph) = (self.workflow.id.clone(), self.graph());
        let numbers = (highest, self.now_ms);
        let Some(plan) = RerunPlan::new(&id, &graph, &self.history, (node, input), numbers) else {
            return false;
        };
        self.tasks.clear();
        self.timers.clear();
        self.history.push(Recorded { at_ms: self.now_ms, fact: plan.fact });
        self.workflow = plan.workflow;
        self.shadow = self.workflow.clone();
        let standing = self.workflow.standing_effects();
        self.run(standing);
        self.apply(Input::Continue).expect("a rerun goes on");
        true
    }

    /// Has the machine go on until it needs somebody.
    pub(crate) fn drain(&mut self) {
        while self.wants_continue {
            self.apply(Input::Continue).expect("never refused");
        }
    }

    pub(crate) fn graph(&self) -> Arc<Graph> {
        self.workflow.graph.clone()
    }

    /// The execution that the books have of a frame.
    pub(crate) fn execution(&self, frame: FrameId) -> Execution {
        Execution {
            attempt: self.tasks.get(&frame).map_or(1, |row| row.attempt),
            worker: "worker".to_owned(),
            session: "session".to_owned(),
            started_at_ms: self.now_ms,
            function: "work".to_owned(),
            destination: None,
            failures: 0,
        }
    }

    fn holds(&self, condition: bool, what: &str) {
        assert!(condition, "{what}\n{}", self.story());
    }

    /// The history and the state, for whoever must find out why.
    pub(crate) fn story(&self) -> String {
        let mut story = String::new();
        for (position, node) in self.workflow.graph.nodes.iter().enumerate() {
            let _ = writeln!(story, "node {position} {} {:?}", node.reference, node.kind);
        }
        for (position, recorded) in self.history.iter().enumerate() {
            let _ = writeln!(story, "{} {:?}", position + 1, recorded.fact);
        }
        for (id, frame) in &self.workflow.frames {
            let _ = writeln!(story, "frame {} node {}: {:?}", id.0, frame.node.0, frame.state);
        }
        let (phase, ready) = (&self.workflow.phase, &self.workflow.ready);
        let _ = write!(story, "{phase:?}, ready {ready:?}");
        story
    }
}
