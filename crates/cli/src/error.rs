//! What can go wrong in a command: what, where, and what to do next.

use std::fmt::Write as _;
use std::path::PathBuf;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Exit status of a command that did not succeed.
pub(crate) const FAILED: u8 = 1;
/// Exit status of `run` after the workflow was cancelled.
pub(crate) const CANCELLED: u8 = 2;
/// Exit status of `run` when the workflow could not be run.
pub(crate) const NOT_RUN: u8 = 3;

/// Why a command did not succeed. The text says what and where, [`Error::advice`] what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing answers at the address.
    #[error("no Planaria answers at {address}")]
    Unreachable { address: String },
    /// The mesh answers, but did not in time.
    #[error("{what}: the call took longer than {seconds} s, and may have taken effect")]
    Late { what: String, seconds: u64 },
    /// The mesh refused.
    #[error("{what}: {}", refusal(status))]
    Refused { what: String, status: Box<Status> },
    /// A document has problems; the text has one line for each.
    #[error("{problems}")]
    Document { problems: String },
    /// An argument or a file is not what it should be.
    #[error("{what}")]
    Input { what: String, advice: String },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// Standard output cannot be written.
    #[error("cannot write the result: {0}")]
    Output(#[from] std::io::Error),
    /// The shell of the services failed: settings, logs, signals.
    #[error("{}", chain(.0))]
    Shell(#[from] planaria_runtime::Error),
    /// A service of this process failed; the text says why.
    #[error("{service} failed: {why}")]
    Service { service: &'static str, why: String },
    /// `run` did not get as far as a workflow's end.
    #[error("{0}")]
    NotRun(Box<Error>),
    /// The command ran and what it ran did not succeed; everything is said already.
    #[error("ended with status {0}")]
    Ended(u8),
}

impl Error {
    /// What the user can do next, if anything is known.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => {
                Some("start one with `planaria up`, or name another with --addr".into())
            }
            Self::Late { .. } => {
                Some("look whether it did; `planaria status` says how the mesh is".into())
            }
            Self::Refused { status, .. } => advice_for(status),
            Self::Input { advice, .. } if !advice.is_empty() => Some(advice.clone()),
            Self::NotRun(error) => error.advice(),
            Self::File { .. } => Some("check the path; `-` reads standard input".into()),
            _ => None,
        }
    }

    /// The exit status that stands for it.
    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Ended(status) => *status,
            Self::NotRun(_) => NOT_RUN,
            _ => FAILED,
        }
    }

    /// A malformed argument or file.
    pub(crate) fn input(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Input { what: what.into(), advice: advice.into() }
    }

    /// The reader of standard output went away, which is its right.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
    }
}

/// The stable reason of a refusal, if the mesh gave one.
pub(crate) fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// Whether the call's time ran out, on whichever side.
pub(crate) fn is_late(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::TimeoutExpired>() {
            return true;
        }
        source = error.source();
    }
    status.code() == Code::DeadlineExceeded
}

/// Whether the call never reached a mesh: the status was made on this side.
pub(crate) fn is_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Whether the same call may succeed in a moment.
pub(crate) fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled) || is_transport(status)
}

fn refusal(status: &Status) -> String {
    let mut text = if status.message().is_empty() {
        status.code().description().to_owned()
    } else {
        status.message().to_owned()
    };
    let bad = status.get_details_bad_request().map(|bad| bad.field_violations);
    // What the sentence says already is not said again.
    let said = text.clone();
    for violation in bad.unwrap_or_default() {
        if said.contains(&violation.description) {
            continue;
        }
        let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
    }
    match reason(status) {
        Some(reason) => format!("{text} [{reason}]"),
        None => text,
    }
}

fn advice_for(status: &Status) -> Option<String> {
    let advice = match reason(status)?.as_str() {
        "WORKFLOW_NOT_FOUND" => "list what there is with `planaria workflow list`",
        "DEFINITION_NOT_FOUND" => "publish it with `planaria apply FILE`",
        "DEFINITION_EXISTS" => {
            "a published version never changes: raise `document.version` in the file"
        }
        "IDEMPOTENCY_KEY_REUSED" => "give another --key, or the same definition and input",
        "TASK_NOT_FOUND" => "see the tasks and their references with `planaria workflow get ID`",
        "WORKFLOW_PHASE_INVALID" => "see its status with `planaria workflow get ID`",
        "WORKER_NOT_FOUND" => "list the workers with `planaria worker list`",
        "RETRY_NOT_FOUND" => "list what waits with `planaria retry list`",
        "DEAD_LETTER_NOT_FOUND" => "list them with `planaria dead-letter list`",
        "API_KEY_MISSING" => "show a key with PLANARIA_API_KEY or --api-key",
        "API_KEY_INVALID" | "API_KEY_EXPIRED" | "API_KEY_REVOKED" | "API_KEY_ENDED" => {
            "ask an administrator for another: `planaria api-key create`"
        }
        "API_KEY_NOT_FOUND" => "list them with `planaria api-key list`",
        "ROLE_INSUFFICIENT" => "use a key of the role that is needed",
        "NAMESPACE_INSUFFICIENT" => "use a key for all namespaces (`*`)",
        "STORE_FAILED" | "STORE_UNAVAILABLE" | "ENGINE_RESET" => {
            "nothing that was accepted is lost; `planaria status` says what is wrong"
        }
        "CURSOR_TOO_OLD" => "start again from the oldest event kept: --from start",
        _ => return None,
    };
    Some(advice.to_owned())
}

/// The error with everything that caused it, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some say in their own words what their cause says.
        if !text.ends_with(&cause) {
            let _ = write!(text, ": {cause}");
        }
        source = error.source();
    }
    text
}
