//! HTTP clients that call only whom they may. They follow no redirection and know no proxy:
//! either could lead elsewhere than where it was checked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, redirect};

use crate::{Denied, Egress};

/// The clients of a service, made when they are needed first.
#[derive(Debug)]
pub struct Clients {
    egress: Egress,
    connect_max: Duration,
    idle_max: usize,
    /// The one without TLS works on machines that have no root certificates.
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl Clients {
    /// Clients that connect within `connect_max`, and keep up to `idle_max` unused connections per
    /// host.
    #[must_use]
    pub const fn new(egress: Egress, connect_max: Duration, idle_max: usize) -> Self {
        Self { egress, connect_max, idle_max, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// The client for a URI, by its scheme.
    ///
    /// # Errors
    /// TLS is not set up on this machine.
    pub fn of(&self, uri: &str) -> Result<&Client, reqwest::Error> {
        let secure = uri.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
        let cell = if secure { &self.secure } else { &self.plain };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        // Losing this race costs a client, nothing else.
        let client = self.build(secure)?;
        Ok(cell.get_or_init(|| client))
    }

    /// Checks a host that is written as an address, which no client looks up.
    ///
    /// # Errors
    /// The address is denied.
    pub fn check_host(&self, host: &str) -> Result<(), Denied> {
        self.egress.check_host(host)
    }

    fn build(&self, secure: bool) -> Result<Client, reqwest::Error> {
        // The first one stays; whoever installed it chose it.
        let _first = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("planaria/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(self.egress.clone()))
            .connect_timeout(self.connect_max)
            .pool_max_idle_per_host(self.idle_max);
        let builder = if secure { builder } else { builder.tls_certs_only([]) };
        builder.build()
    }
}
