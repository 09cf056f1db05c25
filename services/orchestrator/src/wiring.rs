//! How the orchestrator is put together.

use std::sync::Arc;
use std::time::Duration;

use planaria_dsl::{ExpressionPool, PoolConfig};
use planaria_proto::failure_detector::v1::ForgetSessionRequest;
use planaria_proto::failure_detector::v1::evidence_service_client::EvidenceServiceClient;
use planaria_proto::orchestrator::v1::orchestrator_service_server::OrchestratorServiceServer;
use planaria_proto::task::v1::task_service_server::TaskServiceServer;
use planaria_proto::workflow::v1::definition_service_server::DefinitionServiceServer;
use planaria_proto::workflow::v1::workflow_service_server::WorkflowServiceServer;
use planaria_runtime::{Deps, Directory, Service};
use planaria_store::PostgresPlan;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::route::Peers;
use crate::api::{Api, MESSAGE_BYTES_MAX};
use crate::config::Config;
use crate::definitions::Definitions;
use crate::engine::{Command, Parts};
use crate::error::Error;
use crate::gates::Gates;
use crate::meters::Meters;
use crate::shards::{Keeper, Shards, Workshop};
use crate::store::{
    Holder, PostgresShardRegistry, Shard, ShardRegistry, SqliteShardRegistry,
};
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
    let shards = Shards::new(Duration::from_millis(config.shard_wait_ms_max));
    let definitions = Arc::new(Definitions::new(store.clone(), config.document_bytes_max));
    let tokens = Tokens::new(&store.token_secret().await?);
    let gates = Gates::default();
    let (requests, under_way) = mpsc::channel(1);
    let (ended_sessions, ended) = mpsc::unbounded_channel();
    let shop = Shop {
        registry: registry.clone(),
        config: config.clone(),
        definitions: definitions.clone(),
        tokens: tokens.clone(),
        expressions: expressions()?,
        gates: gates.clone(),
        meters: Meters::new(&service.metrics),
        ended_sessions,
    };
    let api = Api {
        config: config.clone(),
        store,
        definitions,
        registry: registry.clone(),
        shards: shards.clone(),
        peers: Peers::new(deps.directory.clone()),
        tokens,
        address: deps.address.clone(),
        tracer: deps.tracer.clone(),
        stop: deps.stop.clone(),
        _requests: requests,
    };
    add_routes(&mut service, &api);
    let holder = Holder { id: Uuid::now_v7().to_string(), address: deps.address.clone() };
    let readiness = service.health.part("shard");
    let keeper = Keeper::new(registry, shards.clone(), holder, config, shop.open(), readiness);
    service.spawn("engines", keeper.run(deps.stop.clone(), under_way));
    service.spawn("gates", gates.clone().follow(deps.directory.clone(), deps.stop.clone()));
    service.spawn("freed", look_when_freed(gates, shards.clone(), deps.stop.clone()));
    service.spawn("forget-sessions", forget_sessions(ended, deps.directory, deps.stop));
    Ok(service)
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
    meters: Meters,
    ended_sessions: mpsc::UnboundedSender<(Uuid, bool)>,
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
            meters: self.meters.clone(),
            ended_sessions: self.ended_sessions.clone(),
        })
    }
}

fn add_routes(service: &mut Service, api: &Api) {
    let most = MESSAGE_BYTES_MAX;
    let definitions = DefinitionServiceServer::new(api.clone()).max_decoding_message_size(most);
    let workflows = WorkflowServiceServer::new(api.clone()).max_decoding_message_size(most);
    let tasks = TaskServiceServer::new(api.clone()).max_decoding_message_size(most);
    let internal = OrchestratorServiceServer::new(api.clone()).max_decoding_message_size(most);
    let routes = std::mem::take(&mut service.routes);
    service.routes = routes
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

/// Tells the failure detector which sessions are over. If it does not hear it, it learns with the
/// next observation.
async fn forget_sessions(
    mut ended: mpsc::UnboundedReceiver<(Uuid, bool)>,
    directory: Directory,
    stop: CancellationToken,
) {
    let mut client = EvidenceServiceClient::new(directory.channel("failure-detector"));
    loop {
        let (session, left) = tokio::select! {
            ended = ended.recv() => match ended {
                Some(ended) => ended,
                None => return,
            },
            () = stop.cancelled() => return,
        };
        let request = ForgetSessionRequest { session_id: session.to_string(), left };
        let mut request = tonic::Request::new(request);
        request.set_timeout(Duration::from_secs(1));
        if let Err(status) = client.forget_session(request).await {
            tracing::debug!(%session, %status, "the failure detector was not told");
        }
    }
}
