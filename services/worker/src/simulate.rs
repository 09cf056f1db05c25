//! The function `simulate`: misbehaves on demand, so that people can watch the system heal.
//!
//! All arguments are optional; they act in this order:
//! - `sleep: PT1S` works for so long (with `progress: true` it says how far it is);
//! - `hang: PT30S` is silent for so long; `stall: PT30S` makes one step and then is silent. The
//!   worker's heart beats through both: only a progress deadline finds them. `hangs: 1` does so on
//!   the first attempt alone;
//! - `crash: true` or `crash: 2` ends the process on the first, or the first two attempts;
//! - `fail: true` or `fail: 2` fails on the first, or the first two attempts, and
//!   `probability: 0.1` fails now and then: with `status`, `type`, `detail`, `retryable` (default
//!   true) and `retryAfter: PT1S`;
//! - `output` is what it returns; by default `{"attempt": n}`.
//!
//! Only the number of the attempt is known here, and a lost attempt counts there too: after
//! `crash: 1`, `fail: 2` fails once.

use std::time::Duration;

use planaria_sdk::{CONFIGURATION, Context, RUNTIME, TaskError, WorkerBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::SimulateConfig;
use crate::duration;

/// Steps of a `sleep` that says how far it is.
const STEPS: u32 = 10;

/// The function.
#[derive(Debug, Clone)]
pub struct Simulate {
    crash: Option<fn()>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    fail: Count,
    #[serde(default)]
    crash: Count,
    #[serde(default, deserialize_with = "duration::optional")]
    sleep: Option<Duration>,
    #[serde(default, deserialize_with = "duration::optional")]
    hang: Option<Duration>,
    #[serde(default, deserialize_with = "duration::optional")]
    stall: Option<Duration>,
    hangs: Option<Count>,
    #[serde(default)]
    probability: f64,
    #[serde(default)]
    progress: bool,
    output: Option<Value>,
    #[serde(default = "default_status")]
    status: i32,
    #[serde(rename = "type", default = "default_type")]
    kind: String,
    #[serde(default = "default_detail")]
    detail: String,
    #[serde(default = "default_retryable")]
    retryable: bool,
    #[serde(default, deserialize_with = "duration::optional")]
    retry_after: Option<Duration>,
}

/// So many first attempts; true is one.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Count {
    Whether(bool),
    Number(u32),
}

impl Default for Count {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Count {
    fn includes(self, attempt: u32) -> bool {
        match self {
            Self::Whether(whether) => whether && attempt <= 1,
            Self::Number(number) => attempt <= number,
        }
    }
}

fn default_status() -> i32 {
    500
}

fn default_type() -> String {
    RUNTIME.to_owned()
}

fn default_detail() -> String {
    "simulated".to_owned()
}

fn default_retryable() -> bool {
    true
}

impl Simulate {
    /// The function with these settings; `crash` aborts this process, as a bug would.
    #[must_use]
    pub fn new(config: &SimulateConfig) -> Self {
        fn abort() {
            std::process::abort();
        }
        Self { crash: config.crash_allowed.then_some(abort) }
    }

    /// Adds the function to a worker.
    pub fn announce(self, worker: WorkerBuilder, version: &str) -> WorkerBuilder {
        let crash = self.crash;
        worker.function("simulate", version, move |context: Context, arguments: Arguments| {
            simulate(context, arguments, crash)
        })
    }
}

async fn simulate(
    context: Context,
    arguments: Arguments,
    crash: Option<fn()>,
) -> Result<Value, TaskError> {
    work(&context, &arguments).await;
    if arguments.crash.includes(context.attempt()) {
        let Some(crash) = crash else {
            let error = TaskError::permanent("`crash` is not allowed on this worker");
            return Err(error.with_type(CONFIGURATION));
        };
        crash();
    }
    if arguments.fail.includes(context.attempt()) || fastrand::f64() < arguments.probability {
        return Err(arguments.failure());
    }
    Ok(arguments.output.unwrap_or_else(|| json!({"attempt": context.attempt()})))
}

async fn work(context: &Context, arguments: &Arguments) {
    if let Some(sleep) = arguments.sleep {
        let steps = if arguments.progress { STEPS } else { 1 };
        for step in 1..=steps {
            tokio::time::sleep(sleep / steps).await;
            if arguments.progress {
                context.progress(format!("{} %", step * 100 / steps));
            }
        }
    }
    let hangs = arguments.hangs.is_none_or(|hangs| hangs.includes(context.attempt()));
    if !hangs {
        return;
    }
    if let Some(stall) = arguments.stall {
        context.progress("stalling");
        tokio::time::sleep(stall).await;
    }
    if let Some(hang) = arguments.hang {
        tokio::time::sleep(hang).await;
    }
}

impl Arguments {
    fn failure(&self) -> TaskError {
        let detail = self.detail.as_str();
        let error = if self.retryable {
            TaskError::retryable(detail)
        } else {
            TaskError::permanent(detail)
        };
        let error =
            error.with_type(&self.kind).with_status(self.status).with_title("Simulated failure");
        match self.retry_after {
            Some(delay) => error.with_retry_after(delay),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Arguments {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn counts_speak_of_the_first_attempts() {
        for (text, included) in [("true", 1), ("false", 0), ("0", 0), ("2", 2)] {
            let count: Count = serde_json::from_str(text).unwrap();
            let attempts = (1..=5).filter(|attempt| count.includes(*attempt)).count();
            assert_eq!(attempts, included, "{text}");
        }
    }

    #[test]
    fn a_failure_is_what_it_is_told_to_be() {
        let plain = arguments("{}").failure();
        assert!(plain.is_retryable());
        assert_eq!((plain.status(), plain.kind()), (500, RUNTIME));
        let text = r#"{"retryable": false, "status": 402, "type": "https://x/broke",
            "detail": "no money", "retryAfter": "PT2S"}"#;
        let told = arguments(text).failure();
        assert!(!told.is_retryable());
        assert_eq!(
            (told.status(), told.kind(), told.detail()),
            (402, "https://x/broke", "no money")
        );
        assert_eq!(told.retry_after(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [r#"{"sleep": 1}"#, r#"{"sleep": "1s"}"#, r#"{"fail": -1}"#, r#"{"boom": 1}"#] {
            assert!(serde_json::from_str::<Arguments>(text).is_err(), "{text}");
        }
    }
}
