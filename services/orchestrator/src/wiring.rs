//! How the orchestrator is put together.

use std::sync::Arc;
use std::time::Duration;

use planaria_bus::EventBus;
use planaria_dsl::{ExpressionPool, PoolConfig};
use planaria_kernel::workflow::LossCause;
use planaria_proto::failure_detector::v1::ForgetSessionRequest;
use planaria_proto::failure_detector::v1::evidence_service_client::EvidenceServiceClient;
use planaria_proto::flow::v1::flow_service_server::FlowServiceServer;
use planaria_proto::orchestrator::v1::lending_service_server::LendingServiceServer;
use planaria_proto::orchestrator::v1::orchestrator_service_server::OrchestratorServiceServer;
use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;
use planaria_proto::task::v1::task_service_server::TaskServiceServer;
use planaria_proto::workflow::v1::definition_service_server::DefinitionServiceServer;
use planaria_proto::workflow::v1::workflow_service_server::WorkflowServiceServer;
use planaria_runtime::{Deps, Directory, Service};
use planaria_store::PostgresPlan;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::route::Peers;
use crate::api::{Api, Intake, MESSAGE_BYTES_MAX};
use crate::config::Config;
use crate::convert::attempt::signal;
use crate::convert::timestamp;
use crate::definitions::Definitions;
use crate::emitted::EmittedEvents;
use crate::engine::{Command, EndedSession, Parts};
use crate::error::Error;
use crate::gates::Gates;
use crate::lending::{Lender, Lent, NeedyShards};
use crate::limits::Limits;
use crate::meters::Meters;
use crate::shards::{Keeper, Shards, Workshop};
use crate::store::{Holder, PostgresShardRegistry, Shard, ShardRegistry, SqliteShardRegistry};
use crate::token::Tokens;

/// Builds the service.
///
/// # Errors
/// If the store cannot be opened, or the program cannot be found that evaluates expressions.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let registry = registry(&deps).await?;
    // What is everybody's is the same in every shard.
    let store = registry.store(Shard::default(), 0);
    let mut service = Service::new(crate::NAME);
    let wait = Duration::from_millis(config.shard_wait_ms_max);
    let shards = Shards::new(wait, registry.is_shared());
    let definitions = Arc::new(Definitions::new(store.clone(), config.document_bytes_max));
    let tokens = Tokens::new(&store.token_secret().await?);
    let gates = Gates::default();
    let limits = Limits::open(registry.clone().limits()).await?;
    let (requests, under_way) = mpsc::channel(1);
    let (ended_sessions, ended) = mpsc::channel(config.sessions_max.max(1));
    let (waits, (emitted, events)) = (NeedyShards::default(), EmittedEvents::channel());
    let shop = Shop {
        registry: registry.clone(),
        config: config.clone(),
        definitions: definitions.clone(),
        tokens: tokens.clone(),
        expressions: expressions()?,
        gates: gates.clone(),
        limits: limits.clone(),
        meters: Meters::new(&service.metrics),
        ended_sessions,
        waits: waits.clone(),
        emitted,
    };
    let api = Api {
        intake: Intake::new(config.starts_bytes_max),
        config: config.clone(),
        store,
        definitions,
        registry: registry.clone(),
        shards: shards.clone(),
        peers: Peers::new(deps.directory.clone()),
        lent: Lent::default(),
        limits: limits.clone(),
        tokens,
        address: deps.address.clone(),
        tracer: deps.tracer.clone(),
        stop: deps.stop.clone(),
        _requests: Some(requests),
    };
    let bus = planaria_bus::open(&deps.bus)?;
    bus.counters().register(&service.metrics);
    let lender = lender(&api, bus.clone());
    follow_troubles(&service, registry.as_ref(), bus.as_ref());
    let peers = api.peers.clone();
    let after = Aftermath { directory: deps.directory.clone(), api: api.without_requests() };
    add_routes(&mut service, &api);
    let holder = Holder { id: Uuid::now_v7().to_string(), address: deps.address.clone() };
    let readiness = service.health.part("shard");
    let keeper =
        Keeper::new(registry.clone(), shards.clone(), holder, config, shop.open(), readiness);
    service.spawn("engines", keeper.run(deps.stop.clone(), under_way));
    service.spawn("gates", gates.clone().follow(deps.directory.clone(), deps.stop.clone()));
    service.spawn("limits", limits.follow(shards.clone(), deps.stop.clone()));
    service.spawn("freed", look_when_freed(gates, shards.clone(), deps.stop.clone()));
    if registry.is_shared() {
        let (shards, stop) = (shards.clone(), deps.stop.clone());
        service.spawn("emitted", crate::emitted::tell(shards, peers, events, stop));
        service.spawn("lender", lender.run(waits, deps.stop.clone()));
    }
    service.spawn("ended-sessions", after.run(ended, deps.stop));
    Ok(service)
}

/// What lends the workers of this process to other shards.
fn lender(api: &Api, bus: Arc<dyn EventBus>) -> Lender {
    Lender {
        shards: api.shards.clone(),
        peers: api.peers.clone(),
        lent: api.lent.clone(),
        bus,
        address: api.address.clone(),
        turn: Arc::default(),
    }
}

/// Without its store the orchestrator can do nothing, without the bus all of it, later.
fn follow_troubles(service: &Service, registry: &dyn ShardRegistry, bus: &dyn EventBus) {
    let health = &service.health;
    let store = health.part("store");
    store.set(true);
    tokio::spawn(health.clone().follow("store", registry.trouble(), Some(store)));
    tokio::spawn(health.clone().follow("bus", planaria_bus::trouble(bus), None));
}

