//! The `use` section: what can be referred to by name.

use super::check::nearest;
use super::{Builder, Place};
use crate::problem::reason;

const USE_KEYS: [&str; 8] = [
    "authentications",
    "catalogs",
    "errors",
    "extensions",
    "functions",
    "retries",
    "secrets",
    "timeouts",
];

impl<'d> Builder<'d> {
    /// Checks the `use` section: also what nothing refers to.
    pub(super) fn reusable(&mut self, root: &Place<'d>) {
        let Some(section) = root.get("use") else { return };
        if !self.object(&section, &USE_KEYS) {
            return;
        }
        for (key, what) in [
            ("authentications", "a reusable authentication"),
            ("extensions", "an extension"),
            ("secrets", "a secret"),
        ] {
            if let Some(place) = section.get(key) {
                self.unsupported(&place, what);
            }
        }
        if let Some(catalogs) = section.get("catalogs") {
            self.unsupported(&catalogs, "a catalog other than the default one");
        }
        for (key, check) in [
            ("errors", Self::check_error as fn(&mut Self, &Place<'d>)),
            ("timeouts", Self::check_timeout),
        ] {
            let Some(place) = section.get(key) else { continue };
            if self.open_object(&place) {
                place.members().for_each(|(_, member)| check(self, &member));
            }
        }
        for key in ["functions", "retries"] {
            if let Some(place) = section.get(key) {
                self.open_object(&place);
            }
        }
    }

    fn check_error(&mut self, place: &Place<'d>) {
        self.error(place);
    }

    fn check_timeout(&mut self, place: &Place<'d>) {
        if self.open_object(place) {
            self.timeout(place);
        }
    }

    /// The reusable component of that kind and name, which `place` refers to.
    pub(super) fn reusable_named(
        &mut self,
        place: &Place<'_>,
        kind: &str,
        name: &str,
    ) -> Option<Place<'d>> {
        let section = self.root.get("use").and_then(|section| section.get(kind));
        let found = section.as_ref().and_then(|section| section.get(name));
        if found.is_none() {
            let known: Vec<&str> =
                section.iter().flat_map(Place::members).map(|(name, _)| name).collect();
            let message = format!("use.{kind} has no {name:?}{}", nearest(name, &known));
            self.wrong(place, reason::REFERENCE_UNKNOWN, message);
        }
        found
    }

    /// Checks the reusable functions and retry policies that nothing uses. What is used was
    /// checked there, with the variables that it may use there.
    pub(super) fn unused(&mut self) {
        let retries = self.root.get("use").and_then(|section| section.get("retries"));
        for (name, policy) in retries.iter().flat_map(Place::members) {
            if !self.retried.contains(name) {
                self.variables.push(super::flow::dollar("error"));
                self.policy(&policy);
                self.variables.pop();
            }
        }
        let section = self.root.get("use").and_then(|section| section.get("functions"));
        for (name, function) in section.iter().flat_map(Place::members) {
            if self.called.contains(name) {
                continue;
            }
            self.rehearse(|builder, parent| {
                builder.expanding.push(name.to_owned());
                builder.task(&function, &function.pointer, name, parent);
                builder.expanding.pop();
            });
        }
    }
}
