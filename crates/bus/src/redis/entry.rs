//! Names of keys, ids of entries, and what an entry holds.

use std::fmt;
use std::sync::Arc;

use ::redis::streams::StreamId;
use ::redis::{Cmd, Value};
use bytes::Bytes;

use crate::Hint;

/// The field of an entry with the body of a hint.
const BODY: &str = "body";
/// The field of an entry that says that hints before it were lost.
const GAP: &str = "gap";

/// Names of the keys of one mesh.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: Arc<str>,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The stream of a topic.
    pub(super) fn topic(&self, topic: &str) -> String {
        format!("{}:bus:topic:{topic}", self.prefix)
    }

    /// Dies with the data of the server.
    pub(super) fn epoch(&self) -> String {
        format!("{}:bus:epoch", self.prefix)
    }

    /// A stream that is written to see whether one can be.
    pub(super) fn probe(&self) -> String {
        format!("{}:bus:probe", self.prefix)
    }
}

/// The id of an entry: a time in milliseconds and a number within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct EntryId(u64, u64);

impl EntryId {
    /// An id as the server writes it; anything else is before all entries.
    pub(super) fn parse(text: &str) -> Self {
        let parts = text.split_once('-').and_then(|(milliseconds, number)| {
            Some(Self(milliseconds.parse().ok()?, number.parse().ok()?))
        });
        parts.unwrap_or_default()
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.0, self.1)
    }
}

/// `XADD` of a body, or of a gap, to a stream of about `entries_max`.
pub(super) fn add(key: &str, entries_max: u64, body: Option<&Bytes>) -> Cmd {
    let mut command = ::redis::cmd("XADD");
    command.arg(key).arg("MAXLEN").arg("~").arg(entries_max).arg("*");
    match body {
        Some(body) => command.arg(BODY).arg(body.as_ref()),
        None => command.arg(GAP).arg(""),
    };
    command
}

/// The hint of an entry. One that was not written by a bus is a gap too: look for yourself.
pub(super) fn hint(topic: &Arc<str>, mut entry: StreamId) -> Hint {
    match entry.map.remove(BODY) {
        Some(Value::BulkString(body)) => Hint::News { topic: Arc::clone(topic), body: body.into() },
        _ => Hint::Gap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_the_server_orders_them() {
        let ids = ["", "0-1", "9-10", "10-9", "10-10"].map(EntryId::parse);
        assert!(ids.is_sorted(), "{ids:?}");
        assert_eq!(ids.map(|id| id.to_string()), ["0-0", "0-1", "9-10", "10-9", "10-10"]);
    }
}
