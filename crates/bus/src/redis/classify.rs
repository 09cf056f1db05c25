//! What an error of the server means for the bus.

use std::error::Error;
use std::io;
use std::sync::Arc;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::Condition;

type Shared = Arc<dyn Error + Send + Sync>;

/// The condition that an error shows.
pub(super) fn condition(error: &RedisError) -> Condition {
    let text = error.to_string();
    match error.kind() {
        ErrorKind::AuthenticationFailed => return Condition::Refused(text),
        ErrorKind::Io if is_distrust(error) => return Condition::Untrusted(text),
        ErrorKind::Io | ErrorKind::Server(ServerErrorKind::BusyLoading) => {
            return Condition::Away(text);
        }
        _ => {}
    }
    match error.code() {
        Some("OOM") => Condition::Full(text),
        Some(_) => Condition::Refused(text),
        None => Condition::Away(text),
    }
}

/// What TLS refuses comes as data that is not valid.
fn is_distrust(error: &RedisError) -> bool {
    // The client shares its causes between those who wait for the same connection.
    let source = error.source().and_then(<dyn Error>::downcast_ref::<Shared>);
    let cause = source.and_then(|source| source.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::InvalidData)
}

/// The server is at its memory limit.
pub(super) fn is_full(error: &RedisError) -> bool {
    error.code() == Some("OOM")
}

/// The consumer group does not exist: the server was flushed or the stream expired.
pub(super) fn is_no_group(error: &RedisError) -> bool {
    error.code() == Some("NOGROUP")
}

/// The consumer group exists already.
pub(super) fn is_busy_group(error: &RedisError) -> bool {
    error.code() == Some("BUSYGROUP")
}
