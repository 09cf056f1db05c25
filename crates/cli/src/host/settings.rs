//! The settings of a hosting process: those of the services are their own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use planaria_runtime::config::Source;
use planaria_runtime::telemetry::Telemetry;
use planaria_runtime::{
    BusSettings, ClientLimits, Deps, Directory, MeshSettings, Secret, ServerLimits, StoreSettings,
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::services::SERVICES;
use crate::Error;

/// Sections that belong to the process.
const SECTIONS: [&str; 7] = ["bus", "client", "directory", "mesh", "server", "store", "telemetry"];

/// Where a service listens: `http://host:port`, or a list of such.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Addresses {
    One(String),
    Many(Vec<String>),
}

/// Everything that is not a service's own.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Settings {
    /// Where the services listen; those that are not named have their default ports on loopback.
    directory: BTreeMap<String, Addresses>,
    /// The limits of the listeners between services.
    pub(super) server: ServerLimits,
    /// The limits of the connections between services.
    client: ClientLimits,
    pub(super) telemetry: Telemetry,
    /// Where the services keep what they own.
    pub(super) store: StoreSettings,
    /// Where the bus is.
    bus: BusSettings,
    /// What proves who calls, inside the mesh.
    mesh: MeshSettings,
}

impl Settings {
    /// Reads them; refuses sections and services that nobody knows.
    pub(super) fn read(source: &Source) -> Result<Self, Error> {
        let services = SERVICES.iter().map(|entry| entry.name);
        let known: Vec<_> = services.chain(SECTIONS).collect();
        source.check_sections(&known)?;
        let directory: BTreeMap<String, Addresses> = source.section("directory")?;
        for name in directory.keys() {
            super::services::find(&name.replace('_', "-")).map_err(|known| {
                Error::input(format!("[directory] names `{name}`, which is no service"), known)
            })?;
        }
        Ok(Self {
            directory,
            server: source.section("server")?,
            client: source.section("client")?,
            telemetry: source.section("telemetry")?,
            store: source.section("store")?,
            bus: source.section("bus")?,
            mesh: source.section("mesh")?,
        })
    }

    /// What every service of this process is given.
    ///
    /// # Errors
    /// The secret of the mesh cannot be read or made.
    pub(super) fn deps(
        &self,
        directory: Directory,
        data_dir: PathBuf,
        stop: CancellationToken,
    ) -> Result<Deps, Error> {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let secret = Secret::load(&self.mesh, &data_dir)?;
        Ok(Deps { store, bus, secret, ..Deps::new(directory, data_dir, stop) })
    }

    /// The directory they describe. Must be called inside a tokio runtime.
    pub(super) fn directory(&self) -> Result<Directory, Error> {
        let directory = Directory::new(self.client.clone());
        for entry in SERVICES {
            directory.set(entry.name, [format!("http://127.0.0.1:{}", entry.port)])?;
        }
        for (name, addresses) in &self.directory {
            match addresses {
                Addresses::One(address) => directory.set(name, [address])?,
                Addresses::Many(addresses) => directory.set(name, addresses)?,
            }
        }
        Ok(directory)
    }
}
