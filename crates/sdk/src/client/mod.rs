//! A client of the engine: workflows and definitions with retries and idempotency keys, and the
//! generated clients for all else.

mod definitions;
mod retrying;
mod traced;
mod watch;
mod workflows;

use std::time::Duration;

use detector::FailureDetectorServiceClient;
use planaria_proto::failure_detector::v1::failure_detector_service_client as detector;
use planaria_proto::monitoring::v1::monitoring_service_client::MonitoringServiceClient;
use planaria_proto::notification::v1::notification_service_client::NotificationServiceClient;
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::worker::v1::worker_service_client::WorkerServiceClient;
use planaria_proto::workflow::v1::definition_service_client::DefinitionServiceClient;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;

use planaria_telemetry::Tracer;

use crate::Error;
use crate::channel::{Address, Channel, MESSAGE_BYTES_MAX};

pub use watch::Watch;
pub use workflows::Start;

/// A client; cheap to clone, all clones share one connection.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    outage_max: Duration,
    tracer: Tracer,
}

/// A generated client over this client's connection, for rpcs without a helper.
macro_rules! generated {
    ($($name:ident: $client:ident, $what:literal;)*) => {
        impl Client {
            $(
                #[doc = concat!("The generated client of ", $what, ".")]
                #[must_use]
                pub fn $name(&self) -> $client<Channel> {
                    $client::new(self.channel.clone())
                        .max_decoding_message_size(MESSAGE_BYTES_MAX)
                        .max_encoding_message_size(MESSAGE_BYTES_MAX)
                }
            )*
        }
    };
}

generated! {
    workflow_service: WorkflowServiceClient, "workflows";
    definition_service: DefinitionServiceClient, "definitions";
    task_service: TaskServiceClient, "tasks, for workers";
    failure_detector_service: FailureDetectorServiceClient, "the failure detector";
    retry_service: RetryServiceClient, "retries and dead letters";
    notification_service: NotificationServiceClient, "notifications";
    monitoring_service: MonitoringServiceClient, "monitoring";
    worker_service: WorkerServiceClient, "a built-in worker";
}

impl Client {
    /// A client of the engine whose gateway is at `address`, e.g. `http://127.0.0.1:8080`. The
    /// connection is opened with the first call and again whenever it broke. Must be called inside
    /// a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn connect(address: &str) -> Result<Self, Error> {
        let channel = Address::parse(address)?.open();
        Ok(Self { channel, outage_max: Duration::from_secs(10), tracer: Tracer::default() })
    }

    /// The same client, telling a tracer of the workflows that it starts: each is traced, or as
    /// many as the tracer samples. Without one, a start is part of the trace it is made in, if any.
    #[must_use]
    pub fn tracer(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// The same client, showing this API key with every call.
    ///
    /// # Errors
    /// It cannot be a key.
    pub fn api_key(self, key: &str) -> Result<Self, Error> {
        Ok(Self { channel: self.channel.with_key(key)?, ..self })
    }

    /// How long [`Client::run`] and [`Watch`] put up with an engine that cannot be reached before
    /// they give up. Default: 10 s. Other calls are tried three times in a row.
    #[must_use]
    pub fn outage_max(mut self, outage_max: Duration) -> Self {
        self.outage_max = outage_max;
        self
    }

    /// The connection itself.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}
