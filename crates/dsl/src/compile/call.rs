//! call: functions of workers, and reusable functions of the document.

use std::sync::Arc;

use planaria_kernel::definition::{Call, ExpressionId, Kind, NodeId};

use super::header::is_semantic_version;
use super::metadata::is_name;
use super::{Builder, FunctionUse, Place};
use crate::problem::reason;

/// Calls that the language defines and no worker offers yet.
const LATER: [&str; 5] = ["asyncapi", "grpc", "openapi", "a2a", "mcp"];

impl<'d> Builder<'d> {
    pub(super) fn call(&mut self, task: &Place<'d>, subject: &Place<'d>, id: NodeId) {
        let Some(text) = self.text(subject) else { return };
        if LATER.contains(&text) {
            self.unsupported(subject, &format!("call: {text}"));
            return;
        }
        if text == "http" {
            let Some(with) = self.required(task, "with") else { return };
            let arguments = self.http(&with);
            self.call_function(task, id, "http", None, arguments);
            return;
        }
        if self.defined_function(text).is_some() {
            self.expand(task, text, id);
            return;
        }
        let Some((function, version)) = self.function_name(subject, text) else { return };
        let arguments = task
            .get("with")
            .and_then(|with| self.open_object(&with).then(|| self.template(&with)).flatten());
        self.call_function(task, id, function, version, arguments);
    }

    fn call_function(
        &mut self,
        task: &Place<'d>,
        id: NodeId,
        function: &str,
        version: Option<&str>,
        arguments: Option<ExpressionId>,
    ) {
        let ours = self.metadata(task);
        let reference = self.reference(id).to_string();
        self.functions.push(FunctionUse {
            reference,
            function: function.to_owned(),
            version: version.map(str::to_owned),
            queue: ours.queue.to_string(),
            place: (task.tree.position.line, task.tree.position.column),
        });
        self.node(id).kind = Kind::Call(Box::new(Call {
            function: Arc::from(function),
            version: version.map(Arc::from),
            arguments,
            queue: ours.queue,
            priority: ours.priority,
            progress_timeout_ms: ours.progress_timeout_ms,
            labels: ours.labels,
            retry: ours.retry,
        }));
    }

    /// `name`, `name:version`, `name:version@default`.
    fn function_name<'t>(
        &mut self,
        place: &Place<'_>,
        text: &'t str,
    ) -> Option<(&'t str, Option<&'t str>)> {
        if text.contains("://") {
            self.unsupported(place, "a function given by its URL");
            return None;
        }
        let (rest, catalog) = text.split_once('@').map_or((text, None), |(a, b)| (a, Some(b)));
        if catalog.is_some_and(|catalog| catalog != "default") {
            self.unsupported(place, "a catalog other than the default one");
            return None;
        }
        let (name, version) = rest.split_once(':').map_or((rest, None), |(a, b)| (a, Some(b)));
        if !is_name(name) {
            let message = format!("{name:?} is not a valid function: letters, digits and -_./");
            self.wrong(place, reason::VALUE_INVALID, message);
            return None;
        }
        if let Some(version) = version.filter(|version| !is_semantic_version(version)) {
            let message = format!("{version:?} is not a semantic version such as 1.0.0");
            self.wrong(place, reason::VALUE_INVALID, message);
            return None;
        }
        Some((name, version))
    }

    fn defined_function(&self, name: &str) -> Option<Place<'d>> {
        let section = self.root.get("use")?;
        section.get("functions")?.get(name)
    }

    /// Puts the task of a reusable function where it is called. Its input is what `with` yields:
    /// a node between the two turns the caller's input into it, so that the function's own
    /// `input` section sees nothing else.
    fn expand(&mut self, task: &Place<'d>, name: &'d str, id: NodeId) {
        let Some(function) = self.defined_function(name) else { return };
        if let Some(call) = task.get("call")
            && self.expanding.iter().any(|outer| outer == name)
        {
            let message = format!("the function {name:?} calls itself");
            self.wrong(&call, reason::REFERENCE_CYCLE, message);
            return;
        }
        self.called.insert(name.to_owned());
        self.metadata_of_local_task(task);
        if self.is_full() {
            return;
        }
        let reference = self.reference(id);
        let wrapper = self.open(task, &format!("{reference}/with"), "with", Some(id));
        if let Some(with) = task.get("with")
            && self.open_object(&with)
        {
            self.node(wrapper).input_from = self.template(&with);
        }
        // Variables of the caller are not the function's.
        let outside = self.variables.split_off(super::builder::RUNTIME_ARGUMENTS_COUNT);
        let outer = std::mem::take(&mut self.jumps);
        self.expanding.push(name.to_owned());
        let child = self.task(&function, &format!("{reference}/call"), name, wrapper);
        self.expanding.pop();
        for jump in std::mem::replace(&mut self.jumps, outer) {
            let message = format!("a function cannot go to {:?}, which is outside it", jump.name);
            self.report(crate::problem::Problem { message, ..jump.problem });
        }
        self.variables.extend(outside);
        self.node(wrapper).kind = Kind::Do { children: vec![child] };
        self.node(id).kind = Kind::Do { children: vec![wrapper] };
    }
}
