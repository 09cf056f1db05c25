//! The function `http`: a call as the language's `call: http` describes it.
//!
//! Redirections are not followed: the language only says whether they are errors. Retries are not
//! made here either: a failure says whether trying again can help, and the engine decides.

mod arguments;
mod response;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use planaria_sdk::{COMMUNICATION, Context, TIMEOUT, TaskError, WorkerBuilder};
use reqwest::{Client, Request, redirect};
use serde_json::Value;

use self::arguments::Arguments;
use crate::HttpConfig;
use crate::egress::Egress;

/// The function, with its connections; cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: HttpConfig,
    egress: Egress,
    /// Made with the first call: an idle worker needs none. The one without TLS works on machines
    /// that have no root certificates.
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl Http {
    /// The function with these settings.
    #[must_use]
    pub fn new(config: HttpConfig) -> Self {
        let egress = Egress::new(config.egress.clone());
        let (plain, secure) = (OnceLock::new(), OnceLock::new());
        Self { inner: Arc::new(Inner { config, egress, plain, secure }) }
    }

    /// Adds the function to a worker.
    pub fn announce(self, worker: WorkerBuilder, version: &str) -> WorkerBuilder {
        worker.function("http", version, move |context: Context, arguments: Arguments| {
            let http = self.clone();
            async move { http.call(&context, arguments).await }
        })
    }

    async fn call(&self, context: &Context, arguments: Arguments) -> Result<Value, TaskError> {
        let config = &self.inner.config;
        let (output, redirects_pass) = (arguments.output, arguments.redirect);
        let client = self.inner.client(arguments.endpoint.uri())?;
        let request = arguments.into_request(client)?;
        self.check(&request)?;
        let described = response::describe(&request);

        let limit = Duration::from_millis(config.request_ms_max);
        let time = context.time_left().map_or(limit, |left| left.min(limit));
        let exchange = async {
            let answer = client.execute(request).await.map_err(|error| failed(&error))?;
            response::read(answer, config.response_bytes_max).await
        };
        let response = tokio::time::timeout(time, exchange).await.map_err(|_| {
            TaskError::retryable(format!("no answer within {} ms", time.as_millis()))
                .with_type(TIMEOUT)
                .with_status(408)
                .with_title("The call took too long")
        })??;
        response.refuse_errors(redirects_pass)?;
        Ok(response.into_output(output, &described))
    }

    fn check(&self, request: &Request) -> Result<(), TaskError> {
        let host = request.url().host_str().unwrap_or_default();
        self.inner.egress.check_host(host).map_err(|denied| denied_error(&denied.to_string()))
    }
}

impl Inner {
    fn client(&self, uri: &str) -> Result<&Client, TaskError> {
        let secure = uri.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
        let cell = if secure { &self.secure } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        // Losing this race costs a client, nothing else.
        let client = self.build(secure)?;
        Ok(cell.get_or_init(|| client))
    }

    fn build(&self, secure: bool) -> Result<Client, TaskError> {
        // The first one stays; whoever installed it chose it.
        let _first = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("planaria/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(self.egress.clone()))
            .connect_timeout(Duration::from_millis(self.config.connect_ms_max))
            .pool_max_idle_per_host(self.config.connections_idle_max);
        let builder = if secure { builder } else { builder.tls_certs_only([]) };
        builder.build().map_err(|error| {
            let error = TaskError::from(error);
            TaskError::permanent(error.detail()).with_title("TLS is not set up on this machine")
        })
    }
}

fn communication(error: TaskError) -> TaskError {
    error.with_type(COMMUNICATION)
}

fn denied_error(detail: &str) -> TaskError {
    communication(TaskError::permanent(detail)).with_status(403).with_title("Call not allowed")
}

/// The exchange broke: the other side may be back soon.
fn failed(error: &reqwest::Error) -> TaskError {
    let mut detail = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(denied) = error.downcast_ref::<crate::egress::Denied>() {
            return denied_error(&denied.to_string());
        }
        detail.push_str(": ");
        detail.push_str(&error.to_string());
        cause = error.source();
    }
    if error.is_builder() {
        return communication(TaskError::permanent(detail)).with_title("The request is invalid");
    }
    communication(TaskError::retryable(detail))
        .with_status(503)
        .with_title("The other side could not be reached")
}
