//! Puts the service together.

use std::sync::Arc;
use std::time::Duration;

use planaria_log_tail::{LogTail, Start};
use planaria_proto::monitoring::v1::monitoring_service_server::MonitoringServiceServer;
use planaria_proto::orchestrator::v1::Topic;
use planaria_runtime::{Deps, Service};
use tonic::service::Routes;

use crate::api::Api;
use crate::config::Config;
use crate::error::Error;
use crate::follower::Follower;
use crate::gauges::Gauges;
use crate::healings::Healings;
use crate::health::HealthWatch;
use crate::overview::Overviews;
use crate::sqlite::SqliteHealingStore;
use crate::statistics::Statistics;
use crate::store::HealingStore;

/// Opens the store and builds the service; nothing runs before the host serves it.
///
/// # Errors
/// The store cannot be opened or read.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let mut service = Service::new(crate::NAME);
    let Deps { directory, data_dir, stop, .. } = deps;
    let path = data_dir.join(format!("{}.db", crate::NAME));
    let store = Arc::new(SqliteHealingStore::open(&path, &config.store).await?);
    let start = store.position().await?.map_or(Start::Oldest, Start::After);
    let gauges = Gauges::new(&service.metrics);
    let milliseconds = Duration::from_millis;

    let healings = Healings::new(store, gauges.clone(), config.watch_backlog_max);
    let channel = directory.channel("orchestrator");
    let readiness = service.health.part("store");
    readiness.set(true);
    let follower = Follower {
        healings: healings.clone(),
        tail: LogTail::new(channel, &[Topic::Healing], start, config.tail.clone()),
        save_after: milliseconds(config.cursor_save_ms),
        retention: config.retention.clone(),
        gauges: gauges.clone(),
        readiness,
    };
    service.spawn("follower", follower.run(stop.clone()));

    let deadline = milliseconds(config.call_ms_max);
    let statistics = Statistics::new(&directory, deadline, config.rate_window_ms);
    let every = milliseconds(config.statistics_interval_ms);
    service.spawn("statistics", statistics.clone().run(every, stop.clone()));

    let deadline = milliseconds(config.check_ms_max);
    let health = HealthWatch::new(directory, &config.services, deadline, gauges);
    let every = milliseconds(config.check_interval_ms);
    service.spawn("health", health.clone().run(every, stop.clone()));

    let overviews = Overviews { health, statistics, healings, config };
    service.routes = Routes::new(MonitoringServiceServer::new(Api { overviews, stop }));
    Ok(service)
}
