//! `LendingService`: workers of other shards execute tasks of ours.

use planaria_proto::orchestrator::v1::lending_service_server::LendingService;
use planaria_proto::orchestrator::v1::{
    LendSlotsRequest, LendSlotsResponse, OpenLentSessionRequest, OpenLentSessionResponse,
    PullLentRequest, PullLentResponse,
};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use super::Api;
use super::followed::Followed;
use super::route::Streamed;
use super::task::session_id;
use crate::engine::{Command, HANDED_MAX, Handed, Handle};
use crate::error::Error;
use crate::shards::Place;
use crate::store::Shard;

#[tonic::async_trait]
impl LendingService for Api {
    type PullLentStream = Streamed<PullLentResponse>;

    async fn open_lent_session(
        &self,
        request: Request<OpenLentSessionRequest>,
    ) -> Result<Response<OpenLentSessionResponse>, Status> {
        let OpenLentSessionRequest { shard, worker } = request.into_inner();
        let shard = Shard(u16::try_from(shard).unwrap_or(u16::MAX));
        let engine = self.engine_here(shard).await?;
        let request = Box::new(worker.unwrap_or_default());
        let open = |reply| Command::OpenSession { request, is_lent: true, reply };
        let session_id = engine.ask(open).await?.to_string();
        Ok(Response::new(OpenLentSessionResponse { session_id }))
    }

    async fn pull_lent(
        &self,
        request: Request<PullLentRequest>,
    ) -> Result<Response<Self::PullLentStream>, Status> {
        let id = session_id(&request.into_inner().session_id)?;
        let engine = self.engine_here(Shard::of(id)).await?;
        let (sender, handed) = mpsc::channel(HANDED_MAX);
        engine.ask(|reply| Command::Pull(id, sender, reply)).await?;
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let told = move |Handed { assignments, returned, held }| PullLentResponse {
            assignments,
            returned: number(returned),
            held: held.map(number),
        };
        Ok(Response::new(Followed::stream(handed, &self.stop, told)))
    }

    async fn lend_slots(
        &self,
        request: Request<LendSlotsRequest>,
    ) -> Result<Response<LendSlotsResponse>, Status> {
        let LendSlotsRequest { session_id: id, slots } = request.into_inner();
        let id = session_id(&id)?;
        let engine = self.engine_here(Shard::of(id)).await?;
        engine.ask(|reply| Command::Lend(id, slots as usize, reply)).await?;
        Ok(Response::new(LendSlotsResponse {}))
    }
}

impl Api {
    /// The engine of a shard of this process; who asks for another one is told to look again.
    async fn engine_here(&self, shard: Shard) -> Result<Handle, Error> {
        match self.shards.place(shard).await? {
            Place::Here(local) if local.shard == shard => Ok(local.engine),
            Place::Here(_) | Place::There(_) => Err(Error::Moving),
        }
    }
}
