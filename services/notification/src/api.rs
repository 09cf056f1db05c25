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
        let permit = self.permit(request.types.len())?;
        let (delivered, start) = match request.cursor.as_str() {
            "" => (None, None),
            START => (None, Some(Start::Oldest)),
            cursor => {
                let cursor = Cursor::read(cursor)?;
                (Some(cursor), Some(Start::After(cursor.read_after())))
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
            filter: Filter { types: request.types, workflow: request.workflow_id },
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
