//! `webhook`: where events are posted to, and what became of each.

use planaria_proto::notification::v1::{
    CreateWebhookRequest, DeleteWebhookRequest, DeliveryState, DisableWebhookRequest,
    EnableWebhookRequest, GetDeliveryRequest, GetWebhookRequest, ListDeliveriesRequest,
    ListWebhooksRequest, ResendDeliveriesRequest, RotateWebhookSecretRequest, TestWebhookRequest,
    Webhook, WebhookDelivery,
};
use prost_types::Duration;

use super::event::FilterArguments;
use super::{Client, call};
use crate::Error;
use crate::error::FAILED;
use crate::output::document::Document;
use crate::output::message::{self, Mapping};
use crate::output::style::Style;
use crate::output::table::{Table, cell};
use crate::output::time;

const PAGE_SIZE_MAX: u32 = 500;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Post events that happen from now on to a URL, and print the secret that signs them
    Create {
        /// http or https
        url: String,
        #[command(flatten)]
        filter: FilterArguments,
        /// For people
        #[arg(long, default_value = "")]
        description: String,
        /// whsec_ and base64 of 24 to 64 bytes; without it, a new one
        #[arg(long, default_value = "", value_name = "SECRET")]
        secret: String,
    },
    /// List webhooks, oldest first
    List {
        /// Only of this namespace
        #[arg(long, default_value = "")]
        namespace: String,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Show a webhook
    Get { id: String },
    /// Remove a webhook and its deliveries
    Delete { id: String },
    /// Let a webhook get events again, from now on
    Enable { id: String },
    /// Post nothing more to a webhook; what waits goes on waiting
    Disable {
        id: String,
        /// Why, for people
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Give a webhook a new secret and print it; the former one signs too for a while
    Rotate {
        id: String,
        /// As of `create`
        #[arg(long, default_value = "", value_name = "SECRET")]
        secret: String,
        /// Hours that the former secret signs too
        #[arg(long, default_value_t = 24, value_name = "HOURS")]
        overlap: u32,
    },
    /// Post an event at once and tell what came of it
    Test { id: String },
    /// List deliveries, newest first, or show one of them
    Deliveries {
        /// Show this delivery with its body
        delivery: Option<String>,
        /// Only of this webhook
        #[arg(long, default_value = "", value_name = "ID")]
        webhook: String,
        /// Only pending, delivered or failed ones
        #[arg(long, value_parser = state)]
        state: Option<DeliveryState>,
        /// Only of events whose type starts with this
        #[arg(long = "type", default_value = "", value_name = "PREFIX")]
        kind: String,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Post deliveries again
    Resend {
        /// Which
        #[arg(required_unless_present = "failed_of")]
        deliveries: Vec<String>,
        /// All failed ones of this webhook
        #[arg(long, value_name = "ID", conflicts_with = "deliveries")]
        failed_of: Option<String>,
    },
}

fn state(text: &str) -> Result<DeliveryState, String> {
    let name = format!("DELIVERY_STATE_{}", text.to_uppercase());
    DeliveryState::from_str_name(&name)
        .filter(|state| *state != DeliveryState::Unspecified)
        .ok_or_else(|| "one of pending, delivered, failed".into())
}

pub(crate) async fn execute(client: &Client, command: Command) -> Result<(), Error> {
    match command {
        Command::Create { url, filter, description, secret } => {
            let filter = Some(filter.into_filter());
            create(client, CreateWebhookRequest { url, filter, description, secret }).await
        }
        Command::List { namespace, limit } => list(client, namespace, limit).await,
        Command::Get { id } => {
            let response = client.notification().get_webhook(call(GetWebhookRequest { id })).await;
            let response = response.map_err(|status| client.refused("cannot show it", status))?;
            show(client, response.into_inner().webhook)
        }
        Command::Delete { id } => {
            let request = call(DeleteWebhookRequest { id });
            let response = client.notification().delete_webhook(request).await;
            response.map_err(|status| client.refused("it was not deleted", status))?;
            client.done("deleted")
        }
        Command::Enable { id } => {
            let request = call(EnableWebhookRequest { id });
            let response = client.notification().enable_webhook(request).await;
            let response =
                response.map_err(|status| client.refused("it was not enabled", status))?;
            show(client, response.into_inner().webhook)
        }
        Command::Disable { id, reason } => {
            let request = call(DisableWebhookRequest { id, reason });
            let response = client.notification().disable_webhook(request).await;
            let response =
                response.map_err(|status| client.refused("it was not disabled", status))?;
            show(client, response.into_inner().webhook)
        }
        Command::Rotate { id, secret, overlap } => rotate(client, id, secret, overlap).await,
        Command::Test { id } => test(client, id).await,
        Command::Deliveries { delivery: Some(id), .. } => delivery(client, id).await,
        Command::Deliveries { webhook, state, kind, limit, .. } => {
            let request = ListDeliveriesRequest {
                webhook_id: webhook,
                state: state.unwrap_or_default().into(),
                event_type: kind,
                ..ListDeliveriesRequest::default()
            };
            deliveries(client, request, limit).await
        }
        Command::Resend { deliveries, failed_of } => {
            resend(client, deliveries, failed_of.unwrap_or_default()).await
        }
    }
}

async fn create(client: &Client, request: CreateWebhookRequest) -> Result<(), Error> {
    let response = client.notification().create_webhook(call(request)).await;
    let response = response.map_err(|status| client.refused("there is no webhook", status))?;
    let response = response.into_inner();
    tell_secret(client, response.webhook.unwrap_or_default(), &response.secret)
}

async fn rotate(client: &Client, id: String, secret: String, hours: u32) -> Result<(), Error> {
    let overlap = Some(Duration { seconds: i64::from(hours) * 3_600, nanos: 0 });
    let request = call(RotateWebhookSecretRequest { id, secret, overlap });
    let response = client.notification().rotate_webhook_secret(request).await;
    let response = response.map_err(|status| client.refused("the secret stays", status))?;
    let response = response.into_inner();
    tell_secret(client, response.webhook.unwrap_or_default(), &response.secret)
}

/// A webhook with its secret, which nobody is told again.
fn tell_secret(client: &Client, webhook: Webhook, secret: &str) -> Result<(), Error> {
    let output = client.output;
    if output.is_json() {
        let webhook = Mapping::new()?.document(&webhook)?;
        let secret = Document::Text(secret.to_owned());
        return output.document(&Document::object([("webhook", webhook), ("secret", secret)]));
    }
    show(client, Some(webhook))?;
    output.line(&format!("{} {secret}", label(client, "secret")))?;
    output.note("the secret is not shown again: the receiver verifies signatures with it");
    Ok(())
}

async fn list(client: &Client, namespace: String, limit: usize) -> Result<(), Error> {
    let mut webhooks: Vec<Webhook> = Vec::new();
    let mut page_token = String::new();
    while webhooks.len() < limit {
        let missing = u32::try_from(limit - webhooks.len()).unwrap_or(u32::MAX);
        let page_size = missing.min(PAGE_SIZE_MAX);
        let request = ListWebhooksRequest { namespace: namespace.clone(), page_size, page_token };
        let page = client.notification().list_webhooks(call(request)).await;
        let page = page.map_err(|status| client.refused("cannot list webhooks", status))?;
        let page = page.into_inner();
        webhooks.extend(page.webhooks);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    client.show_list(&webhooks, "no webhooks", |webhooks| {
        let mut table =
            Table::new(&["ID", "URL", "EVENTS", "STATE", ">PENDING", "CREATED", "DESCRIPTION"]);
        for webhook in webhooks {
            table.row([
                webhook.id.as_str().into(),
                webhook.url.as_str().into(),
                wanted(webhook).into(),
                match webhook.enabled {
                    true => cell(Style::Good, "enabled"),
                    false => cell(Style::Bad, "disabled"),
                },
                webhook.deliveries_pending.into(),
                time::relative(webhook.created_at.as_ref()).into(),
                cell(Style::Dim, webhook.description.as_str()),
            ]);
        }
        table
    })
}

/// Its filter in words.
fn wanted(webhook: &Webhook) -> String {
    let filter = webhook.filter.clone().unwrap_or_default();
    let mut words = filter.types;
    for (name, text) in [
        ("namespace", filter.namespace),
        ("workflow", filter.workflow_id),
        ("definition", filter.definition),
        ("text", filter.text),
    ] {
        if !text.is_empty() {
            words.push(format!("{name}={text}"));
        }
    }
    if words.is_empty() { "all".into() } else { words.join(" ") }
}

fn label(client: &Client, text: &str) -> String {
    client.output.paint(Style::Dim, &format!("{text:<12}"))
}

fn show(client: &Client, webhook: Option<Webhook>) -> Result<(), Error> {
    client.show(&webhook.unwrap_or_default(), |webhook| {
        let line =
            |name: &str, text: &str| client.output.line(&format!("{} {text}", label(client, name)));
        line("webhook", &client.output.paint(Style::Strong, &webhook.id))?;
        line("url", &webhook.url)?;
        line("events", &wanted(webhook))?;
        let state = match webhook.enabled {
            true => client.output.paint(Style::Good, "enabled"),
            false => client.output.paint(Style::Bad, &webhook.disabled_because),
        };
        line("state", &state)?;
        line("pending", &webhook.deliveries_pending.to_string())?;
        line("created", &time::relative(webhook.created_at.as_ref()))?;
        if let Some(until) = &webhook.former_secret_until {
            line("old secret", &time::relative(Some(until)))?;
        }
        if !webhook.description.is_empty() {
            line("description", &webhook.description)?;
        }
        Ok(())
    })
}

async fn test(client: &Client, id: String) -> Result<(), Error> {
    let response = client.notification().test_webhook(call(TestWebhookRequest { id })).await;
    let response = response.map_err(|status| client.refused("nothing was posted", status))?;
    let delivery = response.into_inner().delivery.unwrap_or_default();
    let delivered = delivery.state() == DeliveryState::Delivered;
    client.show(&delivery, |delivery| show_delivery(client, delivery))?;
    if delivered { Ok(()) } else { Err(Error::Ended(FAILED)) }
}

async fn delivery(client: &Client, id: String) -> Result<(), Error> {
    let response = client.notification().get_delivery(call(GetDeliveryRequest { id })).await;
    let response = response.map_err(|status| client.refused("cannot show it", status))?;
    let delivery = response.into_inner().delivery.unwrap_or_default();
    client.show(&delivery, |delivery| show_delivery(client, delivery))
}

fn show_delivery(client: &Client, delivery: &WebhookDelivery) -> Result<(), Error> {
    let line =
        |name: &str, text: &str| client.output.line(&format!("{} {text}", label(client, name)));
    line("delivery", &client.output.paint(Style::Strong, &delivery.id))?;
    line("event", &format!("{} {}", delivery.event_type, delivery.event_id))?;
    let (style, word) = word(delivery);
    line("state", &client.output.paint(style, word))?;
    line("tries", &delivery.attempts.to_string())?;
    line("answer", &answer(delivery))?;
    if !delivery.response.is_empty() {
        line("response", &delivery.response)?;
    }
    if delivery.next_at.is_some() {
        line("next try", &time::relative(delivery.next_at.as_ref()))?;
    }
    match &delivery.body {
        Some(body) => line("body", &message::bytes(&body.data).line()),
        None => Ok(()),
    }
}

fn word(delivery: &WebhookDelivery) -> (Style, &'static str) {
    match delivery.state() {
        DeliveryState::Unspecified => (Style::Dim, "unknown"),
        DeliveryState::Pending => (Style::Warm, "pending"),
        DeliveryState::Delivered => (Style::Good, "delivered"),
        DeliveryState::Failed => (Style::Bad, "failed"),
    }
}

/// What the receiver said the last time, and how soon.
fn answer(delivery: &WebhookDelivery) -> String {
    if delivery.attempted_at.is_none() {
        return "-".into();
    }
    let took = time::duration(delivery.took.as_ref());
    match (delivery.status, delivery.error.as_str()) {
        (status, "") => format!("{status} after {took}"),
        (_, error) => format!("{error} after {took}"),
    }
}

async fn deliveries(
    client: &Client,
    mut request: ListDeliveriesRequest,
    limit: usize,
) -> Result<(), Error> {
    let mut deliveries: Vec<WebhookDelivery> = Vec::new();
    while deliveries.len() < limit {
        let missing = u32::try_from(limit - deliveries.len()).unwrap_or(u32::MAX);
        request.page_size = missing.min(PAGE_SIZE_MAX);
        let page = client.notification().list_deliveries(call(request.clone())).await;
        let page = page.map_err(|status| client.refused("cannot list deliveries", status))?;
        let page = page.into_inner();
        deliveries.extend(page.deliveries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    client.show_list(&deliveries, "no deliveries", |deliveries| {
        let mut table =
            Table::new(&["ID", "EVENT", "STATE", ">TRIES", "CREATED", "NEXT", "ANSWER"]);
        for delivery in deliveries {
            let (style, word) = word(delivery);
            table.row([
                delivery.id.as_str().into(),
                delivery.event_type.as_str().into(),
                cell(style, word),
                delivery.attempts.into(),
                time::relative(delivery.created_at.as_ref()).into(),
                time::relative(delivery.next_at.as_ref()).into(),
                cell(Style::Dim, answer(delivery)),
            ]);
        }
        table
    })
}

async fn resend(client: &Client, ids: Vec<String>, failed_of: String) -> Result<(), Error> {
    let request = call(ResendDeliveriesRequest { ids, failed_of_webhook_id: failed_of });
    let response = client.notification().resend_deliveries(request).await;
    let response = response.map_err(|status| client.refused("nothing was sent again", status))?;
    let resent = response.into_inner().resent;
    if client.output.is_json() {
        let resent = Document::Integer(resent.into());
        return client.output.document(&Document::object([("resent", resent)]));
    }
    client.output.line(&format!("{resent} are due again"))
}
