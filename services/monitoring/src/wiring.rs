//! Puts the service together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use planaria_log_tail::{Follower, Pace};
use planaria_proto::monitoring::v1::monitoring_service_server::MonitoringServiceServer;
use planaria_proto::orchestrator::v1::Topic;
use planaria_runtime::{Deps, Service, StoreSettings};
use planaria_store::PostgresPlan;
use planaria_telemetry::Tracer;
use tonic::service::Routes;

use crate::api::Api;
use crate::config::Config;
use crate::error::Error;
use crate::gauges::Gauges;
use crate::healings::Healings;
use crate::health::HealthWatch;
use crate::ledger::MonitoringLedger;
use crate::overview::Overviews;
use crate::postgres::PostgresMonitoringStore;
use crate::retention;
use crate::series::SeriesReader;
use crate::service_level::ServiceLevel;
use crate::sqlite::SqliteMonitoringStore;
use crate::statistics::Statistics;
use crate::store::MonitoringStore;
use crate::traces::{Traces, TracingLedger};

/// What is read of the log: outcomes suffice to count, spans need all of tasks.
const COUNTED: [Topic; 4] = [Topic::Workflow, Topic::Outcome, Topic::Attempt, Topic::Healing];
const TRACED: [Topic; 4] = [Topic::Workflow, Topic::Task, Topic::Attempt, Topic::Healing];

/// Opens the store and builds the service; nothing runs before the host serves it.
///
/// # Errors
/// The store cannot be opened or read.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let mut service = Service::new(crate::NAME);
    let Deps { directory, data_dir, stop, store: settings, tracer, .. } = deps;
    let store = open(&config, &data_dir, &settings).await?;
    let gauges = Gauges::new(&service.metrics);
    let milliseconds = Duration::from_millis;

    let deadline = milliseconds(config.call_ms_max);
    let statistics = Statistics::new(&directory, deadline, config.rate_window_ms);
    let every = milliseconds(config.statistics_interval_ms);
    service.spawn("statistics", statistics.clone().run(every, stop.clone()));

    let healings = Healings::new(Arc::clone(&store), milliseconds(config.watch_look_ms));
    let readiness = service.health.part("store");
    readiness.set(true);
    tokio::spawn(service.health.clone().follow("store", store.trouble(), None));
    let ledger = MonitoringLedger::new(
        Arc::clone(&store),
        config.lease_ms,
        statistics.clone(),
        healings.clone(),
        (gauges.clone(), readiness),
    );
    // These spans tell what the orchestrators did.
    let channel = directory.channel("orchestrator");
    let tracer = Some(tracer.for_service("planaria-orchestrator")).filter(Tracer::is_on);
    let traces = tracer.map(|tracer| Traces::new(tracer, channel.clone()));
    let topics = if traces.is_some() { TRACED } else { COUNTED };
    let follower = Follower {
        ledger: TracingLedger::new(ledger, traces),
        channel,
        topics: topics.to_vec(),
        settings: config.tail.clone(),
        pace: pace(&config),
        changed: Arc::default(),
        failing: false,
    };
    service.spawn("follower", follower.run(stop.clone()));
    let clearing = retention::run(Arc::clone(&store), config.retention.clone(), stop.clone());
    service.spawn("retention", clearing);

    let deadline = milliseconds(config.check_ms_max);
    let health = HealthWatch::new(directory, &config.services, deadline, gauges);
    let every = milliseconds(config.check_interval_ms);
    service.spawn("health", health.clone().run(every, stop.clone()));

    let service_level = ServiceLevel::new(Arc::clone(&store), config.objective.clone());
    let overviews = Overviews { health, statistics, healings, service_level, config };
    let api = Api { overviews, series: SeriesReader::new(store), stop };
    service.routes = Routes::new(MonitoringServiceServer::new(api));
    Ok(service)
}

async fn open(
    config: &Config,
    data_dir: &Path,
    settings: &StoreSettings,
) -> Result<Arc<dyn MonitoringStore>, Error> {
    if settings.is_postgres() {
        let plan = PostgresPlan {
            url: settings.url.clone(),
            connections_max: settings.connections_max,
            connect_ms_max: settings.connect_ms_max,
            statement_ms_max: settings.statement_ms_max,
            migrate: settings.migrate,
        };
        return Ok(Arc::new(PostgresMonitoringStore::open(&plan).await?));
    }
    let path = data_dir.join(format!("{}.db", crate::NAME));
    Ok(Arc::new(SqliteMonitoringStore::open(&path, &config.store).await?))
}

/// The lease is renewed three times before it ends.
fn pace(config: &Config) -> Pace {
    let beat = Duration::from_millis((config.lease_ms / 3).max(1));
    let idle = beat.min(Duration::from_millis(config.statistics_interval_ms.max(1)));
    Pace { save: Duration::from_millis(config.save_ms), idle, standby: beat }
}
