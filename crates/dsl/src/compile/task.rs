//! Tasks: what all have in common, and which one it is.

use std::collections::BTreeMap;

use planaria_kernel::definition::{Kind, NodeId, Then};

use super::builder::{Exit, Jump};
use super::check::nearest;
use super::place::join;
use super::{Builder, Place};
use crate::problem::{Problem, reason};

/// Keys that every task may have.
const COMMON_KEYS: [&str; 7] = ["if", "input", "output", "export", "timeout", "then", "metadata"];

/// What makes a task the one that it is, and the further keys that it may have.
const KINDS: [(&str, &[&str]); 12] = [
    ("call", &["call", "with"]),
    ("emit", &["emit"]),
    ("for", &["for", "while", "do"]),
    ("fork", &["fork"]),
    ("listen", &["listen", "foreach"]),
    ("raise", &["raise"]),
    ("run", &["run"]),
    ("set", &["set"]),
    ("switch", &["switch"]),
    ("try", &["try", "catch"]),
    ("wait", &["wait"]),
    // Last: a `for` has a `do`, too.
    ("do", &["do"]),
];

impl<'d> Builder<'d> {
    /// Compiles a list of tasks; answers their nodes. `reference` is the list's.
    pub(super) fn tasks(
        &mut self,
        list: &Place<'d>,
        reference: &str,
        parent: NodeId,
    ) -> Vec<NodeId> {
        let outer = std::mem::take(&mut self.jumps);
        let mut children = Vec::new();
        let mut names: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
        for (position, item) in self.entries(list).into_iter().enumerate() {
            let Some((name, task)) = item else { continue };
            let reference = join(&format!("{reference}/{position}"), name);
            let id = self.task(&task, &reference, name, parent);
            names.entry(name).or_default().push(id);
            children.push(id);
        }
        let jumps = std::mem::replace(&mut self.jumps, outer);
        for jump in jumps {
            self.land(jump, &names);
        }
        children
    }

    /// The named entries of a list of objects with one member each.
    pub(super) fn entries(&mut self, list: &Place<'d>) -> Vec<Option<(&'d str, Place<'d>)>> {
        if !self.array(list) {
            return Vec::new();
        }
        if list.tree.items().is_some_and(<[_]>::is_empty) {
            self.wrong(list, reason::VALUE_INVALID, "the list is empty");
        }
        let mut entries = Vec::new();
        for item in list.items() {
            let mut members = item.members();
            let entry = match (members.next(), members.next()) {
                (Some(entry), None) => Some(entry),
                _ => {
                    let message = "expected an object with one member: its name and what it is";
                    self.wrong(&item, reason::TYPE_MISMATCH, message);
                    None
                }
            };
            entries.push(entry);
        }
        entries
    }

    /// Points a jump to its task.
    fn land(&mut self, jump: Jump, names: &BTreeMap<&str, Vec<NodeId>>) {
        let Jump { node, exit, name, problem } = jump;
        let target = match names.get(name.as_str()).map(Vec::as_slice) {
            Some([target]) => *target,
            Some(_) => {
                let message = format!("several tasks of this list are called {name:?}");
                self.report(Problem { message, ..problem });
                return;
            }
            None => {
                let mut known = vec!["continue", "exit", "end"];
                known.extend(names.keys());
                let message = format!(
                    "{name:?} is neither a task of the same list nor continue, exit or end{}",
                    nearest(&name, &known)
                );
                self.report(Problem { message, ..problem });
                return;
            }
        };
        let node = self.node(node);
        match (exit, &mut node.kind) {
            (Exit::Case(position), Kind::Switch { cases }) => {
                if let Some(case) = cases.get_mut(position) {
                    case.then = Then::Goto(target);
                }
            }
            (Exit::Catch, Kind::Try { catch, .. }) => catch.then = Some(Then::Goto(target)),
            _ => node.then = Then::Goto(target),
        }
    }

