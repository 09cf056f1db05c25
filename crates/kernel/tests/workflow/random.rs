//! Random definitions, read from a tape of random bytes: a shorter tape, or one with more zeros,
//! is a simpler definition, so that failures shrink.

use planaria_kernel::definition::{Backoff, ErrorFilter, Jitter, Read};
use serde_json::json;

use crate::definition::{
    Catching, Definition, Flow, Length, Retrying, Task, Work, call, retrying, set, task,
};
use crate::toy::{Expression, Schema, Yield, chance, literal, path};

/// Random bytes, and zeros behind their end.
pub(crate) struct Tape<'a> {
    bytes: &'a [u8],
    position: usize,
    tasks: usize,
}

impl<'a> Tape<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, tasks: 0 }
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.position).copied().unwrap_or(0);
        self.position += 1;
        byte
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    /// True in one of so many cases.
    fn rarely(&mut self, one_in: u8) -> bool {
        self.below(one_in) == one_in - 1
    }

    fn is_at_end(&self) -> bool {
        self.position >= self.bytes.len()
    }

    /// A whole definition.
    pub(crate) fn definition(&mut self) -> Definition {
        let list = self.list(0);
        let mut root = task("do", Work::Do(list));
        if self.rarely(4) {
            root.timeout = Some(self.length());
        }
        if self.rarely(6) {
            root.input_from = Some(self.of(Yield::Document));
        }
        if self.rarely(6) {
            root.output_as = Some(self.of(Yield::Document));
        }
        Definition::of_root(&root)
    }

    fn of(&mut self, yields: Yield) -> Expression {
        let salt = self.byte();
        chance(salt, yields)
    }

    fn truth(&mut self) -> Expression {
        if self.rarely(2) { self.of(Yield::Truth) } else { literal(json!(true)) }
    }

    fn document(&mut self) -> Expression {
        match self.below(4) {
            0 => path("."),
            1 => literal(json!({ "n": 1 })),
            2 => path("$context"),
            _ => self.of(Yield::Document),
        }
    }

    fn length(&mut self) -> Length {
        match self.below(3) {
            0 => Length::Fixed(1_000),
            1 => Length::Fixed(0),
            _ => Length::Of(self.of(Yield::Length)),
        }
    }

    fn list(&mut self, depth: usize) -> Vec<Task> {
        let mut tasks = vec![self.task(depth)];
        while tasks.len() < 4 && !self.is_at_end() && !self.rarely(3) {
            tasks.push(self.task(depth));
        }
        let names: Vec<String> = tasks.iter().map(|task| task.name.clone()).collect();
        for task in &mut tasks {
            task.then = self.flow(&names);
            if let Work::Switch(cases) = &mut task.work {
                for (_, then) in cases {
                    *then = self.flow(&names);
                }
            }
            if let Work::Try { catch, .. } = &mut task.work
                && self.rarely(3)
            {
                catch.then = Some(self.flow(&names));
            }
        }
        tasks
    }

    fn flow(&mut self, names: &[String]) -> Flow {
        match self.below(12) {
            11 => Flow::Exit,
            10 => Flow::End,
            9 => Flow::To(names[usize::from(self.byte()) % names.len()].clone()),
            _ => Flow::Continue,
        }
    }

    fn task(&mut self, depth: usize) -> Task {
        self.tasks += 1;
        let name = format!("t{}", self.tasks);
        let work = self.work(depth);
        let mut task = task(name, work);
        if self.rarely(5) {
            task.condition = Some(self.of(Yield::Truth));
        }
        if self.rarely(5) {
            task.input_from = Some(self.document());
        }
        if self.rarely(5) {
            task.output_as = Some(self.document());
        }
        if self.rarely(5) {
            task.export_as = Some(self.document());
        }
        if self.rarely(4) {
            task.timeout = Some(self.length());
        }
        match self.below(20) {
            19 => task.input_schema = Some(Schema::Has("n")),
            18 => task.output_schema = Some(Schema::Has("n")),
            17 => task.export_schema = Some(Schema::Has("n")),
            _ => {}
        }
        task
    }

    fn work(&mut self, depth: usize) -> Work {
        let kinds = if depth < 3 && self.tasks < 20 { 16 } else { 8 };
        match self.below(kinds) {
            0 => Work::Set(self.document()),
            1 | 8 => {
                let arguments = if self.rarely(2) { Some(self.document()) } else { None };
                Work::Call { arguments }
            }
            2 => Work::Wait(self.length()),
            3 => Work::Raise(self.of(Yield::Error)),
            4 => Work::Switch(vec![
                (Some(self.of(Yield::Truth)), Flow::Continue),
                (Some(self.of(Yield::Truth)), Flow::Continue),
                (None, Flow::Continue),
            ]),
            5 => Work::Emit(self.document()),
            6 | 7 => self.listen(),
            9 => Work::Do(self.list(depth + 1)),
            10 => Work::For {
                items: self.of(Yield::Items),
                condition: if self.rarely(3) { Some(self.of(Yield::Truth)) } else { None },
                body: self.list(depth + 1),
            },
            11..=12 => {
                let compete = self.rarely(2);
                let mut branches = Vec::new();
                for _ in 0..self.below(4) {
                    branches.push(self.task(depth + 1));
                }
                Work::Fork { branches, compete }
            }
            _ => {
                let mut body = self.list(depth + 1);
                if self.rarely(2) {
                    self.tasks += 1;
                    body.push(task(format!("t{}", self.tasks), Work::Raise(self.of(Yield::Error))));
                }
                Work::Try { body, catch: Box::new(self.catch(depth)) }
            }
        }
    }

    fn listen(&mut self) -> Work {
        let filter = self.truth();
        let read = if self.rarely(2) { Read::Envelope } else { Read::Data };
        Work::Listen { filter, read }
    }

    fn catch(&mut self, depth: usize) -> Catching {
        let status = if self.rarely(4) { Some(400) } else { None };
        Catching {
            errors: ErrorFilter { status, ..ErrorFilter::default() },
            when: if self.rarely(4) { Some(self.of(Yield::Truth)) } else { None },
            except_when: if self.rarely(5) { Some(self.of(Yield::Truth)) } else { None },
            retry: if self.rarely(3) { None } else { Some(self.retry()) },
            body: if self.rarely(2) { Some(self.list(depth + 1)) } else { None },
            then: None,
        }
    }

    fn retry(&mut self) -> Retrying {
        let attempts_max = u32::from(self.below(4));
        let mut retry = retrying(attempts_max);
        retry.delay = self.length();
        match self.below(4) {
            1 => retry.backoff = Backoff::Exponential { multiplier: 2.0, delay_max_ms: None },
            2 => retry.jitter = Some(Jitter { from_ms: 0, to_ms: 100 }),
            3 => retry.when = Some(self.of(Yield::Truth)),
            _ => {}
        }
        if self.rarely(3) {
            retry.attempt_duration = Some(self.length());
        }
        if self.rarely(3) {
            retry.duration = Some(self.length());
        }
        retry
    }
}

/// What a definition of a few bytes looks like: the simplest task first.
#[test]
fn an_empty_tape_is_one_set() {
    let simplest = Tape::new(&[]).definition();
    assert_eq!(simplest.graph.nodes.len(), 2);
    let with_a_call = Definition::new(vec![set("a", path(".")), call("b")]);
    assert_eq!(&*with_a_call.graph.nodes[2].reference, "/do/1/b");
}
