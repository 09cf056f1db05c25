//! The spans of workflows, made of the log while it is followed.
//!
//! The orchestrators do nothing for them: what happened is in the history, with its times, and the
//! ids of spans follow from it. Whoever has the place in the log exports what lies behind it, so
//! that a span is told once its end is committed, whatever died meanwhile; after a crash between
//! telling and saving the place it is told again, as the same span.

mod ledger;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use planaria_proto::orchestrator::v1::{LogRecord, WorkflowRecord, log_record};
use planaria_proto::workflow::v1::GetHistoryRequest;
use planaria_proto::workflow::v1::HistoryRecord;
use planaria_proto::workflow::v1::history_event::Event;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_runtime::ServiceChannel;
use planaria_telemetry::{Span, Tracer, WorkflowTrace};
use tokio::time::Instant;

pub(crate) use ledger::TracingLedger;
use story::Story;

/// Spans of one call of the collector.
const BATCH_MAX: usize = 512;
/// Spans that wait for a collector that is away; more are dropped.
const WAITING_MAX: usize = 10_000;
/// Workflows whose open tasks are remembered; of others the history is read again.
const STORIES_MAX: usize = 10_000;
/// Running workflows that are known not to be traced.
const UNTRACED_MAX: usize = 200_000;
/// Events of a history that one call asks for.
const PAGE: u32 = 1_000;
const CALL_MAX: Duration = Duration::from_secs(2);
/// After a call of the collector that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Makes spans of records.
#[derive(Debug)]
pub(crate) struct Traces {
    tracer: Tracer,
    channel: ServiceChannel,
    stories: BTreeMap<String, Story>,
    untraced: BTreeSet<String>,
    waiting: Vec<Span>,
    /// The last call of the collector failed then.
    failed: Option<Instant>,
}

impl Traces {
    pub(crate) fn new(tracer: Tracer, channel: ServiceChannel) -> Self {
        Self {
            tracer,
            channel,
            stories: BTreeMap::new(),
            untraced: BTreeSet::new(),
            waiting: Vec::new(),
            failed: None,
        }
    }

    /// The spans that ended with these records.
    pub(crate) async fn absorb(&mut self, records: &[LogRecord]) {
        for record in records {
            if let Some(log_record::Body::Workflow(workflow)) = &record.body
                && let Some(history) = &workflow.record
            {
                self.workflow(workflow, history).await;
            }
        }
    }

    async fn workflow(&mut self, workflow: &WorkflowRecord, history: &HistoryRecord) {
        let id = &workflow.workflow_id;
        if !self.stories.contains_key(id) && !self.untraced.contains(id) {
            self.meet(workflow, history).await;
        }
        let Some(story) = self.stories.get_mut(id) else {
            if history.events.iter().any(|event| is_end(event.event.as_ref())) {
                self.untraced.remove(id);
            }
            return;
        };
        story.record(history, &mut self.waiting);
        if story.is_over() {
            self.stories.remove(id);
        }
        self.waiting.truncate(WAITING_MAX);
    }

    /// A workflow that is not known: it starts here, or its past is asked for.
    async fn meet(&mut self, workflow: &WorkflowRecord, history: &HistoryRecord) {
        let id = &workflow.workflow_id;
        let past = if history.first_seq <= 1 {
            Vec::new()
        } else {
            match self.past(id, history.first_seq).await {
                Ok(past) => past,
                Err(status) => {
                    tracing::debug!(workflow = %id, %status, "a trace goes on without its past");
                    return;
                }
            }
        };
        let beginning = past.first().unwrap_or(history);
        let Some(trace) = trace_of(beginning) else {
            if self.untraced.len() >= UNTRACED_MAX {
                self.untraced.pop_first();
            }
            self.untraced.insert(id.clone());
            return;
        };
        let name = workflow.definition.as_ref().map_or("", |definition| &definition.name);
        let mut story = Story::new(id, name, trace);
        // Those spans were told when their records were read.
        past.iter().for_each(|record| story.record(record, &mut Vec::new()));
        if self.stories.len() >= STORIES_MAX {
            self.stories.pop_first();
        }
        self.stories.insert(id.clone(), story);
    }

    /// The history before an event, a record for each.
    async fn past(&self, id: &str, before: u64) -> Result<Vec<HistoryRecord>, tonic::Status> {
        let mut client = WorkflowServiceClient::new(self.channel.clone());
        let mut past: Vec<HistoryRecord> = Vec::new();
        loop {
            let request = GetHistoryRequest {
                workflow_id: id.to_owned(),
                after_seq: past.last().map_or(0, |record| record.first_seq),
                page_size: PAGE,
            };
            let mut request = tonic::Request::new(request);
            request.set_timeout(CALL_MAX);
            let page = client.get_history(request).await?.into_inner();
            let more = page.more;
            let events = page.events.into_iter().filter(|event| event.seq < before);
            let known = past.len();
            past.extend(events.map(|event| HistoryRecord {
                first_seq: event.seq,
                at: event.at,
                events: vec![event],
                ..HistoryRecord::default()
            }));
            if past.first().is_some_and(|first| trace_of(first).is_none()) {
                past.truncate(1);
                return Ok(past);
            }
            if !more || past.len() == known {
                return Ok(past);
            }
        }
    }

    /// The place in the log may be another one.
    pub(crate) fn forget(&mut self) {
        self.stories.clear();
        self.untraced.clear();
        self.waiting.clear();
    }

    /// Tells the collector. One that is away is tried again after a pause; some spans are kept
    /// meanwhile, and nothing else waits for it.
    pub(crate) async fn flush(&mut self) {
        if self.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
            return;
        }
        while !self.waiting.is_empty() {
            let count = self.waiting.len().min(BATCH_MAX);
            let batch = self.waiting[..count].to_vec();
            let outcome = self.tracer.export(batch).await;
            match (&outcome, self.failed.is_none()) {
                (Ok(()), false) => tracing::info!("the collector takes the spans of workflows"),
                (Err(error), true) => {
                    tracing::warn!(%error, "spans of workflows wait, or are lost");
                }
                _ => {}
            }
            self.failed = outcome.is_err().then(Instant::now);
            if outcome.is_err() {
                return;
            }
            self.waiting.drain(..count);
        }
    }
}

/// The trace that a history begins with.
fn trace_of(history: &HistoryRecord) -> Option<WorkflowTrace> {
    match &history.events.first()?.event {
        Some(Event::WorkflowStarted(started)) => started.trace_parent.parse().ok(),
        _ => None,
    }
}

const fn is_end(event: Option<&Event>) -> bool {
    matches!(event, Some(Event::WorkflowCompleted(_) | Event::WorkflowCancelled(_)))
}
