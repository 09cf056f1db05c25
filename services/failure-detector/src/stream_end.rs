//! How a request stream ended, and what that says about the worker.

use std::error::Error as StdError;

use planaria_kernel::liveness::Loss;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// Set by the gateway on every call that it passes on, and on no other: it strips the name from
/// what clients send.
pub(crate) const HOP_HEADER: &str = "planaria-hop";

/// Whether a proxy of ours stands between the worker and this connection.
pub(crate) fn is_behind_hop(metadata: &MetadataMap) -> bool {
    metadata.contains_key(HOP_HEADER)
}

/// What the error that a request stream ended with says; `None` = nothing about the worker, for
/// instance because this side ended the stream.
///
/// A reset concerns the one stream: whoever is in between has lost the worker, or the worker has
/// cancelled it. Everything else that HTTP/2 tells concerns the whole connection; behind a gateway
/// that is the gateway's. A reset as cancelled, which is what a gateway sends for a worker that was
/// killed, does not come here: tonic makes it the same end as that of a stream ended in order.
#[must_use]
pub fn classify(status: &Status, behind_hop: bool) -> Option<Loss> {
    let mut source = status.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return of_http2(error, behind_hop);
        }
        if error.is::<std::io::Error>() {
            return Some(of_connection(behind_hop));
        }
        source = error.source();
    }
    None
}

fn of_http2(error: &h2::Error, behind_hop: bool) -> Option<Loss> {
    if error.is_reset() {
        // A reset by ourselves answers a malformed frame: whoever sent that is alive.
        return error.is_remote().then_some(Loss::Reset);
    }
    (error.is_io() || error.is_go_away()).then_some(of_connection(behind_hop))
}

fn of_connection(behind_hop: bool) -> Loss {
    if behind_hop { Loss::Hop } else { Loss::Connection }
}
