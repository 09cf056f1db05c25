//! What an error of the server means for the bus.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::Condition;

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
    let source = std::error::Error::source(error);
    let cause = source.and_then(|source| source.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::InvalidData)
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
