//! `RetryGateService`: convert, call, convert.

use planaria_kernel::retry::breaker::{BreakerEffect, BreakerEvent};
use planaria_proto::retry::v1::retry_gate_service_server::RetryGateService;
use planaria_proto::retry::v1::{
    TakeProbesRequest, TakeProbesResponse, WatchGatesRequest, WatchGatesResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::board::Board;
use crate::convert;
use crate::error::Error;
use crate::ledger::Ledger;

/// Messages that wait for a watcher.
const WAITING_MAX: usize = 8;

pub(crate) struct GateApi {
    pub(crate) ledger: Ledger,
    pub(crate) board: Board,
    /// Watchers are told no more: they go to another replica.
    pub(crate) stop: CancellationToken,
}

#[tonic::async_trait]
impl RetryGateService for GateApi {
    type WatchGatesStream = ReceiverStream<Result<WatchGatesResponse, Status>>;

    async fn watch_gates(
        &self,
        _request: Request<WatchGatesRequest>,
    ) -> Result<Response<Self::WatchGatesStream>, Status> {
        let (watcher, stream) = mpsc::channel(WAITING_MAX);
        let telling = self.stop.clone().run_until_cancelled_owned(self.board.clone().tell(watcher));
        tokio::spawn(telling);
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn take_probes(
        &self,
        request: Request<TakeProbesRequest>,
    ) -> Result<Response<TakeProbesResponse>, Status> {
        let TakeProbesRequest { key, wanted } = request.into_inner();
        let route = convert::route(key.unwrap_or_default());
        // What has no breaker goes through.
        if self.ledger.store.breaker(&route).await.map_err(Error::from)?.is_none() {
            return Ok(Response::new(TakeProbesResponse { granted: wanted }));
        }
        let (_, effect) = self.board.act(&route, BreakerEvent::ProbesWanted(wanted)).await?;
        let granted = match effect {
            Some(BreakerEffect::Probes(granted)) => granted,
            Some(BreakerEffect::Opened | BreakerEffect::HalfOpened | BreakerEffect::Closed)
            | None => 0,
        };
        Ok(Response::new(TakeProbesResponse { granted }))
    }
}
