//! Messages of the contract as JSON: the proto3 JSON mapping, made pleasant in five stated ways.
//!
//! 1. Scalars and lists are always there, also when they are zero or empty; messages and
//!    `optional` fields only when they are set.
//! 2. An enum value is its name in lower case without the enum's prefix: `running`.
//! 3. A phase stands under `status`.
//! 4. A payload and the bytes of a history are the JSON document that they hold (bytes that are no
//!    JSON are text, and if they are no text either, base64).
//! 5. 64-bit integers are numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use planaria_proto::{
    failure_detector, flow, gateway, monitoring, notification, retry, types, workflow,
};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, ReflectMessage,
    Value,
};

use super::document::Document;
use crate::Error;

/// A message with the name it has in the contract.
pub(crate) trait Named: Message {
    const NAME: &'static str;
}

macro_rules! named {
    ($($path:path => $name:literal),* $(,)?) => {
        $(impl Named for $path { const NAME: &'static str = concat!("planaria.", $name); })*
    };
}

named! {
    failure_detector::v1::Worker => "failure_detector.v1.Worker",
    flow::v1::Limit => "flow.v1.Limit",
    flow::v1::list_limits_response::LimitState => "flow.v1.ListLimitsResponse.LimitState",
    gateway::v1::ApiKey => "gateway.v1.ApiKey",
    monitoring::v1::GetDistributionResponse => "monitoring.v1.GetDistributionResponse",
    monitoring::v1::Overview => "monitoring.v1.Overview",
    monitoring::v1::Series => "monitoring.v1.Series",
    notification::v1::subscribe_response::Delivery =>
        "notification.v1.SubscribeResponse.Delivery",
    notification::v1::Webhook => "notification.v1.Webhook",
    notification::v1::WebhookDelivery => "notification.v1.WebhookDelivery",
    retry::v1::Breaker => "retry.v1.Breaker",
    retry::v1::BreakerChange => "retry.v1.BreakerChange",
    retry::v1::DeadLetter => "retry.v1.DeadLetter",
    retry::v1::DeadLetterGroup => "retry.v1.DeadLetterGroup",
    retry::v1::Redrive => "retry.v1.Redrive",
    retry::v1::Retry => "retry.v1.Retry",
    retry::v1::redrive_dead_letters_response::Outcome =>
        "retry.v1.RedriveDeadLettersResponse.Outcome",
    types::v1::Healing => "types.v1.Healing",
    types::v1::WorkflowError => "types.v1.WorkflowError",
    workflow::v1::Definition => "workflow.v1.Definition",
    workflow::v1::DocumentProblem => "workflow.v1.DocumentProblem",
    workflow::v1::HistoryEvent => "workflow.v1.HistoryEvent",
    workflow::v1::PutDefinitionResponse => "workflow.v1.PutDefinitionResponse",
    workflow::v1::TaskRun => "workflow.v1.TaskRun",
    workflow::v1::ValidateDefinitionResponse => "workflow.v1.ValidateDefinitionResponse",
    workflow::v1::WatchWorkflowResponse => "workflow.v1.WatchWorkflowResponse",
    workflow::v1::Workflow => "workflow.v1.Workflow",
}

/// The descriptors of the contract, ready to describe messages.
#[derive(Debug)]
pub(crate) struct Mapping {
    pool: DescriptorPool,
}

impl Mapping {
    /// Reads the descriptors.
    pub(crate) fn new() -> Result<Self, Error> {
        let pool = DescriptorPool::decode(planaria_proto::FILE_DESCRIPTOR_SET);
        Ok(Self { pool: pool.map_err(|error| broken(&error))? })
    }

    /// The message as JSON.
    pub(crate) fn document<M: Named>(&self, message: &M) -> Result<Document, Error> {
        let unknown = || Error::input(format!("{} is not in the contract", M::NAME), "");
        let descriptor = self.pool.get_message_by_name(M::NAME).ok_or_else(unknown)?;
        let bytes = message.encode_to_vec();
        let dynamic = DynamicMessage::decode(descriptor, bytes.as_slice());
        Ok(object(&dynamic.map_err(|error| broken(&error))?))
    }

    /// The messages as a JSON array.
    pub(crate) fn list<M: Named>(&self, messages: &[M]) -> Result<Document, Error> {
        let items: Result<_, _> = messages.iter().map(|message| self.document(message)).collect();
        Ok(Document::List(items?))
    }
}

fn broken(error: &dyn std::error::Error) -> Error {
    Error::input(format!("the contract's own descriptors do not fit: {error}"), "")
}

fn object(message: &DynamicMessage) -> Document {
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => time::<prost_types::Timestamp>(message),
        "google.protobuf.Duration" => time::<prost_types::Duration>(message),
        "planaria.types.v1.Payload" => payload(message),
        _ => Document::Object(members(message)),
    }
}

fn members(message: &DynamicMessage) -> Vec<(String, Document)> {
    let descriptor = message.descriptor();
    let shown = |field: &FieldDescriptor| !field.supports_presence() || message.has_field(field);
    let fields = descriptor.fields().filter(shown);
    fields.map(|field| (name(&field), member(&field, &message.get_field(&field)))).collect()
}

fn name(field: &FieldDescriptor) -> String {
    match field.name() {
        "phase" => "status".into(),
        "phases" if matches!(field.kind(), Kind::Enum(_)) => "statuses".into(),
        _ => field.json_name().to_owned(),
    }
}

fn member(field: &FieldDescriptor, value: &Value) -> Document {
    match value {
        Value::List(items) => {
            Document::List(items.iter().map(|item| scalar(field, &field.kind(), item)).collect())
        }
        Value::Map(entries) => {
            let kind = match field.kind() {
                Kind::Message(entry) => entry.map_entry_value_field().kind(),
                kind => kind,
            };
            let mut members: Vec<_> = entries
                .iter()
                .map(|(key, value)| (map_key(key), scalar(field, &kind, value)))
                .collect();
            members.sort_by(|left, right| left.0.cmp(&right.0));
            Document::Object(members)
        }
        value => scalar(field, &field.kind(), value),
    }
}

fn map_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn scalar(field: &FieldDescriptor, kind: &Kind, value: &Value) -> Document {
    match value {
        Value::Bool(value) => Document::Bool(*value),
        Value::I32(value) => Document::Integer((*value).into()),
        Value::I64(value) => Document::Integer((*value).into()),
        Value::U32(value) => Document::Integer((*value).into()),
        Value::U64(value) => Document::Integer((*value).into()),
        Value::F32(value) => number((*value).into()),
        Value::F64(value) => number(*value),
        Value::String(value) => Document::Text(value.clone()),
        // A document's source stays the text that was published, JSON or not.
        Value::Bytes(value) if field.name() == "source" => text(value),
        Value::Bytes(value) => bytes(value),
        Value::EnumNumber(number) => match kind {
            Kind::Enum(descriptor) => enum_name(descriptor, *number),
            _ => Document::Integer((*number).into()),
        },
        Value::Message(message) => object(message),
        Value::List(_) | Value::Map(_) => Document::Null,
    }
}

fn number(value: f64) -> Document {
    match value {
        value if value.is_finite() => Document::Number(value),
        value if value.is_nan() => "NaN".into(),
        value if value > 0.0 => "Infinity".into(),
        _ => "-Infinity".into(),
    }
}

fn enum_name(descriptor: &EnumDescriptor, number: i32) -> Document {
    let Some(value) = descriptor.get_value(number) else {
        return Document::Integer(number.into());
    };
    // The prefix is what the zero value has before `UNSPECIFIED`.
    let zero = descriptor.default_value();
    let prefix = zero.name().strip_suffix("UNSPECIFIED").unwrap_or_default();
    value.name().strip_prefix(prefix).unwrap_or(value.name()).to_lowercase().into()
}

fn payload(message: &DynamicMessage) -> Document {
    let data = message.get_field_by_name("data");
    let data = data.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
    bytes(&data)
}

/// What bytes hold: nothing, JSON, text, or something else.
pub(crate) fn bytes(bytes: &[u8]) -> Document {
    if bytes.is_empty() {
        return Document::Null;
    }
    Document::raw(bytes).unwrap_or_else(|| text(bytes))
}

fn text(bytes: &[u8]) -> Document {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => STANDARD.encode(bytes).into(),
    }
}

