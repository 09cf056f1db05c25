//! Connections to the gateway, with every limit stated.

use std::fmt;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderValue, Request, Response};
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{self, Endpoint};

use crate::Error;

/// The largest message that is read: the engine's own limits are far below.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

const CONNECT_MAX: Duration = Duration::from_secs(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// A key as it was given: not printed.
#[derive(Clone)]
pub(crate) struct ApiKey(pub(crate) String);

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey")
    }
}

/// A connection to the gateway that shows the API key with every call, if there is one. It opens
/// with the first call and again whenever it broke; cheap to clone, all clones are one connection.
#[derive(Clone)]
pub struct Channel {
    inner: transport::Channel,
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = formatter.debug_struct("Channel");
        debug.field("authorized", &self.authorization.is_some()).finish_non_exhaustive()
    }
}

impl Channel {
    pub(crate) fn with_key(self, key: &str) -> Result<Self, Error> {
        Ok(Self { authorization: Some(bearer(key)?), ..self })
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = transport::Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        self.inner.call(request)
    }
}

/// The metadata that shows an API key. The key is part of no error.
fn bearer(key: &str) -> Result<HeaderValue, Error> {
    let unusable = |_| Error::ApiKey("it has characters that no key has");
    let key = key.trim();
    if key.is_empty() {
        return Err(Error::ApiKey("it is empty"));
    }
    let mut header = HeaderValue::try_from(format!("Bearer {key}")).map_err(unusable)?;
    // Kept out of the tables that compress headers, and out of debug output.
    header.set_sensitive(true);
    Ok(header)
}

/// Where the gateway is, checked but not yet connected to.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    endpoint: Endpoint,
    authorization: Option<HeaderValue>,
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
        Ok(Self { endpoint, authorization: None })
    }

    /// The same address, for calls that show this API key.
    pub(crate) fn with_key(self, key: &str) -> Result<Self, Error> {
        Ok(Self { authorization: Some(bearer(key)?), ..self })
    }

    /// A connection of its own, opened with the first call and again whenever it broke. Its I/O
    /// runs on the runtime that this is called in.
    pub(crate) fn open(&self) -> Channel {
        let authorization = self.authorization.clone();
        Channel { inner: self.endpoint.connect_lazy(), authorization }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_cannot_be_shown_is_refused_and_never_printed() {
        for key in ["", " ", "planaria_a\u{7f}b"] {
            let error = bearer(key).unwrap_err().to_string();
            assert!(error.contains("API key") && !error.contains("planaria_"), "{error}");
        }
        let address = Address::parse("http://127.0.0.1:8080").unwrap();
        let address = address.with_key(" planaria_k7_s3cr3t\n").unwrap();
        let header = address.authorization.as_ref().unwrap();
        assert_eq!(header, "Bearer planaria_k7_s3cr3t");
        assert!(!format!("{address:?}").contains("s3cr3t"));
    }

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
