//! What a session is handed, as a stream of messages.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;

use super::route::Streamed;
use crate::engine::Handed;

/// Ends when the session is over; fails when this process stops, so that whoever follows comes
/// back elsewhere.
pub(super) struct Followed<F> {
    handed: mpsc::Receiver<Handed>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    told: F,
}

impl<T, F: Fn(Handed) -> T + Send + Unpin + 'static> Followed<F> {
    /// The stream of what `told` makes of it.
    pub(super) fn stream(
        handed: mpsc::Receiver<Handed>,
        stop: &CancellationToken,
        told: F,
    ) -> Streamed<T> {
        Box::pin(Self { handed, stop: Box::pin(stop.clone().cancelled_owned()), told })
    }
}

impl<T, F: Fn(Handed) -> T + Unpin> Stream for Followed<F> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(next) = self.handed.poll_recv(context) {
            return Poll::Ready(next.map(|handed| Ok((self.told)(handed))));
        }
        match self.stop.as_mut().poll(context) {
            Poll::Ready(()) => {
                Poll::Ready(Some(Err(Status::unavailable("the orchestrator is leaving"))))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}
