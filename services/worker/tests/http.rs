//! The function `http` against a server over real sockets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../../../crates/sdk/tests/engine/mod.rs"]
mod engine;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use engine::Engine;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use planaria_proto::task::v1::Failure;
use planaria_proto::task::v1::result::Outcome;
use planaria_sdk::{CancellationToken, Worker};
use planaria_worker::{Http, HttpConfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Says what it was asked; some paths answer otherwise.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap());
    let respond = Response::builder();
    let (respond, body) = match parts.uri.path() {
        "/busy" => (respond.status(503).header("retry-after", "7"), "later".into()),
        "/busy-until" => {
            let date = "Fri, 31 Dec 2100 23:59:59 GMT";
            (respond.status(429).header("retry-after", date), "later".into())
        }
        "/missing" => (respond.status(404).header("retry-after", "7"), "no such thing".into()),
        "/moved" => (respond.status(302).header("location", "/elsewhere"), String::new()),
        "/large" => (respond, "x".repeat(2_000)),
        "/text" => (respond.header("content-type", "text/plain"), "{}".into()),
        "/never" => std::future::pending().await,
        _ => {
            let heard = json!({
                "method": parts.method.as_str(),
                "uri": parts.uri.to_string(),
                "authorization": header("authorization"),
                "custom": header("x-custom"),
                "type": header("content-type"),
                "body": String::from_utf8_lossy(&body),
            });
            (respond.header("content-type", "application/json"), heard.to_string())
        }
    };
    Ok(respond.body(Full::new(Bytes::from(body))).unwrap())
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(connection);
        }
    });
    address
}

struct World {
    engine: Engine,
    base: String,
}

impl World {
    async fn new(change: impl FnOnce(&mut HttpConfig)) -> Self {
        let mut config = HttpConfig { response_bytes_max: 1_000, ..HttpConfig::default() };
        change(&mut config);
        let engine = Engine::start();
        let worker = Worker::builder(engine.url()).id("built-in");
        let worker = Http::new(config).announce(worker, "1.0.0").build().unwrap();
        tokio::spawn(worker.run(CancellationToken::new()));
        Self { engine, base: format!("http://{}", serve().await) }
    }

    async fn call(&self, path: &str, with: Value) -> Outcome {
        let mut arguments = json!({"method": "get", "endpoint": format!("{}{path}", self.base)});
        for (name, value) in with.as_object().unwrap() {
            arguments[name] = value.clone();
        }
        let id = self.engine.assign("http", &arguments.to_string()).await;
        self.engine.outcome(&id).await
    }

    async fn output(&self, path: &str, with: Value) -> Value {
        match self.call(path, with).await {
            Outcome::Output(output) => serde_json::from_slice(&output.data).unwrap(),
            other => panic!("{path} ended otherwise: {other:?}"),
        }
    }

