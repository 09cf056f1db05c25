//! The one place that sees every part.

use std::sync::Arc;

use planaria_proto::failure_detector::v1::evidence_service_server::EvidenceServiceServer;
use planaria_proto::failure_detector::v1::failure_detector_service_server as server;
use planaria_runtime::service::{Deps, Service};
use tokio::sync::{mpsc, watch};

use crate::api::Api;
use crate::detector::Detector;
use crate::handle::Handle;
use crate::meters::Meters;
use crate::orchestrators::Orchestrators;
use crate::{Config, Error, NAME};

/// Builds the service. Must be called inside a tokio runtime.
///
/// # Errors
/// [`Error::Settings`] if a setting is out of range.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    config.validate()?;
    let config = Arc::new(config);
    let mut service = Service::new(NAME);
    let meters = Meters::new(&service.metrics);
    let (events_in, events_out) = mpsc::channel(config.events_max);
    let (changes_in, changes_out) = watch::channel(0);
    let orchestrators = Orchestrators::new(deps.directory.channel("orchestrator"), &config);
    let detector = Detector::new(Arc::clone(&config), orchestrators, changes_in, meters);
    let handle = Handle::new(events_in, changes_out);
    let api = Api::new(handle, Arc::clone(&config), deps.stop.clone());
    let heartbeats = server::FailureDetectorServiceServer::new(api.clone())
        .max_decoding_message_size(config.heartbeat_bytes_max);
    service.routes = service.routes.add_service(heartbeats);
    service.routes = service.routes.add_service(EvidenceServiceServer::new(api));
    service.spawn("detector", detector.run(events_out, deps.stop));
    Ok(service)
}
