//! How a bus is, told once per change.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// How a bus is. Whatever it is, the caller goes on: without hints it looks at its own pace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It was opened just now.
    Connecting,
    /// It works.
    Up,
    /// The server is at its `maxmemory` and takes no hints.
    Full(String),
    /// The server answers and refuses: a wrong password, a missing permission, a read-only
    /// replica, a server that is too old.
    Refused(String),
    /// The server is not one to trust: its certificate does not fit, or it does not speak TLS.
    Untrusted(String),
    /// The server cannot be reached.
    Away(String),
}

impl Condition {
    /// Whether hints flow.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Up)
    }

    /// What is wrong, and what to do.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let advice = match self {
            Self::Connecting | Self::Up => return None,
            Self::Full(_) => "raise the server's maxmemory, or lower bus.stream_entries_max",
            Self::Refused(_) => {
                "check the user, the password and the database in bus.url, and that the server \
                 is Redis 6 or newer and writable"
            }
            Self::Untrusted(_) => {
                "check that bus.url says rediss:// only to a port that speaks TLS, that its \
                 certificate names the host, and that bus.ca_file is its authority's"
            }
            Self::Away(_) => "check that it runs, and host and port of bus.url",
        };
        Some(format!("{self}: {advice}"))
    }

    /// The worse, the higher.
    const fn severity(&self) -> u8 {
        match self {
            Self::Up => 0,
            Self::Connecting => 1,
            Self::Full(_) => 2,
            Self::Refused(_) => 3,
            Self::Untrusted(_) => 4,
            Self::Away(_) => 5,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => formatter.write_str("connecting"),
            Self::Up => formatter.write_str("up"),
            Self::Full(reason) => write!(formatter, "full: {reason}"),
            Self::Refused(reason) => write!(formatter, "refused: {reason}"),
            Self::Untrusted(reason) => write!(formatter, "not to be trusted: {reason}"),
            Self::Away(reason) => write!(formatter, "away: {reason}"),
        }
    }
}

/// The condition of each connection of a bus, and the worst of them; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    links: Arc<Mutex<Links>>,
    worst: Arc<watch::Sender<Condition>>,
}

#[derive(Debug, Default)]
struct Links {
    next: u64,
    conditions: BTreeMap<u64, Condition>,
}

/// The condition of one connection; dropped with it.
#[derive(Debug)]
pub(crate) struct LinkCondition {
    conditions: Conditions,
    link: u64,
}

impl Conditions {
    pub(crate) fn new(first: Condition) -> Self {
        Self { links: Arc::default(), worst: Arc::new(watch::Sender::new(first)) }
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Condition> {
        self.worst.subscribe()
    }

    pub(crate) fn link(&self) -> LinkCondition {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.next += 1;
        LinkCondition { conditions: self.clone(), link: links.next }
    }

    /// Sets or forgets the condition of a link; a change of the worst one's kind is logged.
    fn set(&self, link: u64, condition: Option<Condition>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        match condition {
            Some(condition) => links.conditions.insert(link, condition),
            None => links.conditions.remove(&link),
        };
        let worst = links.conditions.values().max_by_key(|condition| condition.severity());
        let Some(worst) = worst.cloned() else { return };
        self.worst.send_if_modified(|told| {
            if told.severity() == worst.severity() {
                return false;
            }
            let before = std::mem::replace(told, worst);
            log(told, &before);
            true
        });
    }
}

impl LinkCondition {
    pub(crate) fn set(&self, condition: Condition) {
        self.conditions.set(self.link, Some(condition));
    }
}

impl Drop for LinkCondition {
    fn drop(&mut self) {
        self.conditions.set(self.link, None);
    }
}

fn log(condition: &Condition, before: &Condition) {
    match (condition, condition.trouble()) {
        (_, Some(trouble)) => tracing::warn!(
            "the bus is {trouble}; hints are lost, work goes on at the pace of polls, and it is \
             tried for ever"
        ),
        // As loud as what it ends: who reads the one must find the other.
        (Condition::Up, None) if before.trouble().is_some() => {
            tracing::warn!("the bus works again");
        }
        (Condition::Up, None) => tracing::info!("the bus works"),
        (_, None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_connection_counts_and_only_changes_of_kind_are_told() {
        let conditions = Conditions::new(Condition::Connecting);
        let mut watch = conditions.watch();
        let (writer, reader) = (conditions.link(), conditions.link());
        writer.set(Condition::Up);
        reader.set(Condition::Away("first".into()));
        assert_eq!(*watch.borrow_and_update(), Condition::Away("first".into()));
        reader.set(Condition::Away("second".into()));
        assert!(!watch.has_changed().expect("the sender lives"), "the same trouble is told once");
        drop(reader);
        assert!(watch.borrow_and_update().is_up(), "a connection that is gone does not count");
        writer.set(Condition::Full("OOM".into()));
        assert_eq!(*watch.borrow(), Condition::Full("OOM".into()));
    }
}
