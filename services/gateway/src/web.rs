//! gRPC-Web: gRPC for browsers, where the trailers travel as a last frame of the body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;

use crate::body::Body;
use crate::refusal::Refusal;

const WEB: &str = "application/grpc-web";
const WEB_TEXT: &str = "application/grpc-web-text";
/// Marks the frame of the trailers.
const TRAILERS_FLAG: u8 = 0x80;
/// A flag and a length.
const PREFIX_BYTES: usize = 5;
/// The status, which travels in the head of an answer without messages.
const STATUS: [&str; 3] = ["grpc-status", "grpc-message", "grpc-status-details-bin"];

/// How the bytes of a body are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    /// Base64, for browsers that cannot read bytes as they come.
    Text,
}

/// The form of a gRPC-Web request; nothing if the content type is another.
pub(crate) fn form(content_type: &str) -> Option<Form> {
    let is = |kind: &str| {
        let rest = content_type.strip_prefix(kind)?;
        (rest.is_empty() || rest.starts_with(['+', ';'])).then_some(())
    };
    is(WEB_TEXT).map(|()| Form::Text).or_else(|| is(WEB).map(|()| Form::Binary))
}

/// Turns the head of a gRPC-Web request into one of gRPC; says in which form to answer.
pub(crate) fn to_grpc(headers: &mut HeaderMap, sent: Form) -> Form {
    let accepted = headers.get(ACCEPT).and_then(|value| form(value.to_str().ok()?));
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE, ACCEPT] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "x-grpc-web"] {
        headers.remove(name);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc+proto"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    accepted.unwrap_or(sent)
}

/// Turns an answer of gRPC into one of gRPC-Web.
pub(crate) fn from_grpc(response: Response<Body>, form: Form) -> Response<Body> {
    let (head, body) = response.into_parts();
    let mut headers = head.headers;
    let mut status = HeaderMap::new();
    if body.is_end_stream() {
        for name in STATUS.map(HeaderName::from_static) {
            if let Some(value) = headers.remove(&name) {
                status.insert(name, value);
            }
        }
    }
    headers.remove(CONTENT_LENGTH);
    let kind = match form {
        Form::Binary => "application/grpc-web+proto",
        Form::Text => "application/grpc-web-text+proto",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let encoder = WebEncoder { body, form, status: Some(status), ended: false };
    let mut response = Response::new(Body::Web(Box::new(encoder)));
    *response.status_mut() = head.status;
    *response.headers_mut() = headers;
    response
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct WebEncoder {
    body: Body,
    form: Form,
    /// What the head said about the outcome; empty if the trailers will.
    status: Option<HeaderMap>,
    ended: bool,
}

impl WebEncoder {
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let trailers = match ready!(Pin::new(&mut self.body).poll_frame(context)?) {
            None => self.status.take().unwrap_or_default(),
            Some(frame) => match frame.into_data() {
                Ok(data) => return Poll::Ready(Some(Ok(self.frame(data)))),
                Err(frame) => frame.into_trailers().unwrap_or_default(),
            },
        };
        self.ended = true;
        Poll::Ready(Some(Ok(self.frame(trailers_frame(&trailers)))))
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    fn frame(&self, bytes: Bytes) -> Frame<Bytes> {
        Frame::data(match self.form {
            Form::Binary => bytes,
            Form::Text => STANDARD.encode(bytes).into(),
        })
    }
}

/// Trailers as lines of text behind a prefix of their own.
fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let lines: usize =
        trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + lines);
    frame.put_u8(TRAILERS_FLAG);
    // Headers are limited far below 4 GiB.
    frame.put_u32(u32::try_from(lines).unwrap_or(u32::MAX));
    for (name, value) in trailers {
        frame.put_slice(name.as_str().as_bytes());
        frame.put_slice(b": ");
        frame.put_slice(value.as_bytes());
        frame.put_slice(b"\r\n");
    }
    frame.freeze()
}

/// Reads base64 that comes in chunks of any length and may be padded in between.
#[derive(Debug)]
pub(crate) struct TextDecoder {
    body: Incoming,
    left: Vec<u8>,
}

impl TextDecoder {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, left: Vec::new() }
    }

    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Refusal>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            let Some(frame) = frame.transpose().map_err(|_| Refusal::ClientGone)? else {
                let whole = self.left.is_empty();
                let why = "the base64 text ends in the middle of a group";
                return Poll::Ready((!whole).then_some(Err(Refusal::Malformed { why })));
            };
            let Ok(data) = frame.into_data() else { continue };
            let decoded = decode(&mut self.left, &data)?;
            if !decoded.is_empty() {
                return Poll::Ready(Some(Ok(decoded)));
            }
        }
    }
}

/// Decodes whole groups of four; the rest stays in `left`.
fn decode(left: &mut Vec<u8>, data: &[u8]) -> Result<Bytes, Refusal> {
    left.extend_from_slice(data);
    let whole = left.len() - left.len() % 4;
    let mut decoded = Vec::with_capacity(whole / 4 * 3);
    let malformed = |_| Refusal::Malformed { why: "the body is not base64 text" };
    // Each group alone, because padding may end any of them.
    for group in left[..whole].chunks_exact(4) {
        STANDARD.decode_vec(group, &mut decoded).map_err(malformed)?;
    }
    left.drain(..whole);
    Ok(decoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_web_is_grpc_web() {
        for (kind, expected) in [
            ("application/grpc-web", Some(Form::Binary)),
            ("application/grpc-web+proto", Some(Form::Binary)),
            ("application/grpc-web-text", Some(Form::Text)),
            ("application/grpc-web-text+proto", Some(Form::Text)),
            ("application/grpc-website", None),
            ("application/grpc", None),
            ("text/html", None),
        ] {
            assert_eq!(form(kind), expected, "{kind}");
        }
    }

    #[test]
    fn text_is_decoded_however_it_is_cut_and_padded() {
        let text = [STANDARD.encode("self-h"), STANDARD.encode("eal"), STANDARD.encode("ing!")];
        let text = text.concat();
        for size in 1..=text.len() {
            let mut left = Vec::new();
            let mut decoded = Vec::new();
            for chunk in text.as_bytes().chunks(size) {
                decoded.extend(decode(&mut left, chunk).unwrap());
            }
            assert_eq!((decoded.as_slice(), left.len()), (&b"self-healing!"[..], 0), "{size}");
        }
        assert!(decode(&mut Vec::new(), b"{\"a\"").is_err());
    }
}
