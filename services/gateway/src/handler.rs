//! One request: what it is, and who answers it.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use planaria_runtime::{Directory, Health, Metrics};
use planaria_telemetry::Tracer;
use tonic_health::server::HealthReporter;

use crate::access::{Access, Api, Caller};
use crate::body::{Body, RequestBody};
use crate::client::Client;
use crate::cors::{Cors, allow};
use crate::counters::Counters;
use crate::dashboard::Dashboard;
use crate::forward::forward;
use crate::local::Local;
use crate::refusal::Refusal;
use crate::routes::Routes;
use crate::upstream::Upstreams;
use crate::watch::Watch;
use crate::web::{self, Form};
use crate::{Config, Error, NAME};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const PAGE: &str = "\
Planaria: a self-healing workflow engine.

This port speaks gRPC (HTTP/2, without TLS), gRPC-Web (HTTP/1.1 and HTTP/2) and reflection:

  grpcurl -plaintext HOST:PORT list
  grpcurl -plaintext HOST:PORT describe planaria.workflow.v1.WorkflowService
  grpcurl -plaintext HOST:PORT planaria.monitoring.v1.MonitoringService/GetOverview

Put your own address for HOST:PORT. /healthz tells whether the gateway is ready.
";
const WITH_DASHBOARD: &str = "Browsers find the dashboard here.\n";
const WITHOUT_DASHBOARD: &str = "\
This binary was built without the dashboard: `cargo xtask web` comes before `cargo build`.
";

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) upstreams: Upstreams,
    pub(crate) watch: Watch,
    pub(crate) access: Access,
    routes: Routes,
    local: Local,
    cors: Cors,
    dashboard: Dashboard,
    health: Health,
}

impl Gateway {
    pub(crate) fn new(
        config: Config,
        directory: Directory,
        access: Access,
        (metrics, tracer): (&Metrics, Tracer),
        health: Health,
        dashboard: Dashboard,
    ) -> Result<(Self, HealthReporter), Error> {
        let api = Api::new(Arc::clone(access.ring()), &config);
        let (local, reporter) = Local::new(api)?;
        let gateway = Self {
            counters: Counters::new(metrics),
            watch: Watch::new(metrics, tracer),
            upstreams: Upstreams::new(directory, config.upstream.clone()),
            access,
            routes: Routes::new(metrics)?,
            local,
            cors: Cors::new(&config.cors_origins),
            dashboard,
            health,
            config,
        };
        Ok((gateway, reporter))
    }
}

/// What a request wants to be.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Grpc,
    Web(Form),
    Plain,
}

fn kind(request: &Request<Incoming>) -> Kind {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(content_type) = content_type.filter(|_| *request.method() == Method::POST) else {
        return Kind::Plain;
    };
    if let Some(form) = web::form(content_type) {
        return Kind::Web(form);
    }
    match content_type.strip_prefix("application/grpc") {
        Some(rest) if rest.is_empty() || rest.starts_with(['+', ';']) => Kind::Grpc,
        _ => Kind::Plain,
    }
}

/// Answers any request; what goes wrong is in the answer.
pub(crate) async fn answer(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    Ok(match kind(&request) {
        Kind::Grpc if request.version() == Version::HTTP_2 => {
            call(&client, request.map(RequestBody::Plain)).await
        }
        Kind::Grpc => {
            let why = "gRPC needs HTTP/2; over HTTP/1.1 use application/grpc-web\n";
            text(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
        }
        Kind::Web(sent) => call_from_web(&client, request, sent).await,
        Kind::Plain => plain(&client.gateway, &request),
    })
}

/// Answers any request with the same refusal, for connections beyond the limit.
pub(crate) async fn refuse(
    refusal: Refusal,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    Ok(match kind(&request) {
        Kind::Grpc => refused(&refusal),
        Kind::Web(form) => web::from_grpc(refused(&refusal), form),
        Kind::Plain => text(StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")),
    })
}

async fn call_from_web(
    client: &Arc<Client>,
    request: Request<Incoming>,
    sent: Form,
) -> Response<Body> {
    let origin = client.gateway.cors.allowed(request.headers());
    let mut request = request.map(|body| match sent {
        Form::Binary => RequestBody::Plain(body),
        Form::Text => RequestBody::Text(web::TextDecoder::new(body)),
    });
    let form = web::to_grpc(request.headers_mut(), sent);
    let mut response = web::from_grpc(call(client, request).await, form);
    if let Some(origin) = origin {
        allow(response.headers_mut(), origin);
    }
    response
}

async fn call(client: &Arc<Client>, request: Request<RequestBody>) -> Response<Body> {
    let gateway = &client.gateway;
    let outcome = route(client, request).await;
    outcome.unwrap_or_else(|refusal| {
        gateway.counters.refused(&refusal);
        refused(&refusal)
    })
}

/// Finds who answers a call, and whether its caller may ask.
async fn route(
    client: &Arc<Client>,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, Refusal> {
    let gateway = &client.gateway;
    let path = request.uri().path();
    let method = gateway.routes.find(path);
    if method.is_none() && !Local::serves(path) {
        return Err(Refusal::UnknownMethod { path: path.to_owned() });
    }
    if Local::is_open(path) {
        return call_local(client, None, request).await;
    }
    let admitted = gateway.access.admit(path, request.headers()).await;
    let caller = admitted.map_err(Refusal::Denied)?;
    match method {
        Some(method) if method.service != NAME => {
            let (parts, body) = request.into_parts();
            forward(client, &caller, method, parts, body).await
        }
        _ => {
            request.extensions_mut().insert(caller.identity().clone());
            call_local(client, Some(&caller), request).await
        }
    }
}

async fn call_local(
    client: &Arc<Client>,
    caller: Option<&Arc<Caller>>,
    request: Request<RequestBody>,
) -> Result<Response<Body>, Refusal> {
    let counted = client.begin(caller, false)?;
    let response = client.gateway.local.call(request).await;
    drop(counted);
    Ok(response.map(Body::Local))
}

/// An answer that is nothing but a status.
fn refused(refusal: &Refusal) -> Response<Body> {
    refusal.status().into_http()
}

fn plain(gateway: &Gateway, request: &Request<Incoming>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::OPTIONS, _) => {
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = StatusCode::NO_CONTENT;
            gateway.cors.preflight(request.headers(), response.headers_mut());
            response
        }
        (&Method::GET | &Method::HEAD, "/healthz") if gateway.health.ready() => {
            text(StatusCode::OK, "ready\n")
        }
        (&Method::GET | &Method::HEAD, "/healthz") => {
            text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
        }
        (method @ (&Method::GET | &Method::HEAD), path) => {
            let answer = gateway.dashboard.answer(method, path, request.headers());
            answer.unwrap_or_else(|| page(gateway, path))
        }
        (&Method::POST, _) => {
            let why = "calls have the content type application/grpc or application/grpc-web\n";
            text(StatusCode::UNSUPPORTED_MEDIA_TYPE, why)
        }
        _ => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS, POST\n");
            let methods = HeaderValue::from_static("GET, HEAD, OPTIONS, POST");
            response.headers_mut().insert(ALLOW, methods);
            response
        }
    }
}

/// The page for who is no browser.
fn page(gateway: &Gateway, path: &str) -> Response<Body> {
    let dashboard = if gateway.dashboard.is_built() { WITH_DASHBOARD } else { WITHOUT_DASHBOARD };
    match path {
        "/" => text(StatusCode::OK, format!("{PAGE}{dashboard}")),
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::Full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
