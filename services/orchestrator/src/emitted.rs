//! Events that workflows emit reach those that listen in other shards.

use planaria_kernel::Json;
use planaria_proto::types::v1::CloudEvent;
use planaria_proto::workflow::v1::PublishEventRequest;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::api::Intake;
use crate::api::route::{Peers, mark, only_for};
use crate::engine::{Command, Emitted, Signalled};
use crate::shards::Shards;
use crate::store::Shard;

/// How long another orchestrator may take.
const CALL: std::time::Duration = std::time::Duration::from_secs(2);

/// Events that may wait to be told to other shards, in bytes: 4 KiB and itself each. More are
/// missed there, as if their orchestrators were away.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Takes the events that workflows emit; cheap to clone.
#[derive(Clone)]
pub(crate) struct EmittedEvents {
    /// Not bounded in number: each has its place in the room, which is bounded.
    events: mpsc::UnboundedSender<Emitted>,
    room: Intake,
}

impl EmittedEvents {
    /// Where events go in, and where they come out.
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Emitted>) {
        let (events, emitted) = mpsc::unbounded_channel();
        (Self { events, room: Intake::new(WAITING_BYTES_MAX) }, emitted)
    }

    /// Has the other shards told, if there are such.
    pub(crate) fn tell(&self, shard: Shard, namespace: &str, event: &Json) {
        if self.events.is_closed() {
            return;
        }
        let Ok(place) = self.room.admit(event.len()) else {
            tracing::warn!(namespace, "more events wait than may: other shards miss one");
            return;
        };
        let namespace = namespace.to_owned();
        let _ = self.events.send(Emitted { place, shard, namespace, event: event.clone() });
    }
}

/// Tells the other shards, until `stop`. An orchestrator that cannot be reached misses the event;
/// what is listened for across shards with certainty is published by `PublishEvent`.
pub(crate) async fn tell(
    shards: Shards,
    peers: Peers,
    mut emitted: mpsc::UnboundedReceiver<Emitted>,
    stop: CancellationToken,
) {
    loop {
        let Emitted { place: _place, shard: from, namespace, event } = tokio::select! {
            emitted = emitted.recv() => match emitted {
                Some(emitted) => emitted,
                None => return,
            },
            () = stop.cancelled() => return,
        };
        let value = event.to_value();
        let text =
            |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        for local in shards.here().into_iter().filter(|local| local.shard != from) {
            let (namespace, event) = (Some(namespace.clone()), event.clone());
            let event = Signalled { id: text("id"), kind: text("type"), event, namespace };
            // An engine that ends has nobody listening.
            drop(local.engine.ask(|reply| Command::Publish(event, reply)).await);
        }
        for address in shards.elsewhere() {
            let Ok(channel) = peers.channel(&address) else { continue };
            let request = PublishEventRequest { event: Some(cloud_event(&value)) };
            let mut request = Request::new(request);
            request.set_timeout(CALL);
            mark(&mut request);
            only_for(&mut request, &namespace);
            let mut client = WorkflowServiceClient::new(channel);
            let told = tokio::time::timeout(CALL, client.publish_event(request)).await;
            if !matches!(told, Ok(Ok(_))) {
                tracing::warn!(address, kind = text("type"), "an orchestrator missed an event");
            }
        }
    }
}

/// An event in JSON format as a message.
fn cloud_event(value: &Value) -> CloudEvent {
    let mut event = CloudEvent::default();
    for (key, member) in value.as_object().into_iter().flatten() {
        let text = || member.as_str().map_or_else(|| member.to_string(), str::to_owned);
        match key.as_str() {
            "id" => event.id = text(),
            "source" => event.source = text(),
            "specversion" => event.spec_version = text(),
            "type" => event.r#type = text(),
            "subject" => event.subject = text(),
            "datacontenttype" => event.data_content_type = text(),
            "dataschema" => event.data_schema = text(),
            "time" => {
                event.time = member.as_str().and_then(|time| time.parse().ok());
            }
            "data" => event.data = member.to_string().into(),
            _ => drop(event.extensions.insert(key.clone(), text())),
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_keeps_all_its_members() {
        let value = serde_json::json!({
            "id": "1", "source": "/s", "specversion": "1.0", "type": "t", "subject": "x",
            "data": { "a": [1] }, "tenant": "shop",
        });
        let event = cloud_event(&value);
        assert_eq!((&*event.id, &*event.source, &*event.r#type), ("1", "/s", "t"));
        assert_eq!((&*event.subject, &event.data[..]), ("x", &br#"{"a":[1]}"#[..]));
        assert_eq!(event.extensions["tenant"], "shop");
    }
}
