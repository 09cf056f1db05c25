//! Puts the gateway together.

use std::sync::Arc;

use planaria_runtime::service::Deps;
use planaria_runtime::{Health, Metrics};

use planaria_store::PostgresPlan;

use crate::access::{Access, KeyStore, PostgresKeyStore, Ring, SqliteKeyStore};
use crate::dashboard::Dashboard;
use crate::handler::Gateway;
use crate::server::Door;
use crate::{Config, Error, NAME};

/// Builds the gateway, with the dashboard that the binary has.
///
/// # Errors
/// See [`build_with`].
pub async fn build(config: Config, deps: Deps) -> Result<Door, Error> {
    build_with(config, deps, Dashboard::built_in()).await
}

/// Opens the store and builds the gateway. It is served by [`Door::serve`] instead of the runtime's
/// server, because it speaks HTTP/1.1 too, and must tell the end of a client from its own.
///
/// # Errors
/// The settings contradict each other, or the store cannot be opened or read.
pub async fn build_with(config: Config, deps: Deps, dashboard: Dashboard) -> Result<Door, Error> {
    config.validate().map_err(Error::Settings)?;
    let (metrics, health) = (Metrics::new(NAME), Health::default());
    let store = store(&config, &deps).await?;
    // Keys that are known stay good without the store: the gateway stays ready.
    tokio::spawn(health.clone().follow("store", store.trouble(), None));
    let ring = Arc::new(Ring::open(store, &config, &deps.secret).await?);
    if config.authentication && config.admin_key.is_empty() && ring.is_empty() {
        tracing::warn!(
            "there is no API key yet, so nobody can call: set `admin_key` in [gateway] and make \
             one with `planaria api-key create`"
        );
    }
    let access = Access::new(&config, &deps.secret, ring);
    let observed = (&metrics, deps.tracer);
    let (gateway, reporter) =
        Gateway::new(config, deps.directory, access, observed, health.clone(), dashboard)?;
    Ok(Door { metrics, health, gateway: Arc::new(gateway), reporter, stop: deps.stop })
}

async fn store(config: &Config, deps: &Deps) -> Result<Arc<dyn KeyStore>, Error> {
    if !deps.store.is_postgres() {
        let path = deps.data_dir.join(format!("{NAME}.db"));
        return Ok(Arc::new(SqliteKeyStore::open(&path, &config.store).await?));
    }
    let plan = PostgresPlan {
        url: deps.store.url.clone(),
        connections_max: deps.store.connections_max,
        connect_ms_max: deps.store.connect_ms_max,
        statement_ms_max: deps.store.statement_ms_max,
        migrate: deps.store.migrate,
    };
    Ok(Arc::new(PostgresKeyStore::open(&plan).await?))
}
