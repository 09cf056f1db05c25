//! The types of events.

pub(crate) const WORKFLOW_STARTED: &str = "io.serverlessworkflow.workflow.started.v1";
pub(crate) const WORKFLOW_SUSPENDED: &str = "io.serverlessworkflow.workflow.suspended.v1";
pub(crate) const WORKFLOW_RESUMED: &str = "io.serverlessworkflow.workflow.resumed.v1";
pub(crate) const WORKFLOW_CANCELLED: &str = "io.serverlessworkflow.workflow.cancelled.v1";
pub(crate) const WORKFLOW_FAULTED: &str = "io.serverlessworkflow.workflow.faulted.v1";
pub(crate) const WORKFLOW_COMPLETED: &str = "io.serverlessworkflow.workflow.completed.v1";
pub(crate) const TASK_STARTED: &str = "io.serverlessworkflow.task.started.v1";
pub(crate) const TASK_COMPLETED: &str = "io.serverlessworkflow.task.completed.v1";
pub(crate) const TASK_FAULTED: &str = "io.serverlessworkflow.task.faulted.v1";
pub(crate) const TASK_RETRIED: &str = "io.serverlessworkflow.task.retried.v1";

pub(crate) const WORKFLOW_RETRIED: &str = "dev.planaria.workflow.retried.v1";
pub(crate) const WORKFLOW_RERUN: &str = "dev.planaria.workflow.rerun.v1";
pub(crate) const ATTEMPT_FAILED: &str = "dev.planaria.attempt.failed.v1";
pub(crate) const ATTEMPT_LOST: &str = "dev.planaria.attempt.lost.v1";
pub(crate) const HEALING_DETECTED: &str = "dev.planaria.healing.detected.v1";
pub(crate) const HEALING_HEALED: &str = "dev.planaria.healing.healed.v1";
pub(crate) const WORKER_JOINED: &str = "dev.planaria.worker.joined.v1";
pub(crate) const WORKER_LEFT: &str = "dev.planaria.worker.left.v1";
pub(crate) const WORKER_LOST: &str = "dev.planaria.worker.lost.v1";

pub(crate) const WEBHOOK_TEST: &str = "dev.planaria.webhook.test.v1";

/// Those that name a task which their facts only number.
pub(crate) const OF_TASKS: [&str; 5] =
    [TASK_COMPLETED, TASK_FAULTED, TASK_RETRIED, ATTEMPT_FAILED, ATTEMPT_LOST];
