//! Durations and timeouts.

use planaria_kernel::definition::DurationValue;

use super::{Builder, Place};
use crate::document::Value;
use crate::duration;
use crate::expression::table::Finish;
use crate::problem::reason;

impl Builder<'_> {
    /// A duration: ISO 8601, inline, or an expression.
    pub(super) fn duration(&mut self, place: &Place<'_>) -> Option<DurationValue> {
        if let Some(program) = place.tree.text().and_then(super::data::enclosed) {
            let program = self.program(place, program)?;
            let id = self.table.add(vec![program], Finish::Duration);
            return Some(DurationValue::Expression(id));
        }
        self.fixed_duration(place).map(DurationValue::Fixed)
    }

    /// A duration that is known now, in milliseconds.
    pub(super) fn fixed_duration(&mut self, place: &Place<'_>) -> Option<u64> {
        match &place.tree.value {
            Value::String(text) => match duration::parse(text) {
                Ok(milliseconds) => Some(milliseconds),
                Err(message) => {
                    self.wrong(place, reason::VALUE_INVALID, message);
                    None
                }
            },
            Value::Object(_) => self.inline_duration(place),
            _ => {
                self.mismatch(place, "a duration: a string such as PT30S, or an object");
                None
            }
        }
    }

    fn inline_duration(&mut self, place: &Place<'_>) -> Option<u64> {
        self.object(place, &duration::UNITS.map(|(name, _)| name));
        let mut total = Some(0_u64);
        let mut any = false;
        for (name, unit) in duration::UNITS {
            let Some(member) = place.get(name) else { continue };
            any = true;
            // A century in milliseconds is the most that any unit may add.
            let most = 3_155_760_000_000 / unit.cast_signed().max(1);
            let count = self.integer(&member, 0, most);
            let part = count.and_then(|count| count.unsigned_abs().checked_mul(unit));
            total = total.zip(part).and_then(|(total, part)| total.checked_add(part));
        }
        if !any {
            let message = "a duration needs days, hours, minutes, seconds or milliseconds";
            self.wrong(place, reason::KEY_MISSING, message);
            return None;
        }
        total
    }

    /// A timeout: inline, or the name of one of `use.timeouts`.
    pub(super) fn timeout(&mut self, place: &Place<'_>) -> Option<DurationValue> {
        let timeout = match place.tree.text() {
            Some(name) => self.reusable_named(place, "timeouts", name)?,
            None => place.clone(),
        };
        if !self.object(&timeout, &["after"]) {
            return None;
        }
        let after = self.required(&timeout, "after")?;
        self.duration(&after)
    }
}
