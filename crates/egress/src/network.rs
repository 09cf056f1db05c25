//! Networks: addresses with the same first bits.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Addresses with the same first bits, written as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// Where clouds keep their machines' credentials.
const LINK_LOCAL: [&str; 2] = ["169.254.0.0/16", "fe80::/10"];
/// What is not out in the world, beside link-local addresses: this host, private networks, shared
/// and reserved ones, multicast, and the ways to wrap IPv4 into IPv6.
const NOT_PUBLIC: [&str; 19] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/96",
    "64:ff9b::/96",
    "100::/64",
    "2001::/23",
    "2002::/16",
    "fc00::/7",
    "ff00::/8",
];

impl Network {
    /// Link-local networks, where clouds keep their machines' credentials.
    #[must_use]
    pub fn link_local() -> Vec<Self> {
        parse(&LINK_LOCAL)
    }

    /// All that is not out in the world: this host, link-local, private and reserved networks.
    #[must_use]
    pub fn not_public() -> Vec<Self> {
        let mut networks = parse(&LINK_LOCAL);
        networks.extend(parse(&NOT_PUBLIC));
        networks
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
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

fn parse(texts: &[&str]) -> Vec<Network> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_of_ours_is_one() {
        assert_eq!(Network::link_local().len(), LINK_LOCAL.len());
        assert_eq!(Network::not_public().len(), LINK_LOCAL.len() + NOT_PUBLIC.len());
    }

    #[test]
    fn nonsense_is_no_network() {
        for text in ["10.0.0.0", "10.0.0.0/33", "::/129", "all/0", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
