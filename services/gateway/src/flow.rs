//! The way of a request's body to the service.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use tokio::time::{Duration, Sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::body::RequestBody;
use crate::meter::Meter;
use crate::refusal::Refusal;

/// A request's body, measured as it comes.
#[derive(Debug)]
pub(crate) struct Inflow {
    body: RequestBody,
    meter: Meter,
    bytes_max: u32,
    /// A request of one message must have arrived within this.
    ms_max: Option<u64>,
    /// Runs from the first time that it is waited for.
    due: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

impl Inflow {
    pub(crate) fn new(body: RequestBody, bytes_max: u32, ms_max: Option<u64>) -> Self {
        let ended = body.is_end_stream();
        Self { body, meter: Meter::new(bytes_max), bytes_max, ms_max, due: None, ended }
    }

    /// Nothing more will come.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// The next chunk, never empty; nothing at the end.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Refusal>>> {
        while !self.ended {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context)? else {
                return self.poll_due(context).map(|refusal| Some(Err(refusal)));
            };
            let Some(frame) = frame else {
                self.ended = true;
                break;
            };
            self.ended = self.body.is_end_stream();
            // Requests of gRPC have no trailers.
            let Ok(chunk) = frame.into_data() else { continue };
            if let Err(bytes) = self.meter.pass(&chunk) {
                let (bytes, bytes_max) = (u64::from(bytes), self.bytes_max);
                return Poll::Ready(Some(Err(Refusal::MessageTooLarge { bytes, bytes_max })));
            }
            if !chunk.is_empty() {
                return Poll::Ready(Some(Ok(chunk)));
            }
        }
        Poll::Ready(None)
    }

    /// Ready when the rest of the request comes too late.
    fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
        let Some(ms_max) = self.ms_max else { return Poll::Pending };
        let sleep = || Box::pin(tokio::time::sleep(Duration::from_millis(ms_max)));
        ready!(self.due.get_or_insert_with(sleep).as_mut().poll(context));
        Poll::Ready(Refusal::TooSlow { ms_max })
    }
}

/// Carries what is left of a request to the service, as fast as that takes it.
#[derive(Debug)]
pub(crate) struct Pump {
    inflow: Inflow,
    stream: SendStream<Bytes>,
    waiting: Option<Bytes>,
}

impl Pump {
    pub(crate) fn new(inflow: Inflow, stream: SendStream<Bytes>, waiting: Option<Bytes>) -> Self {
        let mut pump = Self { inflow, stream, waiting: None };
        if let Some(chunk) = waiting {
            pump.hold(chunk);
        }
        pump
    }

    /// Ready when there is nothing left to do: all is sent, or the service takes no more (its
    /// answer says why), or the request is not fit to be sent on: then `refused` is told before
    /// the stream is reset.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        refused: impl FnOnce(Refusal),
    ) -> Poll<()> {
        loop {
            if self.waiting.is_some() {
                while self.stream.capacity() == 0 {
                    match ready!(self.stream.poll_capacity(context)) {
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Poll::Ready(()),
                    }
                }
                let chunk = self.waiting.take().unwrap_or_default();
                let end = self.inflow.ended();
                if self.stream.send_data(chunk, end).is_err() || end {
                    return Poll::Ready(());
                }
            }
            if self.stream.poll_reset(context).is_ready() {
                return Poll::Ready(());
            }
            match ready!(self.inflow.poll(context)) {
                Some(Ok(chunk)) => self.hold(chunk),
                Some(Err(refusal)) => {
                    refused(refusal);
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
                None => {
                    // It fails only if the service takes no more.
                    let _over = self.stream.send_data(Bytes::new(), true);
                    return Poll::Ready(());
                }
            }
        }
    }

    fn hold(&mut self, chunk: Bytes) {
        // A minimal claim: the rest is claimed when the chunk is handed over, so that calls which
        // wait for each other do not divide the connection's window among them.
        self.stream.reserve_capacity(1);
        self.waiting = Some(chunk);
    }
}

/// A request that flows in a task of its own, which ends with the request, with the stream, or when
/// this is dropped: then the stream is reset.
#[derive(Debug)]
pub(crate) struct Pumping {
    refused: Arc<OnceLock<Refusal>>,
    task: AbortOnDropHandle<()>,
}

impl Pumping {
    pub(crate) fn start(mut pump: Pump) -> Self {
        let refused = Arc::new(OnceLock::new());
        let result = Arc::clone(&refused);
        let task = tokio::spawn(async move {
            poll_fn(|context| pump.poll(context, |refusal| drop(result.set(refusal)))).await;
        });
        Self { refused, task: AbortOnDropHandle::new(task) }
    }

    /// Why the request was not fit to be sent on to its end.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refused.get().cloned()
    }

    /// Lets it flow to its end by itself.
    pub(crate) fn leave(self) {
        drop(self.task.detach());
    }
}
