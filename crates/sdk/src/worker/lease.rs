//! Knows when the session's lease ends, renews it where no failure detector does, and stops the
//! functions in time when nobody does.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use planaria_proto::task::v1::RenewSessionRequest;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use tonic::Request;

use super::core::{Core, Session};
use super::session::is_gone;
use crate::channel::Channel;
use crate::clock;

/// The worker renews by itself after this long without a renewal.
const RENEW_AFTER: Duration = Duration::from_secs(3);
const RENEW_INTERVAL: Duration = Duration::from_secs(2);
/// Functions are stopped this long before the lease ends.
const FENCE_MARGIN: Duration = Duration::from_secs(2);
/// How often the clock is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// The lease, in time since the machine started.
#[derive(Debug)]
pub(crate) struct Lease {
    /// How long it lasts when nothing else is said.
    usual: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    renewed_at: Duration,
    ends_at: Duration,
    fenced: bool,
}

impl Lease {
    /// Granted by the answer to what was asked at `asked_at`.
    pub(crate) fn new(asked_at: Duration, lasts: Duration) -> Self {
        let state = State { renewed_at: asked_at, ends_at: asked_at + lasts, fenced: false };
        Self { usual: lasts, state: Mutex::new(state) }
    }

    /// From `asked_at` on it lasts for `lasts`. Never from the moment that the answer is read: it
    /// may have waited for this process while that was stopped.
    pub(crate) fn renewed(&self, asked_at: Duration, lasts: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer that comes late says less than the one that came before it.
        if asked_at + lasts >= state.ends_at {
            *state = State { renewed_at: asked_at, ends_at: asked_at + lasts, fenced: false };
        }
    }

    fn read(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a function may begin. What was handed over to a process that was then stopped is
    /// somebody else's by the time it goes on, and its clock is how it knows.
    pub(crate) fn may_begin(&self, now: Duration) -> bool {
        now + FENCE_MARGIN < self.read().ends_at
    }

    /// True once, when the time has come to stop the functions.
    fn must_fence(&self, now: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = !state.fenced && now + FENCE_MARGIN >= state.ends_at;
        state.fenced |= due;
        due
    }
}

/// Stops the functions before the lease ends. Never returns.
pub(crate) async fn fence(core: &Core, lease: &Lease) {
    loop {
        if lease.must_fence(clock::since_boot()) {
            let stopped = core.inventory.abandon_running();
            tracing::warn!(stopped, "the session cannot be renewed: its attempts were stopped");
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// Renews the lease while the heartbeats' answers do not. Never returns.
pub(crate) async fn renew(core: &Core, session: &Session, client: &mut TaskServiceClient<Channel>) {
    let lease = &session.lease;
    // A lease that is shorter than usual leaves less time for patience.
    let after = RENEW_AFTER.min(lease.usual / 3);
    loop {
        let now = clock::since_boot();
        let due_at = lease.read().renewed_at + after;
        if now < due_at {
            tokio::time::sleep(due_at - now).await;
            continue;
        }
        try_renew(core, session, client).await;
        let pause = RENEW_INTERVAL.min(lease.usual / 4);
        tokio::time::sleep(pause).await;
    }
}

async fn try_renew(core: &Core, session: &Session, client: &mut TaskServiceClient<Channel>) {
    let asked_at = clock::since_boot();
    let attempts = core.inventory.snapshot();
    let attempt_ids = attempts.iter().map(|attempt| attempt.id().to_owned()).collect();
    let session_id = session.id.to_string();
    let mut request = Request::new(RenewSessionRequest { session_id, attempt_ids });
    request.set_timeout(RENEW_INTERVAL);
    session.to_its_replica(&mut request);
    match client.renew_session(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            core.inventory.abandon(&answer.abandon);
            let lasts = answer.lease.map_or(session.lease.usual, clock::from_proto);
            session.lease.renewed(asked_at, lasts);
        }
        Err(status) if is_gone(&status) => session.gone.cancel(),
        Err(status) => tracing::debug!(%status, "lease not renewed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_fenced_once_and_in_time() {
        let born = Duration::from_secs(1_000);
        let lease = Lease::new(born, Duration::from_secs(9));
        assert!(!lease.must_fence(born + Duration::from_millis(6_999)));
        assert!(lease.must_fence(born + Duration::from_secs(7)));
        assert!(!lease.must_fence(born + Duration::from_secs(8)), "only once");
        lease.renewed(born + Duration::from_secs(8), Duration::from_secs(9));
        assert!(!lease.must_fence(born + Duration::from_secs(14)));
        assert!(lease.must_fence(born + Duration::from_secs(15)));
    }

    #[test]
    fn nothing_begins_that_would_be_stopped() {
        let born = Duration::from_secs(1_000);
        let lease = Lease::new(born, Duration::from_secs(9));
        assert!(lease.may_begin(born + Duration::from_millis(6_999)));
        assert!(!lease.may_begin(born + Duration::from_secs(7)));
        // An answer of before the stop, read after it.
        lease.renewed(born + Duration::from_millis(500), Duration::from_secs(9));
        assert!(!lease.may_begin(born + Duration::from_secs(15)));
        lease.renewed(born + Duration::from_secs(15), Duration::from_secs(9));
        assert!(lease.may_begin(born + Duration::from_secs(16)));
    }

    #[test]
    fn a_late_answer_does_not_shorten_the_lease() {
        let lease = Lease::new(Duration::from_secs(1_000), Duration::from_secs(9));
        let ends_at = lease.read().ends_at;
        lease.renewed(lease.read().renewed_at, Duration::from_secs(1));
        assert_eq!(lease.read().ends_at, ends_at);
    }
}
