//! Which events a subscriber wants.

use planaria_proto::orchestrator::v1::{LogRecord, log_record};

use crate::events::kind;

#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Beginnings of types; none: all.
    pub(crate) types: Vec<String>,
    /// Only of this workflow; empty: of all.
    pub(crate) workflow: String,
}

impl Filter {
    pub(crate) fn wants_type(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|prefix| kind.starts_with(prefix.as_str()))
    }

    /// Whether any event of this record can be wanted.
    pub(crate) fn wants_record(&self, record: &LogRecord) -> bool {
        if self.workflow.is_empty() {
            return true;
        }
        match &record.body {
            Some(log_record::Body::Workflow(workflow)) => workflow.workflow_id == self.workflow,
            Some(log_record::Body::Healing(healing)) => healing.workflow_id == self.workflow,
            Some(log_record::Body::Session(_)) | None => false,
        }
    }

    /// Whether it wants events that name a task which their facts only number.
    pub(crate) fn wants_tasks(&self) -> bool {
        kind::OF_TASKS.iter().any(|kind| self.wants_type(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_wanted_by_their_beginning() {
        let filter = |types: &[&str]| Filter {
            types: types.iter().map(|text| (*text).to_owned()).collect(),
            workflow: String::new(),
        };
        assert!(filter(&[]).wants_type("anything"));
        let workflows = filter(&["io.serverlessworkflow.workflow.", "com.example"]);
        assert!(workflows.wants_type(kind::WORKFLOW_STARTED));
        assert!(workflows.wants_type("com.example.paid.v1"));
        assert!(!workflows.wants_type(kind::TASK_STARTED) && !workflows.wants_tasks());
        assert!(filter(&["dev.planaria."]).wants_tasks());
    }
}
