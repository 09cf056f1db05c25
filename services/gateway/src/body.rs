//! The bodies that pass through the gateway, in both directions.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::access::End;
use crate::client::Counted;
use crate::flow::{Pump, Pumping};
use crate::leash;
use crate::refusal::Refusal;
use crate::upstream::Place;
use crate::web::{TextDecoder, WebEncoder};

/// What a client sends.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Plain(Incoming),
    /// gRPC-Web's text form.
    Text(TextDecoder),
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Refusal;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Refusal>>> {
        match &mut *self {
            Self::Plain(body) => {
                Pin::new(body).poll_frame(context).map_err(|_| Refusal::ClientGone)
            }
            Self::Text(decoder) => decoder.poll(context).map_ok(Frame::data),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Text(_) => false,
        }
    }
}

/// What a client gets.
#[derive(Debug, Default)]
#[expect(clippy::large_enum_variant, reason = "the large one is what nearly all answers are")]
pub(crate) enum Body {
    #[default]
    Empty,
    Full(Bytes),
    Upstream(Answer),
    Local(tonic::body::Body),
    Web(Box<WebEncoder>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let frame = match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Upstream(answer) => answer.poll(context).map(|frame| frame.map(Ok)),
            Self::Local(body) => Pin::new(body).poll_frame(context),
            Self::Web(encoder) => encoder.poll(context),
        };
        // After the last one nobody asks for more.
        leash::note(matches!(&frame, Poll::Ready(Some(_))) && !self.is_end_stream());
        frame
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(answer) => answer.ended(),
            Self::Local(body) => body.is_end_stream(),
            Self::Web(encoder) => encoder.ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

/// What a service answers. Dropped before its end, it resets the stream.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: RecvStream,
    /// The rest of the request, which flows while the answer does.
    pub(crate) pump: Option<Pump>,
    pub(crate) origin: Origin,
    pub(crate) state: State,
    /// Held until the end.
    pub(crate) _place: Place,
}

/// Whose answer it is, and what to say if it breaks.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) service: &'static str,
    pub(crate) streaming: bool,
    /// The request, where it flows in a task of its own; that ends with this.
    pub(crate) pumping: Option<Pumping>,
    /// The end of the caller's key, should it come first.
    pub(crate) end: End,
    pub(crate) counted: Counted,
}

impl Origin {
    /// What the client is told instead of the rest.
    pub(crate) fn refusal(&self, error: &h2::Error) -> Refusal {
        if let Some(refusal) = self.pumping.as_ref().and_then(Pumping::refusal) {
            return refusal;
        }
        if self.counted.gateway().upstreams.is_cut(self.streaming) {
            return Refusal::Draining;
        }
        Refusal::from_upstream(self.service, error)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Data,
    Trailers,
    Ended,
}

impl Answer {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        if let Poll::Ready(refusal) = self.origin.end.poll(context) {
            return self.fail(&refusal);
        }
        if let Some(pump) = &mut self.pump {
            let mut refused = None;
            if pump.poll(context, |refusal| refused = Some(refusal)).is_ready() {
                self.pump = None;
            }
            if let Some(refusal) = refused {
                return self.fail(&refusal);
            }
        }
        if self.state == State::Data {
            match ready!(self.body.poll_data(context)) {
                Some(Ok(bytes)) => {
                    // The writer holds one chunk at a time, so this does not run ahead of the
                    // client. It fails only if the stream is over.
                    let _over = self.body.flow_control().release_capacity(bytes.len());
                    return Poll::Ready(Some(Frame::data(bytes)));
                }
                Some(Err(error)) => return self.fail(&self.origin.refusal(&error)),
                None => self.state = State::Trailers,
            }
        }
        if self.state == State::Trailers {
            match ready!(self.body.poll_trailers(context)) {
                Ok(trailers) => {
                    self.state = State::Ended;
                    // The service has what it wanted: it ends the rest as it likes.
                    if let Some(pumping) = self.origin.pumping.take() {
                        pumping.leave();
                    }
                    if let Some(trailers) = &trailers {
                        self.origin.counted.answered(trailers);
                    }
                    return Poll::Ready(trailers.map(Frame::trailers));
                }
                Err(error) => return self.fail(&self.origin.refusal(&error)),
            }
        }
        Poll::Ready(None)
    }

    /// The head is sent already, so the error goes into the trailers.
    fn fail(&mut self, refusal: &Refusal) -> Poll<Option<Frame<Bytes>>> {
        self.state = State::Ended;
        // Nothing more of the request passes, whatever its sender goes on to send.
        self.pump = None;
        self.origin.pumping = None;
        self.origin.counted.gateway().counters.refused(refusal);
        let trailers: HeaderMap = refusal.trailers();
        self.origin.counted.answered(&trailers);
        Poll::Ready(Some(Frame::trailers(trailers)))
    }

    fn ended(&self) -> bool {
        self.state == State::Ended || self.body.is_end_stream()
    }
}
