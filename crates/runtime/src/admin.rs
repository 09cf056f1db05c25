//! The admin port: `/metrics`, `/healthz`, `/readyz`. For the operator's network, not the public.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::{Health, Metrics};

const CONNECTIONS_MAX: usize = 64;
const HEADER_MS_MAX: u64 = 5_000;
const BUFFER_BYTES_MAX: usize = 16 * 1024;
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The last line of the OpenMetrics format.
const END: &str = "# EOF\n";
const TEXT: &str = "text/plain; charset=utf-8";

/// The services of one process, as its admin port shows them: together.
pub type Parts = Vec<(Metrics, Health)>;

/// Serves until it is dropped. A host of several services gives all of them to one port: their
/// metrics stand one after the other, each with the label `service`.
pub async fn serve(listener: TcpListener, parts: Parts) {
    let parts: Arc<[(Metrics, Health)]> = parts.into();
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "admin connection not accepted");
                    tokio::time::sleep(crate::server::ACCEPT_PAUSE).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        if connections.len() >= CONNECTIONS_MAX {
            continue;
        }
        let parts = Arc::clone(&parts);
        let service = service_fn(move |request: Request<Incoming>| {
            std::future::ready(Ok::<_, Infallible>(answer(&request, &parts)))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(HEADER_MS_MAX))
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "admin connection ended");
            }
        });
    }
}

fn answer<B>(request: &Request<B>, parts: &[(Metrics, Health)]) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET\n".into());
    }
    match request.uri().path() {
        "/metrics" => text(StatusCode::OK, OPEN_METRICS, encode(parts)),
        "/healthz" => text(StatusCode::OK, TEXT, "alive\n".into()),
        "/readyz" => {
            let (status, said) = readiness(parts);
            text(status, TEXT, said)
        }
        _ => text(StatusCode::NOT_FOUND, TEXT, "/metrics /healthz /readyz\n".into()),
    }
}

/// The first line is for probes, the others are for people.
fn readiness(parts: &[(Metrics, Health)]) -> (StatusCode, String) {
    let troubles: Vec<_> = parts.iter().flat_map(|(_, health)| health.troubles()).collect();
    let troubles: String = troubles.iter().map(|trouble| format!("trouble: {trouble}\n")).collect();
    if parts.iter().all(|(_, health)| health.ready()) {
        return (StatusCode::OK, format!("ready\n{troubles}"));
    }
    let missing: Vec<_> = parts.iter().flat_map(|(_, health)| health.missing()).collect();
    let missing = missing.join(", ");
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n{troubles}"))
}

/// One text of all, with one end.
fn encode(parts: &[(Metrics, Health)]) -> String {
    let mut text = String::new();
    for (metrics, _) in parts {
        text.push_str(metrics.encode().trim_end_matches(END));
    }
    text.push_str(END);
    text
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let health = Health::default();
        let store = health.part("store");
        let parts =
            [(Metrics::new("worker"), health), (Metrics::new("gateway"), Health::default())];
        let get = async |path: &str| {
            let request = Request::get(path).body(()).unwrap();
            let (parts, body) = answer(&request, &parts).into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(get("/readyz").await, (503, "not ready: store\n".to_owned()));
        store.set(true);
        assert_eq!(get("/readyz").await.0, 200);
        assert_eq!(get("/healthz").await.0, 200);
        assert_eq!(get("/metrics").await, (200, "# EOF\n".to_owned()));
        parts[0].0.counter("attempts", "Attempts started").inc();
        parts[1].0.counter("calls", "Calls forwarded").inc_by(2);
        let (_, metrics) = get("/metrics").await;
        assert!(metrics.contains("planaria_attempts_total{service=\"worker\"} 1\n"), "{metrics}");
        assert!(metrics.ends_with("planaria_calls_total{service=\"gateway\"} 2\n# EOF\n"));
        assert_eq!(get("/").await.0, 404);
    }
}
