//! The settings of the gateway: section `gateway`.

use planaria_runtime::wire::WireLimits;
use planaria_store::SqliteSettings;
use serde::{Deserialize, Serialize, Serializer};

/// Everything that can be set.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Whoever calls must show an API key. Without it everybody is an administrator.
    pub authentication: bool,
    /// A key of an administrator of all namespaces that is in no store: the way to make the first
    /// ones. At least 32 bytes; empty = there is none.
    #[serde(serialize_with = "hidden")]
    pub admin_key: String,
    /// Listen beyond loopback although nobody has to authenticate.
    pub insecure: bool,
    /// The store is asked this often whether a key was made or revoked.
    pub key_refresh_ms: u64,
    /// While the store cannot be read, the keys known stay good for this long.
    pub keys_stale_ms_max: u64,
    /// Keys that are good at the same time.
    pub keys_max: u32,
    /// How long a key is good if nothing else was asked for.
    pub key_life_days: u32,
    /// How long a key can be good.
    pub key_life_days_max: u32,
    /// Calls that each key may make at this gateway, unless it says otherwise; 0 = no limit. A
    /// stream is one call.
    pub requests_per_second: u32,
    /// How many of them at once.
    pub requests_burst: u32,
    /// How the file of the keys is opened.
    pub store: SqliteSettings,
    /// Origins (`https://host:port`) whose pages may call by gRPC-Web; the gateway's own pages
    /// need no entry.
    pub cors_origins: Vec<String>,
    /// One message of a request; a longer one is refused before it is read.
    pub message_bytes_max: u32,
    /// A request of one message must have arrived within this; calls with a stream of messages
    /// may take their time.
    pub request_ms_max: u64,
    /// Calls and streams under way, over all connections. One place in eight is kept for what
    /// only workers call: others may be waiting for them.
    pub calls_max: usize,
    /// Those of one key.
    pub calls_per_key_max: usize,
    /// How long calls may take to end after the stop; then they are cut. Streams are cut at once.
    pub drain_ms: u64,
    /// Towards the clients.
    pub listener: ListenerLimits,
    /// Towards the services.
    pub upstream: UpstreamLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            authentication: false,
            admin_key: String::new(),
            insecure: false,
            key_refresh_ms: 1_000,
            keys_stale_ms_max: 60_000,
            keys_max: 10_000,
            key_life_days: 90,
            key_life_days_max: 366,
            requests_per_second: 5_000,
            requests_burst: 10_000,
            store: SqliteSettings::default(),
            cors_origins: Vec::new(),
            message_bytes_max: 4 * 1024 * 1024,
            request_ms_max: 30_000,
            calls_max: 20_000,
            calls_per_key_max: 5_000,
            drain_ms: 5_000,
            listener: ListenerLimits::default(),
            upstream: UpstreamLimits::default(),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // One of them is a key.
        let mut debug = formatter.debug_struct("Config");
        debug.field("authentication", &self.authentication).finish_non_exhaustive()
    }
}

/// Settings are printed; a key is not.
fn hidden<S: Serializer>(key: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if key.is_empty() { "" } else { "(hidden)" })
}

/// The limits of the public listener: no default of a library decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerLimits {
    /// Open connections; more are told so and closed.
    pub connections_max: usize,
    /// Open streams per connection; a client queues what is more.
    pub streams_max: u32,
    /// Streams reset by the client before they were accepted; more end the connection.
    pub pending_reset_streams_max: usize,
    /// Streams reset because of the client's errors; more end the connection.
    pub local_error_reset_streams_max: usize,
    /// All headers of a request.
    pub header_bytes_max: u32,
    /// One HTTP/2 frame.
    pub frame_bytes_max: u32,
    /// Unread data per stream.
    pub stream_window_bytes: u32,
    /// Unread data per connection.
    pub connection_window_bytes: u32,
    /// Written but unsent data per stream.
    pub send_buffer_bytes_max: usize,
    /// An HTTP/2 connection is probed this often.
    pub keepalive_interval_ms: u64,
    /// An unanswered probe ends the connection after this.
    pub keepalive_timeout_ms: u64,
    /// The first byte of a connection must arrive within this, and then those that tell which
    /// HTTP it speaks.
    pub first_byte_ms_max: u64,
    /// A connection that takes no byte for this long, although there are some for it, is cut.
    pub write_ms_max: u64,
    /// A call is cut whose client takes nothing more of the answer for this long.
    pub unread_ms_max: u64,
    /// HTTP/2 frames that carry neither a call nor data (PING, SETTINGS, RST_STREAM,
    /// WINDOW_UPDATE, …); more in a second end the connection.
    pub control_frames_per_second: u32,
    /// A connection without a call for this long is closed.
    pub idle_ms_max: u64,
    /// An HTTP/1.1 request's headers must be complete within this.
    pub http1_header_ms_max: u64,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            streams_max: 1_000,
            pending_reset_streams_max: 20,
            local_error_reset_streams_max: 1_024,
            header_bytes_max: 16 * 1024,
            frame_bytes_max: 64 * 1024,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 2 * 1024 * 1024,
            send_buffer_bytes_max: 256 * 1024,
            keepalive_interval_ms: 5_000,
            keepalive_timeout_ms: 3_000,
            first_byte_ms_max: 5_000,
            write_ms_max: 10_000,
            unread_ms_max: 60_000,
            control_frames_per_second: 10_000,
            idle_ms_max: 600_000,
            http1_header_ms_max: 5_000,
        }
    }
}

