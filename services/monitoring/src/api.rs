//! `MonitoringService`: convert, call, convert.

use std::pin::Pin;
use std::time::Duration;

use planaria_proto::monitoring::v1::monitoring_service_server::MonitoringService;
use planaria_proto::monitoring::v1::{
    GetOverviewRequest, GetOverviewResponse, ListHealingsRequest, ListHealingsResponse,
    WatchHealingsRequest, WatchHealingsResponse, WatchOverviewRequest, WatchOverviewResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::convert;
use crate::healings::read_token;
use crate::overview::Overviews;
use crate::store::Filter;
use crate::watch;

/// Entries of a page when the caller does not say.
const PAGE_SIZE_DEFAULT: u32 = 100;
/// Time between two overviews when the caller does not say.
const INTERVAL_MS_DEFAULT: u64 = 1_000;
/// Messages that wait for a slow reader.
const UNREAD_MAX: usize = 4;
/// Somebody who asks once wants to see what just happened.
const ASKED_AGE_MAX: Duration = Duration::from_millis(100);

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

pub(crate) struct Api {
    pub(crate) overviews: Overviews,
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl MonitoringService for Api {
    type WatchOverviewStream = Stream<WatchOverviewResponse>;
    type WatchHealingsStream = Stream<WatchHealingsResponse>;

    async fn get_overview(
        &self,
        _request: Request<GetOverviewRequest>,
    ) -> Result<Response<GetOverviewResponse>, Status> {
        let overview = self.overviews.now(ASKED_AGE_MAX).await?;
        Ok(Response::new(GetOverviewResponse { overview: Some(overview) }))
    }

    async fn watch_overview(
        &self,
        request: Request<WatchOverviewRequest>,
    ) -> Result<Response<Self::WatchOverviewStream>, Status> {
        let asked_ms = convert::span_milliseconds(request.into_inner().interval);
        let config = &self.overviews.config;
        let min_ms = config.watch_interval_ms_min.max(1);
        let every_ms = asked_ms.unwrap_or(INTERVAL_MS_DEFAULT);
        let every_ms = every_ms.min(config.watch_interval_ms_max).max(min_ms);
        let (sender, receiver) = mpsc::channel(UNREAD_MAX);
        let every = Duration::from_millis(every_ms);
        tokio::spawn(watch::overview(self.overviews.clone(), every, sender, self.stop.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn list_healings(
        &self,
        request: Request<ListHealingsRequest>,
    ) -> Result<Response<ListHealingsResponse>, Status> {
        let request = request.into_inner();
        let limit = match request.page_size {
            0 => PAGE_SIZE_DEFAULT,
            asked => asked,
        };
        let limit = limit.min(self.overviews.config.page_size_max.max(1));
        let filter = Filter {
            workflow: request.workflow_id,
            incident: request.incident,
            before: read_token(&request.page_token)?,
        };
        let (healings, next_page_token) = self.overviews.healings.list(&filter, limit).await?;
        Ok(Response::new(ListHealingsResponse { healings, next_page_token }))
    }

    async fn watch_healings(
        &self,
        _request: Request<WatchHealingsRequest>,
    ) -> Result<Response<Self::WatchHealingsStream>, Status> {
        let (sender, receiver) = mpsc::channel(UNREAD_MAX);
        // Watched from here on: the caller misses nothing that happens after the answer.
        let told = self.overviews.healings.watch();
        tokio::spawn(watch::healings(told, sender, self.stop.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
