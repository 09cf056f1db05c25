//! The journals: lines of JSON, as clients, workers and the one who broke things wrote them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::Error;

/// What a client was told about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It happened.
    Ok,
    /// It did not and never will.
    Fail,
    /// Nobody knows.
    Unknown,
}

/// A call of a client.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) call: String,
    pub(crate) at_ms: u64,
    pub(crate) answered_ms: u64,
    pub(crate) outcome: Outcome,
    pub(crate) reason: String,
    pub(crate) workflow: String,
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) event: String,
    /// The phase that the workflow must end in, and its output.
    pub(crate) phase: String,
    pub(crate) output: Value,
}

/// A line of a worker's ledger.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) at_ms: u64,
    /// `start`, `finish`, `fail`, or `again`: the result was reported once more.
    pub(crate) what: String,
    pub(crate) worker: String,
    pub(crate) incarnation: String,
    pub(crate) workflow: String,
    pub(crate) task: String,
    pub(crate) key: String,
    pub(crate) attempt: u32,
    /// What the engine said to a result that was reported again.
    pub(crate) acceptance: String,
    /// It was handed back: no result.
    pub(crate) released: bool,
}

/// Something that was broken.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: String,
    pub(crate) target: String,
    pub(crate) service: String,
    /// The process that a signal was sent to.
    pub(crate) pid: Option<u64>,
    pub(crate) at_ms: u64,
    pub(crate) until_ms: u64,
    /// When the target was back.
    pub(crate) back_ms: Option<u64>,
    pub(crate) bitten: bool,
    pub(crate) skipped: bool,
    pub(crate) how: String,
}

/// Every line of a file. The last may be torn: whoever wrote it was killed.
fn lines(path: &Path) -> Result<Vec<Value>, Error> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let count = text.lines().count();
    let mut values = Vec::with_capacity(count);
    for (index, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(value) => values.push(value),
            Err(_) if index + 1 == count => (),
            Err(error) => return Err(format!("{}:{}: {error}", path.display(), index + 1).into()),
        }
    }
    Ok(values)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// The clients' calls.
pub(crate) fn calls(path: &Path) -> Result<Vec<Call>, Error> {
    let mut calls: BTreeMap<u64, Call> = BTreeMap::new();
    for line in lines(path)? {
        let operation = line["op"].as_u64().ok_or("a line without an operation")?;
        let at_ms = line["at_ms"].as_u64().unwrap_or_default();
        if line["what"] == "invoke" {
            let call = Call {
                call: text(&line, "call"),
                at_ms,
                answered_ms: 0,
                outcome: Outcome::Unknown,
                reason: String::new(),
                workflow: text(&line, "workflow"),
                key: text(&line, "key"),
                kind: text(&line, "kind"),
                event: text(&line, "event"),
                phase: text(&line, "phase"),
                output: line["output"].clone(),
            };
            calls.insert(operation, call);
        } else if let Some(call) = calls.get_mut(&operation) {
            call.answered_ms = at_ms;
            call.reason = text(&line, "reason");
            call.outcome = match line["what"].as_str() {
                Some("ok") => Outcome::Ok,
                Some("fail") => Outcome::Fail,
                _ => Outcome::Unknown,
            };
            if call.outcome == Outcome::Ok {
                call.workflow = text(&line, "workflow");
            }
        }
    }
    Ok(calls.into_values().collect())
}

/// The ledgers of all workers, in the order of time.
pub(crate) fn ledger(folder: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(folder)? {
        for line in lines(&file?.path())? {
            entries.push(Entry {
                at_ms: line["at_ms"].as_u64().unwrap_or_default(),
                what: text(&line, "what"),
                worker: text(&line, "worker"),
                incarnation: text(&line, "incarnation"),
                workflow: text(&line, "workflow"),
                task: text(&line, "task"),
                key: text(&line, "key"),
                attempt: u32::try_from(line["attempt"].as_u64().unwrap_or_default())?,
                acceptance: text(&line, "acceptance"),
                released: line["released"] == true,
            });
        }
    }
    entries.sort_by_key(|entry| entry.at_ms);
    Ok(entries)
}

/// What was broken, in the order of time.
pub(crate) fn faults(path: &Path) -> Result<Vec<Fault>, Error> {
    let mut faults = Vec::new();
    for line in lines(path)?.into_iter().filter(|line| line["kind"] != "healed") {
        faults.push(Fault {
            kind: text(&line, "kind"),
            target: text(&line, "target"),
            service: text(&line, "service"),
            pid: line["pid"].as_u64(),
            at_ms: line["at_ms"].as_u64().unwrap_or_default(),
            until_ms: line["until_ms"].as_u64().unwrap_or_default(),
            back_ms: line["back_ms"].as_u64(),
            bitten: !line["bitten"].is_null(),
            skipped: !line["skipped"].is_null(),
            how: text(&line, "how"),
        });
    }
    faults.sort_by_key(|fault| fault.at_ms);
    Ok(faults)
}
