//! The arguments of `call: http`.

use std::sync::Arc;

use planaria_kernel::definition::ExpressionId;

use super::data::quoted;
use super::{Builder, Place};
use crate::document::Value;
use crate::expression::Skeleton;
use crate::expression::program::Program;
use crate::expression::table::Finish;
use crate::problem::reason;

const KEYS: [&str; 7] = ["method", "endpoint", "headers", "body", "query", "output", "redirect"];

impl<'d> Builder<'d> {
    /// The `with` of an HTTP call as a template of the same shape, its URI expanded.
    pub(super) fn http(&mut self, with: &Place<'d>) -> Option<ExpressionId> {
        if !self.object(with, &KEYS) {
            return None;
        }
        let mut programs = Vec::new();
        let mut members = Vec::new();
        self.required(with, "method");
        self.required(with, "endpoint");
        for (key, member) in with.members() {
            let skeleton = match key {
                "method" => self.text(&member).and_then(|_| self.skeleton(&member, &mut programs)),
                "endpoint" => self.endpoint(&member, &mut programs),
                "headers" => self.text_map(&member, true, &mut programs),
                "query" => self.text_map(&member, false, &mut programs),
                "output" => {
                    self.word(&member, &["raw", "content", "response"]);
                    self.skeleton(&member, &mut programs)
                }
                "redirect" => {
                    self.boolean(&member);
                    self.skeleton(&member, &mut programs)
                }
                _ => self.skeleton(&member, &mut programs),
            };
            members.extend(skeleton.map(|skeleton| (quoted(key), skeleton)));
        }
        Some(self.table.add(programs, Finish::Value(Skeleton::object(members))))
    }

    /// Headers or query: an object of scalars, or an expression. Headers are strings.
    fn text_map(
        &mut self,
        place: &Place<'d>,
        strings: bool,
        programs: &mut Vec<Arc<Program>>,
    ) -> Option<Skeleton> {
        if let Some(text) = place.tree.text() {
            if super::data::enclosed(text).is_none() {
                self.mismatch(place, "an object, or an expression in ${ }");
                return None;
            }
        } else if !self.open_object(place) {
            return None;
        }
        for (_, member) in place.members() {
            let fits = match member.tree.value {
                Value::String(_) => true,
                Value::Number(_) | Value::Boolean(_) => !strings,
                Value::Array(_) => !strings,
                Value::Null | Value::Object(_) => false,
            };
            if !fits {
                self.mismatch(&member, "a string");
            }
        }
        self.skeleton(place, programs)
    }

    fn endpoint(
        &mut self,
        place: &Place<'d>,
        programs: &mut Vec<Arc<Program>>,
    ) -> Option<Skeleton> {
        if place.tree.text().is_some() {
            return self.uri_skeleton(place, programs);
        }
        if !self.object(place, &["uri", "authentication"]) {
            return None;
        }
        let uri = self.required(place, "uri")?;
        let mut members = vec![(quoted("uri"), self.uri_skeleton(&uri, programs)?)];
        if let Some(authentication) = place.get("authentication") {
            let skeleton = self.authentication(&authentication, programs)?;
            members.push((quoted("authentication"), skeleton));
        }
        Some(Skeleton::object(members))
    }

    /// Basic and bearer, inline. Whatever needs a secret or another server comes later.
    fn authentication(
        &mut self,
        place: &Place<'d>,
        programs: &mut Vec<Arc<Program>>,
    ) -> Option<Skeleton> {
        if !self.object(place, &["use", "basic", "bearer", "digest", "oauth2", "oidc"]) {
            return None;
        }
        if let Some(named) = place.get("use") {
            self.unsupported(&named, "a reusable authentication");
            return None;
        }
        let mut members = place.members();
        let (Some((scheme, body)), None) = (members.next(), members.next()) else {
            let message = "authentication needs exactly one scheme";
            self.wrong(place, reason::VALUE_INVALID, message);
            return None;
        };
        let keys: &[&str] = match scheme {
            "basic" => &["username", "password"],
            "bearer" => &["token"],
            _ => {
                self.unsupported(&body, &format!("{scheme} authentication"));
                return None;
            }
        };
        if let Some(secret) = body.get("use") {
            self.unsupported(&secret, "a secret");
            return None;
        }
        if !self.object(&body, keys) {
            return None;
        }
        for key in keys {
            let member = self.required(&body, key)?;
            self.text(&member)?;
        }
        let body = self.skeleton(&body, programs)?;
        Some(Skeleton::object(vec![(quoted(scheme), body)]))
    }
}
