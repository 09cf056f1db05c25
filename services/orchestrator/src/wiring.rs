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
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::Api;
use crate::config::Config;
use crate::definitions::Definitions;
use crate::engine::{self, Handle, Parts};
use crate::error::Error;
use crate::log::LogTail;
use crate::meters::Meters;
use crate::store::{Holder, ShardRegistry, SqliteShardRegistry};
use crate::token::Tokens;

/// Largest message between services of the mesh: a batch of payloads.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Builds the service.
///
/// # Errors
/// If the store cannot be opened, or the program cannot be found that evaluates expressions.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let internal = |error: planaria_store::Error| Error::Internal(Box::new(error));
    let path = deps.data_dir.join("orchestrator.db");
    let registry = SqliteShardRegistry::open(&path).await.map_err(internal)?;
    let holder = Holder { id: Uuid::now_v7().to_string(), address: String::new() };
    let held = registry.create(&holder).await?.ok_or(Error::Unavailable)?;
    let store = registry.store(held.shard, held.log);
    let definitions = Arc::new(Definitions::new(store.clone(), config.document_bytes_max));
    let tokens = Tokens::new(&store.token_secret().await?);
    let tail = LogTail::new(store.clone(), config.log_tail_max);
    let pool = PoolConfig::of_this_program().map_err(|error| Error::Internal(Box::new(error)))?;
    let mut service = Service::new(crate::NAME);
    let (commands, received) = mpsc::channel(config.commands_max);
    let (ended_sessions, ended) = mpsc::unbounded_channel();
    let parts = Parts {
        config: config.clone(),
        store: store.clone(),
        definitions: definitions.clone(),
        tokens: tokens.clone(),
        tail: tail.clone(),
        expressions: Arc::new(ExpressionPool::new(pool)),
        meters: Meters::new(&service.metrics),
        ended_sessions,
    };
    let api = Api {
        config,
        store,
        definitions,
        engine: Handle::new(commands),
        tokens,
        tail,
        directory: deps.directory.clone(),
        stop: deps.stop.clone(),
    };
    add_routes(&mut service, &api);
    let stop = deps.stop.clone();
    service.spawn("engine", engine::run(parts, received, stop));
    service.spawn("forget-sessions", forget_sessions(ended, deps.directory, deps.stop));
    Ok(service)
}

fn add_routes(service: &mut Service, api: &Api) {
    let routes = std::mem::take(&mut service.routes);
    service.routes = routes
        .add_service(
            DefinitionServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            WorkflowServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            TaskServiceServer::new(api.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            OrchestratorServiceServer::new(api.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        );
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
