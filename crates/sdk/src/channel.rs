//! Connections to the gateway, with every limit stated.

use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::Error;

/// The largest message that is read: the engine's own limits are far below.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

const CONNECT_MAX: Duration = Duration::from_secs(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// Where the gateway is, checked but not yet connected to.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    endpoint: Endpoint,
}

impl Address {
    /// Checks an address such as `http://127.0.0.1:8080`.
    pub(crate) fn parse(address: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Address {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|_| refuse("it is not a URI such as http://127.0.0.1:8080"))?;
        match endpoint.uri().scheme_str() {
            Some("http") => {}
            Some("https") => return Err(refuse("TLS is not supported yet, use http://")),
            _ => return Err(refuse("it must start with http://")),
        }
        let endpoint = endpoint
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT);
        Ok(Self { endpoint })
    }

    /// A connection of its own, opened with the first call and again whenever it broke. Its I/O
    /// runs on the runtime that this is called in.
    pub(crate) fn open(&self) -> Channel {
        self.endpoint.connect_lazy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_work_is_refused_with_its_reason() {
        assert!(Address::parse("http://127.0.0.1:8080").is_ok());
        for (address, reason) in [
            ("https://planaria.dev", "TLS is not supported yet"),
            ("ftp://planaria.dev", "must start with http://"),
            ("no address at all", "not a URI"),
        ] {
            let error = Address::parse(address).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
