//! One channel over all replicas of a service, and the channel to one of them. Both say who calls.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::transport::channel::ResponseFuture;
use tonic::{ConnectError, Status};
use tower::{Service, ServiceExt};

use super::Entry;
use crate::identity::Signer;

type BoxError = Box<dyn StdError + Send + Sync>;

/// What the generated clients are built on: each request goes to the next replica in turn, those
/// that could not be reached a moment ago are passed over. It never waits for a replica to
/// appear: without one, a request fails with `UNAVAILABLE` and its caller decides.
#[derive(Debug, Clone)]
pub struct ServiceChannel {
    entry: Arc<Entry>,
    signer: Signer,
}

impl ServiceChannel {
    pub(super) fn new(entry: Arc<Entry>, signer: Signer) -> Self {
        Self { entry, signer }
    }
}

impl Service<Request<Body>> for ServiceChannel {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Which replica must be ready is only known once the request is there.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        self.signer.sign(request.headers_mut());
        let entry = Arc::clone(&self.entry);
        Box::pin(async move {
            let Some(replica) = entry.pick().await else {
                let text = format!("no address of {} is known", entry.name);
                return Err(Box::new(Status::unavailable(text)) as BoxError);
            };
            let result = send(replica.channel.channel.clone(), request).await;
            if let Err(error) = &result
                && unreachable(error)
            {
                entry.pass_over(&replica);
            }
            result.map_err(Into::into)
        })
    }
}

/// The channel to one replica.
#[derive(Debug, Clone)]
pub struct ReplicaChannel {
    channel: Channel,
    signer: Option<Signer>,
}

impl ReplicaChannel {
    pub(super) const fn unsigned(channel: Channel) -> Self {
        Self { channel, signer: None }
    }

    pub(super) fn signed(&self, signer: Signer) -> Self {
        Self { channel: self.channel.clone(), signer: Some(signer) }
    }
}

impl Service<Request<Body>> for ReplicaChannel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(signer) = &self.signer {
            signer.sign(request.headers_mut());
        }
        self.channel.call(request)
    }
}

async fn send(
    mut channel: Channel,
    request: Request<Body>,
) -> Result<Response<Body>, tonic::transport::Error> {
    channel.ready().await?.call(request).await
}

/// Whether a call failed because there was no connection: nobody has heard of it, so that it may be
/// made again.
#[must_use]
pub fn was_never_sent(status: &Status) -> bool {
    unreachable(status)
}

fn unreachable(error: &(dyn StdError + 'static)) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
