//! The dashboard as browsers, and others, get it: files of these tests, whatever the binary has.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod mesh;

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, REFERRER_POLICY, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use mesh::plain::send;
use mesh::*;

const PAGE: &str = "<!doctype html>";
const SCRIPT: &str = "start()";
const SCRIPT_PATH: &str = "/assets/1/boot.js";
/// As browsers ask, for a place and for a file.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
const ANYTHING: &str = "*/*";
const CODINGS: &str = "gzip, deflate, br, zstd";

/// In the format of brotli, in a form that needs no compression.
fn packed(text: &str) -> &'static [u8] {
    let length = u32::try_from(text.len()).unwrap() - 1;
    // One block of 16 bits of length that is not compressed, then an empty one, which is the last.
    let mut bytes = ((1 << 20) | (length << 4)).to_le_bytes()[..3].to_vec();
    bytes.extend(text.as_bytes());
    bytes.push(0b11);
    bytes.leak()
}

async fn showing() -> Running<Result<(), planaria_gateway::Error>> {
    let page = ("index.html", packed(PAGE));
    let icon = ("assets/1/icon.unknown", packed("icon"));
    gateway_showing(&[page, (&SCRIPT_PATH[1..], packed(SCRIPT)), icon]).await
}

async fn ask(
    gateway: &str,
    method: &str,
    path: &str,
    headers: &[(HeaderName, &str)],
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    send(gateway, request.body(Full::default()).unwrap()).await
}

#[tokio::test]
async fn a_browser_gets_the_page_at_each_place_of_the_dashboard() {
    let gateway = showing().await;
    for (path, accept, expected) in [
        ("/", BROWSER, Some(PAGE)),
        ("/workflows/01a205e9-d8b0-745f-a04a-c59dd96dc297", BROWSER, Some(PAGE)),
        ("/workers/host.example?from=1", BROWSER, Some(PAGE)),
        ("/index.html", ANYTHING, Some(PAGE)),
        (SCRIPT_PATH, ANYTHING, Some(SCRIPT)),
        ("/healthz", BROWSER, Some("ready\n")),
        ("/workflows", ANYTHING, None),
        ("/missing.js", BROWSER, None),
        ("/assets/2/boot.js", ANYTHING, None),
        ("//index.html", ANYTHING, None),
        ("/assets/1/../../index.html", ANYTHING, None),
    ] {
        let response = ask(&gateway.uri(), "GET", path, &[(ACCEPT, accept)]).await;
        let expected = (
            if expected.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND },
            expected.unwrap_or("not found\n"),
        );
        assert_eq!((response.status(), str(&response)), expected, "{path}");
    }
}

#[tokio::test]
async fn others_get_the_text_and_are_told_whether_there_is_a_dashboard() {
    for (gateway, told) in
        [(showing().await, "Browsers find"), (gateway_showing(&[]).await, "cargo xtask web")]
    {
        for accept in [&[][..], &[(ACCEPT, ANYTHING)]] {
            let response = ask(&gateway.uri(), "GET", "/", accept).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
            assert!(str(&response).starts_with("Planaria: "), "{response:?}");
            assert!(str(&response).contains(told), "{response:?}");
        }
    }
}

#[tokio::test]
async fn without_a_dashboard_a_browser_is_told_so() {
    let gateway = gateway_showing(&[]).await;
    for (path, status) in [("/", 200), ("/workflows", 404), ("/index.html", 404)] {
        let response = ask(&gateway.uri(), "GET", path, &[(ACCEPT, BROWSER)]).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn what_the_page_may_do_is_in_every_answer_and_files_say_what_they_are() {
    let gateway = showing().await;
    for (path, kind, cache) in [
        ("/index.html", "text/html; charset=utf-8", "no-cache"),
        (SCRIPT_PATH, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        (
            "/assets/1/icon.unknown",
            "application/octet-stream",
            "public, max-age=31536000, immutable",
        ),
    ] {
        let response = ask(&gateway.uri(), "GET", path, &[]).await;
        let headers = response.headers();
        assert_eq!(headers[CONTENT_TYPE], kind);
        assert_eq!(headers[CACHE_CONTROL], cache);
        assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers[REFERRER_POLICY], "no-referrer");
        assert!(headers[VARY].to_str().unwrap().contains("accept-encoding"));
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"));
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe-inline"));
    }
}

#[tokio::test]
async fn it_travels_compressed_to_those_who_take_that() {
    let gateway = showing().await;
    let response = ask(&gateway.uri(), "GET", SCRIPT_PATH, &[(ACCEPT_ENCODING, CODINGS)]).await;
    assert_eq!(response.headers()[CONTENT_ENCODING], "br");
    assert_eq!(response.body(), packed(SCRIPT));
    for codings in ["gzip, deflate", "br;q=0"] {
        let headers = [(ACCEPT_ENCODING, codings)];
        let response = ask(&gateway.uri(), "GET", SCRIPT_PATH, &headers).await;
        assert!(!response.headers().contains_key(CONTENT_ENCODING));
        assert_eq!(str(&response), SCRIPT);
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let gateway = showing().await;
    let tag = async |codings: &str| {
        let headers = [(ACCEPT_ENCODING, codings)];
        let response = ask(&gateway.uri(), "GET", "/index.html", &headers).await;
        response.headers()[ETAG].to_str().unwrap().to_owned()
    };
    let (compressed, plain) = (tag(CODINGS).await, tag("gzip").await);
    assert_ne!(compressed, plain);
    for (codings, known, status) in [
        (CODINGS, compressed.clone(), StatusCode::NOT_MODIFIED),
        (CODINGS, format!("\"other\", W/{compressed}"), StatusCode::NOT_MODIFIED),
        (CODINGS, plain.clone(), StatusCode::OK),
        ("gzip", plain, StatusCode::NOT_MODIFIED),
        ("gzip", compressed, StatusCode::OK),
    ] {
        let headers = [(ACCEPT_ENCODING, codings), (ACCEPT, BROWSER), (IF_NONE_MATCH, &*known)];
        let response = ask(&gateway.uri(), "GET", "/workflows", &headers).await;
        assert_eq!(response.status(), status, "{codings}, {known}");
        assert_eq!(response.body().is_empty(), status == StatusCode::NOT_MODIFIED);
        assert!(response.headers().contains_key(ETAG));
        assert!(response.headers().contains_key(CACHE_CONTROL));
    }
    let other = gateway_showing(&[("index.html", packed("another"))]).await;
    let response = ask(&other.uri(), "GET", "/index.html", &[]).await;
    assert_ne!(response.headers()[ETAG], *tag("gzip").await);
}

#[tokio::test]
async fn a_head_is_that_of_the_file_over_both_versions_of_http() {
    let gateway = showing().await;
    let url = format!("{}{SCRIPT_PATH}", gateway.uri());
    for (version, target) in [(Version::HTTP_11, SCRIPT_PATH), (Version::HTTP_2, &*url)] {
        let ask = async |method: &str| {
            let request = Request::builder().method(method).uri(target).version(version);
            let request = request.header("host", "localhost").body(Full::default());
            send(&gateway.uri(), request.unwrap()).await
        };
        let (head, get) = (ask("HEAD").await, ask("GET").await);
        assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
        assert_eq!(str(&get), SCRIPT);
        for name in [CONTENT_TYPE, CONTENT_LENGTH, ETAG] {
            assert_eq!(head.headers()[&name], get.headers()[&name], "{version:?}");
        }
    }
}

fn str(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}