/// Times and durations know their text themselves.
fn time<T: Message + Default + ToString>(message: &DynamicMessage) -> Document {
    message.transcode_to::<T>().map_or(Document::Null, |time| time.to_string().into())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use planaria_proto::types::v1::{Healing, Payload, Phase, Signal};
    use planaria_proto::workflow::v1::{HistoryEvent, WorkflowStarted, history_event::Event};
    use prost_types::{Duration, Timestamp};

    use super::*;

    fn check<M: Named>(message: &M, expected: &Expect) {
        expected.assert_eq(&Mapping::new().unwrap().document(message).unwrap().pretty());
    }

    #[test]
    fn every_named_message_is_in_the_contract() {
        let pool = DescriptorPool::decode(planaria_proto::FILE_DESCRIPTOR_SET).unwrap();
        for name in [
            failure_detector::v1::Worker::NAME,
            monitoring::v1::Overview::NAME,
            notification::v1::subscribe_response::Delivery::NAME,
            retry::v1::Breaker::NAME,
            retry::v1::BreakerChange::NAME,
            retry::v1::DeadLetter::NAME,
            retry::v1::DeadLetterGroup::NAME,
            retry::v1::Redrive::NAME,
            retry::v1::Retry::NAME,
            retry::v1::redrive_dead_letters_response::Outcome::NAME,
            Healing::NAME,
            types::v1::WorkflowError::NAME,
            workflow::v1::Definition::NAME,
            workflow::v1::DocumentProblem::NAME,
            HistoryEvent::NAME,
            workflow::v1::PutDefinitionResponse::NAME,
            workflow::v1::TaskRun::NAME,
            workflow::v1::ValidateDefinitionResponse::NAME,
            workflow::v1::WatchWorkflowResponse::NAME,
            workflow::v1::Workflow::NAME,
        ] {
            assert!(pool.get_message_by_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_workflow_shows_its_documents_as_they_are() {
        let data = |text: &'static str| {
            Some(Payload { content_type: String::new(), data: text.as_bytes().into() })
        };
        let workflow = workflow::v1::Workflow {
            id: "w".into(),
            phase: Phase::Running.into(),
            started_at: Some(Timestamp { seconds: 1, nanos: 5_000_000 }),
            input: data(r#"{"z":1.50,"a":[12345678901234567890]}"#),
            history_length: u64::MAX,
            ..workflow::v1::Workflow::default()
        };
        check(
            &workflow,
            &expect![[r#"
            {
              "id": "w",
              "status": "running",
              "startedAt": "1970-01-01T00:00:01.005Z",
              "input": {"z":1.50,"a":[12345678901234567890]},
              "waitingFor": "",
              "historyLength": 18446744073709551615,
              "tasks": [],
              "idempotencyKey": "",
              "frozen": ""
            }"#]],
        );
    }

    #[test]
    fn enums_and_durations_are_words_and_seconds() {
        let healing = Healing {
            signal: Signal::StreamLost.into(),
            detected_after: Some(Duration { seconds: 0, nanos: 31_000_000 }),
            ..Healing::default()
        };
        check(
            &healing,
            &expect![[r#"
            {
              "id": "",
              "incident": "",
              "signal": "stream_lost",
              "action": "unspecified",
              "summary": "",
              "workflowId": "",
              "task": "",
              "lostAttempt": 0,
              "lostWorker": "",
              "newAttempt": 0,
              "newWorker": "",
              "detectedAfter": "0.031s",
              "namespace": ""
            }"#]],
        );
    }

    #[test]
    fn only_the_member_of_a_oneof_that_is_set_is_there() {
        let event = HistoryEvent {
            seq: 1,
            at: None,
            event: Some(Event::WorkflowStarted(WorkflowStarted {
                input: "{}".into(),
                ..WorkflowStarted::default()
            })),
        };
        check(
            &event,
            &expect![[r#"
            {
              "seq": 1,
              "workflowStarted": {
                "input": {},
                "traceParent": ""
              }
            }"#]],
        );
    }
}
