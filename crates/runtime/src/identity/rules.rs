//! Who may call which method: the one table, for the gateway and for every service.

use super::Role;
use super::Role::{Admin, Operator, Reader, Service, Worker};

/// What a method asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The least role.
    pub least: Role,
    /// It speaks of the mesh, not of one namespace: the caller must be one for all of them.
    pub mesh_wide: bool,
}

/// A caller of one namespace may call it, and is shown nothing else.
const fn nested(least: Role) -> Rule {
    Rule { least, mesh_wide: false }
}

/// Only for callers of all namespaces.
const fn mesh_wide(least: Role) -> Rule {
    Rule { least, mesh_wide: true }
}

/// The rule of a method that has none: such a method fails a test of the gateway.
const UNKNOWN: Rule = mesh_wide(Admin);

/// By service and method.
pub const RULES: &[(&str, &[(&str, Rule)])] = &[
    ("planaria.failure_detector.v1.EvidenceService", &[("ForgetSession", mesh_wide(Service))]),
    (
        "planaria.failure_detector.v1.FailureDetectorService",
        &[
            ("DrainWorker", nested(Operator)),
            ("Heartbeat", nested(Worker)),
            ("ListWorkers", nested(Reader)),
            ("WatchWorkers", nested(Reader)),
        ],
    ),
    (
        "planaria.flow.v1.FlowService",
        &[
            ("DeleteLimit", nested(Operator)),
            ("ListLimits", nested(Reader)),
            ("PutLimit", nested(Operator)),
        ],
    ),
    (
        "planaria.gateway.v1.AccessService",
        &[
            ("CreateApiKey", nested(Admin)),
            ("ListApiKeys", nested(Admin)),
            ("RevokeApiKey", nested(Admin)),
        ],
    ),
    (
        "planaria.monitoring.v1.MonitoringService",
        &[
            ("GetDistribution", nested(Reader)),
            ("GetOverview", mesh_wide(Reader)),
            ("GetSeries", nested(Reader)),
            ("ListHealings", nested(Reader)),
            ("WatchHealings", nested(Reader)),
            ("WatchOverview", mesh_wide(Reader)),
        ],
    ),
    (
        "planaria.notification.v1.NotificationService",
        &[
            ("CreateWebhook", nested(Operator)),
            ("DeleteWebhook", nested(Operator)),
            ("DisableWebhook", nested(Operator)),
            ("EnableWebhook", nested(Operator)),
            ("GetDelivery", nested(Reader)),
            ("GetWebhook", nested(Reader)),
            ("ListDeliveries", nested(Reader)),
            ("ListWebhooks", nested(Reader)),
            ("ResendDeliveries", nested(Operator)),
            ("RotateWebhookSecret", nested(Operator)),
            ("Subscribe", nested(Reader)),
            ("TestWebhook", nested(Operator)),
        ],
    ),
    (
        "planaria.orchestrator.v1.LendingService",
        &[
            ("LendSlots", mesh_wide(Service)),
            ("OpenLentSession", mesh_wide(Service)),
            ("PullLent", mesh_wide(Service)),
        ],
    ),
    (
        "planaria.orchestrator.v1.OrchestratorService",
        &[
            ("ApplyRetryDecisions", mesh_wide(Service)),
            ("GetStatistics", mesh_wide(Service)),
            ("ListFaulted", mesh_wide(Service)),
            ("ListShards", mesh_wide(Service)),
            ("ObserveSessions", mesh_wide(Service)),
            ("ReadLog", mesh_wide(Service)),
            ("ReportVerdicts", mesh_wide(Service)),
        ],
    ),
    (
        "planaria.retry.v1.RetryGateService",
        &[("TakeProbes", mesh_wide(Service)), ("WatchGates", mesh_wide(Service))],
    ),
    (
        "planaria.retry.v1.RetryService",
        &[
            ("GetDeadLetter", nested(Reader)),
            ("GetRedrive", nested(Reader)),
            ("ListBreakerChanges", nested(Reader)),
            ("ListBreakers", nested(Reader)),
            ("ListDeadLetterGroups", nested(Reader)),
            ("ListDeadLetters", nested(Reader)),
            ("ListRetries", nested(Reader)),
            ("RedriveDeadLetters", nested(Operator)),
            ("ResetBreaker", nested(Operator)),
            ("RetryNow", nested(Operator)),
            ("StartRedrive", nested(Operator)),
            ("StopRedrive", nested(Operator)),
        ],
    ),
    (
        "planaria.task.v1.TaskService",
        &[
            ("CloseSession", nested(Worker)),
            ("OpenSession", nested(Worker)),
            ("PullTasks", nested(Worker)),
            ("RenewSession", nested(Worker)),
            ("ReportResults", nested(Worker)),
        ],
    ),
    (
        "planaria.worker.v1.WorkerService",
        &[("DescribeWorker", mesh_wide(Reader)), ("Drain", mesh_wide(Operator))],
    ),
    (
        "planaria.workflow.v1.DefinitionService",
        &[
            ("GetDefinition", nested(Reader)),
            ("ListDefinitions", nested(Reader)),
            ("PutDefinition", nested(Operator)),
            ("ValidateDefinition", nested(Reader)),
        ],
    ),
    (
        "planaria.workflow.v1.WorkflowService",
        &[
            ("CancelWorkflow", nested(Operator)),
            ("GetHistory", nested(Reader)),
            ("GetWorkflow", nested(Reader)),
            ("ListWorkflows", nested(Reader)),
            ("PublishEvent", nested(Operator)),
            ("RerunWorkflow", nested(Operator)),
            ("ResumeWorkflow", nested(Operator)),
            ("RetryWorkflow", nested(Operator)),
            ("RunWorkflow", nested(Operator)),
            ("SignalWorkflow", nested(Operator)),
            ("SkipTask", nested(Operator)),
            ("StartWorkflow", nested(Operator)),
            ("StartWorkflows", nested(Operator)),
            ("SuspendWorkflow", nested(Operator)),
            ("WatchWorkflow", nested(Reader)),
        ],
    ),
];

/// Reflection shows the public contract to whoever has a key of any role but a worker's.
const REFLECTION: &str = "grpc.reflection.v1";

/// The rule of a path such as `/planaria.worker.v1.WorkerService/Drain`.
#[must_use]
pub fn rule(path: &str) -> Rule {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/'))
    else {
        return UNKNOWN;
    };
    if service.starts_with(REFLECTION) {
        return nested(Reader);
    }
    let methods = RULES.iter().find(|(name, _)| *name == service).map(|(_, methods)| *methods);
    let found = methods.unwrap_or_default().iter().find(|(name, _)| *name == method);
    found.map_or(UNKNOWN, |(_, rule)| *rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_the_table_is_for_the_strongest() {
        for path in ["", "/", "/a", "/planaria.worker.v1.WorkerService/Nothing", "/a.B/C"] {
            assert_eq!(rule(path), UNKNOWN, "{path}");
        }
        let drain = rule("/planaria.worker.v1.WorkerService/Drain");
        assert_eq!(drain, mesh_wide(Operator));
    }
}