    /// A flow directive. A jump is completed at the end of the list; until then it continues.
    pub(super) fn then(&mut self, place: &Place<'_>, node: NodeId, exit: Exit) -> Then {
        match self.text(place) {
            Some("exit") => Then::Exit,
            Some("end") => Then::End,
            Some("continue") | None => Then::Continue,
            Some(name) => {
                let problem = place.problem(reason::REFERENCE_UNKNOWN, "");
                self.jumps.push(Jump { node, exit, name: name.to_owned(), problem });
                Then::Continue
            }
        }
    }

    /// Compiles a task that is defined at `place` and will be known by `reference`.
    pub(super) fn task(
        &mut self,
        place: &Place<'d>,
        reference: &str,
        name: &str,
        parent: NodeId,
    ) -> NodeId {
        let id = self.open(place, reference, name, Some(parent));
        let Some(kind) = self.kind(place) else { return id };
        if let Some(condition) = place.get("if") {
            self.node(id).condition = self.expression(&condition);
        }
        self.input(place, id);
        self.output(place, id);
        self.export(place, id);
        if let Some(timeout) = place.get("timeout") {
            self.node(id).timeout = self.timeout(&timeout);
        }
        if let Some(then) = place.get("then") {
            self.node(id).then = self.then(&then, id, Exit::Then);
        }
        if kind != "call" {
            self.metadata_of_local_task(place);
        }
        let Some(subject) = place.get(kind) else { return id };
        match kind {
            "call" => self.call(place, &subject, id),
            "do" => {
                let children = self.tasks(&subject, &join(reference, "do"), id);
                self.node(id).kind = Kind::Do { children };
            }
            "emit" => self.emit(&subject, id),
            "for" => self.for_each(place, &subject, id),
            "fork" => self.fork(&subject, id),
            "listen" => self.listen(place, &subject, id),
            "raise" => self.raise(&subject, id),
            "set" => self.set(&subject, id),
            "switch" => self.switch(&subject, id),
            "try" => self.attempt(place, &subject, id),
            "wait" => self.wait(&subject, id),
            _ => self.run(&subject),
        }
        id
    }

    /// Which kind of task stands at a place.
    fn kind(&mut self, place: &Place<'d>) -> Option<&'static str> {
        if place.tree.members().is_none() {
            self.mismatch(place, "an object");
            return None;
        }
        let present: Vec<_> = KINDS.iter().filter(|(key, _)| place.get(key).is_some()).collect();
        let (kind, keys) = match present.as_slice() {
            [] => {
                let all: Vec<&str> = COMMON_KEYS
                    .into_iter()
                    .chain(KINDS.iter().flat_map(|kind| kind.1).copied())
                    .collect();
                self.object(place, &all);
                let kinds: Vec<&str> = KINDS.iter().map(|(key, _)| *key).collect();
                let message = format!("a task needs one of {}", kinds.join(", "));
                self.wrong(place, reason::KEY_MISSING, message);
                return None;
            }
            [kind] | [kind @ ("for", _), ("do", _)] => *kind,
            [(first, _), (second, _), ..] => {
                let message = format!("a task cannot be both {first} and {second}");
                self.wrong(place, reason::VALUE_INVALID, message);
                return None;
            }
        };
        let known: Vec<&str> = COMMON_KEYS.iter().chain(*keys).copied().collect();
        self.object(place, &known);
        Some(kind)
    }

    fn run(&mut self, subject: &Place<'_>) {
        const WAYS: [&str; 4] = ["container", "script", "shell", "workflow"];
        self.object(subject, &["container", "script", "shell", "workflow", "await", "return"]);
        let way = WAYS.iter().find_map(|way| subject.get(way).map(|place| (way, place)));
        match way {
            Some((way, place)) => self.unsupported(&place, &format!("run: {way}")),
            None => self.unsupported(subject, "run"),
        }
    }
}
