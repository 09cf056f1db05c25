//! Whom the worker's functions may call.
//!
//! By default everybody but link-local addresses, where clouds keep their machines' credentials.
//! Loopback and private networks are allowed, because people try their workflows on one machine;
//! an operator whose authors are not to be trusted denies them here. The address that is checked
//! is the one that is connected to: names are looked up here, and nowhere else.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde::{Deserialize, Serialize};

/// The section `[worker.http.egress]`.
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
        let link_local = [
            Network { address: IpAddr::from([169, 254, 0, 0]), prefix: 16 },
            Network { address: IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0]), prefix: 10 },
        ];
        Self { allow: Vec::new(), deny: link_local.to_vec() }
    }
}

/// Addresses with the same first bits, written as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a network such as 10.0.0.0/8");
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u32 = prefix.parse().map_err(|_| wrong())?;
        let prefix_max = if address.is_ipv4() { 32 } else { 128 };
        if prefix > prefix_max { Err(wrong()) } else { Ok(Self { address, prefix }) }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        format!("{}/{}", network.address, network.prefix)
    }
}

/// The address is denied.
#[derive(Debug)]
pub(crate) struct Denied(IpAddr);

impl fmt::Display for Denied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "calls to {} are not allowed here", self.0)
    }
}

impl std::error::Error for Denied {}

/// Decides about addresses, and looks names up; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Egress {
    config: Arc<EgressConfig>,
}

impl Egress {
    pub(crate) fn new(config: EgressConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    /// Checks a host that is written as an address; names are checked when they are looked up.
    pub(crate) fn check_host(&self, host: &str) -> Result<(), Denied> {
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

    #[test]
    fn nonsense_is_no_network() {
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "all/0", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
