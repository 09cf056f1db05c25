//! `NotificationService`: convert, call, convert.

use std::sync::Arc;

use planaria_log_tail::Start;
use planaria_proto::notification::v1::notification_service_server::NotificationService;
use planaria_proto::notification::v1::{self as contract, *};
use planaria_runtime::identity::Identity;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use crate::config::Config;
use crate::convert;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::filter::Filter;
use crate::gauges::Gauges;
use crate::page;
use crate::records::Webhook;
use crate::shared_tail::SharedTail;
use crate::store::{DeliveryFilter, Resend};
use crate::subscription::{Source, Subscription};
use crate::tasks::Tasks;
use crate::webhooks::{Wanted, Webhooks};

/// The cursor before the oldest event.
const START: &str = "start";
/// Entries of a page when the caller does not say, and at most.
const PAGE_SIZE_DEFAULT: u32 = 100;
const PAGE_SIZE_MAX: u32 = 500;

pub(crate) struct Api {
    pub(crate) shared: SharedTail,
    pub(crate) source: Source,
    pub(crate) tasks: Tasks,
    pub(crate) webhooks: Webhooks,
    pub(crate) gauges: Gauges,
    /// A permit for each further subscription.
    pub(crate) seats: Arc<Semaphore>,
    pub(crate) config: Config,
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl NotificationService for Api {
    type SubscribeStream = ReceiverStream<Result<SubscribeResponse, Status>>;

    async fn subscribe(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let filter = self.filter(&caller, request.filter)?;
        let permit = self.permit()?;
        let (delivered, start) = match request.cursor.as_str() {
            "" => (None, None),
            START => (None, Some(Start::Oldest)),
            cursor => {
                let cursor = Cursor::read(cursor)?;
                let start = cursor.read.start();
                (Some(cursor), Some(start))
            }
        };
        // The seat is taken first: what happens while the own reading begins comes through it.
        let seat = self.shared.join().await?;
        let mut own = start.map(|start| self.source.read(start));
        if let Some(own) = &mut own {
            own.open().await.map_err(|status| refusal(&status))?;
        }
        let (readers, stream) = mpsc::channel(self.config.unread_max.max(1));
        let subscription = Subscription {
            filter: Filter::from(filter),
            seat,
            own,
            delivered,
            source: self.source.clone(),
            readers,
            deliveries_max: self.config.deliveries_max,
            tasks: self.tasks.clone(),
            gauges: self.gauges.clone(),
        };
        let stop = self.stop.clone();
        tokio::spawn(async move {
            subscription.run(stop).await;
            drop(permit);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn create_webhook(
        &self,
        request: Request<CreateWebhookRequest>,
    ) -> Result<Response<CreateWebhookResponse>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let filter = self.filter(&caller, request.filter)?;
        let CreateWebhookRequest { url, description, secret, .. } = request;
        let wanted = Wanted { url, filter, description, secret };
        let webhook = self.webhooks.create(wanted).await?;
        let secret = webhook.secret.text().to_owned();
        let webhook = Some(convert::webhook(webhook, 0));
        Ok(Response::new(CreateWebhookResponse { webhook, secret }))
    }

    async fn list_webhooks(
        &self,
        request: Request<ListWebhooksRequest>,
    ) -> Result<Response<ListWebhooksResponse>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let namespace = seen_namespace(&caller, request.namespace);
        let limit = page_size(request.page_size);
        let store = &self.webhooks.store;
        let found = store.webhooks(&namespace, &request.page_token, limit).await;
        let found = found.map_err(Error::from)?;
        let full = found.len() >= limit as usize;
        let last = found.last().filter(|_| full);
        let next_page_token = last.map(|last| last.id.clone()).unwrap_or_default();
        let mut webhooks = Vec::with_capacity(found.len());
        for webhook in found {
            webhooks.push(self.shown(webhook).await?);
        }
        Ok(Response::new(ListWebhooksResponse { webhooks, next_page_token }))
    }

    async fn get_webhook(
        &self,
        request: Request<GetWebhookRequest>,
    ) -> Result<Response<GetWebhookResponse>, Status> {
        let caller = Identity::of(&request)?;
        let webhook = self.webhooks.get(&caller, &request.into_inner().id).await?;
        let webhook = Some(self.shown(webhook).await?);
        Ok(Response::new(GetWebhookResponse { webhook }))
    }

    async fn delete_webhook(
        &self,
        request: Request<DeleteWebhookRequest>,
    ) -> Result<Response<DeleteWebhookResponse>, Status> {
        let caller = Identity::of(&request)?;
        self.webhooks.delete(&caller, &request.into_inner().id).await?;
        Ok(Response::new(DeleteWebhookResponse {}))
    }

    async fn enable_webhook(
        &self,
        request: Request<EnableWebhookRequest>,
    ) -> Result<Response<EnableWebhookResponse>, Status> {
        let caller = Identity::of(&request)?;
        let webhook = self.webhooks.enable(&caller, &request.into_inner().id).await?;
        let webhook = Some(self.shown(webhook).await?);
        Ok(Response::new(EnableWebhookResponse { webhook }))
    }

    async fn disable_webhook(
        &self,
        request: Request<DisableWebhookRequest>,
    ) -> Result<Response<DisableWebhookResponse>, Status> {
        let caller = Identity::of(&request)?;
        let DisableWebhookRequest { id, reason } = request.into_inner();
        let webhook = self.webhooks.disable(&caller, &id, &reason).await?;
        let webhook = Some(self.shown(webhook).await?);
        Ok(Response::new(DisableWebhookResponse { webhook }))
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<RotateWebhookSecretRequest>,
    ) -> Result<Response<RotateWebhookSecretResponse>, Status> {
        let caller = Identity::of(&request)?;
        let RotateWebhookSecretRequest { id, secret, overlap } = request.into_inner();
        let overlap_ms = overlap.map(convert::milliseconds);
        let webhook = self.webhooks.rotate(&caller, &id, &secret, overlap_ms).await?;
        let secret = webhook.secret.text().to_owned();
        let webhook = Some(self.shown(webhook).await?);
        Ok(Response::new(RotateWebhookSecretResponse { webhook, secret }))
    }

    async fn test_webhook(
        &self,
        request: Request<TestWebhookRequest>,
    ) -> Result<Response<TestWebhookResponse>, Status> {
        let caller = Identity::of(&request)?;
        let delivery = self.webhooks.test(&caller, &request.into_inner().id).await?;
        let delivery = Some(convert::delivery(delivery));
        Ok(Response::new(TestWebhookResponse { delivery }))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let limit = page_size(request.page_size);
        let state = request.state();
        let filter = DeliveryFilter {
            webhook: request.webhook_id,
            namespace: seen_namespace(&caller, request.namespace),
            state: (state != DeliveryState::Unspecified).then_some(state),
            event_type: request.event_type,
            before: page::read(&request.page_token)?,
        };
        let found = self.webhooks.deliveries(&filter, limit).await?;
        let next_page_token = page::write(&found, limit);
        let deliveries = found.into_iter().map(convert::delivery).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<GetDeliveryResponse>, Status> {
        let caller = Identity::of(&request)?;
        let delivery = self.webhooks.delivery(&caller, &request.into_inner().id).await?;
        let delivery = Some(convert::delivery(delivery));
        Ok(Response::new(GetDeliveryResponse { delivery }))
    }

    async fn resend_deliveries(
        &self,
        request: Request<ResendDeliveriesRequest>,
    ) -> Result<Response<ResendDeliveriesResponse>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let which = match request.failed_of_webhook_id.as_str() {
            "" => Resend::Ids(request.ids),
            webhook => Resend::FailedOf(webhook.to_owned()),
        };
        let resent = self.webhooks.resend(&caller, &which).await?;
        Ok(Response::new(ResendDeliveriesResponse { resent }))
    }
}

impl Api {
    fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        let permit = Arc::clone(&self.seats).try_acquire_owned();
        permit.map_err(|_| Error::TooManySubscribers(self.config.subscribers_max))
    }

    /// What is asked for, and of that what the caller sees.
    fn filter(&self, caller: &Identity, asked: Option<EventFilter>) -> Result<EventFilter, Error> {
        let mut filter = asked.unwrap_or_default();
        let (given, max) = (filter.types.len(), self.config.types_max);
        if given > max {
            return Err(Error::TooManyTypes { given, max });
        }
        filter.namespace = seen_namespace(caller, filter.namespace);
        Ok(filter)
    }

    async fn shown(&self, webhook: Webhook) -> Result<contract::Webhook, Error> {
        let pending = self.webhooks.store.pending(&webhook.id).await?;
        Ok(convert::webhook(webhook, pending))
    }
}

/// The namespace that is looked into; empty: all. Whoever sees one only looks into that one: of
/// another it is told what it would be told if that were empty.
fn seen_namespace(caller: &Identity, asked: String) -> String {
    match caller.only_namespace() {
        Some(only) if asked.is_empty() || asked == only => only.to_owned(),
        // Nothing is in there: a definition's namespace has no such letter.
        Some(_) => "/".to_owned(),
        None => asked,
    }
}

fn page_size(asked: u32) -> u32 {
    match asked {
        0 => PAGE_SIZE_DEFAULT,
        asked => asked.min(PAGE_SIZE_MAX),
    }
}

fn refusal(status: &Status) -> Error {
    match status.code() {
        Code::OutOfRange => Error::CursorTooOld,
        _ => Error::OrchestratorUnavailable(status.message().to_owned()),
    }
}
