//! Tasks that the orchestrator does by itself: set, switch, for, fork, wait, raise.

use std::sync::Arc;

use planaria_kernel::definition::{Case, ExpressionId, Kind, NodeId};

use super::builder::Exit;
use super::place::join;
use super::{Builder, Place};
use crate::document::Value;
use crate::expression::Skeleton;
use crate::expression::table::Finish;
use crate::problem::reason;

impl<'d> Builder<'d> {
    pub(super) fn set(&mut self, subject: &Place<'d>, id: NodeId) {
        if let Some(text) = subject.tree.text()
            && super::data::enclosed(text).is_none()
        {
            let message = "set takes an object, or an expression in ${ }";
            self.wrong(subject, reason::VALUE_INVALID, message);
            return;
        }
        if let Some(value) = self.expression_or_template(subject) {
            self.node(id).kind = Kind::Set { value };
        }
    }

    pub(super) fn switch(&mut self, subject: &Place<'d>, id: NodeId) {
        let mut cases = Vec::new();
        let mut default: Option<Case> = None;
        // The cases are there before their jumps land; a default case moves behind the others.
        let entries: Vec<_> = self.entries(subject).into_iter().flatten().collect();
        let (first, last): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|(_, case)| case.get("when").is_some());
        for (_, case) in first.into_iter().chain(last) {
            if !self.object(&case, &["when", "then"]) {
                continue;
            }
            let when = case.get("when").map(|when| self.expression(&when));
            let Some(then) = self.required(&case, "then") else { continue };
            let then = self.then(&then, id, Exit::Case(cases.len()));
            let compiled = Case { when: when.flatten(), then };
            if case.get("when").is_none() && default.replace(compiled).is_some() {
                let message = "a switch can have only one case without when";
                self.wrong(&case, reason::VALUE_INVALID, message);
            }
            cases.push(compiled);
        }
        self.node(id).kind = Kind::Switch { cases };
    }

    pub(super) fn for_each(&mut self, task: &Place<'d>, subject: &Place<'d>, id: NodeId) {
        if !self.object(subject, &["each", "in", "at"]) {
            return;
        }
        let each = self.variable(subject, "each", "item");
        let at = self.variable(subject, "at", "index");
        let items = self.required(subject, "in").and_then(|items| self.items(&items));
        let outside = self.variables.len();
        self.variables.extend([dollar(&each), dollar(&at)]);
        let condition = task.get("while").and_then(|condition| self.expression(&condition));
        let Some(list) = self.required(task, "do") else { return };
        let reference = join(&self.reference(id), "do");
        let body = self.body(&list, &reference, "do", id);
        self.variables.truncate(outside);
        if let Some(items) = items {
            self.node(id).kind = Kind::For { each, at, items, condition, body };
        }
    }

    /// The `in` of a for: an expression, or an array.
    fn items(&mut self, place: &Place<'d>) -> Option<ExpressionId> {
        match place.tree.value {
            Value::String(_) => self.expression(place),
            Value::Array(_) => self.template(place),
            _ => {
                self.mismatch(place, "an expression or an array");
                None
            }
        }
    }

    /// The name of a variable, without a dollar sign.
    pub(super) fn variable(&mut self, place: &Place<'_>, key: &str, default: &str) -> Arc<str> {
        let Some(place) = place.get(key) else { return Arc::from(default) };
        let text = self.text(&place).unwrap_or(default);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !text.chars().all(word) {
            let message = format!("{text:?} cannot be a variable: letters, digits and _");
            self.wrong(&place, reason::VALUE_INVALID, message);
        } else if self
            .variables
            .iter()
            .take(super::builder::RUNTIME_ARGUMENTS_COUNT)
            .any(|taken| taken[1..] == *text)
        {
            let message = format!("${text} has a meaning of its own");
            self.wrong(&place, reason::VALUE_INVALID, message);
        }
        Arc::from(text)
    }

    /// A list of tasks as a node of its own: the body of a for, try or catch.
    pub(super) fn body(
        &mut self,
        list: &Place<'d>,
        reference: &str,
        name: &str,
        parent: NodeId,
    ) -> NodeId {
        let id = self.open(list, reference, name, Some(parent));
        let children = self.tasks(list, reference, id);
        self.node(id).kind = Kind::Do { children };
        id
    }

    /// The reference of a node.
    pub(super) fn reference(&mut self, id: NodeId) -> Arc<str> {
        self.node(id).reference.clone()
    }

    pub(super) fn fork(&mut self, subject: &Place<'d>, id: NodeId) {
        if !self.object(subject, &["branches", "compete"]) {
            return;
        }
        let compete = subject.get("compete").and_then(|place| self.boolean(&place));
        let Some(list) = self.required(subject, "branches") else { return };
        let base = format!("{}/fork/branches", self.reference(id));
        let mut branches = Vec::new();
        for (position, entry) in self.entries(&list).into_iter().enumerate() {
            let Some((name, task)) = entry else { continue };
            let reference = join(&format!("{base}/{position}"), name);
            let outer = std::mem::take(&mut self.jumps);
            branches.push(self.task(&task, &reference, name, id));
            for jump in std::mem::replace(&mut self.jumps, outer) {
                let message = format!(
                    "a branch runs by itself: it cannot go to {:?}, only continue, exit or end",
                    jump.name
                );
                self.report(crate::problem::Problem { message, ..jump.problem });
            }
        }
        self.node(id).kind = Kind::Fork { branches, compete: compete.unwrap_or(false) };
    }

    pub(super) fn wait(&mut self, subject: &Place<'d>, id: NodeId) {
        if let Some(duration) = self.duration(subject) {
            self.node(id).kind = Kind::Wait { duration };
        }
    }

    pub(super) fn raise(&mut self, subject: &Place<'d>, id: NodeId) {
        if !self.object(subject, &["error"]) {
            return;
        }
        let Some(place) = self.required(subject, "error") else { return };
        let error = match place.tree.text() {
            Some(name) => self.reusable_named(&place, "errors", name),
            None => Some(place),
        };
        if let Some(error) = error.and_then(|error| self.error(&error)) {
            self.node(id).kind = Kind::Raise { error };
        }
    }

    /// An error object (RFC 7807) as a template.
    pub(super) fn error(&mut self, place: &Place<'_>) -> Option<ExpressionId> {
        if !self.object(place, &["type", "status", "instance", "title", "detail"]) {
            return None;
        }
        let mut programs = Vec::new();
        let mut members = Vec::new();
        let mut add = |key: &str, skeleton: Option<Skeleton>| -> Option<()> {
            members.push((super::data::quoted(key), skeleton?));
            Some(())
        };
        let kind = self.required(place, "type")?;
        add("type", self.uri_skeleton(&kind, &mut programs))?;
        let status = self.required(place, "status")?;
        let number = self.integer(&status, 100, 599)?;
        add("status", Some(Skeleton::Literal(number.to_string())))?;
        for key in ["title", "detail", "instance"] {
            let Some(member) = place.get(key) else { continue };
            self.text(&member)?;
            add(key, self.skeleton(&member, &mut programs))?;
        }
        Some(self.table.add(programs, Finish::Value(Skeleton::object(members))))
    }
}

/// The name of a variable as expressions write it.
pub(super) fn dollar(name: &str) -> Arc<str> {
    Arc::from(format!("${name}"))
}
