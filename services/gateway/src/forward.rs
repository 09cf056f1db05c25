//! One call, from the client to the service and back.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt;
use h2::SendStream;
use h2::client::ResponseFuture;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use crate::access::{Caller, End};
use crate::body::{Answer, Body, Origin, RequestBody, State};
use crate::client::Client;
use crate::flow::{Inflow, Pump, Pumping};
use crate::refusal::Refusal;
use crate::routes::Method;

/// Names the replica that a call should reach.
const REPLICA: &str = "planaria-replica";
/// What a call that has no answer but its end says of it.
const STATUS: &str = "grpc-status";
/// `Code::Unavailable`, as it travels.
const UNAVAILABLE: &str = "14";
/// Tells a service that the loss of its connection is a gateway's, not its caller's.
const HOP: &str = "planaria-hop";
/// Metadata with this prefix is the mesh's own.
const OWN_PREFIX: &str = "planaria-";
/// Chunks up to this length need not wait for the service's window.
const AT_ONCE_BYTES_MAX: usize = 64 * 1024;

/// Forwards a call to the service behind its method.
pub(crate) async fn forward(
    client: &Arc<Client>,
    caller: &Arc<Caller>,
    method: &Method,
    mut parts: Parts,
    body: RequestBody,
) -> Result<Response<Body>, Refusal> {
    let gateway = &client.gateway;
    let mut counted = client.begin(Some(caller), method.is_workers)?;
    method.calls.inc();
    counted.watch(&mut parts);
    let ms_max = (!method.client_streaming).then_some(gateway.config.request_ms_max);
    let mut inflow = Inflow::new(body, gateway.config.message_bytes_max, ms_max);
    // Whoever sends one message sends it before anything is answered. It is awaited here, so that
    // a message that is too long never reaches a service.
    let mut end = End::of(caller);
    let first = if method.client_streaming { None } else { first(&mut inflow, &mut end).await? };
    let replica = parts.headers.get(REPLICA).cloned();
    strip_own(&mut parts.headers);
    parts.headers.insert(HOP, HeaderValue::from_static("gateway"));
    caller.sign(&mut parts.headers);
    let preferred = replica.as_ref().and_then(|value| value.to_str().ok());
    let (call, replica) = gateway.upstreams.open(method, client, preferred).await?;

    let service = call.service;
    let whole = inflow.ended();
    let (head, mut stream, place) = call
        .send(parts, whole && first.is_none())
        .map_err(|error| Refusal::from_upstream(service, &error))?;
    let mut origin = Origin { service, streaming: method.streaming, pumping: None, end, counted };
    let mut pump = None;
    if let Some(rest) = send_at_once(&mut stream, first, whole) {
        pump = Some(Pump::new(inflow, stream, rest));
    }
    if method.client_streaming {
        // Both directions flow on their own: a client that does not read may still send.
        origin.pumping = pump.take().map(Pumping::start);
    }
    let response = answer(head, &mut pump, &mut origin).await?;
    let (head, body) = response.into_parts();
    if head.headers.get(STATUS).is_some_and(|status| status == UNAVAILABLE) {
        // Cut off from what it stands on, or leaving: a next try is better off elsewhere.
        gateway.upstreams.pass_over(&replica);
    }
    origin.counted.answered(&head.headers);
    let answer = Answer { body, pump, origin, state: State::Data, _place: place };
    let mut response = Response::new(Body::Upstream(answer));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// The first chunk of the body, with the end of the body if that is already there.
async fn first(inflow: &mut Inflow, end: &mut End) -> Result<Option<Bytes>, Refusal> {
    poll_fn(|context| match inflow.poll(context) {
        Poll::Ready(chunk) => Poll::Ready(chunk.transpose()),
        Poll::Pending => end.poll(context).map(Err),
    })
    .await
}

/// Sends what can be sent without waiting; says what is left to do, if anything.
fn send_at_once(
    stream: &mut SendStream<Bytes>,
    chunk: Option<Bytes>,
    end: bool,
) -> Option<Option<Bytes>> {
    match chunk {
        Some(chunk) if chunk.len() <= AT_ONCE_BYTES_MAX => {
            // It fails only if the stream is over, and then the answer says why.
            let over = stream.send_data(chunk, end).is_err();
            (!over && !end).then_some(None)
        }
        Some(chunk) => Some(Some(chunk)),
        None => (!end).then_some(None),
    }
}

/// The head of the answer; the rest of the request flows meanwhile.
async fn answer(
    mut head: ResponseFuture,
    pump: &mut Option<Pump>,
    origin: &mut Origin,
) -> Result<Response<h2::RecvStream>, Refusal> {
    poll_fn(|context| {
        if let Poll::Ready(refusal) = origin.end.poll(context) {
            return Poll::Ready(Err(refusal));
        }
        if let Some(open) = pump {
            let mut refused = None;
            if open.poll(context, |refusal| refused = Some(refusal)).is_ready() {
                *pump = None;
            }
            if let Some(refusal) = refused {
                return Poll::Ready(Err(refusal));
            }
        }
        head.poll_unpin(context).map_err(|error| origin.refusal(&error))
    })
    .await
}

/// Nobody outside speaks for the mesh, and no key goes further than this.
fn strip_own(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    let own = |name: &HeaderName| name.as_str().starts_with(OWN_PREFIX);
    if headers.keys().any(own) {
        let names: Vec<HeaderName> = headers.keys().filter(|name| own(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_the_mesh_is_taken_away_and_the_rest_stays() {
        let mut headers = HeaderMap::new();
        for name in [
            "planaria-identity",
            "planaria-replica",
            "authorization",
            "grpc-timeout",
            "x-planaria-a",
        ] {
            headers.append(HeaderName::from_static(name), "1".parse().unwrap());
            headers.append(HeaderName::from_static(name), "2".parse().unwrap());
        }
        strip_own(&mut headers);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-timeout", "x-planaria-a"]);
    }
}
