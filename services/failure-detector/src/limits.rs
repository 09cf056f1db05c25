//! The lengths of what a heartbeat may carry.

use planaria_proto::failure_detector::v1::{HeartbeatRequest, RunningAttempt, WorkerFacts};

use crate::{Config, Error};

const ID_BYTES_MAX: usize = 128;
const ATTEMPT_ID_BYTES_MAX: usize = 256;
const PROGRESS_BYTES_MAX: usize = 256;
const FACT_BYTES_MAX: usize = 256;
const FACTS_MAX: usize = 2_000;
/// An answer need not name every fault of a hostile message.
const VIOLATIONS_MAX: usize = 20;

/// The faults of a message, each with its field.
#[derive(Debug, Default)]
struct Faults(Vec<(String, String)>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, fault: impl Into<String>) {
        if self.0.len() < VIOLATIONS_MAX {
            self.0.push((field.into(), fault.into()));
        }
    }

    fn id(&mut self, field: impl Fn() -> String, value: &str, bytes_max: usize) {
        if value.is_empty() {
            self.add(field(), "must not be empty");
        }
        self.length(field, value.len(), bytes_max);
    }

    fn length(&mut self, field: impl Fn() -> String, bytes: usize, bytes_max: usize) {
        if bytes > bytes_max {
            self.add(field(), format!("is {bytes} bytes long; at most {bytes_max} are allowed"));
        }
    }
}

/// Refuses what is too long, empty or named twice.
pub(crate) fn check(request: &HeartbeatRequest, config: &Config) -> Result<(), Error> {
    let mut faults = Faults::default();
    faults.id(|| "session_id".into(), &request.session_id, ID_BYTES_MAX);
    faults.id(|| "worker_id".into(), &request.worker_id, ID_BYTES_MAX);
    faults.id(|| "incarnation".into(), &request.incarnation, ID_BYTES_MAX);
    if request.attempts.len() > config.attempts_max {
        let (count, max) = (request.attempts.len(), config.attempts_max);
        faults.add("attempts", format!("has {count} entries; at most {max} are allowed"));
    }
    let mut seen = std::collections::HashSet::new();
    for (index, attempt) in request.attempts.iter().enumerate() {
        check_attempt(attempt, index, config, &mut faults);
        if !seen.insert(attempt.attempt_id.as_str()) {
            faults.add(format!("attempts[{index}].attempt_id"), "is there twice");
        }
    }
    if let Some(facts) = &request.facts {
        check_facts(facts, &mut faults);
    }
    if faults.0.is_empty() { Ok(()) } else { Err(Error::HeartbeatInvalid(faults.0)) }
}

fn check_attempt(attempt: &RunningAttempt, index: usize, config: &Config, faults: &mut Faults) {
    let field = |name: &str| format!("attempts[{index}].{name}");
    faults.id(|| field("attempt_id"), &attempt.attempt_id, ATTEMPT_ID_BYTES_MAX);
    faults.length(|| field("progress"), attempt.progress.len(), PROGRESS_BYTES_MAX);
    if let Some(checkpoint) = &attempt.checkpoint {
        let bytes = checkpoint.data.len() + checkpoint.content_type.len();
        faults.length(|| field("checkpoint"), bytes, config.checkpoint_bytes_max);
    }
    if attempt.progress_timeout.is_some_and(|timeout| timeout.seconds < 0 || timeout.nanos < 0) {
        faults.add(field("progress_timeout"), "must not be negative");
    }
}

fn check_facts(facts: &WorkerFacts, faults: &mut Faults) {
    faults.length(|| "facts.host".into(), facts.host.len(), FACT_BYTES_MAX);
    faults.length(|| "facts.version".into(), facts.version.len(), FACT_BYTES_MAX);
    let labels = facts.labels.iter().flat_map(|(key, value)| [key, value]);
    let counts = [
        ("facts.functions", facts.functions.len()),
        ("facts.queues", facts.queues.len()),
        ("facts.labels", facts.labels.len()),
    ];
    for (field, count) in counts {
        if count > FACTS_MAX {
            faults.add(field, format!("has {count} entries; at most {FACTS_MAX} are allowed"));
        }
    }
    let words = facts.functions.iter().chain(&facts.queues).chain(labels);
    if let Some(word) = words.into_iter().find(|word| word.len() > FACT_BYTES_MAX) {
        faults.length(|| "facts".into(), word.len(), FACT_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> HeartbeatRequest {
        HeartbeatRequest {
            session_id: "s".into(),
            worker_id: "w".into(),
            incarnation: "1".into(),
            ..HeartbeatRequest::default()
        }
    }

    fn attempt(id: &str) -> RunningAttempt {
        RunningAttempt { attempt_id: id.into(), ..RunningAttempt::default() }
    }

    #[test]
    fn every_fault_is_named_by_its_field() {
        assert!(check(&request(), &Config::default()).is_ok());
        let mut bad = request();
        bad.session_id.clear();
        bad.worker_id = "w".repeat(129);
        bad.attempts = vec![attempt("a"), attempt("a")];
        bad.attempts[0].progress = "p".repeat(257);
        bad.facts = Some(WorkerFacts { host: "h".repeat(257), ..WorkerFacts::default() });
        let Err(Error::HeartbeatInvalid(faults)) = check(&bad, &Config::default()) else {
            panic!("it was accepted");
        };
        let fields: Vec<&str> = faults.iter().map(|(field, _)| field.as_str()).collect();
        let expected = [
            "session_id",
            "worker_id",
            "attempts[0].progress",
            "attempts[1].attempt_id",
            "facts.host",
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn a_message_full_of_faults_gets_a_short_answer() {
        let bad = HeartbeatRequest { attempts: vec![attempt(""); 5_000], ..request() };
        let Err(Error::HeartbeatInvalid(faults)) = check(&bad, &Config::default()) else {
            panic!("it was accepted");
        };
        assert_eq!(faults.len(), VIOLATIONS_MAX);
    }
}
