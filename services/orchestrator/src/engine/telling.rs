//! What the engine says of a workflow in its own log: always with the ids that find the rest.

use planaria_kernel::workflow::FrameId;
use planaria_telemetry::WorkflowTrace;
use uuid::Uuid;

use super::dispatch::reference;
use super::entry::Entry;

/// What a line of the log is about. What is not known is empty, or 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) workflow: Uuid,
    pub(crate) task: String,
    pub(crate) attempt: u32,
    pub(crate) trace: String,
}

/// Writes a line of the log about a workflow: `tell!(warn, about, field = value, "words")`.
macro_rules! tell {
    ($level:ident, $about:expr, $($rest:tt)+) => {{
        let about: &$crate::engine::telling::About = &$about;
        tracing::$level!(
            workflow = %about.workflow,
            task = about.task,
            attempt = about.attempt,
            trace = about.trace,
            $($rest)+
        );
    }};
}
pub(crate) use tell;

impl About {
    /// A workflow of which no more is known.
    pub(crate) fn workflow(id: Uuid) -> Self {
        Self { workflow: id, ..Self::default() }
    }

    /// A workflow that is here.
    pub(crate) fn entry(id: Uuid, entry: &Entry) -> Self {
        let trace = trace_of(entry.workflow.trace_parent.as_deref());
        Self { trace, ..Self::workflow(id) }
    }

    /// One of its tasks, with the attempt that runs or comes next.
    pub(crate) fn task(id: Uuid, entry: &Entry, frame: FrameId) -> Self {
        let attempt = entry.tasks.get(&frame).map_or(0, |row| row.attempt);
        Self { task: reference(entry, frame), attempt, ..Self::entry(id, entry) }
    }
}

/// The id of a workflow's trace, as collectors show it.
pub(super) fn trace_of(parent: Option<&str>) -> String {
    let trace = parent.and_then(|parent| parent.parse::<WorkflowTrace>().ok());
    trace.map_or_else(String::new, |trace| trace.trace.to_string())
}
