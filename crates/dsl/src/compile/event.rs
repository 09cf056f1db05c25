//! emit and listen.

use std::sync::Arc;

use planaria_kernel::definition::{Kind, NodeId, Read};

use super::data::{enclosed, quoted};
use super::{Builder, Place};
use crate::expression::Skeleton;
use crate::expression::table::{Attribute, Finish};
use crate::problem::reason;

impl<'d> Builder<'d> {
    pub(super) fn emit(&mut self, subject: &Place<'d>, id: NodeId) {
        if !self.object(subject, &["event"]) {
            return;
        }
        let Some(event) = self.required(subject, "event") else { return };
        if !self.object(&event, &["with"]) {
            return;
        }
        let Some(with) = self.required(&event, "with") else { return };
        if !self.open_object(&with) || self.required(&with, "type").is_none() {
            return;
        }
        let mut programs = Vec::new();
        let mut members = Vec::new();
        for (key, member) in with.members() {
            if !self.attribute_name(&member, key) {
                continue;
            }
            let skeleton = match key {
                "source" | "dataschema" => self.uri_skeleton(&member, &mut programs),
                _ => self.skeleton(&member, &mut programs),
            };
            members.extend(skeleton.map(|skeleton| (quoted(key), skeleton)));
        }
        let event = self.table.add(programs, Finish::Value(Skeleton::object(members)));
        self.node(id).kind = Kind::Emit { event };
    }

    /// Whether a name can be a CloudEvents attribute: lower-case letters and digits.
    fn attribute_name(&mut self, place: &Place<'_>, name: &str) -> bool {
        let valid = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !valid {
            let message = format!("{name:?} cannot be an event attribute: a to z and 0 to 9 only");
            self.wrong(place, reason::KEY_UNKNOWN, message);
        }
        if ["id", "type", "subject", "datacontenttype", "time", "source"].contains(&name) {
            return self.text(place).is_some() && valid;
        }
        valid
    }

    pub(super) fn listen(&mut self, task: &Place<'d>, subject: &Place<'d>, id: NodeId) {
        if let Some(foreach) = task.get("foreach") {
            self.unsupported(&foreach, "foreach of a listen");
        }
        if !self.object(subject, &["to", "read"]) {
            return;
        }
        let read =
            subject.get("read").and_then(|read| self.word(&read, &["data", "envelope", "raw"]));
        let read = match read {
            Some("envelope") => Read::Envelope,
            Some("raw") => Read::Raw,
            _ => Read::Data,
        };
        let Some(to) = self.required(subject, "to") else { return };
        if !self.object(&to, &["one", "any", "all", "until"]) {
            return;
        }
        for strategy in ["any", "all", "until"] {
            if let Some(place) = to.get(strategy) {
                self.unsupported(&place, &format!("listen to {strategy}"));
                return;
            }
        }
        let Some(filter) = self.required(&to, "one") else { return };
        if !self.object(&filter, &["with", "correlate"]) {
            return;
        }
        if let Some(correlate) = filter.get("correlate") {
            self.unsupported(&correlate, "correlate");
        }
        let Some(with) = self.required(&filter, "with") else { return };
        self.filter(&with, read, id);
    }

    fn filter(&mut self, with: &Place<'d>, read: Read, id: NodeId) {
        if !self.open_object(with) {
            return;
        }
        let mut programs = Vec::new();
        let mut attributes = Vec::new();
        for (name, member) in with.members() {
            if !self.attribute_name(&member, name) {
                continue;
            }
            self.applied_to = Some(name.to_owned());
            let expected = self.skeleton(&member, &mut programs);
            self.applied_to = None;
            if let Some(expected) = expected {
                attributes.push(Attribute { name: name.to_owned(), expected });
            }
        }
        if with.tree.members().is_some_and(<[_]>::is_empty) {
            self.wrong(with, reason::KEY_MISSING, "a filter needs at least one attribute");
        }
        let kind = with.get("type").and_then(|kind| kind.tree.text());
        let event_type = kind.filter(|text| enclosed(text).is_none()).map(Arc::from);
        let filter = self.table.add(programs, Finish::Filter(attributes));
        self.node(id).kind = Kind::Listen { event_type, filter, read };
    }
}
