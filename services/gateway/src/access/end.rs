//! The end of a key while calls of it are under way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{Caller, Denied};
use crate::leash;
use crate::refusal::Refusal;

/// Comes when the caller's key was revoked or has expired.
#[derive(Debug)]
pub(crate) struct End {
    caller: Arc<Caller>,
    over: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl End {
    pub(crate) fn of(caller: &Arc<Caller>) -> Self {
        leash::ends_with(&caller.over);
        Self { caller: Arc::clone(caller), over: None }
    }

    /// Ready when the call must end, with what its caller is told.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        // Most calls are over before they ever wait.
        let over = &self.caller.over;
        let over = self.over.get_or_insert_with(|| Box::pin(over.clone().cancelled_owned()));
        ready!(over.as_mut().poll(context));
        let key_id = self.caller.identity.key_id.to_string();
        Poll::Ready(Refusal::Denied(Denied::KeyEnded { key_id }))
    }
}
