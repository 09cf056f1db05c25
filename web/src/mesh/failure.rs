//! Why a call failed, in words for people.

use std::future::Future;

use leptos::prelude::*;
use leptos::task::spawn_local;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    /// The stable reason of the contract; empty if the answer has none.
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Failure {
    /// Somebody has to log in first.
    pub(crate) fn wants_key(&self) -> bool {
        self.code == Code::Unauthenticated
    }

    /// What a person can do about it.
    pub(crate) fn advice(&self) -> &'static str {
        match self.code {
            Code::Unauthenticated => "Log in with an API key under Settings.",
            Code::PermissionDenied => {
                "Ask an administrator for a key with a role that may do this."
            }
            Code::NotFound => "It may have been removed, or the link is wrong.",
            Code::ResourceExhausted => "The mesh is busy or a limit is reached: try again soon.",
            Code::InvalidArgument | Code::FailedPrecondition => "Mend what the message names.",
            _ => "The gateway or a service behind it is away: the page tries again by itself.",
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let message = match (status.message(), status.code()) {
            // What browsers say of a connection that was not answered.
            (said, Code::Unknown) if said.contains("Failed to fetch") || said.is_empty() => {
                "the gateway does not answer".to_owned()
            }
            (said, _) => said.to_owned(),
        };
        let reason = info.map(|info| info.reason).unwrap_or_default();
        Self { code: status.code(), reason, message }
    }
}

/// Something that is fetched.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Loaded<T> {
    #[default]
    Loading,
    Ready(T),
    Failed(Failure),
}

impl<T: Send + Sync + 'static> Loaded<T> {
    /// Fetches it and keeps it in the signal. What was there is shown until then.
    pub(crate) fn fetch<A: 'static>(
        into: RwSignal<Self>,
        call: impl Future<Output = Result<Response<A>, Status>> + 'static,
        read: impl FnOnce(A) -> T + 'static,
    ) {
        spawn_local(async move {
            let outcome = match call.await {
                Ok(answer) => Self::Ready(read(answer.into_inner())),
                Err(status) => Self::Failed(status.into()),
            };
            // The page may be gone by now.
            into.try_set(outcome);
        });
    }
}
