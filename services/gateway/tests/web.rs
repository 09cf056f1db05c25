//! HTTP/1.1 and browsers: gRPC-Web in both forms, other origins, and the plain pages.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod mesh;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use mesh::plain::send;
use mesh::*;
use planaria_gateway::Config;
use planaria_proto::monitoring::v1::*;
use prost::Message;

const GET_OVERVIEW: &str = "/planaria.monitoring.v1.MonitoringService/GetOverview";
const LIST_HEALINGS: &str = "/planaria.monitoring.v1.MonitoringService/ListHealings";
const WATCH_OVERVIEW: &str = "/planaria.monitoring.v1.MonitoringService/WatchOverview";
const WEB: &str = "application/grpc-web+proto";
const WEB_TEXT: &str = "application/grpc-web-text+proto";

/// A request as a browser sends it.
fn web(path: &str, kind: &str, body: Bytes) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", "localhost")
        .header("content-type", kind)
        .header("x-grpc-web", "1")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .body(Full::new(body))
        .unwrap()
}

/// The frames of a body: flag and content.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [flag, a, b, c, d, rest @ ..] = body {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        frames.push((*flag, rest[..length].to_vec()));
        body = &rest[length..];
    }
    assert!(body.is_empty(), "a frame is cut off");
    frames
}

fn trailers(frame: &(u8, Vec<u8>)) -> Vec<String> {
    assert_eq!(frame.0, 0x80);
    let text = String::from_utf8(frame.1.clone()).unwrap();
    text.trim_end().split("\r\n").map(str::to_owned).collect()
}

#[tokio::test]
async fn a_unary_call_works_over_both_versions_of_http() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let body = framed(&GetOverviewRequest {});
    let one = web(GET_OVERVIEW, WEB, body.clone());
    let two = Request::post(format!("{}{GET_OVERVIEW}", gateway.uri()))
        .version(http::Version::HTTP_2)
        .header("content-type", WEB)
        .body(Full::new(body))
        .unwrap();
    for request in [one, two] {
        let response = send(&gateway.uri(), request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], WEB);
        assert_eq!(response.headers()["x-answer"], "yes");
        let frames = frames(response.body());
        assert_eq!(frames.len(), 2);
        let answer = GetOverviewResponse::decode(frames[0].1.as_slice()).unwrap();
        let seen = answer.overview.unwrap().findings;
        assert!(seen.contains(&"content-type=application/grpc+proto".to_owned()), "{seen:?}");
        assert!(seen.contains(&"te=trailers".to_owned()), "{seen:?}");
        assert!(!seen.iter().any(|header| header.starts_with("x-hop")), "{seen:?}");
        assert!(trailers(&frames[1]).contains(&"grpc-status: 0".to_owned()));
    }
}

#[tokio::test]
async fn a_stream_works_and_ends_with_its_status() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let body = framed(&WatchOverviewRequest::default());
    let response = send(&gateway.uri(), web(WATCH_OVERVIEW, WEB, body)).await;
    let frames = frames(response.body());
    assert_eq!(frames.len(), 4);
    assert!(trailers(&frames[3]).contains(&"grpc-status: 15".to_owned()));
}

#[tokio::test]
async fn a_status_in_the_head_travels_in_the_trailers_frame() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let body = framed(&ListHealingsRequest::default());
    // From the service, and from the gateway itself.
    for (path, code) in [(LIST_HEALINGS, "grpc-status: 5"), ("/no.Such/Method", "grpc-status: 12")]
    {
        let response = send(&gateway.uri(), web(path, WEB, body.clone())).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("grpc-status"), "{:?}", response.headers());
        let frames = frames(response.body());
        assert_eq!(frames.len(), 1);
        let trailers = trailers(&frames[0]);
        assert!(trailers.contains(&code.to_owned()), "{trailers:?}");
        assert!(trailers.iter().any(|line| line.starts_with("grpc-status-details-bin: ")));
    }
}

#[tokio::test]
async fn the_text_form_works() {
    let monitoring = monitoring().await;
    let gateway = gateway(Config::default(), &[("monitoring", monitoring.address)]).await;
    let body = Bytes::from(STANDARD.encode(framed(&GetOverviewRequest {})));
    let response = send(&gateway.uri(), web(GET_OVERVIEW, WEB_TEXT, body)).await;
    assert_eq!(response.headers()["content-type"], WEB_TEXT);
    // Each frame is padded by itself.
    let mut decoded = Vec::new();
    for group in response.body().chunks(4) {
        decoded.extend(STANDARD.decode(group).unwrap());
    }
    let frames = frames(&decoded);
    assert_eq!(frames.len(), 2);
    assert!(trailers(&frames[1]).contains(&"grpc-status: 0".to_owned()));

    let response = send(&gateway.uri(), web(GET_OVERVIEW, WEB_TEXT, "no base64!".into())).await;
    let decoded = STANDARD.decode(response.body()).unwrap();
    let text = String::from_utf8(decoded[5..].to_vec()).unwrap();
    assert!(text.contains("grpc-status: 3"), "{text}");
}

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_others_may_not() {
    let monitoring = monitoring().await;
    let listed = "https://console.example";
    let config = Config { cors_origins: vec![listed.into()], ..Config::default() };
    let gateway = gateway(config, &[("monitoring", monitoring.address)]).await;
    for (origin, allowed) in [(listed, Some(listed)), ("https://evil.example", None)] {
        let preflight = Request::builder()
            .method(Method::OPTIONS)
            .uri(GET_OVERVIEW)
            .header("host", "localhost")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-grpc-web")
            .body(Full::default());
        let mut call = web(GET_OVERVIEW, WEB, framed(&GetOverviewRequest {}));
        call.headers_mut().insert("origin", origin.parse().unwrap());
        for request in [preflight.unwrap(), call] {
            let response = send(&gateway.uri(), request).await;
            let answer = response.headers().get("access-control-allow-origin");
            assert_eq!(answer.map(|value| value.to_str().unwrap()), allowed);
        }
    }
}

#[tokio::test]
async fn plain_requests_are_answered_plainly() {
    let gateway = gateway(Config::default(), &[]).await;
    for (method, path, kind, status) in [
        ("GET", "/", "", 200),
        ("HEAD", "/", "", 200),
        ("GET", "/healthz", "", 200),
        ("GET", "/nothing", "", 404),
        ("POST", GET_OVERVIEW, "application/json", 415),
        ("POST", GET_OVERVIEW, "application/grpc", 415),
        ("POST", GET_OVERVIEW, "application/grpc-website", 415),
        ("DELETE", "/", "", 405),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", kind)
            .body(Full::default());
        let response = send(&gateway.uri(), request.unwrap()).await;
        assert_eq!(response.status().as_u16(), status, "{method} {path} {kind}");
    }
}
