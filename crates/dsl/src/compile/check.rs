//! Checks of types and keys.

use super::{Builder, Place};
use crate::compile::place::problem_at;
use crate::document::Value;
use crate::problem::reason;

impl Builder<'_> {
    /// Whether a place holds an object of known keys only; unknown ones are reported with the
    /// nearest known one.
    pub(super) fn object(&mut self, place: &Place<'_>, known: &[&str]) -> bool {
        let Some(members) = place.tree.members() else {
            self.mismatch(place, "an object");
            return false;
        };
        for member in members {
            if known.contains(&&*member.key) {
                continue;
            }
            let pointer = super::place::join(&place.pointer, &member.key);
            let message = format!("{}{}", unknown(&member.key), nearest(&member.key, known));
            self.report(problem_at(pointer, member.position, reason::KEY_UNKNOWN, message));
        }
        true
    }

    /// Whether a place holds an object, of whatever keys.
    pub(super) fn open_object(&mut self, place: &Place<'_>) -> bool {
        let is_object = place.tree.members().is_some();
        if !is_object {
            self.mismatch(place, "an object");
        }
        is_object
    }

    /// Whether a place holds an array.
    pub(super) fn array(&mut self, place: &Place<'_>) -> bool {
        let is_array = place.tree.items().is_some();
        if !is_array {
            self.mismatch(place, "an array");
        }
        is_array
    }

    /// A member that must be there.
    pub(super) fn required<'d>(&mut self, place: &Place<'d>, key: &str) -> Option<Place<'d>> {
        place.tree.members()?;
        let member = place.get(key);
        if member.is_none() {
            self.wrong(place, reason::KEY_MISSING, format!("{key:?} is missing here"));
        }
        member
    }

    /// The text of a string.
    pub(super) fn text<'d>(&mut self, place: &Place<'d>) -> Option<&'d str> {
        let text = place.tree.text();
        if text.is_none() {
            self.mismatch(place, "a string");
        }
        text
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, place: &Place<'_>) -> Option<bool> {
        if let Value::Boolean(value) = place.tree.value {
            return Some(value);
        }
        self.mismatch(place, "a boolean");
        None
    }

    /// An integer between two bounds, both included.
    pub(super) fn integer(&mut self, place: &Place<'_>, from: i64, to: i64) -> Option<i64> {
        let integer = match &place.tree.value {
            Value::Number(number) => number.as_i64(),
            _ => None,
        };
        match integer {
            None => self.mismatch(place, "an integer"),
            Some(value) if (from..=to).contains(&value) => return Some(value),
            Some(value) => {
                let message = format!("{value} is not between {from} and {to}");
                self.wrong(place, reason::VALUE_INVALID, message);
            }
        }
        None
    }

    /// One of some words.
    pub(super) fn word(
        &mut self,
        place: &Place<'_>,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let text = self.text(place)?;
        let word = words.iter().find(|word| **word == text).copied();
        if word.is_none() {
            let message = format!("{text:?} is not one of {}", words.join(", "));
            self.wrong(place, reason::VALUE_INVALID, message);
        }
        word
    }

    pub(super) fn mismatch(&mut self, place: &Place<'_>, expected: &str) {
        let message = format!("expected {expected}, found {}", place.tree.kind());
        self.wrong(place, reason::TYPE_MISMATCH, message);
    }
}

fn unknown(key: &str) -> String {
    format!("the key {key:?} is unknown here")
}

/// A hint at the nearest of the known words, if one is near.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    let best = known.iter().min_by_key(|candidate| strsim::osa_distance(word, candidate));
    match best {
        Some(best) if strsim::osa_distance(word, best) <= 1 + word.len() / 3 => {
            format!("; did you mean {best:?}?")
        }
        _ if known.is_empty() => String::new(),
        _ => format!("; known are {}", known.join(", ")),
    }
}
