//! The function `http`: a call as the language's `call: http` describes it.
//!
//! Redirections are not followed: the language only says whether they are errors. Retries are not
//! made here either: a failure says whether trying again can help, and the engine decides.

mod arguments;
mod response;

use std::sync::Arc;
use std::time::Duration;

use planaria_egress::{Clients, Denied, Egress};
use planaria_sdk::{COMMUNICATION, Context, TIMEOUT, TaskError, WorkerBuilder};
use reqwest::{Client, Request};
use serde_json::Value;

use self::arguments::Arguments;
use crate::HttpConfig;

/// The function, with its connections; cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: HttpConfig,
    clients: Clients,
}

impl Http {
    /// The function with these settings.
    #[must_use]
    pub fn new(config: HttpConfig) -> Self {
        let connect_max = Duration::from_millis(config.connect_ms_max);
        let egress = Egress::new(config.egress.clone());
        let clients = Clients::new(egress, connect_max, config.connections_idle_max);
        Self { inner: Arc::new(Inner { config, clients }) }
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
        self.inner.clients.check_host(host).map_err(|denied| denied_error(&denied.to_string()))
    }
}

impl Inner {
    fn client(&self, uri: &str) -> Result<&Client, TaskError> {
        self.clients.of(uri).map_err(|error| {
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
    if let Some(denied) = Denied::cause_of(error) {
        return denied_error(&denied.to_string());
    }
    let mut detail = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
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
