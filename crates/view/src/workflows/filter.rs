//! Which workflows are shown, as it stands in the address of the page.

use std::fmt;
use std::str::FromStr;

use planaria_proto::types::v1::{DefinitionReference, Phase};
use planaria_proto::workflow::v1::Workflow;
use planaria_proto::workflow::v1::list_workflows_request::Filter;
use prost_types::Timestamp;

use super::query;
use crate::{names, words};

/// The phases that one can choose, in the order of a workflow's life.
pub const PHASES: [Phase; 7] = [
    Phase::Pending,
    Phase::Running,
    Phase::Waiting,
    Phase::Suspended,
    Phase::Faulted,
    Phase::Cancelled,
    Phase::Completed,
];

/// How far back one can look with a click: as in the address, in words, in seconds.
pub const PRESETS: [(&str, &str, i64); 4] = [
    ("15m", "last 15 min", 900),
    ("1h", "last hour", 3600),
    ("24h", "last 24 h", 86_400),
    ("7d", "last 7 days", 604_800),
];

/// When the workflows started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Started {
    /// Whenever.
    #[default]
    Ever,
    /// So many seconds ago at most: one of the presets.
    Last(i64),
    /// Not before and before these moments, in milliseconds since 1970.
    Between(Option<i64>, Option<i64>),
}

/// Which definitions: the parts that are given must hold. Written `namespace/name:version`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Definition {
    /// Empty = any.
    pub namespace: String,
    /// Empty = any.
    pub name: String,
    /// Empty = any.
    pub version: String,
}

impl FromStr for Definition {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, rest) = text.trim().split_once('/').unwrap_or(("", text.trim()));
        let (name, version) = rest.split_once(':').unwrap_or((rest, ""));
        let part = |text: &str| text.trim().to_owned();
        Ok(Self { namespace: part(namespace), name: part(name), version: part(version) })
    }
}

impl fmt::Display for Definition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.namespace.is_empty() {
            write!(out, "{}/", self.namespace)?;
        }
        out.write_str(&self.name)?;
        if !self.version.is_empty() {
            write!(out, ":{}", self.version)?;
        }
        Ok(())
    }
}

/// Which workflows are shown. All that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowFilter {
    /// In the order of `PHASES`; empty = all.
    pub phases: Vec<Phase>,
    /// Of these definitions.
    pub definition: Definition,
    /// Started then.
    pub started: Started,
    /// With a task that waits for a retry.
    pub retrying: bool,
    /// With a task that waits for a worker.
    pub waiting_for_worker: bool,
    /// Whose history is damaged.
    pub frozen: bool,
    /// Occurs in the id, the definition or what is waited for. The mesh does not know it: it holds
    /// among the workflows that were loaded.
    pub text: String,
}

impl WorkflowFilter {
    /// Reads the query of an address. What it does not understand, it leaves out.
    #[must_use]
    pub fn from_query(address: &str) -> Self {
        let mut filter = Self::default();
        let (mut after, mut before) = (None, None);
        for (name, value) in query::pairs(address) {
            match name.as_str() {
                "phase" => {
                    let told: Vec<_> = value.split(',').collect();
                    let is_told = |phase: &Phase| told.contains(&names::phase(*phase));
                    filter.phases = PHASES.into_iter().filter(is_told).collect();
                }
                "definition" => {
                    filter.definition = value.parse().unwrap_or_default();
                }
                "since" => {
                    let preset = PRESETS.iter().find(|(short, ..)| *short == value);
                    filter.started = preset.map_or(Started::Ever, |it| Started::Last(it.2));
                }
                "after" => after = value.parse().ok(),
                "before" => before = value.parse().ok(),
                "retrying" => filter.retrying = true,
                "waiting" => filter.waiting_for_worker = true,
                "frozen" => filter.frozen = true,
                "text" => filter.text = value,
                _ => {}
            }
        }
        if filter.started == Started::Ever && (after.is_some() || before.is_some()) {
            filter.started = Started::Between(after, before);
        }
        filter
    }

