//! Puts the service together.

use std::sync::Arc;
use std::time::Duration;

use planaria_log_tail::{LogTail, Start};
use planaria_proto::orchestrator::v1::Topic;
use planaria_proto::retry::v1::retry_service_server::RetryServiceServer;
use planaria_runtime::{Deps, Service};
use planaria_store::PostgresPlan;
use tonic::service::Routes;

use crate::api::Api;
use crate::config::Config;
use crate::error::Error;
use crate::follower::Follower;
use crate::gauges::Gauges;
use crate::hand_off::HandOff;
use crate::ledger::Ledger;
use crate::orchestrator::{ORCHESTRATOR, Orchestrator};
use crate::postgres::PostgresRetryStore;
use crate::reconciler::Reconciler;
use crate::sqlite::SqliteRetryStore;
use crate::store::RetryStore;

/// Opens the store and builds the service; nothing runs before the host serves it.
///
/// # Errors
/// The store cannot be opened or read.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let mut service = Service::new(crate::NAME);
    let store = store(&config, &deps).await?;
    let gauges = Gauges::new(&service.metrics);
    let ledger = Ledger::new(store, config.policy.into(), gauges).await?;
    let orchestrator = Orchestrator::new(
        &deps.directory,
        Duration::from_millis(config.call_ms_max),
        config.tail.message_bytes_max,
    );

    let start = ledger.store.position().await?.map_or(Start::Oldest, Start::After);
    let topics = [Topic::Attempt, Topic::Fault];
    let channel = deps.directory.channel(ORCHESTRATOR);
    let readiness = service.health.part("store");
    readiness.set(true);
    let follower = Follower {
        ledger: ledger.clone(),
        tail: LogTail::new(channel, &topics, start, config.tail.clone()),
        save_after: Duration::from_millis(config.cursor_save_ms),
        readiness,
    };
    service.spawn("follower", follower.run(deps.stop.clone()));
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
    service.spawn("reconciler", reconciler.run(deps.stop));
    service.routes = Routes::new(RetryServiceServer::new(Api { ledger, orchestrator, config }));
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
