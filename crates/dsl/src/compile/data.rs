//! Expressions, templates, and the data flow of a task: input, output, export.

use std::sync::Arc;

use planaria_kernel::definition::{ExpressionId, NodeId, SchemaId};

use super::{Builder, Place};
use crate::document::Value;
use crate::expression::Skeleton;
use crate::expression::program::Program;
use crate::expression::schema::Schema;
use crate::expression::table::Finish;
use crate::problem::reason;
use crate::uri;

/// The text between `${` and `}`, if a string is an expression as a whole.
pub(super) fn enclosed(text: &str) -> Option<&str> {
    text.trim().strip_prefix("${")?.strip_suffix('}')
}

impl Builder<'_> {
    /// Checks a program.
    pub(super) fn program(&mut self, place: &Place<'_>, text: &str) -> Option<Arc<Program>> {
        let text = text.trim();
        if text.len() > self.limits.expression_bytes_max {
            let most = self.limits.expression_bytes_max;
            let message = format!("an expression may have at most {most} bytes");
            self.wrong(place, reason::LIMIT_EXCEEDED, message);
            return None;
        }
        if self.applied_to.is_none()
            && let Some(program) = self.table.known(text, &self.variables)
        {
            return Some(program);
        }
        if self.table.len() >= self.limits.expressions_max {
            let most = self.limits.expressions_max;
            let message = format!("a document may have at most {most} different expressions");
            self.wrong(place, reason::LIMIT_EXCEEDED, message);
            return None;
        }
        let mut program = Program::new(&self.engine, text, &self.variables);
        if let (Ok(_), Some(attribute)) = (&program, &self.applied_to) {
            let text = format!(".[{}] | (\n{text}\n)", quoted(attribute));
            program = Program::new(&self.engine, &text, &self.variables);
        }
        match program {
            Ok(program) => Some(self.table.remember(&self.variables, program)),
            Err(invalid) => {
                let reason = if invalid.forbidden {
                    reason::EXPRESSION_FORBIDDEN
                } else {
                    reason::EXPRESSION_INVALID
                };
                self.wrong(place, reason, invalid.message);
                None
            }
        }
    }

    /// A string that is an expression, with or without `${ }`.
    pub(super) fn expression(&mut self, place: &Place<'_>) -> Option<ExpressionId> {
        let text = self.text(place)?;
        let program = self.program(place, enclosed(text).unwrap_or(text))?;
        Some(self.table.add(vec![program], Finish::Value(Skeleton::Program(0))))
    }

    /// An object whose strings may be expressions in `${ }`, or a string that is one.
    pub(super) fn expression_or_template(&mut self, place: &Place<'_>) -> Option<ExpressionId> {
        match place.tree.value {
            Value::String(_) => self.expression(place),
            Value::Object(_) => self.template(place),
            _ => {
                self.mismatch(place, "an expression or an object");
                None
            }
        }
    }

    /// Any value whose strings may be expressions in `${ }`.
    pub(super) fn template(&mut self, place: &Place<'_>) -> Option<ExpressionId> {
        let mut programs = Vec::new();
        let skeleton = self.skeleton(place, &mut programs)?;
        Some(self.table.add(programs, Finish::Value(skeleton)))
    }

    /// The template of a value; its programs are added to the list.
    pub(super) fn skeleton(
        &mut self,
        place: &Place<'_>,
        programs: &mut Vec<Arc<Program>>,
    ) -> Option<Skeleton> {
        match &place.tree.value {
            Value::String(text) => self.text_skeleton(place, text, programs),
            Value::Array(_) => {
                let mut items = Vec::new();
                let mut whole = true;
                for item in place.items() {
                    let item = self.skeleton(&item, programs);
                    whole &= item.is_some();
                    items.extend(item);
                }
                whole.then(|| Skeleton::array(items))
            }
            Value::Object(_) => {
                let mut members = Vec::new();
                let mut whole = true;
                for (key, member) in place.members() {
                    let member = self.skeleton(&member, programs);
                    whole &= member.is_some();
                    members.extend(member.map(|member| (quoted(key), member)));
                }
                whole.then(|| Skeleton::object(members))
            }
            _ => Some(Skeleton::Literal(place.tree.to_json().to_string())),
        }
    }

    fn text_skeleton(
        &mut self,
        place: &Place<'_>,
        text: &str,
        programs: &mut Vec<Arc<Program>>,
    ) -> Option<Skeleton> {
        if let Some(program) = enclosed(text) {
            programs.push(self.program(place, program)?);
            return Some(Skeleton::Program(programs.len() - 1));
        }
        if text.contains("${") {
            let message = "${ } is evaluated only where it is the whole string; \
                           write ${ \"…\\(.name)…\" } instead";
            self.warn(place, reason::EXPRESSION_EMBEDDED, message);
        }
        Some(Skeleton::Literal(quoted(text)))
    }

    /// A URI: a template in braces, or an expression in `${ }`.
    pub(super) fn uri_skeleton(
        &mut self,
        place: &Place<'_>,
        programs: &mut Vec<Arc<Program>>,
    ) -> Option<Skeleton> {
        let text = self.text(place)?;
        if enclosed(text).is_some() {
            return self.text_skeleton(place, text, programs);
        }
        match uri::parse(text) {
            Ok(None) => Some(Skeleton::Literal(quoted(text))),
            Ok(Some(parts)) => Some(Skeleton::Uri(parts)),
            Err(message) => {
                self.wrong(place, reason::VALUE_INVALID, message);
                None
            }
        }
    }

    /// The `input` of a task or workflow.
    pub(super) fn input(&mut self, task: &Place<'_>, id: NodeId) {
        let Some(input) = task.get("input") else { return };
        if !self.object(&input, &["schema", "from"]) {
            return;
        }
        let schema = input.get("schema").and_then(|schema| self.schema(&schema));
        let from = input.get("from").and_then(|from| self.expression_or_template(&from));
        let node = self.node(id);
        node.input_schema = schema;
        node.input_from = from;
    }

    /// The `output` of a task or workflow.
    pub(super) fn output(&mut self, task: &Place<'_>, id: NodeId) {
        let Some(output) = task.get("output") else { return };
        if !self.object(&output, &["schema", "as"]) {
            return;
        }
        let schema = output.get("schema").and_then(|schema| self.schema(&schema));
        let transform = output.get("as").and_then(|place| self.expression_or_template(&place));
        let node = self.node(id);
        node.output_schema = schema;
        node.output_as = transform;
    }

    /// The `export` of a task.
    pub(super) fn export(&mut self, task: &Place<'_>, id: NodeId) {
        let Some(export) = task.get("export") else { return };
        if !self.object(&export, &["schema", "as"]) {
            return;
        }
        let schema = export.get("schema").and_then(|schema| self.schema(&schema));
        let transform = export.get("as").and_then(|place| self.expression_or_template(&place));
        let node = self.node(id);
        node.export_schema = schema;
        node.export_as = transform;
    }

    fn schema(&mut self, place: &Place<'_>) -> Option<SchemaId> {
        if !self.object(place, &["format", "document", "resource"]) {
            return None;
        }
        if let Some(format) = place.get("format") {
            let text = self.text(&format)?;
            if text != "json" && !text.starts_with("json:") {
                self.unsupported(&format, "a schema format other than json");
            }
        }
        if let Some(resource) = place.get("resource") {
            self.unsupported(&resource, "a schema in an external resource");
            return None;
        }
        let document = self.required(place, "document")?;
        if !matches!(document.tree.value, Value::Object(_) | Value::Boolean(_)) {
            self.mismatch(&document, "an object or a boolean");
            return None;
        }
        match Schema::new(&document.tree.to_json()) {
            Ok(schema) => Some(self.table.add_schema(schema)),
            Err(message) => {
                let message = format!("not a valid JSON schema: {message}");
                self.wrong(&document, reason::SCHEMA_INVALID, message);
                None
            }
        }
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
