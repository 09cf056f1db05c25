//! Puts the service together.

use std::sync::Arc;
use std::time::Duration;

use planaria_log_tail::{Follower, Pace};
use planaria_proto::orchestrator::v1::Topic;
use planaria_proto::retry::v1::retry_gate_service_server::RetryGateServiceServer;
use planaria_proto::retry::v1::retry_service_server::RetryServiceServer;
use planaria_runtime::{Deps, Service};
use planaria_store::PostgresPlan;
use tonic::service::Routes;
use uuid::Uuid;

use crate::api::Api;
use crate::board::Board;
use crate::config::Config;
use crate::derivation::Derivation;
use crate::derive::Derived;
use crate::error::Error;
use crate::gate_api::GateApi;
use crate::gauges::Gauges;
use crate::hand_off::HandOff;
use crate::ledger::Ledger;
use crate::orchestrator::{ORCHESTRATOR, Orchestrator};
use crate::postgres::PostgresRetryStore;
use crate::reconciler::Reconciler;
use crate::redriver::Redriver;
use crate::sqlite::SqliteRetryStore;
use crate::store::RetryStore;

/// Opens the store and builds the service; nothing runs before the host serves it.
///
/// # Errors
/// The store cannot be opened or read.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let store = store(&config, &deps).await?;
    assemble(config, deps, store).await
}

/// Builds the service on a store.
pub(crate) async fn assemble(
    config: Config,
    deps: Deps,
    store: Arc<dyn RetryStore>,
) -> Result<Service, Error> {
    let mut service = Service::new(crate::NAME);
    let gauges = Gauges::new(&service.metrics);
    let ledger = Ledger::new(store, config.policy.into(), config.rules(), gauges).await?;
    let milliseconds = Duration::from_millis;
    let replicas = config.replicas;
    let board = Board::new(
        ledger.clone(),
        milliseconds(replicas.breakers_poll_ms.max(1)),
        milliseconds(replicas.gates_repeat_ms.max(1)),
    )
    .await?;
    let call_max = milliseconds(config.call_ms_max);
    let orchestrator = Orchestrator::new(&deps.directory, call_max, config.tail.message_bytes_max);

    let readiness = service.health.part("store");
    readiness.set(true);
    tokio::spawn(service.health.clone().follow("store", ledger.store.trouble(), None));
    let derivation = Derivation {
        ledger: ledger.clone(),
        board: board.clone(),
        holder: Uuid::new_v4().to_string(),
        lease_ms: replicas.lease_ms,
        readiness,
        derived: Derived::default(),
    };
    let follower = Follower {
        ledger: derivation,
        channel: deps.directory.channel(ORCHESTRATOR),
        topics: vec![Topic::Attempt, Topic::Fault, Topic::Outcome],
        settings: config.tail.clone(),
        pace: Pace {
            save: milliseconds(config.cursor_save_ms),
            // Three saves in a lease: one may fail, and one may be late.
            idle: milliseconds(replicas.lease_ms / 3),
            standby: milliseconds(replicas.standby_ms),
        },
        changed: Arc::default(),
        failing: false,
    };
    service.spawn("follower", follower.run(deps.stop.clone()));
    service.spawn("breakers", board.clone().run(deps.stop.clone()));
    let hand_off = HandOff {
        ledger: ledger.clone(),
        orchestrator: orchestrator.clone(),
        config: config.hand_off.clone(),
    };
    service.spawn("hand-off", hand_off.run(deps.stop.clone()));
    let reconciler = Reconciler {
        ledger: ledger.clone(),
        orchestrator: orchestrator.clone(),
        config: config.reconcile.clone(),
        retention: config.retention.clone(),
    };
    service.spawn("reconciler", reconciler.run(deps.stop.clone()));
    let redriver = Redriver {
        ledger: ledger.clone(),
        orchestrator: orchestrator.clone(),
        config: config.redrive,
    };
    service.spawn("redriver", redriver.run(deps.stop.clone()));
    let gates = GateApi { ledger: ledger.clone(), board: board.clone(), stop: deps.stop };
    let api = Api { ledger, board, orchestrator, config };
    service.routes =
        Routes::new(RetryServiceServer::new(api)).add_service(RetryGateServiceServer::new(gates));
    Ok(service)
}

/// The database that the settings name, or a file.
async fn store(config: &Config, deps: &Deps) -> Result<Arc<dyn RetryStore>, Error> {
    if !deps.store.is_postgres() {
        let path = deps.data_dir.join(format!("{}.db", crate::NAME));
        return Ok(Arc::new(SqliteRetryStore::open(&path, &config.store).await?));
    }
    let plan = PostgresPlan {
        url: deps.store.url.clone(),
        connections_max: deps.store.connections_max,
        connect_ms_max: deps.store.connect_ms_max,
        statement_ms_max: deps.store.statement_ms_max,
        migrate: deps.store.migrate,
    };
    Ok(Arc::new(PostgresRetryStore::open(&plan).await?))
}
