//! Opens, renews the knowledge of, and closes the session.

use std::sync::Arc;
use std::time::Duration;

use planaria_proto::task::v1::CloseSessionRequest;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};

use super::core::{Core, Session};
use super::lease::Lease;
use crate::backoff::Backoff;
use crate::channel::Channel;
use crate::error::{INCARNATION_SUPERSEDED, SESSION_INVALID, SESSION_NOT_FOUND, has_reason};
use crate::{Error, clock};

const CALL_TIMEOUT: Duration = Duration::from_secs(3);
const CLOSE_TRIES_MAX: u32 = 3;

/// New replicas of the engine are found after this at the latest.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// Streams that fail ask for replicas no more often than this.
const REFRESH_PAUSE: Duration = Duration::from_millis(500);

/// Whether the engine says that it does not know the session.
pub(crate) fn is_gone(status: &Status) -> bool {
    has_reason(status, SESSION_NOT_FOUND)
}

/// Opens a session, however long that takes.
///
/// # Errors
/// The engine will never grant one: the request is invalid, the API key is not (or no longer) good
/// for it, or the worker was superseded.
pub(crate) async fn open(
    core: &Core,
    client: &mut TaskServiceClient<Channel>,
) -> Result<Session, Error> {
    let mut backoff = Backoff::for_calls();
    loop {
        let status = match try_open(core, client).await {
            Ok(session) => return Ok(session),
            Err(status) => status,
        };
        if let Some(error) = fatal(core, &status) {
            return Err(error);
        }
        // Seen once per outage; the retries say less.
        if backoff.tries() == 0 {
            tracing::warn!(%status, "no session yet, trying on");
        }
        backoff.wait().await;
    }
}

async fn try_open(core: &Core, client: &mut TaskServiceClient<Channel>) -> Result<Session, Status> {
    let asked_at = clock::since_boot();
    let mut request = Request::new(core.open_request());
    request.set_timeout(CALL_TIMEOUT);
    let answer = client.open_session(request).await?.into_inner();
    let lease = answer.lease.map_or(Duration::from_secs(9), clock::from_proto);
    let interval = answer.heartbeat_interval.map_or(Duration::from_millis(500), clock::from_proto);
    Ok(Session {
        id: answer.session_id.into(),
        replicas: answer.replicas,
        lease: Arc::new(Lease::new(asked_at, lease)),
        heartbeat_interval: interval.max(Duration::from_millis(10)),
        gone: CancellationToken::new(),
    })
}

fn fatal(core: &Core, status: &Status) -> Option<Error> {
    if has_reason(status, INCARNATION_SUPERSEDED) {
        return Some(Error::Superseded { worker_id: core.identity.worker_id.clone() });
    }
    let unwelcome = matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied);
    let never = unwelcome || has_reason(status, SESSION_INVALID);
    never.then(|| Error::from(status.clone()))
}

/// Asks for the session's replicas now and then, and when one cannot be reached. Ends with an
/// error if the worker was superseded; cancels `gone` if the engine answers with another session.
pub(crate) async fn refresh(
    core: &Core,
    session: &Session,
    client: &mut TaskServiceClient<Channel>,
) -> Error {
    loop {
        tokio::time::sleep(REFRESH_PAUSE).await;
        let stale = core.replicas_stale.notified();
        let _either = tokio::time::timeout(REFRESH_INTERVAL, stale).await;
        match try_open(core, client).await {
            Ok(renewed) if renewed.id == session.id => {
                let (lease, gone) = (Arc::clone(&session.lease), session.gone.clone());
                let renewed = Session { lease, gone, ..renewed };
                core.session.send_if_modified(|known| replace_replicas(known, renewed));
            }
            Ok(_) => session.gone.cancel(),
            Err(status) => match fatal(core, &status) {
                Some(error) => return error,
                None => tracing::debug!(%status, "replicas not renewed"),
            },
        }
    }
}

fn replace_replicas(known: &mut Option<Arc<Session>>, renewed: Session) -> bool {
    let changed = known.as_ref().is_some_and(|known| known.replicas != renewed.replicas);
    if changed {
        *known = Some(Arc::new(renewed));
    }
    changed
}

/// Says goodbye. If nobody hears it, the lease ends the session.
pub(crate) async fn close(session: &Session, client: &mut TaskServiceClient<Channel>) {
    let mut backoff = Backoff::for_calls();
    while backoff.tries() < CLOSE_TRIES_MAX {
        let session_id = session.id.to_string();
        let reason = "the worker leaves".to_owned();
        let mut request = Request::new(CloseSessionRequest { session_id, reason });
        request.set_timeout(CALL_TIMEOUT);
        session.to_its_replica(&mut request);
        match client.close_session(request).await {
            Ok(_) => return,
            Err(status) if is_gone(&status) => return,
            Err(status) => tracing::debug!(%status, "goodbye not heard"),
        }
        backoff.wait().await;
    }
}
