//! `event`: follow what happens in the mesh, publish events to its workflows.

use planaria_proto::notification::v1::{
    EventFilter, SubscribeRequest, subscribe_response::Delivery,
};
use planaria_proto::types::v1::CloudEvent;
use planaria_proto::workflow::v1::PublishEventRequest;
use tonic::Status;

use super::{Backoff, Client, call, input, story};
use crate::Error;
use crate::error::is_passing;
use crate::output::document::Document;
use crate::output::message::Mapping;
use crate::output::style::Style;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Follow events until interrupted
    Tail {
        /// Behind this cursor, or `start` for the oldest event kept; without it, from now on
        #[arg(long, default_value = "", value_name = "CURSOR")]
        from: String,
        #[command(flatten)]
        filter: FilterArguments,
    },
    /// Publish an event to every workflow that listens to such
    Emit(EventArguments),
}

/// Which events are wanted.
#[derive(Debug, clap::Args)]
pub(crate) struct FilterArguments {
    /// Only types that start with this; may be given several times
    #[arg(long = "type", value_name = "PREFIX")]
    types: Vec<String>,
    /// Only of this namespace
    #[arg(long, default_value = "")]
    namespace: String,
    /// Only of this workflow
    #[arg(long, default_value = "", value_name = "ID")]
    workflow: String,
    /// Only of workflows of the definition with this name
    #[arg(long, default_value = "", value_name = "NAME")]
    definition: String,
    /// Only those in whose subject or data this text occurs
    #[arg(long, default_value = "")]
    text: String,
}

impl FilterArguments {
    /// The filter.
    pub(super) fn into_filter(self) -> EventFilter {
        EventFilter {
            types: self.types,
            namespace: self.namespace,
            workflow_id: self.workflow,
            definition: self.definition,
            text: self.text,
        }
    }
}

/// A CloudEvent in arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct EventArguments {
    /// The type of the event, such as com.example.order.paid
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// The data: JSON, @FILE, or -
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// Where it comes from
    #[arg(long, default_value = "/planaria/cli", value_name = "URI")]
    source: String,
    /// What it is about
    #[arg(long, default_value = "")]
    subject: String,
    /// Makes the delivery idempotent; without it, a new one
    #[arg(id = "event_id", long = "id", value_name = "ID")]
    id: Option<String>,
}

impl EventArguments {
    /// The event.
    pub(super) fn into_event(self) -> Result<CloudEvent, Error> {
        let data = input::optional_payload(self.data.as_deref())?;
        Ok(CloudEvent {
            id: self.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            source: self.source,
            spec_version: "1.0".into(),
            r#type: self.kind,
            subject: self.subject,
            data_content_type: data.as_ref().map_or("", |_| "application/json").into(),
            data: data.unwrap_or_default().data,
            ..CloudEvent::default()
        })
    }
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::Tail { from, filter } => {
            let request = SubscribeRequest { cursor: from, filter: Some(filter.into_filter()) };
            tail(client, request).await
        }
        Command::Emit(event) => emit(client, event).await,
    }
}

async fn emit(client: &Client, event: EventArguments) -> Result<(), Error> {
    let request = call(PublishEventRequest { event: Some(event.into_event()?) });
    let response = client.workflows().publish_event(request).await;
    let response = response.map_err(|status| client.refused("the event was not taken", status))?;
    let consumers = response.into_inner().consumers;
    if client.output.is_json() {
        let consumers = Document::Integer(consumers.into());
        return client.output.document(&Document::object([("consumers", consumers)]));
    }
    client.output.line(&format!("taken by {consumers} workflows"))
}

/// Follows for ever, over broken streams.
async fn tail(client: &Client, mut request: SubscribeRequest) -> Result<(), Error> {
    let mapping = Mapping::new()?;
    let mut backoff = Backoff::default();
    let mut answered = false;
    loop {
        let broken = match client.notification().subscribe(request.clone()).await {
            Ok(response) => {
                answered = true;
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            backoff.reset();
                            for delivery in message.deliveries {
                                print(client, &mapping, &delivery)?;
                                request.cursor = delivery.cursor;
                            }
                        }
                        Ok(None) => break Status::unavailable("the stream ended"),
                        Err(status) => break status,
                    }
                }
            }
            Err(status) => status,
        };
        if !answered || !is_passing(&broken) {
            return Err(client.refused("cannot follow events", broken));
        }
        backoff.pause().await;
    }
}

fn print(client: &Client, mapping: &Mapping, delivery: &Delivery) -> Result<(), Error> {
    let output = client.output;
    if output.is_json() {
        return output.document_line(&mapping.document(delivery)?);
    }
    let event = delivery.event.clone().unwrap_or_default();
    let at = event.time.map(|time| time.to_string()).unwrap_or_default();
    let line = [
        output.paint(Style::Dim, &at),
        output.paint(Style::Strong, &event.r#type),
        event.subject,
        output.paint(Style::Dim, &story::quote(&event.data)),
    ];
    output.line(line.join("  ").trim_end())
}
