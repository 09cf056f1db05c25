//! Every limit of a server and of a client connection, stated: no default of a library decides.

use serde::{Deserialize, Serialize};

use crate::wire::WireLimits;

/// The limits of a listener. The defaults are wide, for connections between services; a public
/// listener narrows `streams_max` and `connections_max`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerLimits {
    /// Open connections; more are closed on arrival.
    pub connections_max: usize,
    /// Open streams per connection.
    pub streams_max: u32,
    /// Streams reset by the peer before they were accepted; more end the connection.
    pub pending_reset_streams_max: usize,
    /// Streams reset because of the peer's errors; more end the connection.
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
    /// A connection without traffic is probed this often.
    pub keepalive_interval_ms: u64,
    /// An unanswered probe ends the connection after this.
    pub keepalive_timeout_ms: u64,
    /// The time of a unary call when its caller states none or a longer one; 0 is no limit.
    pub request_ms_max: u64,
    /// How long requests and background tasks may take to end after the stop; then they are cut.
    pub drain_ms: u64,
    /// The first byte of a connection must arrive within this, and then those that tell which
    /// HTTP it speaks.
    pub first_byte_ms_max: u64,
    /// A connection that takes no byte for this long, although there are some for it, is cut.
    pub write_ms_max: u64,
    /// HTTP/2 frames that carry neither a call nor data; more in a second end the connection.
    pub control_frames_per_second: u32,
    /// HTTP/1.1 beside HTTP/2 on the same port, for browsers.
    pub http1: bool,
    /// An HTTP/1.1 request's headers must be complete within this.
    pub http1_header_ms_max: u64,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            streams_max: 10_000,
            pending_reset_streams_max: 20,
            local_error_reset_streams_max: 1_024,
            header_bytes_max: 16 * 1024,
            frame_bytes_max: 64 * 1024,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            send_buffer_bytes_max: 1024 * 1024,
            keepalive_interval_ms: 5_000,
            keepalive_timeout_ms: 3_000,
            request_ms_max: 0,
            drain_ms: 5_000,
            first_byte_ms_max: 5_000,
            write_ms_max: 30_000,
            control_frames_per_second: 100_000,
            http1: false,
            http1_header_ms_max: 5_000,
        }
    }
}

impl ServerLimits {
    /// What is measured below HTTP.
    pub(crate) const fn wire(&self) -> WireLimits {
        WireLimits {
            first_byte_ms_max: self.first_byte_ms_max,
            write_ms_max: self.write_ms_max,
            control_frames_per_second: self.control_frames_per_second,
        }
    }
}

/// The limits of a connection to another service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientLimits {
    /// A connection must be open after this.
    pub connect_ms_max: u64,
    /// All headers of an answer.
    pub header_bytes_max: u32,
    /// Unread data per stream.
    pub stream_window_bytes: u32,
    /// Unread data per connection.
    pub connection_window_bytes: u32,
    /// A connection with open streams is probed this often.
    pub keepalive_interval_ms: u64,
    /// An unanswered probe ends the connection after this.
    pub keepalive_timeout_ms: u64,
    /// Host names are resolved again this often.
    pub resolve_interval_ms: u64,
    /// A replica that could not be reached is passed over for this long, while others are there.
    pub pass_over_ms: u64,
    /// Requests waiting for a connection.
    pub queue_max: usize,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            connect_ms_max: 1_000,
            header_bytes_max: 16 * 1024,
            stream_window_bytes: 1024 * 1024,
            connection_window_bytes: 4 * 1024 * 1024,
            keepalive_interval_ms: 5_000,
            keepalive_timeout_ms: 3_000,
            resolve_interval_ms: 2_000,
            pass_over_ms: 500,
            queue_max: 1_024,
        }
    }
}
