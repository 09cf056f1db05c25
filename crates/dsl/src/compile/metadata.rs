//! `metadata.planaria`: where a task says what the language has no words for.

use std::collections::BTreeMap;
use std::sync::Arc;

use planaria_kernel::retry::RetryPolicy;

use super::{Builder, Place};
use crate::problem::reason;

/// What `metadata.planaria` says about a call.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) queue: Arc<str>,
    pub(super) priority: i32,
    pub(super) progress_timeout_ms: Option<u64>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) retry: Option<RetryPolicy>,
}

impl Default for Ours {
    fn default() -> Self {
        Self {
            queue: Arc::from("default"),
            priority: 0,
            progress_timeout_ms: None,
            labels: BTreeMap::new(),
            retry: None,
        }
    }
}

impl Builder<'_> {
    /// The metadata of a call.
    pub(super) fn metadata(&mut self, task: &Place<'_>) -> Ours {
        let mut ours = Ours::default();
        let Some(place) = self.ours(task) else { return ours };
        if !self.object(&place, &["queue", "priority", "heartbeat", "labels", "retry"]) {
            return ours;
        }
        if let Some(queue) = place.get("queue")
            && let Some(name) = self.name(&queue, "queue")
        {
            ours.queue = Arc::from(name);
        }
        if let Some(priority) = place.get("priority") {
            let number = self.integer(&priority, -1000, 1000).unwrap_or_default();
            ours.priority = i32::try_from(number).unwrap_or_default();
        }
        if let Some(heartbeat) = place.get("heartbeat") {
            ours.progress_timeout_ms = self.positive_duration(&heartbeat);
        }
        if let Some(labels) = place.get("labels") {
            self.open_object(&labels);
            for (key, label) in labels.members() {
                if let Some(text) = self.text(&label) {
                    ours.labels.insert(key.to_owned(), text.to_owned());
                }
            }
        }
        ours.retry = place.get("retry").and_then(|retry| self.function_retry(&retry));
        ours
    }

    /// Checks the metadata of a task that no worker executes: ours has nothing to say there.
    pub(super) fn metadata_of_local_task(&mut self, task: &Place<'_>) {
        if let Some(place) = self.ours(task) {
            let message = "metadata.planaria is for calls of functions";
            self.wrong(&place, reason::KEY_UNKNOWN, message);
        }
    }

    fn ours<'d>(&mut self, task: &Place<'d>) -> Option<Place<'d>> {
        let metadata = task.get("metadata")?;
        if !self.open_object(&metadata) {
            return None;
        }
        metadata.get("planaria")
    }

    /// A name of a queue or function: letters, digits and `-_./`, at most 128.
    pub(super) fn name<'d>(&mut self, place: &Place<'d>, what: &str) -> Option<&'d str> {
        let text = self.text(place)?;
        if is_name(text) {
            return Some(text);
        }
        let message = format!(
            "{text:?} is not a valid {what}: letters, digits and -_./ after a letter or digit, \
             at most 128"
        );
        self.wrong(place, reason::VALUE_INVALID, message);
        None
    }

    fn positive_duration(&mut self, place: &Place<'_>) -> Option<u64> {
        let milliseconds = self.fixed_duration(place)?;
        if milliseconds == 0 {
            self.wrong(place, reason::VALUE_INVALID, "this duration must be longer than nothing");
            return None;
        }
        Some(milliseconds)
    }

    /// A function's retry policy; what it does not say is as by default: 1 s, doubled up to
    /// 100 s, 10 attempts.
    fn function_retry(&mut self, place: &Place<'_>) -> Option<RetryPolicy> {
        if !self.object(place, &["delay", "factor", "cap", "attempts"]) {
            return None;
        }
        let attempts = place.get("attempts").and_then(|count| self.integer(&count, 1, 1000));
        let factor = place.get("factor").and_then(|factor| self.multiplier(&factor));
        let retry = RetryPolicy {
            base_ms: self.fixed_member(place, "delay").unwrap_or(1000),
            factor: factor.unwrap_or(2.0),
            cap_ms: self.fixed_member(place, "cap").unwrap_or(100_000),
            attempts_max: attempts.and_then(|count| u32::try_from(count).ok()).unwrap_or(10),
        };
        if retry.cap_ms < retry.base_ms && place.get("cap").is_some() {
            self.wrong(place, reason::VALUE_INVALID, "cap is shorter than delay");
        }
        Some(retry)
    }
}

/// Whether a text can be the name of a queue or function.
pub(super) fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    begins && rest && text.len() <= 128
}
