//! The commands of clients: each calls the gateway as any other client would.

pub(crate) mod api_key;
pub(crate) mod breaker;
pub(crate) mod dead_letter;
pub(crate) mod definition;
pub(crate) mod event;
pub(crate) mod healing;
pub(crate) mod health;
mod input;
pub(crate) mod limit;
pub(crate) mod redrive;
pub(crate) mod retry;
pub(crate) mod run;
pub(crate) mod series;
pub(crate) mod status;
pub(crate) mod story;
pub(crate) mod watch;
pub(crate) mod webhook;
pub(crate) mod worker;
pub(crate) mod workflow;
mod workflow_view;

use std::time::Duration;

use planaria_proto::failure_detector::v1::failure_detector_service_client as failure_detector;
use planaria_proto::flow::v1::flow_service_client::FlowServiceClient;
use planaria_proto::gateway::v1::access_service_client::AccessServiceClient;
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::notification::v1::notification_service_client::NotificationServiceClient;
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::workflow::v1::definition_service_client::DefinitionServiceClient;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_sdk::Channel;
use tonic::{Request, Status};

use crate::Error;
use crate::error::{is_late, is_transport};
use crate::output::Output;
use crate::output::message::{Mapping, Named};
use crate::output::table::Table;

/// How long a unary call may take; `RunWorkflow` is not among them.
const CALL_MS_MAX: u64 = 15_000;
/// The largest answer: a page of a history with its payloads.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// First and longest pause before a stream is opened again.
const RECONNECT_MS_MIN: u64 = 100;
const RECONNECT_MS_MAX: u64 = 2_000;

/// Where a mesh answers that was started without further words.
const ADDRESS: &str = "http://127.0.0.1:8080";

/// The variable of the API key.
pub(crate) const API_KEY: &str = "PLANARIA_API_KEY";

/// Where the mesh answers, and the key to show there, as far as anything was said.
#[derive(Clone, Default)]
pub(crate) struct Gateway {
    pub(crate) address: Option<String>,
    pub(crate) api_key: Option<String>,
}

impl Gateway {
    /// One that is known to be there.
    pub(crate) fn at(address: &str, api_key: Option<String>) -> Self {
        Self { address: Some(address.to_owned()), api_key }
    }
}

/// The channel to the gateway and the place to print to.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    channel: Channel,
    pub(crate) output: Output,
}

impl Client {
    /// Connects lazily. Must be called inside a tokio runtime.
    pub(crate) fn open(gateway: &Gateway, output: Output) -> Result<Self, Error> {
        let address = gateway.address.as_deref().unwrap_or(ADDRESS);
        let unusable = |error: planaria_sdk::Error| {
            Error::input(error.to_string(), "an address looks like http://127.0.0.1:8080")
        };
        let mut client = planaria_sdk::Client::connect(address).map_err(unusable)?;
        if let Some(key) = gateway.api_key.as_deref().filter(|key| !key.is_empty()) {
            client = client.api_key(key).map_err(|error| {
                Error::input(error.to_string(), "check --api-key or PLANARIA_API_KEY")
            })?;
        }
        Ok(Self { address: address.to_owned(), channel: client.channel(), output })
    }

    pub(crate) fn definitions(&self) -> DefinitionServiceClient<Channel> {
        DefinitionServiceClient::new(self.channel.clone())
            .max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn workflows(&self) -> WorkflowServiceClient<Channel> {
        WorkflowServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn flow(&self) -> FlowServiceClient<Channel> {
        FlowServiceClient::new(self.channel.clone())
    }

    pub(crate) fn access(&self) -> AccessServiceClient<Channel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub(crate) fn workers(&self) -> failure_detector::FailureDetectorServiceClient<Channel> {
        failure_detector::FailureDetectorServiceClient::new(self.channel.clone())
    }

    pub(crate) fn retries(&self) -> RetryServiceClient<Channel> {
        RetryServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(crate) fn monitoring(&self) -> MonitoringServiceClient<Channel> {
        MonitoringServiceClient::new(self.channel.clone())
    }

    pub(crate) fn notification(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.channel.clone())
            .max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// What a failed call means, with what was being done.
    pub(crate) fn refused(&self, what: impl Into<String>, status: Status) -> Error {
        if is_late(&status) {
            return Error::Late { what: what.into(), seconds: CALL_MS_MAX / 1_000 };
        }
        if is_transport(&status) {
            return Error::Unreachable { address: self.address.clone() };
        }
        Error::Refused { what: what.into(), status: Box::new(status) }
    }

    /// Prints one message: as JSON, or by `people`.
    pub(crate) fn show<M: Named>(
        &self,
        message: &M,
        people: impl FnOnce(&M) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.output.is_json() {
            return self.output.document(&Mapping::new()?.document(message)?);
        }
        people(message)
    }

    /// Prints messages: as a JSON array, or as a table.
    pub(crate) fn show_list<M: Named>(
        &self,
        messages: &[M],
        nothing: &str,
        table: impl FnOnce(&[M]) -> Table,
    ) -> Result<(), Error> {
        if self.output.is_json() {
            return self.output.document(&Mapping::new()?.list(messages)?);
        }
        self.output.table(&table(messages), nothing)
    }

    /// What to print when a command changed something and there is nothing else to say.
    pub(crate) fn done(&self, text: &str) -> Result<(), Error> {
        if self.output.is_json() { self.output.line("{}") } else { self.output.line(text) }
    }
}

/// A unary request with its deadline.
pub(crate) fn call<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_millis(CALL_MS_MAX));
    request
}

/// Pauses that grow from one to the next until [`Backoff::reset`].
#[derive(Debug)]
pub(crate) struct Backoff {
    next_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next_ms: RECONNECT_MS_MIN }
    }
}

impl Backoff {
    /// Waits for the next pause, with jitter so that clients do not return all at once.
    pub(crate) async fn pause(&mut self) {
        let pause_ms = self.next_ms / 2 + fastrand::u64(0..=self.next_ms / 2);
        self.next_ms = (self.next_ms * 2).min(RECONNECT_MS_MAX);
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }

    pub(crate) fn reset(&mut self) {
        self.next_ms = RECONNECT_MS_MIN;
    }
}

#[cfg(test)]
mod tests {
    use planaria_proto::workflow::v1::GetWorkflowRequest;

    use super::*;
    use crate::output::Format;

    /// What is said of a call that has so long, to that address.
    async fn said(address: std::net::SocketAddr, timeout: Duration) -> String {
        let address = format!("http://{address}");
        let channel = planaria_sdk::Client::connect(&address).unwrap().channel();
        let client = Client { address, channel, output: Output::new(Format::Table, true) };
        let mut request = call(GetWorkflowRequest::default());
        request.set_timeout(timeout);
        let status = client.workflows().get_workflow(request).await.unwrap_err();
        client.refused("cannot get w", status).to_string()
    }

    #[tokio::test]
    async fn no_answer_in_time_is_not_nobody_there() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Connections are taken, but nobody says a word.
        let late = said(address, Duration::from_millis(50)).await;
        assert_eq!(late, "cannot get w: the call took longer than 15 s, and may have taken effect");
        drop(listener);
        let nobody = said(address, Duration::from_secs(15)).await;
        assert_eq!(nobody, format!("no Planaria answers at http://{address}"));
    }
}
