//! A client for each public service.

use detector_client::FailureDetectorServiceClient;
use leptos::prelude::window;
use planaria_proto::failure_detector::v1::failure_detector_service_client as detector_client;
use planaria_proto::flow::v1::flow_service_client::FlowServiceClient;
use planaria_proto::gateway::v1::access_service_client::AccessServiceClient;
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::notification::v1::notification_service_client::NotificationServiceClient;
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::workflow::v1::definition_service_client::DefinitionServiceClient;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic_web_wasm_client::Client;

use super::key::ShowKey;

/// Calls the gateway that served the dashboard.
pub(crate) type Channel = InterceptedService<Client, ShowKey>;

/// A history of 50 000 events in one answer is larger than tonic's 4 MiB.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 20;

pub(super) fn gateway() -> Client {
    Client::new(window().location().origin().unwrap_or_default())
}

macro_rules! clients {
    ($($name:ident: $client:ident),* $(,)?) => {$(
        pub(crate) fn $name() -> $client<Channel> {
            $client::with_interceptor(gateway(), ShowKey)
                .max_decoding_message_size(ANSWER_BYTES_MAX)
        }
    )*};
}

clients! {
    access: AccessServiceClient,
    definitions: DefinitionServiceClient,
    detector: FailureDetectorServiceClient,
    flow: FlowServiceClient,
    monitoring: MonitoringServiceClient,
    notification: NotificationServiceClient,
    retries: RetryServiceClient,
    workflows: WorkflowServiceClient,
}
