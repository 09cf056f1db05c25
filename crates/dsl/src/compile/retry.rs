//! try, catch, and the author's retry policy.

use planaria_kernel::definition::{
    Backoff, Catch, DurationValue, ErrorFilter, Jitter, Kind, NodeId, TryRetry,
};

use super::builder::Exit;
use super::flow::dollar;
use super::{Builder, Place};
use crate::document::Value;
use crate::problem::reason;

impl<'d> Builder<'d> {
    pub(super) fn attempt(&mut self, task: &Place<'d>, subject: &Place<'d>, id: NodeId) {
        let reference = self.reference(id);
        let body = self.body(subject, &format!("{reference}/try"), "try", id);
        let Some(place) = self.required(task, "catch") else { return };
        const KEYS: [&str; 7] = ["errors", "as", "when", "exceptWhen", "retry", "do", "then"];
        if !self.object(&place, &KEYS) {
            return;
        }
        let errors = place.get("errors").map(|errors| self.errors(&errors));
        let variable = self.variable(&place, "as", "error");
        let outside = self.variables.len();
        self.variables.push(dollar(&variable));
        let when = place.get("when").and_then(|when| self.expression(&when));
        let except_when = place.get("exceptWhen").and_then(|when| self.expression(&when));
        let retry = place.get("retry").and_then(|retry| self.retry(&retry));
        let handler = place
            .get("do")
            .map(|list| self.body(&list, &format!("{reference}/catch/do"), "catch", id));
        self.variables.truncate(outside);
        let catch = Catch {
            errors: errors.unwrap_or_default(),
            variable,
            when,
            except_when,
            retry,
            body: handler,
            then: None,
        };
        self.node(id).kind = Kind::Try { body, catch: Box::new(catch) };
        if let Some(then) = place.get("then") {
            let then = self.then(&then, id, Exit::Catch);
            if let Kind::Try { catch, .. } = &mut self.node(id).kind {
                catch.then = Some(then);
            }
        }
    }

    fn errors(&mut self, place: &Place<'d>) -> ErrorFilter {
        let mut filter = ErrorFilter::default();
        if !self.object(place, &["with"]) {
            return filter;
        }
        let Some(with) = place.get("with") else { return filter };
        if !self.object(&with, &["type", "status", "instance", "title", "detail"]) {
            return filter;
        }
        let mut literal = |key: &str| {
            let member = with.get(key)?;
            let text = self.text(&member)?;
            if super::data::enclosed(text).is_some() {
                let message = "a filter of errors is static: no expressions; use when";
                self.wrong(&member, reason::VALUE_INVALID, message);
            }
            Some(text.to_owned())
        };
        filter.kind = literal("type");
        filter.instance = literal("instance");
        filter.title = literal("title");
        filter.detail = literal("detail");
        let status = with.get("status").and_then(|status| self.integer(&status, 100, 599));
        filter.status = status.and_then(|status| u16::try_from(status).ok());
        filter
    }

    /// A retry policy: inline, or the name of one of `use.retries`.
    fn retry(&mut self, place: &Place<'d>) -> Option<TryRetry> {
        let Some(name) = place.tree.text() else { return self.policy(place) };
        let policy = self.reusable_named(place, "retries", name)?;
        self.retried.insert(name.to_owned());
        self.policy(&policy)
    }

    /// A retry policy itself.
    pub(super) fn policy(&mut self, policy: &Place<'d>) -> Option<TryRetry> {
        const KEYS: [&str; 6] = ["when", "exceptWhen", "delay", "backoff", "limit", "jitter"];
        if !self.object(policy, &KEYS) {
            return None;
        }
        let when = policy.get("when").and_then(|when| self.expression(&when));
        let except_when = policy.get("exceptWhen").and_then(|when| self.expression(&when));
        let delay = policy.get("delay").and_then(|delay| self.duration(&delay));
        let backoff = policy.get("backoff").and_then(|backoff| self.backoff(&backoff));
        let jitter = policy.get("jitter").and_then(|jitter| self.jitter(&jitter));
        let mut retry = TryRetry {
            when,
            except_when,
            delay: delay.unwrap_or(DurationValue::Fixed(0)),
            backoff: backoff.unwrap_or(Backoff::Constant),
            jitter,
            attempts_max: None,
            attempt_duration: None,
            duration: None,
        };
        if let Some(limit) = policy.get("limit") {
            self.limit(&limit, &mut retry);
        }
        Some(retry)
    }

    fn limit(&mut self, place: &Place<'d>, retry: &mut TryRetry) {
        if !self.object(place, &["attempt", "duration"]) {
            return;
        }
        retry.duration = place.get("duration").and_then(|duration| self.duration(&duration));
        let Some(attempt) = place.get("attempt") else { return };
        if !self.object(&attempt, &["count", "duration"]) {
            return;
        }
        let count = attempt.get("count").and_then(|count| self.integer(&count, 0, 1_000_000));
        retry.attempts_max = count.and_then(|count| u32::try_from(count).ok());
        retry.attempt_duration =
            attempt.get("duration").and_then(|duration| self.duration(&duration));
    }

    fn backoff(&mut self, place: &Place<'d>) -> Option<Backoff> {
        if !self.object(place, &["constant", "linear", "exponential"]) {
            return None;
        }
        let mut members = place.members();
        let (Some((kind, body)), None) = (members.next(), members.next()) else {
            let message = "backoff needs exactly one of constant, linear, exponential";
            self.wrong(place, reason::VALUE_INVALID, message);
            return None;
        };
        match kind {
            "linear" => {
                self.object(&body, &["increment", "maxDelay"]);
                Some(Backoff::Linear {
                    increment_ms: self.fixed_member(&body, "increment"),
                    delay_max_ms: self.fixed_member(&body, "maxDelay"),
                })
            }
            "exponential" => {
                self.object(&body, &["multiplier", "maxDelay"]);
                let multiplier = body.get("multiplier").and_then(|place| self.multiplier(&place));
                Some(Backoff::Exponential {
                    multiplier: multiplier.unwrap_or(2.0),
                    delay_max_ms: self.fixed_member(&body, "maxDelay"),
                })
            }
            "constant" => {
                self.object(&body, &[]);
                Some(Backoff::Constant)
            }
            _ => None,
        }
    }

    pub(super) fn fixed_member(&mut self, place: &Place<'_>, key: &str) -> Option<u64> {
        let member = place.get(key)?;
        self.fixed_duration(&member)
    }

    /// A factor by which delays grow: from 1 to 100.
    pub(super) fn multiplier(&mut self, place: &Place<'_>) -> Option<f64> {
        let number = match &place.tree.value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        match number {
            None => self.mismatch(place, "a number"),
            Some(factor) if (1.0..=100.0).contains(&factor) => return Some(factor),
            Some(factor) => {
                let message = format!("{factor} is not between 1 and 100");
                self.wrong(place, reason::VALUE_INVALID, message);
            }
        }
        None
    }

    fn jitter(&mut self, place: &Place<'d>) -> Option<Jitter> {
        if !self.object(place, &["from", "to"]) {
            return None;
        }
        let from = self.required(place, "from").and_then(|from| self.fixed_duration(&from));
        let to = self.required(place, "to").and_then(|to| self.fixed_duration(&to));
        let jitter = Jitter { from_ms: from?, to_ms: to? };
        if jitter.from_ms > jitter.to_ms {
            self.wrong(place, reason::VALUE_INVALID, "jitter ends before it begins");
        }
        Some(jitter)
    }
}