impl ListenerLimits {
    /// What is measured below HTTP.
    pub(crate) const fn wire(&self) -> WireLimits {
        WireLimits {
            first_byte_ms_max: self.first_byte_ms_max,
            write_ms_max: self.write_ms_max,
            control_frames_per_second: self.control_frames_per_second,
        }
    }
}

/// The limits of the connections to the services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamLimits {
    /// Connections per address that all unary calls share.
    pub unary_connections: usize,
    /// Open calls or streams per connection; more are refused. One place in eight is kept for
    /// what only workers call.
    pub streams_max: usize,
    /// A connection must stand within this.
    pub connect_ms_max: u64,
    /// Addresses older than this are read from the directory again.
    pub directory_refresh_ms: u64,
    /// An address that could not be reached, or could not answer, is tried last for this long.
    pub pass_over_ms: u64,
    /// A connection for streams outlives its client's connection by this, so that the resets of
    /// the streams arrive before it ends.
    pub linger_ms: u64,
    /// Unread data per unary call. Times `streams_max` it must stay below the window of a
    /// connection (2 GiB), so that answers nobody reads delay no other.
    pub unary_window_bytes: u32,
    /// Unread data per stream.
    pub stream_window_bytes: u32,
    /// Unread data of all streams of one client.
    pub connection_window_bytes: u32,
    /// All headers of an answer.
    pub header_bytes_max: u32,
    /// One HTTP/2 frame.
    pub frame_bytes_max: u32,
    /// Written but unsent data per stream.
    pub send_buffer_bytes_max: usize,
    /// A connection is probed this often.
    pub keepalive_interval_ms: u64,
    /// An unanswered probe ends the connection after this.
    pub keepalive_timeout_ms: u64,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            unary_connections: 2,
            streams_max: 4_096,
            connect_ms_max: 1_000,
            directory_refresh_ms: 250,
            pass_over_ms: 500,
            linger_ms: 1_000,
            unary_window_bytes: 256 * 1024,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 16 * 1024 * 1024,
            header_bytes_max: 64 * 1024,
            frame_bytes_max: 64 * 1024,
            send_buffer_bytes_max: 256 * 1024,
            keepalive_interval_ms: 5_000,
            keepalive_timeout_ms: 3_000,
        }
    }
}

/// The shortest `admin_key`.
const ADMIN_KEY_BYTES_MIN: usize = 32;
/// A revoked key must end within 5 s.
const KEY_REFRESH_MS_MAX: u64 = 3_000;
/// The largest window of HTTP/2.
pub(crate) const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

impl Config {
    /// Says what does not fit together.
    ///
    /// # Errors
    /// The text names the keys.
    pub fn validate(&self) -> Result<(), String> {
        if !self.admin_key.is_empty() && self.admin_key.len() < ADMIN_KEY_BYTES_MIN {
            return Err(format!("admin_key must have at least {ADMIN_KEY_BYTES_MIN} bytes"));
        }
        if self.key_refresh_ms > KEY_REFRESH_MS_MAX {
            return Err(format!("key_refresh_ms must not exceed {KEY_REFRESH_MS_MAX}"));
        }
        let frame = 16 * 1024..=(1 << 24) - 1;
        let frames = [
            ("listener.frame_bytes_max", self.listener.frame_bytes_max),
            ("upstream.frame_bytes_max", self.upstream.frame_bytes_max),
        ];
        if let Some((key, value)) = frames.iter().find(|(_, value)| !frame.contains(value)) {
            return Err(format!("{key} = {value} must lie between 16384 and 16777215"));
        }
        let windows = [
            ("listener.stream_window_bytes", self.listener.stream_window_bytes),
            ("listener.connection_window_bytes", self.listener.connection_window_bytes),
            ("upstream.unary_window_bytes", self.upstream.unary_window_bytes),
            ("upstream.stream_window_bytes", self.upstream.stream_window_bytes),
            ("upstream.connection_window_bytes", self.upstream.connection_window_bytes),
        ];
        let window = 64 * 1024..=WINDOW_BYTES_MAX;
        if let Some((key, value)) = windows.iter().find(|(_, value)| !window.contains(value)) {
            return Err(format!("{key} = {value} must lie between 65536 and 2147483647"));
        }
        if self.upstream.unary_connections == 0 {
            return Err("upstream.unary_connections must be at least 1".into());
        }
        let stalled = u64::from(self.upstream.unary_window_bytes)
            .saturating_mul(u64::try_from(self.upstream.streams_max).unwrap_or(u64::MAX));
        if stalled > u64::from(WINDOW_BYTES_MAX) {
            return Err(format!(
                "upstream.unary_window_bytes x upstream.streams_max = {stalled} must not exceed \
                 {WINDOW_BYTES_MAX}, or answers nobody reads would delay others"
            ));
        }
        crate::cors::validate(&self.cors_origins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_together_and_what_does_not_is_named() {
        assert_eq!(Config::default().validate(), Ok(()));
        let mut config = Config::default();
        config.upstream.streams_max = 10_000;
        assert!(config.validate().unwrap_err().contains("upstream.streams_max"));
        config = Config { cors_origins: vec!["*".into()], ..Config::default() };
        assert!(config.validate().unwrap_err().contains("cors_origins"));
        config = Config { admin_key: "too short".into(), ..Config::default() };
        let error = config.validate().unwrap_err();
        assert!(error.contains("admin_key") && !error.contains("too short"), "{error}");
    }
}
