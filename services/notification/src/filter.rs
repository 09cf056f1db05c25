//! Which events somebody wants.

use planaria_proto::notification::v1::EventFilter;
use planaria_proto::orchestrator::v1::{LogRecord, log_record};
use planaria_proto::types::v1::CloudEvent;

use crate::events::kind;

/// All that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Beginnings of types; none: all.
    types: Vec<String>,
    namespace: String,
    workflow: String,
    /// A definition's name.
    definition: String,
    /// In small letters.
    text: String,
}

impl From<EventFilter> for Filter {
    fn from(filter: EventFilter) -> Self {
        Self {
            types: filter.types,
            namespace: filter.namespace,
            workflow: filter.workflow_id,
            definition: filter.definition,
            text: filter.text.to_lowercase(),
        }
    }
}

impl Filter {
    pub(crate) fn wants_type(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|prefix| kind.starts_with(prefix.as_str()))
    }

    /// Whether any event of this record can be wanted.
    pub(crate) fn wants_record(&self, record: &LogRecord) -> bool {
        let (workflow, definition) = match &record.body {
            Some(log_record::Body::Workflow(workflow)) => {
                let definition = workflow.definition.as_ref();
                let name = definition.map_or("", |definition| definition.name.as_str());
                (workflow.workflow_id.as_str(), name)
            }
            Some(log_record::Body::Healing(healing)) => (healing.workflow_id.as_str(), ""),
            Some(log_record::Body::Session(_)) | None => ("", ""),
        };
        let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        fits(&self.workflow, workflow)
            && fits(&self.definition, definition)
            && fits(&self.namespace, namespace_of(record))
    }

    /// Whether it wants events that name a task which their facts only number.
    pub(crate) fn wants_tasks(&self) -> bool {
        kind::OF_TASKS.iter().any(|kind| self.wants_type(kind))
    }

    /// Whether the text occurs in a whole event.
    pub(crate) fn wants_text(&self, event: &CloudEvent) -> bool {
        let occurs = |text: &str| text.to_lowercase().contains(&self.text);
        self.text.is_empty()
            || occurs(&event.subject)
            || occurs(&String::from_utf8_lossy(&event.data))
    }
}

/// Whose a record is: the definition's namespace.
pub(crate) fn namespace_of(record: &LogRecord) -> &str {
    match &record.body {
        Some(log_record::Body::Workflow(workflow)) => {
            let definition = workflow.definition.as_ref();
            definition.map_or(&record.namespace, |definition| &definition.namespace)
        }
        Some(log_record::Body::Healing(healing)) if !healing.namespace.is_empty() => {
            &healing.namespace
        }
        _ => &record.namespace,
    }
}

#[cfg(test)]
mod tests {
    use planaria_fake_mesh::{healing, record_at, session_opened, workflow_events};
    use planaria_proto::types::v1::Healing;

    use super::*;

    #[test]
    fn types_are_wanted_by_their_beginning() {
        let filter = |types: &[&str]| Filter {
            types: types.iter().map(|text| (*text).to_owned()).collect(),
            ..Filter::default()
        };
        assert!(filter(&[]).wants_type("anything"));
        let workflows = filter(&["io.serverlessworkflow.workflow.", "com.example"]);
        assert!(workflows.wants_type(kind::WORKFLOW_STARTED));
        assert!(workflows.wants_type("com.example.paid.v1"));
        assert!(!workflows.wants_type(kind::TASK_STARTED) && !workflows.wants_tasks());
        assert!(filter(&["dev.planaria."]).wants_tasks());
    }

    #[test]
    fn records_are_wanted_by_namespace_workflow_and_definition() {
        // Of the definition `order` in the namespace `shop`.
        let workflow = record_at(workflow_events("w1", 1, []), 0);
        let told = Healing { workflow_id: "w1".into(), ..Healing::default() };
        let healing = record_at(healing(told), 0);
        let session = record_at(session_opened("worker"), 0);
        let wanted = |filter: EventFilter| {
            let filter = Filter::from(filter);
            [&workflow, &healing, &session].map(|record| filter.wants_record(record))
        };
        let named = |name: &str| name.to_owned();
        assert_eq!(wanted(EventFilter::default()), [true, true, true]);
        let of_workflow = EventFilter { workflow_id: named("w1"), ..EventFilter::default() };
        assert_eq!(wanted(of_workflow), [true, true, false]);
        let of_definition = EventFilter { definition: named("order"), ..EventFilter::default() };
        assert_eq!(wanted(of_definition), [true, false, false]);
        let of_shop = EventFilter { namespace: named("shop"), ..EventFilter::default() };
        assert_eq!(wanted(of_shop), [true, false, false]);
        let other = EventFilter { namespace: named("other"), ..EventFilter::default() };
        assert_eq!(wanted(other), [false, false, false]);
    }

    #[test]
    fn texts_are_found_in_subject_and_data_in_any_case() {
        let filter = |text: &str| {
            Filter::from(EventFilter { text: text.to_owned(), ..EventFilter::default() })
        };
        let event = CloudEvent {
            subject: "Order-7".into(),
            data: "{\"city\":\"Köln\"}".into(),
            ..CloudEvent::default()
        };
        for text in ["", "order", "KÖLN", "\"city\""] {
            assert!(filter(text).wants_text(&event), "{text}");
        }
        assert!(!filter("paris").wants_text(&event));
    }
}
