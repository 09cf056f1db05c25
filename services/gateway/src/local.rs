//! The gRPC services that the gateway answers itself: API keys, health and reflection.

use http::{Request, Response};
use planaria_proto::gateway::v1::access_service_server::AccessServiceServer;
use planaria_runtime::Health;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

use crate::access::Api;
use crate::body::RequestBody;
use crate::reflection::public_descriptors;
use crate::{Error, NAME};

/// All of them, as one router.
#[derive(Debug, Clone)]
pub(crate) struct Local(Routes);

impl Local {
    /// The router, and the means to tell the health.
    pub(crate) fn new(api: Api) -> Result<(Self, HealthReporter), Error> {
        let (reporter, health) = tonic_health::server::health_reporter();
        let builder = || {
            public_descriptors().map(|set| {
                tonic_reflection::server::Builder::configure()
                    .register_file_descriptor_set(set)
                    .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            })
        };
        let unusable =
            |error: tonic_reflection::server::Error| Error::Descriptors(error.to_string());
        let v1 = builder()?.build_v1().map_err(unusable)?;
        let v1alpha = builder()?.build_v1alpha().map_err(unusable)?;
        let access = AccessServiceServer::new(api);
        let routes = Routes::new(health).add_service(v1).add_service(v1alpha);
        let routes = routes.add_service(access).prepare();
        Ok((Self(routes), reporter))
    }

    /// Whether everybody may call this, without a key.
    pub(crate) fn is_open(path: &str) -> bool {
        path.starts_with("/grpc.health.v1.")
    }

    /// Whether a path belongs to one of those that are not part of the contract.
    pub(crate) fn serves(path: &str) -> bool {
        Self::is_open(path) || path.starts_with("/grpc.reflection.v1")
    }

    pub(crate) async fn call(&self, request: Request<RequestBody>) -> Response<Body> {
        let mut routes = self.0.clone();
        // A router is always ready.
        match routes.call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Tells the health service what [`Health`] says, for as long as it runs.
pub(crate) async fn follow(reporter: HealthReporter, health: Health) {
    loop {
        let ready = health.ready();
        report(&reporter, ready).await;
        health.wait(!ready).await;
    }
}

pub(crate) async fn report(reporter: &HealthReporter, ready: bool) {
    let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
    // The empty name is the whole server.
    reporter.set_service_status("", status).await;
    reporter.set_service_status(NAME, status).await;
}
