//! Everything that is known about a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use planaria_proto::retry::v1::{BreakerChange, DeadLetter};
use planaria_proto::types::v1::CloudEvent;
use planaria_proto::workflow::v1::{Execution, HistoryEvent, history_event::Event};
use prost_types::Timestamp;
use serde_json::Value;

use crate::Error;
use crate::database::Database;
use crate::journal::{self, Call, Entry, Fault, Outcome};
use crate::public::{Public, Story};

/// What a client was promised: a workflow that it knows the end of.
#[derive(Debug, Clone)]
pub(crate) struct Promise {
    pub(crate) workflow: String,
    pub(crate) key: String,
    pub(crate) kind: String,
    pub(crate) phase: String,
    pub(crate) output: Value,
    /// When it was first accepted.
    pub(crate) accepted_ms: u64,
}

/// All of it.
pub(crate) struct Evidence {
    pub(crate) meta: Value,
    pub(crate) calls: Vec<Call>,
    pub(crate) promises: Vec<Promise>,
    pub(crate) ledger: Vec<Entry>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) stories: BTreeMap<String, Story>,
    /// Or why they are not known.
    pub(crate) dead_letters: Result<Vec<DeadLetter>, String>,
    /// Changes of circuit breakers, the oldest first.
    pub(crate) breakers: Result<Vec<BreakerChange>, String>,
    pub(crate) events: Result<Vec<CloudEvent>, String>,
    pub(crate) database: Result<Database, String>,
}

impl Evidence {
    /// Reads everything in the folder, and asks the mesh.
    pub(crate) async fn gather(folder: &Path) -> Result<Self, Error> {
        let meta: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("meta.json"))?)?;
        let calls = journal::calls(&folder.join("client.jsonl"))?;
        let promises = promises(&calls);
        let gateway = meta["gateways"][0].as_str().ok_or("no gateway")?;
        let public = Public::connect(gateway)?;
        let ids: BTreeSet<_> = promises.iter().map(|promise| promise.workflow.clone()).collect();
        let stories = public.stories(ids.into_iter().collect()).await?;
        let dead_letters = public.dead_letters().await.map_err(|error| error.to_string());
        let breakers = public.breaker_changes().await.map_err(|error| error.to_string());
        let events = public.events().await.map_err(|error| error.to_string());
        let database = Database::read(&meta).await.map_err(|error| error.to_string());
        Ok(Self {
            ledger: journal::ledger(&folder.join("ledger"))?,
            faults: journal::faults(&folder.join("faults.jsonl"))?,
            meta,
            calls,
            promises,
            stories,
            dead_letters,
            breakers,
            events,
            database,
        })
    }

    /// A number of the run.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.meta[name].as_u64().unwrap_or_default()
    }

    /// Whether nothing was broken between two times, except by what `allowed` says.
    pub(crate) fn calm(&self, from_ms: u64, to_ms: u64, allowed: impl Fn(&Fault) -> bool) -> bool {
        let disturbs = |fault: &Fault| {
            let over_ms = fault.back_ms.unwrap_or(fault.until_ms).max(fault.until_ms);
            fault.at_ms <= to_ms && over_ms >= from_ms && !allowed(fault)
        };
        !self.faults.iter().any(disturbs)
    }

    /// When PostgreSQL was not there, with the time it takes everybody to come back to it.
    pub(crate) fn outages(&self) -> Vec<(u64, u64)> {
        const BACK_MS: u64 = 5_000;
        let of_database = |fault: &&Fault| fault.service == "postgres";
        let spans = self.faults.iter().filter(of_database);
        spans.map(|f| (f.at_ms, f.back_ms.unwrap_or(f.until_ms) + BACK_MS)).collect()
    }
}

/// The accepted starts, each key once.
fn promises(calls: &[Call]) -> Vec<Promise> {
    let mut promises: BTreeMap<(&str, &str), Promise> = BTreeMap::new();
    let accepted = |call: &&Call| call.call == "start" && call.outcome == Outcome::Ok;
    for call in calls.iter().filter(accepted) {
        // A key with two workflows is two promises: that is found later.
        promises.entry((&call.key, &call.workflow)).or_insert_with(|| Promise {
            workflow: call.workflow.clone(),
            key: call.key.clone(),
            kind: call.kind.clone(),
            phase: call.phase.clone(),
            output: call.output.clone(),
            accepted_ms: call.answered_ms,
        });
    }
    promises.into_values().collect()
}

/// Milliseconds since 1970.
pub(crate) fn ms(at: Option<&Timestamp>) -> u64 {
    let at = at.copied().unwrap_or_default();
    u64::try_from(at.seconds * 1_000 + i64::from(at.nanos / 1_000_000)).unwrap_or_default()
}

/// How an attempt ended, by a history event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    Lost,
}

/// The frame, the execution and the end, of an event that ends an attempt.
pub(crate) fn end_of(event: &HistoryEvent) -> Option<(u32, &Execution, End)> {
    let (frame, execution, end) = match event.event.as_ref()? {
        Event::TaskCompleted(e) => (e.frame, e.execution.as_ref(), End::Completed),
        Event::AttemptFailed(e) => (e.frame, e.execution.as_ref(), End::Failed),
        Event::AttemptLost(e) => (e.frame, e.execution.as_ref(), End::Lost),
        _ => return None,
    };
    Some((frame, execution?, end))
}

/// The phase of an event that ends a workflow.
pub(crate) fn terminal(event: &HistoryEvent) -> Option<&'static str> {
    match event.event.as_ref()? {
        Event::WorkflowCompleted(_) => Some("completed"),
        Event::WorkflowFaulted(_) => Some("faulted"),
        Event::WorkflowCancelled(_) => Some("cancelled"),
        _ => None,
    }
}
