//! One channel over all replicas of a service.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{ConnectError, Status};
use tower::{Service, ServiceExt};

use super::Entry;

type BoxError = Box<dyn StdError + Send + Sync>;

/// What the generated clients are built on: each request goes to the next replica in turn, those
/// that could not be reached a moment ago are passed over. It never waits for a replica to
/// appear: without one, a request fails with `UNAVAILABLE` and its caller decides.
#[derive(Debug, Clone)]
pub struct ServiceChannel {
    entry: Arc<Entry>,
}

impl ServiceChannel {
    pub(super) fn new(entry: Arc<Entry>) -> Self {
        Self { entry }
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let entry = Arc::clone(&self.entry);
        Box::pin(async move {
            let Some(replica) = entry.pick().await else {
                let text = format!("no address of {} is known", entry.name);
                return Err(Box::new(Status::unavailable(text)) as BoxError);
            };
            let result = send(replica.channel.clone(), request).await;
            if let Err(error) = &result
                && unreachable(error)
            {
                entry.pass_over(&replica);
            }
            result.map_err(Into::into)
        })
    }
}

async fn send(
    mut channel: Channel,
    request: Request<Body>,
) -> Result<Response<Body>, tonic::transport::Error> {
    channel.ready().await?.call(request).await
}

fn unreachable(error: &tonic::transport::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
