//! The closed list of public services, which is the routing table.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;

use planaria_proto::FILE_DESCRIPTOR_SET;
use planaria_runtime::identity::rule;
use planaria_runtime::metrics::Counter;
use planaria_runtime::{Metrics, Role};
use prost::Message;
use prost_types::FileDescriptorSet;

use crate::{Error, NAME};

/// Every service of the contract that is public, and the service of the mesh that serves it.
/// What is not here does not exist for the outside.
pub const PUBLIC: [(&str, &str); 10] = [
    ("planaria.workflow.v1.DefinitionService", "orchestrator"),
    ("planaria.workflow.v1.WorkflowService", "orchestrator"),
    ("planaria.task.v1.TaskService", "orchestrator"),
    ("planaria.flow.v1.FlowService", "orchestrator"),
    ("planaria.failure_detector.v1.FailureDetectorService", "failure-detector"),
    ("planaria.retry.v1.RetryService", "retry-engine"),
    ("planaria.notification.v1.NotificationService", "notification"),
    ("planaria.monitoring.v1.MonitoringService", "monitoring"),
    ("planaria.worker.v1.WorkerService", "worker"),
    ("planaria.gateway.v1.AccessService", NAME),
];

/// What the gateway knows of a method.
#[derive(Debug)]
pub(crate) struct Method {
    /// The service of the mesh behind it.
    pub(crate) service: &'static str,
    /// The client sends more than one message, or waits for an answer before it sends any.
    pub(crate) client_streaming: bool,
    /// It lives long: it travels on a connection of its client's own.
    pub(crate) streaming: bool,
    /// Whose turn it is. Each method has its own: of two that are always called one after the other
    /// each would otherwise always reach the same replica.
    pub(crate) next: AtomicUsize,
    /// What workers call, whose work others wait for.
    pub(crate) is_workers: bool,
    pub(crate) calls: Counter,
}

/// From path to method.
#[derive(Debug)]
pub(crate) struct Routes(HashMap<String, Method>);

impl Routes {
    pub(crate) fn new(metrics: &Metrics) -> Result<Self, Error> {
        let calls = metrics.counters("gateway_calls", "Calls forwarded, by method");
        let mut methods = HashMap::new();
        for file in descriptors()?.file {
            for descriptor in &file.service {
                let name = format!("{}.{}", file.package(), descriptor.name());
                let Some((_, service)) = PUBLIC.iter().find(|(public, _)| *public == name) else {
                    continue;
                };
                for method in &descriptor.method {
                    let path = format!("/{name}/{}", method.name());
                    let labels = vec![("method", path.clone())];
                    let method = Method {
                        service,
                        client_streaming: method.client_streaming(),
                        streaming: method.client_streaming() || method.server_streaming(),
                        next: AtomicUsize::new(0),
                        is_workers: rule(&path).least == Role::Worker,
                        calls: calls.get_or_create(&labels).clone(),
                    };
                    methods.insert(path, method);
                }
            }
        }
        Ok(Self(methods))
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

/// The contract, decoded.
pub(crate) fn descriptors() -> Result<FileDescriptorSet, Error> {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)
        .map_err(|error| Error::Descriptors(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_service_has_methods_and_internal_ones_have_no_route() {
        let routes = Routes::new(&Metrics::new("gateway")).unwrap();
        for (service, _) in PUBLIC {
            let prefix = format!("/{service}/");
            assert!(routes.0.keys().any(|path| path.starts_with(&prefix)), "{service}");
        }
        for path in [
            "/planaria.orchestrator.v1.OrchestratorService/ReadLog",
            "/planaria.failure_detector.v1.EvidenceService/ForgetSession",
            "/planaria.workflow.v1.WorkflowService/Nothing",
            "",
        ] {
            assert!(routes.find(path).is_none(), "{path}");
        }
        let shape = |path| routes.find(path).map(|m| (m.service, m.client_streaming, m.streaming));
        for path in routes.0.keys() {
            let workers = path.contains("TaskService/") || path.ends_with("/Heartbeat");
            assert_eq!(routes.0[path].is_workers, workers, "{path}");
        }
        let run = shape("/planaria.workflow.v1.WorkflowService/RunWorkflow");
        assert_eq!(run, Some(("orchestrator", false, false)));
        let pull = shape("/planaria.task.v1.TaskService/PullTasks");
        assert_eq!(pull, Some(("orchestrator", false, true)));
        let beat = shape("/planaria.failure_detector.v1.FailureDetectorService/Heartbeat");
        assert_eq!(beat, Some(("failure-detector", true, true)));
    }
}
