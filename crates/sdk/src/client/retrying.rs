//! Tries calls again that did not reach the engine.

use std::time::{Duration, Instant};

use tonic::{Code, Response, Status};

use crate::Error;
use crate::backoff::Backoff;
use crate::error::{is_outage, retry_after};

const TRIES_MAX: u32 = 3;

/// Calls up to three times while the engine is unavailable, or full.
pub(crate) async fn up_to_three_times<T>(
    mut call: impl AsyncFnMut() -> Result<Response<T>, Status>,
) -> Result<T, Error> {
    let mut backoff = Backoff::for_calls();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if backoff.tries() + 1 >= TRIES_MAX => return Err(status.into()),
            Err(status) => match (retry_after(&status), status.code()) {
                (Some(pause), _) => backoff.wait_at_least(pause).await,
                (None, Code::Unavailable) => backoff.wait().await,
                _ => return Err(status.into()),
            },
        }
    }
}

/// Calls until there is an answer, for calls that wait long and may be repeated: however the way
/// broke, it is tried again, until the engine was away for `outage_max`.
pub(crate) async fn through_outages<T>(
    outage_max: Duration,
    mut call: impl AsyncFnMut() -> Result<Response<T>, Status>,
) -> Result<T, Error> {
    let mut outage = Outage::new(outage_max);
    loop {
        let began = Instant::now();
        match call().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => outage.survive(began, status).await?,
        }
    }
}

/// How long the engine is away.
#[derive(Debug)]
pub(crate) struct Outage {
    max: Duration,
    since: Option<Instant>,
    backoff: Backoff,
}

impl Outage {
    pub(crate) fn new(max: Duration) -> Self {
        Self { max, since: None, backoff: Backoff::for_streams() }
    }

    /// The engine was there.
    pub(crate) fn over(&mut self) {
        self.since = None;
        self.backoff.worked();
    }

    /// Waits before the next try, after a call that began at `began`. An error is the last word.
    pub(crate) async fn survive(&mut self, began: Instant, status: Status) -> Result<(), Error> {
        // A deadline of the gateway's ends a long wait, and says nothing about the workflow.
        let pause = retry_after(&status);
        let goes_on = pause.is_some() || is_outage(&status);
        if !goes_on && status.code() != Code::DeadlineExceeded {
            return Err(status.into());
        }
        // A call that hung for a while had reached somebody.
        if began.elapsed() > Duration::from_secs(1) {
            self.over();
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() >= self.max {
            return Err(status.into());
        }
        self.backoff.wait_at_least(pause.unwrap_or_default()).await;
        Ok(())
    }
}
