//! What is said in the end: one line for each invariant, figures, and whether the run counts.

use serde_json::{Value, json};

use crate::evidence::Evidence;
use crate::{figures, invariants};

/// So many violations are told of each invariant.
const EXAMPLES_MAX: usize = 8;

/// What came of checking one invariant.
#[derive(Debug)]
pub(crate) struct Finding {
    number: &'static str,
    name: &'static str,
    checked: u64,
    violations: Vec<String>,
    why: Option<String>,
}

impl Finding {
    /// Nothing looked at yet.
    pub(crate) fn new(number: &'static str, name: &'static str) -> Self {
        Self { number, name, checked: 0, violations: Vec::new(), why: None }
    }

    /// It could not be checked, and why.
    pub(crate) fn skipped(number: &'static str, name: &'static str, why: &str) -> Self {
        Self { why: Some(why.to_owned()), ..Self::new(number, name) }
    }

    /// Looks at one more case: `violation` says what is wrong with it.
    pub(crate) fn check(&mut self, holds: bool, violation: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.violations.push(violation());
        }
    }

    fn holds(&self) -> Option<bool> {
        if self.why.is_some() || self.checked == 0 {
            return if self.violations.is_empty() { None } else { Some(false) };
        }
        Some(self.violations.is_empty())
    }

    fn json(&self) -> Value {
        let none = "nothing of the kind happened in this run";
        let why = self.why.as_deref().or((self.checked == 0).then_some(none));
        json!({
            "number": self.number,
            "name": self.name,
            "checked": self.checked,
            "holds": self.holds(),
            "violated": self.violations.len(),
            "violations": self.violations.iter().take(EXAMPLES_MAX).collect::<Vec<_>>(),
            "why": why,
        })
    }
}

/// The whole report.
pub(crate) fn of(evidence: &Evidence) -> Value {
    let findings = invariants::all(evidence);
    let broken = findings.iter().filter(|finding| finding.holds() == Some(false)).count();
    let doubts = doubts(evidence, &findings);
    let figures = figures::of(evidence);
    json!({
        "targets": targets(&figures),
        "valid": doubts.is_empty(),
        "holds": broken == 0,
        "why": if doubts.is_empty() { format!("{broken} invariants are broken") }
               else { doubts.join("; ") },
        "invariants": findings.iter().map(Finding::json).collect::<Vec<_>>(),
        "figures": figures,
    })
}

/// What is aimed at; a busy machine may miss a time without a promise being broken.
fn targets(figures: &Value) -> Value {
    let most = |name: &str, part: &str, limit_ms: u64| {
        let value = figures[name][part].as_u64();
        json!({
            "name": format!("{name}, {part}"),
            "limit": limit_ms,
            "measured": value,
            "met": value.map(|value| value <= limit_ms),
        })
    };
    let success = figures["client_success_percent"].as_f64();
    json!([
        {
            "name": "client calls that succeed outside of PostgreSQL's outages, percent",
            "limit": 99.9,
            "measured": success,
            "met": success.map(|success| success >= 99.9),
        },
        most("worker kill, alone: runs elsewhere, ms", "p50", 300),
        most("worker kill, alone: runs elsewhere, ms", "p99", 1_000),
        most("worker abort, alone: runs elsewhere, ms", "p99", 1_000),
        most("worker stop, alone: runs elsewhere, ms", "p99", 4_000),
        most("worker blackhole, alone: runs elsewhere, ms", "p99", 4_000),
        most("worker kill, no failure detector: runs elsewhere, ms", "max", 11_000),
        most("orchestrator kill: results committed, ms", "p99", 3_000),
        most("postgres back: steady after, ms", "max", 5_000),
    ])
}

/// What makes the run prove nothing.
fn doubts(evidence: &Evidence, findings: &[Finding]) -> Vec<String> {
    let mut doubts = Vec::new();
    let done = || evidence.faults.iter().filter(|fault| !fault.skipped);
    for fault in done().filter(|fault| !fault.bitten) {
        doubts.push(format!("{} of {} cannot be shown to have bitten", fault.kind, fault.target));
    }
    // A run that looks for false deaths breaks nothing: it burns.
    if done().count() == 0 && evidence.number("burners") == 0 {
        doubts.push("nothing was broken".into());
    }
    if evidence.promises.is_empty() {
        doubts.push("no workflow was accepted".into());
    }
    if let Err(error) = &evidence.database {
        doubts.push(format!("the database was not read: {error}"));
    }
    if findings.iter().all(|finding| finding.checked == 0) {
        doubts.push("nothing was checked".into());
    }
    doubts
}
