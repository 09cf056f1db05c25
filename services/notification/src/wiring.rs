//! Puts the service together.

use std::sync::Arc;

use planaria_proto::notification::v1::notification_service_server::NotificationServiceServer;
use planaria_runtime::{Deps, Service};
use tokio::sync::Semaphore;
use tonic::service::Routes;

use crate::api::Api;
use crate::config::Config;
use crate::error::Error;
use crate::gauges::Gauges;
use crate::shared_tail::SharedTail;
use crate::subscription::Source;
use crate::tasks::Tasks;

/// Builds the service; nothing runs before the host serves it.
///
/// # Errors
/// None today: it keeps nothing.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let mut service = Service::new(crate::NAME);
    let Deps { directory, stop, .. } = deps;
    let gauges = Gauges::new(&service.metrics);
    let channel = directory.channel("orchestrator");
    let shared = SharedTail::new(channel.clone(), &config);
    service.spawn("tail", shared.clone().run(stop.clone()));
    let message_bytes_max = config.tail.message_bytes_max;
    let api = Api {
        shared,
        source: Source { channel, settings: config.tail.clone() },
        tasks: Tasks::new(&directory, &config, gauges.clone()),
        gauges,
        seats: Arc::new(Semaphore::new(config.subscribers_max.min(Semaphore::MAX_PERMITS))),
        config,
        stop,
    };
    let server = NotificationServiceServer::new(api);
    service.routes = Routes::new(server.max_encoding_message_size(message_bytes_max));
    Ok(service)
}