    /// The query of its address; empty if it shows all.
    #[must_use]
    pub fn to_query(&self) -> String {
        let mut out = String::new();
        if !self.phases.is_empty() {
            let told: Vec<_> = self.phases.iter().map(|phase| names::phase(*phase)).collect();
            query::push(&mut out, "phase", &told.join(","));
        }
        let definition = self.definition.to_string();
        if !definition.is_empty() {
            query::push(&mut out, "definition", &definition);
        }
        match self.started {
            Started::Ever => {}
            Started::Last(seconds) => {
                if let Some((short, ..)) = PRESETS.iter().find(|preset| preset.2 == seconds) {
                    query::push(&mut out, "since", short);
                }
            }
            Started::Between(after, before) => {
                for (name, at) in [("after", after), ("before", before)] {
                    if let Some(at) = at {
                        query::push(&mut out, name, &at.to_string());
                    }
                }
            }
        }
        let marks = [
            ("retrying", self.retrying),
            ("waiting", self.waiting_for_worker),
            ("frozen", self.frozen),
        ];
        for (name, _) in marks.iter().filter(|(_, set)| *set) {
            query::push(&mut out, name, "yes");
        }
        if !self.text.is_empty() {
            query::push(&mut out, "text", &self.text);
        }
        out
    }

    /// What the mesh is asked for. The text is no part of it.
    #[must_use]
    pub fn request(&self, now_ms: i64) -> Filter {
        let (after, before) = self.bounds(now_ms);
        let Definition { namespace, name, version } = self.definition.clone();
        let any = namespace.is_empty() && name.is_empty() && version.is_empty();
        Filter {
            phases: self.phases.iter().map(|phase| *phase as i32).collect(),
            definition: (!any).then_some(DefinitionReference { namespace, name, version }),
            started_after: after.map(timestamp),
            started_before: before.map(timestamp),
            retrying: self.retrying,
            waiting_for_worker: self.waiting_for_worker,
            frozen: self.frozen,
        }
    }

    /// Whether a workflow that was fetched alone belongs to the list. Nothing if only the mesh can
    /// tell: it knows which functions workers offer.
    #[must_use]
    pub fn holds(&self, workflow: &Workflow, now_ms: i64) -> Option<bool> {
        if self.waiting_for_worker {
            return None;
        }
        let phase = Phase::try_from(workflow.phase).unwrap_or(Phase::Unspecified);
        let of = workflow.definition.clone().unwrap_or_default();
        let started = workflow.started_at.as_ref().map_or(0, words::millis);
        let (after, before) = self.bounds(now_ms);
        let same = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        Some(
            (self.phases.is_empty() || self.phases.contains(&phase))
                && same(&self.definition.namespace, &of.namespace)
                && same(&self.definition.name, &of.name)
                && same(&self.definition.version, &of.version)
                && after.is_none_or(|after| started >= after)
                && before.is_none_or(|before| started < before)
                && (!self.retrying || workflow.tasks.iter().any(|task| task.state == "retrying"))
                && (!self.frozen || !workflow.frozen.is_empty()),
        )
    }

    /// Whether the text occurs in what the list shows of a workflow, in upper or lower case.
    #[must_use]
    pub fn text_holds(&self, workflow: &Workflow) -> bool {
        let wanted = self.text.trim().to_lowercase();
        wanted.is_empty()
            || [&workflow.id, &definition(workflow), &workflow.waiting_for, &workflow.frozen]
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
    }

    fn bounds(&self, now_ms: i64) -> (Option<i64>, Option<i64>) {
        match self.started {
            Started::Ever => (None, None),
            Started::Last(seconds) => (Some(now_ms.saturating_sub(seconds * 1000)), None),
            Started::Between(after, before) => (after, before),
        }
    }
}

fn definition(workflow: &Workflow) -> String {
    let of = workflow.definition.clone().unwrap_or_default();
    Definition { namespace: of.namespace, name: of.name, version: of.version }.to_string()
}

fn timestamp(ms: i64) -> Timestamp {
    let nanos = i32::try_from(ms.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
    Timestamp { seconds: ms.div_euclid(1000), nanos }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
