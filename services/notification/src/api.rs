//! `NotificationService`: convert, call, convert.

use std::sync::Arc;

use planaria_log_tail::Start;
use planaria_proto::notification::v1::notification_service_server::NotificationService;
use planaria_proto::notification::v1::{SubscribeRequest, SubscribeResponse};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use crate::config::Config;
use crate::cursor::Cursor;
use crate::error::Error;
use crate::filter::Filter;
use crate::gauges::Gauges;
use crate::shared_tail::SharedTail;
use crate::subscription::{Source, Subscription};
use crate::tasks::Tasks;

/// The cursor before the oldest event.
const START: &str = "start";

pub(crate) struct Api {
    pub(crate) shared: SharedTail,
    pub(crate) source: Source,
    pub(crate) tasks: Tasks,
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
        let request = request.into_inner();
        let filter = request.filter.unwrap_or_default();
        let permit = self.permit(filter.types.len())?;
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
        _request: Request<planaria_proto::notification::v1::CreateWebhookRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::CreateWebhookResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn list_webhooks(
        &self,
        _request: Request<planaria_proto::notification::v1::ListWebhooksRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::ListWebhooksResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn get_webhook(
        &self,
        _request: Request<planaria_proto::notification::v1::GetWebhookRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::GetWebhookResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn delete_webhook(
        &self,
        _request: Request<planaria_proto::notification::v1::DeleteWebhookRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::DeleteWebhookResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn enable_webhook(
        &self,
        _request: Request<planaria_proto::notification::v1::EnableWebhookRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::EnableWebhookResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn disable_webhook(
        &self,
        _request: Request<planaria_proto::notification::v1::DisableWebhookRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::DisableWebhookResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn rotate_webhook_secret(
        &self,
        _request: Request<planaria_proto::notification::v1::RotateWebhookSecretRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::RotateWebhookSecretResponse>, Status>
    {
        Err(Status::unimplemented("soon"))
    }

    async fn test_webhook(
        &self,
        _request: Request<planaria_proto::notification::v1::TestWebhookRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::TestWebhookResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn list_deliveries(
        &self,
        _request: Request<planaria_proto::notification::v1::ListDeliveriesRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::ListDeliveriesResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn get_delivery(
        &self,
        _request: Request<planaria_proto::notification::v1::GetDeliveryRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::GetDeliveryResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }

    async fn resend_deliveries(
        &self,
        _request: Request<planaria_proto::notification::v1::ResendDeliveriesRequest>,
    ) -> Result<Response<planaria_proto::notification::v1::ResendDeliveriesResponse>, Status> {
        Err(Status::unimplemented("soon"))
    }
}

impl Api {
    fn permit(&self, types: usize) -> Result<OwnedSemaphorePermit, Error> {
        let max = self.config.types_max;
        if types > max {
            return Err(Error::TooManyTypes { given: types, max });
        }
        let permit = Arc::clone(&self.seats).try_acquire_owned();
        permit.map_err(|_| Error::TooManySubscribers(self.config.subscribers_max))
    }
}

fn refusal(status: &Status) -> Error {
    match status.code() {
        Code::OutOfRange => Error::CursorTooOld,
        _ => Error::OrchestratorUnavailable(status.message().to_owned()),
    }
}
