//! Events of the mesh: each as a row that people read, and what is asked for.

mod tail;

use planaria_proto::notification::v1::EventFilter;
use planaria_proto::types::v1::CloudEvent;
use serde_json::{Map, Value};

pub use tail::{Row, SHOWN_MAX, Tail};

/// How the types of the mesh's events begin, which nobody has to read.
const OURS: &[&str] = &["io.serverlessworkflow.", "dev.planaria."];

/// What an event is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It neither helps nor hurts.
    Plain,
    /// Something got done.
    Good,
    /// Something goes on.
    Busy,
    /// Something failed or was lost.
    Bad,
}

/// A type in words: `workflow started`; that of an event of a workflow's own stays as it is.
#[must_use]
pub fn kind(full: &str) -> String {
    let Some(short) = OURS.iter().find_map(|prefix| full.strip_prefix(prefix)) else {
        return full.to_owned();
    };
    let parts = short.split('.').filter(|part| !part.is_empty() && !is_version(part));
    let words = parts.collect::<Vec<_>>().join(" ");
    if words.is_empty() { full.to_owned() } else { words }
}

fn is_version(part: &str) -> bool {
    let digits = part.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit())
}

/// What an event of this type is like.
#[must_use]
pub fn mood(full: &str) -> Mood {
    if !is_ours(full) {
        return Mood::Plain;
    }
    match kind(full).rsplit(' ').next().unwrap_or_default() {
        "completed" | "healed" | "joined" => Mood::Good,
        "started" | "resumed" | "retried" | "rerun" => Mood::Busy,
        "faulted" | "failed" | "lost" | "detected" => Mood::Bad,
        _ => Mood::Plain,
    }
}

fn is_ours(full: &str) -> bool {
    OURS.iter().any(|prefix| full.starts_with(prefix))
}

