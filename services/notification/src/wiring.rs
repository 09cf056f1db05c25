//! Puts the service together.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use planaria_log_tail::{Follower, Pace};
use planaria_proto::notification::v1::notification_service_server::NotificationServiceServer;
use planaria_runtime::{Deps, Service, ServiceChannel, StoreSettings};
use planaria_store::PostgresPlan;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::api::Api;
use crate::config::{Config, WebhookConfig};
use crate::deriver::Deriver;
use crate::error::Error;
use crate::gauges::Gauges;
use crate::housekeeping;
use crate::post::Poster;
use crate::postgres::PostgresWebhookStore;
use crate::sender::Sender;
use crate::shared_tail::SharedTail;
use crate::sqlite::SqliteWebhookStore;
use crate::store::WebhookStore;
use crate::subscription::Source;
use crate::tasks::Tasks;
use crate::webhooks::Webhooks;

/// Opens the store and builds the service; nothing runs before the host serves it.
///
/// # Errors
/// The store cannot be opened.
pub async fn build(config: Config, deps: Deps) -> Result<Service, Error> {
    let mut service = Service::new(crate::NAME);
    let Deps { directory, data_dir, stop, store: settings, .. } = deps;
    let store = open(&config, &data_dir, &settings).await?;
    let gauges = Gauges::new(&service.metrics);
    let channel = directory.channel("orchestrator");
    let shared = SharedTail::new(channel.clone(), &config);
    service.spawn("tail", shared.clone().run(stop.clone()));
    let tasks = Tasks::new(&directory, &config, gauges.clone());
    let parts = Parts { store, shared: shared.clone(), channel: channel.clone(), tasks, gauges };
    let webhooks = webhooks(&mut service, &config, &parts, &stop);
    let message_bytes_max = config.tail.message_bytes_max;
    let api = Api {
        shared,
        source: Source { channel, settings: config.tail.clone() },
        tasks: parts.tasks,
        webhooks,
        gauges: parts.gauges,
        seats: Arc::new(Semaphore::new(config.subscribers_max.min(Semaphore::MAX_PERMITS))),
        config,
        stop,
    };
    let server = NotificationServiceServer::new(api);
    service.routes = Routes::new(server.max_encoding_message_size(message_bytes_max));
    Ok(service)
}

/// What webhooks are built of.
struct Parts {
    store: Arc<dyn WebhookStore>,
    shared: SharedTail,
    channel: ServiceChannel,
    tasks: Tasks,
    gauges: Gauges,
}

/// Three loops: the log becomes deliveries, deliveries are posted, old ones are cleared away.
fn webhooks(
    service: &mut Service,
    config: &Config,
    parts: &Parts,
    stop: &CancellationToken,
) -> Webhooks {
    let (changed, due) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let readiness = service.health.part("store");
    readiness.set(true);
    tokio::spawn(service.health.clone().follow("store", parts.store.trouble(), None));
    let follower = Follower {
        ledger: Deriver::new(
            Arc::clone(&parts.store),
            config.webhooks.lease_ms,
            parts.tasks.clone(),
            Arc::clone(&due),
            (parts.gauges.clone(), readiness),
        ),
        channel: parts.channel.clone(),
        topics: Vec::new(),
        settings: config.tail.clone(),
        pace: pace(&config.webhooks),
        changed: Arc::clone(&changed),
        failing: false,
    };
    service.spawn("deriver", follower.run(stop.clone()));
    let (store, poster) = (Arc::clone(&parts.store), Poster::new(&config.webhooks));
    let config = Arc::new(config.webhooks.clone());
    let sender = Sender {
        store: Arc::clone(&store),
        poster: poster.clone(),
        config: Arc::clone(&config),
        due: Arc::clone(&due),
        gauges: parts.gauges.clone(),
    };
    service.spawn("sender", sender.run(stop.clone()));
    let keeping = housekeeping::run(Arc::clone(&store), Arc::clone(&config), stop.clone());
    service.spawn("housekeeping", keeping);
    Webhooks { store, shared: parts.shared.clone(), poster, config, changed, due }
}

async fn open(
    config: &Config,
    data_dir: &Path,
    settings: &StoreSettings,
) -> Result<Arc<dyn WebhookStore>, Error> {
    if settings.is_postgres() {
        let plan = PostgresPlan {
            url: settings.url.clone(),
            connections_max: settings.connections_max,
            connect_ms_max: settings.connect_ms_max,
            statement_ms_max: settings.statement_ms_max,
            migrate: settings.migrate,
        };
        return Ok(Arc::new(PostgresWebhookStore::open(&plan).await?));
    }
    let path = data_dir.join(format!("{}.db", crate::NAME));
    Ok(Arc::new(SqliteWebhookStore::open(&path, &config.store).await?))
}

/// The lease is renewed three times before it ends.
fn pace(config: &WebhookConfig) -> Pace {
    let beat = Duration::from_millis((config.lease_ms / 3).max(1));
    Pace { save: Duration::from_millis(config.save_ms), idle: beat, standby: beat }
}