/// Where the shards are kept: in the database that the settings name, or in a file.
async fn registry(deps: &Deps) -> Result<Arc<dyn ShardRegistry>, Error> {
    if !deps.store.is_postgres() {
        let path = deps.data_dir.join("orchestrator.db");
        return Ok(Arc::new(SqliteShardRegistry::open(&path).await?));
    }
    let plan = PostgresPlan {
        url: deps.store.url.clone(),
        connections_max: deps.store.connections_max,
        connect_ms_max: deps.store.connect_ms_max,
        statement_ms_max: deps.store.statement_ms_max,
        migrate: deps.store.migrate,
    };
    Ok(Arc::new(PostgresShardRegistry::open(&plan).await?))
}

fn expressions() -> Result<Arc<ExpressionPool>, Error> {
    let pool = PoolConfig::of_this_program().map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(Arc::new(ExpressionPool::new(pool)))
}

/// What the engines of this process share.
struct Shop {
    registry: Arc<dyn ShardRegistry>,
    config: Config,
    definitions: Arc<Definitions>,
    tokens: Tokens,
    expressions: Arc<ExpressionPool>,
    gates: Gates,
    limits: Limits,
    meters: Meters,
    ended_sessions: mpsc::Sender<EndedSession>,
    waits: NeedyShards,
    emitted: EmittedEvents,
}

impl Shop {
    /// Makes engines out of it.
    fn open(self) -> Workshop {
        Box::new(move |row, tail| Parts {
            shard: row.shard,
            config: self.config.clone(),
            store: self.registry.store(row.shard, row.log),
            definitions: self.definitions.clone(),
            tokens: self.tokens.clone(),
            tail: tail.clone(),
            expressions: self.expressions.clone(),
            gates: self.gates.clone(),
            limits: self.limits.clone(),
            meters: self.meters.clone(),
            ended_sessions: self.ended_sessions.clone(),
            waits: self.waits.clone(),
            emitted: self.emitted.clone(),
        })
    }
}

fn add_routes(service: &mut Service, api: &Api) {
    let most = MESSAGE_BYTES_MAX;
    let definitions = DefinitionServiceServer::new(api.clone()).max_decoding_message_size(most);
    let workflows = WorkflowServiceServer::new(api.clone()).max_decoding_message_size(most);
    let tasks = TaskServiceServer::new(api.clone()).max_decoding_message_size(most);
    let internal = OrchestratorServiceServer::new(api.clone()).max_decoding_message_size(most);
    let flow = FlowServiceServer::new(api.clone()).max_decoding_message_size(most);
    let lending = LendingServiceServer::new(api.clone()).max_decoding_message_size(most);
    let routes = std::mem::take(&mut service.routes);
    service.routes = routes
        .add_service(lending)
        .add_service(flow)
        .add_service(definitions)
        .add_service(workflows)
        .add_service(tasks)
        .add_service(internal);
}

/// Has the engines look at what waits, whenever the retry engine lets something through again.
async fn look_when_freed(gates: Gates, shards: Shards, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = gates.freed() => {}
            () = stop.cancelled() => return,
        }
        for local in shards.here() {
            // An engine that ends has nothing to hand out.
            drop(local.engine.send(Command::Look).await);
        }
    }
}

/// What is to be done when a session is over.
struct Aftermath {
    directory: Directory,
    api: Api,
}

impl Aftermath {
    async fn run(self, mut ended: mpsc::Receiver<EndedSession>, stop: CancellationToken) {
        loop {
            let session = tokio::select! {
                ended = ended.recv() => match ended {
                    Some(ended) => ended,
                    None => return,
                },
                () = stop.cancelled() => return,
            };
            tokio::join!(self.forget(&session), self.end_lent(&session));
        }
    }

    /// Tells every failure detector. If one does not hear it, it learns with its next observation.
    async fn forget(&self, session: &EndedSession) {
        let left = session.cause == LossCause::Drained;
        for replica in self.directory.replicas("failure-detector").await {
            let request = ForgetSessionRequest { session_id: session.id.to_string(), left };
            let mut request = tonic::Request::new(request);
            request.set_timeout(CALL);
            let mut client = EvidenceServiceClient::new(replica.channel);
            if let Ok(Err(status)) =
                tokio::time::timeout(CALL, client.forget_session(request)).await
            {
                tracing::debug!(session = %session.id, %status, "a failure detector was not told");
            }
        }
    }

    /// What the worker had of other shards is lost with it. If they cannot be told, the lease of
    /// its lent session tells them.
    async fn end_lent(&self, session: &EndedSession) {
        let lent = self.api.lent.of(session.id).into_iter();
        let verdicts: Vec<Verdict> = lent
            .map(|(_, lent)| Verdict {
                session_id: lent.to_string(),
                signal: signal(session.cause).into(),
                signal_at: Some(timestamp(session.signal_at_ms)),
                detail: session.detail.clone(),
                ..Verdict::default()
            })
            .collect();
        if verdicts.is_empty() {
            return;
        }
        if let Err(status) = self.api.pronounce_all(tonic::Request::new(verdicts)).await {
            tracing::debug!(session = %session.id, %status, "other shards were not told");
        }
    }
}

/// A call about a session that is over.
const CALL: Duration = Duration::from_secs(1);
