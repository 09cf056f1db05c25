//! Executes one attempt.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use planaria_proto::task::v1::{Release, result::Outcome};
use planaria_proto::types::v1::Payload;
use tracing::Instrument;

use super::core::{Core, Session};
use crate::attempt::Attempt;
use crate::task_error::CONFIGURATION;
use crate::{Context, TaskError};

/// Runs the attempt's function to its end, or until it is to stop. Its outcome goes to the
/// reports; an abandoned attempt has none.
pub(crate) async fn execute(
    core: Arc<Core>,
    session: Arc<Session>,
    attempt: Arc<Attempt>,
    arguments: Option<Payload>,
) {
    let slot = attempt.cancel.run_until_cancelled(core.slots.acquire()).await;
    let outcome = if slot.is_none() {
        attempt.goes_back().then(|| release(&attempt))
    } else if session.may_begin() {
        until_stopped(&core, &attempt, run(&core, &attempt, arguments)).await
    } else {
        // It is missing in the inventories from now on, and is handed out again.
        tracing::info!(attempt_id = attempt.id(), "the session is over: not begun");
        core.inventory.settle([&attempt].into_iter());
        None
    };
    if let Some(outcome) = outcome {
        core.end(attempt, outcome);
    }
}

async fn run(core: &Core, attempt: &Arc<Attempt>, arguments: Option<Payload>) -> Outcome {
    let context = Context::new(Arc::clone(attempt), Arc::clone(&core.beat_soon));
    let span = super::span::of(&attempt.assignment);
    let outcome = call(core, attempt, context, arguments).instrument(span.clone()).await;
    if let Outcome::Failure(failure) = &outcome {
        let title = failure.error.as_ref().map_or("failed", |error| error.title.as_str());
        span.record("error", title);
    }
    outcome
}

/// The outcome of handing an attempt back.
pub(crate) fn release(attempt: &Attempt) -> Outcome {
    let checkpoint = attempt.checkpoint();
    Outcome::Release(Release { reason: "the worker leaves".to_owned(), checkpoint })
}

async fn until_stopped(
    core: &Core,
    attempt: &Attempt,
    running: impl Future<Output = Outcome>,
) -> Option<Outcome> {
    let mut running = pin!(running);
    tokio::select! {
        biased;
        outcome = &mut running => return Some(outcome),
        () = attempt.cancel.cancelled() => {}
    }
    if attempt.goes_back() {
        // The future is dropped with this function, before anybody else gets the attempt.
        return Some(release(attempt));
    }
    // Its result is unwanted; this only lets the function tidy up.
    let _unwanted = tokio::time::timeout(core.patience.cancel_grace, running).await;
    None
}

async fn call(
    core: &Core,
    attempt: &Attempt,
    context: Context,
    arguments: Option<Payload>,
) -> Outcome {
    let (name, version) = (&attempt.assignment.function, &attempt.assignment.function_version);
    let Some(handler) = core.identity.functions.find(name, version) else {
        let error = TaskError::permanent(format!("this worker has no function {name}:{version}"));
        return failed(attempt, error.with_type(CONFIGURATION));
    };
    // The handler itself may panic before it returns its future.
    let started = std::panic::catch_unwind(AssertUnwindSafe(|| handler(context, arguments)));
    let ended = match started {
        Ok(future) => AssertUnwindSafe(future).catch_unwind().await,
        Err(panic) => Err(panic),
    };
    match ended {
        Ok(Ok(output)) => Outcome::Output(output),
        Ok(Err(error)) => failed(attempt, error),
        Err(panic) => failed(attempt, panicked(panic.as_ref())),
    }
}

fn failed(attempt: &Attempt, error: TaskError) -> Outcome {
    let mut failure = error.into_failure();
    failure.checkpoint = attempt.own_checkpoint();
    Outcome::Failure(failure)
}

/// A panic may be bad luck as well as a bug: the retry policy limits how often it is tried.
fn panicked(panic: &(dyn Any + Send)) -> TaskError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    TaskError::retryable(text).with_title("The function panicked")
}
