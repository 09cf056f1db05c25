//! Decides about addresses. The address that is checked is the one that is connected to: names
//! are looked up here, and nowhere else.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::{Deserialize, Serialize};

use crate::Network;

/// Whom a service may call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EgressConfig {
    /// Networks that may be called although they are denied.
    pub allow: Vec<Network>,
    /// Networks that may not be called.
    pub deny: Vec<Network>,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Network::link_local() }
    }
}

/// The address is denied.
#[derive(Debug)]
pub struct Denied(IpAddr);

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "calls to {} are not allowed here", self.0)
    }
}

impl std::error::Error for Denied {}

impl Denied {
    /// The refusal that an error of a client comes from, if it does.
    #[must_use]
    pub fn cause_of<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(denied) = error.downcast_ref() {
                return Some(denied);
            }
            cause = error.source();
        }
        None
    }
}

/// Decides about addresses, and looks names up; cheap to clone.
#[derive(Debug, Clone)]
pub struct Egress {
    config: Arc<EgressConfig>,
}

impl Egress {
    /// A guard with these settings.
    #[must_use]
    pub fn new(config: EgressConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    /// Checks a host that is written as an address; names are checked when they are looked up.
    ///
    /// # Errors
    /// The address is denied.
    pub fn check_host(&self, host: &str) -> Result<(), Denied> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse().map_or(Ok(()), |address| self.check(address))
    }

    fn check(&self, address: IpAddr) -> Result<(), Denied> {
        // An IPv4 address in IPv6's clothes is the IPv4 address.
        let address = address.to_canonical();
        let among = |networks: &[Network]| networks.iter().any(|each| each.contains(address));
        if among(&self.config.deny) && !among(&self.config.allow) {
            return Err(Denied(address));
        }
        Ok(())
    }
}

impl Resolve for Egress {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            for address in &found {
                // One denied address among others is a trick, not a choice.
                egress.check(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn egress(allow: &[&str], deny: &[&str]) -> Egress {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Egress::new(EgressConfig { allow: parse(allow), deny: parse(deny) })
    }

    #[test]
    fn by_default_only_link_local_addresses_are_denied() {
        let egress = Egress::new(EgressConfig::default());
        for host in ["127.0.0.1", "10.1.2.3", "[::1]", "example.com", "170.254.0.1"] {
            assert!(egress.check_host(host).is_ok(), "{host}");
        }
        for host in ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"] {
            assert!(egress.check_host(host).is_err(), "{host}");
        }
    }

    #[test]
    fn what_is_not_public_can_be_denied_as_a_whole() {
        let config = EgressConfig { allow: Vec::new(), deny: Network::not_public() };
        let egress = Egress::new(config);
        for host in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "100.100.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[fd00::1]",
            "[fe80::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ] {
            assert!(egress.check_host(host).is_err(), "{host}");
        }
        for host in ["1.1.1.1", "172.32.0.1", "[2606:4700::1111]", "example.com"] {
            assert!(egress.check_host(host).is_ok(), "{host}");
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_although_it_is_denied() {
        let egress = egress(&["10.1.0.0/16"], &["0.0.0.0/0", "::/0"]);
        assert!(egress.check_host("10.1.2.3").is_ok());
        assert!(egress.check_host("10.2.2.3").is_err());
        assert!(egress.check_host("[2001:db8::1]").is_err());
    }

    #[tokio::test]
    async fn names_are_checked_when_they_are_looked_up() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(egress(&[], &["127.0.0.0/8", "::1/128"]).resolve(name()).await.is_err());
        assert!(egress(&[], &[]).resolve(name()).await.is_ok());
    }
}