/// The workflow that an event is about.
#[must_use]
pub fn workflow(event: &CloudEvent) -> Option<String> {
    let data = data(event);
    let named = data.get("workflowId").and_then(Value::as_str).map(str::to_owned);
    let kind = kind(&event.r#type);
    let about = ["workflow ", "task ", "attempt "].iter().any(|start| kind.starts_with(start));
    let subject = (is_ours(&event.r#type) && about).then(|| event.subject.clone());
    named.filter(|_| is_ours(&event.r#type)).or(subject).filter(|id| !id.is_empty())
}

/// What happened, in a line: what the data says of the task, the worker and the error.
#[must_use]
pub fn summary(event: &CloudEvent) -> String {
    if !is_ours(&event.r#type) {
        return event.subject.clone();
    }
    let data = data(event);
    let text = |name: &str| data.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    if let Some(summary) = text("summary") {
        return summary.to_owned();
    }
    let error = data.get("error").and_then(|error| {
        let part = |name: &str| error.get(name).and_then(Value::as_str);
        part("detail").or(part("title")).or(part("type"))
    });
    let definition = data.get("definition").and_then(|definition| {
        let part = |name: &str| definition.get(name).and_then(Value::as_str);
        Some(format!("{}/{} {}", part("namespace")?, part("name")?, part("version")?))
    });
    let attempt = data.get("attempt").and_then(Value::as_u64);
    let attempt = attempt.filter(|number| *number > 0).map(|number| format!("attempt {number}"));
    let parts = [
        definition,
        text("task").map(str::to_owned),
        text("worker").map(str::to_owned),
        attempt,
        error.map(str::to_owned),
        text("detail").map(str::to_owned),
        text("reason").map(str::to_owned),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// The namespace that the source names; empty if it names none.
#[must_use]
pub fn namespace(event: &CloudEvent) -> &str {
    event.source.strip_prefix("/namespaces/").unwrap_or_default()
}

fn data(event: &CloudEvent) -> Value {
    serde_json::from_slice(&event.data).unwrap_or_default()
}

/// The whole event in the JSON format of CloudEvents, for people: data that is no JSON is text.
#[must_use]
pub fn json(event: &CloudEvent) -> Vec<u8> {
    let mut members = Map::new();
    let time = event.time.map(|time| time.to_string()).unwrap_or_default();
    let texts = [
        ("specversion", event.spec_version.as_str()),
        ("id", &event.id),
        ("source", &event.source),
        ("type", &event.r#type),
        ("subject", &event.subject),
        ("time", &time),
        ("datacontenttype", &event.data_content_type),
        ("dataschema", &event.data_schema),
    ];
    for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        members.insert(name.to_owned(), text.into());
    }
    for (name, text) in &event.extensions {
        members.insert(name.clone(), text.as_str().into());
    }
    if !event.data.is_empty() {
        let data = serde_json::from_slice(&event.data)
            .unwrap_or_else(|_| String::from_utf8_lossy(&event.data).into_owned().into());
        members.insert("data".to_owned(), data);
    }
    Value::Object(members).to_string().into_bytes()
}

/// What is asked for, from what somebody typed: types are parted by commas or spaces.
#[must_use]
pub fn filter(
    types: &str,
    namespace: &str,
    definition: &str,
    workflow: &str,
    text: &str,
) -> EventFilter {
    let types = types.split([',', ' ']).filter(|it| !it.is_empty());
    EventFilter {
        types: types.map(str::to_owned).collect(),
        namespace: namespace.trim().to_owned(),
        workflow_id: workflow.trim().to_owned(),
        definition: definition.trim().to_owned(),
        text: text.trim().to_owned(),
    }
}

/// A filter in words: what a webhook gets.
#[must_use]
pub fn filter_words(filter: &EventFilter) -> String {
    let mut parts = Vec::new();
    if !filter.types.is_empty() {
        let kinds = filter.types.iter().map(|it| kind(it));
        parts.push(kinds.collect::<Vec<_>>().join(", "));
    }
    let named = [
        ("namespace", &filter.namespace),
        ("definition", &filter.definition),
        ("workflow", &filter.workflow_id),
        ("text", &filter.text),
    ];
    let named = named.into_iter().filter(|(_, value)| !value.is_empty());
    parts.extend(named.map(|(name, value)| format!("{name} {value}")));
    if parts.is_empty() { "every event".to_owned() } else { parts.join(" · ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, subject: &str, data: &str) -> CloudEvent {
        CloudEvent {
            r#type: kind.to_owned(),
            subject: subject.to_owned(),
            source: "/namespaces/shop".to_owned(),
            data: data.to_owned().into(),
            ..CloudEvent::default()
        }
    }

    #[test]
    fn types_are_told_in_words() {
        for (full, words) in [
            ("io.serverlessworkflow.workflow.started.v1", "workflow started"),
            ("dev.planaria.attempt.lost.v1", "attempt lost"),
            ("dev.planaria.worker", "worker"),
            ("com.shop.order.v1", "com.shop.order.v1"),
        ] {
            assert_eq!(kind(full), words);
        }
        assert_eq!(mood("dev.planaria.attempt.lost.v1"), Mood::Bad);
        assert_eq!(mood("com.shop.order.lost"), Mood::Plain);
    }

    #[test]
    fn events_lead_to_the_workflow_that_they_are_about() {
        let task = event("io.serverlessworkflow.task.started.v1", "w1", "{}");
        assert_eq!(workflow(&task).as_deref(), Some("w1"));
        let healing = event("dev.planaria.healing.healed.v1", "h1", r#"{"workflowId":"w2"}"#);
        assert_eq!(workflow(&healing).as_deref(), Some("w2"));
        let worker = event("dev.planaria.worker.joined.v1", "worker-1", "{}");
        assert_eq!(workflow(&worker), None);
        let own = event("com.shop.order", "w3", r#"{"workflowId":"w3"}"#);
        assert_eq!(workflow(&own), None);
    }

    #[test]
    fn a_line_says_what_the_data_says() {
        let data = r#"{"task":"/do/0/charge","attempt":2,"worker":"worker-1",
            "error":{"type":"t","detail":"no money"}}"#;
        let failed = event("dev.planaria.attempt.failed.v1", "w1", data);
        assert_eq!(summary(&failed), "/do/0/charge · worker-1 · attempt 2 · no money");
        assert_eq!(namespace(&failed), "shop");
        assert_eq!(summary(&event("dev.planaria.worker.left.v1", "w", "no json")), "");
    }

    #[test]
    fn whole_events_are_json_also_if_their_data_is_not() {
        let whole = json(&event("com.shop.order", "o1", "text"));
        let value: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(value["data"], "text");
        assert_eq!(value["subject"], "o1");
        assert_eq!(value.get("time"), None);
    }

    #[test]
    fn filters_are_read_and_told() {
        let read = filter("dev.planaria., io.serverlessworkflow.workflow", " shop", "", "", "");
        assert_eq!(read.types, ["dev.planaria.", "io.serverlessworkflow.workflow"]);
        assert_eq!(filter_words(&read), "dev.planaria., workflow · namespace shop");
        assert_eq!(filter_words(&EventFilter::default()), "every event");
    }
}
