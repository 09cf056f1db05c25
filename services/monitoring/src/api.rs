//! `MonitoringService`: convert, call, convert.

use std::pin::Pin;
use std::time::Duration;

use planaria_proto::monitoring::v1::monitoring_service_server::MonitoringService;
use planaria_proto::monitoring::v1::{
    GetDistributionRequest, GetDistributionResponse, GetOverviewRequest, GetOverviewResponse,
    GetSeriesRequest, GetSeriesResponse, ListHealingsRequest, ListHealingsResponse,
    WatchHealingsRequest, WatchHealingsResponse, WatchOverviewRequest, WatchOverviewResponse,
};
use planaria_runtime::clock;
use planaria_runtime::identity::Identity;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::convert;
use crate::error::Error;
use crate::healings::read_token;
use crate::overview::Overviews;
use crate::series::{SeriesReader, Window};
use crate::store::Filter;
use crate::watch;

/// Entries of a page when the caller does not say.
const PAGE_SIZE_DEFAULT: u32 = 100;
/// Time between two overviews when the caller does not say.
const INTERVAL_MS_DEFAULT: u64 = 1_000;
/// Series of one answer.
const METRICS_MAX: usize = 32;
/// Messages that wait for a slow reader.
const UNREAD_MAX: usize = 4;
/// Somebody who asks once wants to see what just happened.
const ASKED_AGE_MAX: Duration = Duration::from_millis(100);

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

pub(crate) struct Api {
    pub(crate) overviews: Overviews,
    pub(crate) series: SeriesReader,
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
        let overview = self.overviews.now(ASKED_AGE_MAX).await;
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
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let limit = match request.page_size {
            0 => PAGE_SIZE_DEFAULT,
            asked => asked,
        };
        let limit = limit.min(self.overviews.config.page_size_max.max(1));
        let filter = Filter {
            namespace: seen_namespace(&caller, request.namespace),
            workflow: request.workflow_id,
            incident: request.incident,
            before: read_token(&request.page_token)?,
        };
        let (healings, next_page_token) = self.overviews.healings.list(&filter, limit).await?;
        Ok(Response::new(ListHealingsResponse { healings, next_page_token }))
    }

    async fn watch_healings(
        &self,
        request: Request<WatchHealingsRequest>,
    ) -> Result<Response<Self::WatchHealingsStream>, Status> {
        let caller = Identity::of(&request)?;
        // Watched from here on: the caller misses nothing that happens after the answer.
        let watch = self.overviews.healings.watch().await?;
        let (sender, receiver) = mpsc::channel(UNREAD_MAX);
        tokio::spawn(watch::healings(watch, caller, sender, self.stop.clone()));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn get_series(
        &self,
        request: Request<GetSeriesRequest>,
    ) -> Result<Response<GetSeriesResponse>, Status> {
        let caller = Identity::of(&request)?;
        let mut request = request.into_inner();
        request.namespace = seen_namespace(&caller, request.namespace);
        if request.metrics.len() > METRICS_MAX {
            let text = format!("{} metrics are more than {METRICS_MAX}", request.metrics.len());
            return Err(Error::MetricInvalid(text).into());
        }
        let window = window(request.window, request.step, request.until)?;
        let mut series = Vec::with_capacity(request.metrics.len());
        for metric in request.metrics() {
            series.push(self.series.series(metric, &window, &request.namespace).await?);
        }
        Ok(Response::new(GetSeriesResponse { series }))
    }

    async fn get_distribution(
        &self,
        request: Request<GetDistributionRequest>,
    ) -> Result<Response<GetDistributionResponse>, Status> {
        let caller = Identity::of(&request)?;
        let request = request.into_inner();
        let window = window(request.window, None, request.until)?;
        let spread = request.spread();
        let namespace = seen_namespace(&caller, request.namespace);
        let distribution = self.series.distribution(spread, &window, &namespace).await?;
        Ok(Response::new(distribution))
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

/// The steps that are asked for.
fn window(
    window: Option<prost_types::Duration>,
    step: Option<prost_types::Duration>,
    until: Option<prost_types::Timestamp>,
) -> Result<Window, Error> {
    let seconds = |span: Option<prost_types::Duration>| {
        let wrong = || Error::WindowInvalid("a span of time is not negative".into());
        let of =
            |span| convert::span_milliseconds(Some(span)).map(|ms| ms / 1_000).ok_or_else(wrong);
        span.map(of).transpose()
    };
    let until_ms = convert::milliseconds(until).unwrap_or_else(clock::now_ms);
    Window::new(seconds(window)?, seconds(step)?, until_ms / 1_000)
}
