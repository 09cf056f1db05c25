//! Puts the gateway together.

use std::sync::Arc;

use planaria_runtime::service::Deps;
use planaria_runtime::{Health, Metrics};

use crate::handler::Gateway;
use crate::server::Door;
use crate::{Config, Error, NAME};

/// Builds the gateway. It is served by [`Door::serve`] instead of the runtime's server, because
/// it speaks HTTP/1.1 too, and must tell the end of a client from its own.
///
/// # Errors
/// The settings contradict each other.
pub fn build(config: Config, deps: Deps) -> Result<Door, Error> {
    config.validate().map_err(Error::Settings)?;
    let (metrics, health) = (Metrics::new(NAME), Health::default());
    let (gateway, reporter) = Gateway::new(config, &deps, &metrics, health.clone())?;
    Ok(Door { metrics, health, gateway: Arc::new(gateway), reporter, stop: deps.stop })
}