    async fn failure(&self, path: &str, with: Value) -> Failure {
        match self.call(path, with).await {
            Outcome::Failure(failure) => failure,
            other => panic!("{path} ended otherwise: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_request_is_what_the_arguments_say() {
    let world = World::new(|_| {}).await;
    let with = json!({
        "method": "post",
        "headers": {"x-custom": "yes"},
        "query": {"page": 2, "tag": ["a", "b c"], "none": null},
        "body": {"amount": 1},
    });
    let heard = world.output("/orders?x=1", with).await;
    assert_eq!(heard["method"], "POST");
    assert_eq!(heard["uri"], "/orders?x=1&page=2&tag=a&tag=b+c");
    assert_eq!((&heard["custom"], &heard["type"]), (&json!("yes"), &json!("application/json")));
    assert_eq!(heard["body"], r#"{"amount":1}"#);

    let with = json!({"method": "put", "body": "text", "headers": {"Content-Type": "text/x"}});
    let heard = world.output("/", with).await;
    assert_eq!((&heard["body"], &heard["type"]), (&json!("text"), &json!("text/x")));

    for (scheme, expected) in [
        (json!({"basic": {"username": "me", "password": "it"}}), "Basic bWU6aXQ="),
        (json!({"bearer": {"token": "abc"}}), "Bearer abc"),
    ] {
        let endpoint = json!({"uri": world.base, "authentication": scheme});
        let heard = world.output("/", json!({"endpoint": endpoint})).await;
        assert_eq!(heard["authorization"], expected);
    }
}

#[tokio::test]
async fn the_output_is_what_was_asked_for() {
    let world = World::new(|_| {}).await;
    assert_eq!(world.output("/text", json!({})).await, json!("{}"));
    assert_eq!(world.output("/text", json!({"output": "raw"})).await, json!("e30="));
    let whole = world.output("/moved", json!({"output": "response", "redirect": true})).await;
    assert_eq!((&whole["statusCode"], &whole["content"]), (&json!(302), &Value::Null));
    assert_eq!(whole["headers"]["location"], "/elsewhere");
    assert_eq!(whole["request"]["method"], "GET");
    assert_eq!(whole["request"]["uri"], format!("{}/moved", world.base));
}

#[tokio::test]
async fn failures_say_what_happened_and_whether_to_try_again() {
    let world = World::new(|_| {}).await;
    let expected = [
        ("/busy", 503, true, "later"),
        ("/busy-until", 429, true, "later"),
        ("/missing", 404, false, "no such thing"),
        ("/moved", 302, false, ""),
        ("/large", 502, false, "over 1000 bytes"),
    ];
    for (path, status, retryable, detail) in expected {
        let failure = world.failure(path, json!({})).await;
        let error = failure.error.unwrap();
        assert_eq!((error.status, failure.retryable), (status, retryable), "{path}");
        assert!(error.r#type.ends_with("/errors/communication"), "{}", error.r#type);
        assert!(error.detail.contains(detail), "{}", error.detail);
        let after = failure.retry_after.map(|delay| delay.seconds);
        match path {
            "/busy" => assert_eq!(after, Some(7)),
            "/busy-until" => assert!(after.unwrap() > 365 * 24 * 3600),
            _ => assert_eq!(after, None, "{path}"),
        }
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_made_says_why() {
    let world = World::new(|_| {}).await;
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = world.failure("", json!({"endpoint": format!("http://{nobody}/")})).await;
    assert!(failure.retryable, "nobody listens now");
    assert_eq!(failure.error.unwrap().status, 503);
    for (with, detail) in [
        (json!({"endpoint": "ftp://somewhere"}), "neither http nor https"),
        (json!({"endpoint": "nowhere"}), "relative URL"),
        (json!({"method": "ge t"}), "is not a method"),
        (json!({"headers": {"a b": "c"}}), "is not one"),
        (json!({"colour": "red"}), "unknown field `colour`"),
        (json!({"endpoint": {"uri": "http://x", "authentication": {"digest": {}}}}), "`digest`"),
        (json!({"endpoint": "http://169.254.169.254/meta-data"}), "not allowed"),
    ] {
        let failure = world.failure("", with).await;
        assert!(!failure.retryable, "{detail}");
        let error = failure.error.unwrap();
        assert!(error.detail.contains(detail), "{}", error.detail);
    }
}

#[tokio::test]
async fn patience_ends_with_the_deadline_or_the_limit() {
    let world = World::new(|config| config.request_ms_max = 100).await;
    let failure = world.failure("/never", json!({})).await;
    assert!(failure.retryable);
    assert_eq!(failure.error.unwrap().status, 408);

    let world = World::new(|_| {}).await;
    let arguments = json!({"method": "get", "endpoint": format!("{}/never", world.base)});
    let soon = std::time::SystemTime::UNIX_EPOCH
        + Duration::from_millis(planaria_runtime::clock::now_ms() + 200);
    let change = |assignment: &mut planaria_proto::task::v1::Assignment| {
        assignment.deadline = Some(soon.into());
    };
    let id = world.engine.assign_as("http", &arguments.to_string(), change).await;
    let Outcome::Failure(failure) = world.engine.outcome(&id).await else { panic!("no failure") };
    assert_eq!(failure.error.unwrap().status, 408);
}
