//! Settings that every service has in common: where its store is, and where the bus is.

use serde::{Deserialize, Serialize, Serializer};

/// Section `[store]`: where services keep what they own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreSettings {
    /// `postgres://user:password@host:port/database`: each service has a schema of its own in it.
    /// Empty: a SQLite file for each service in the data folder.
    #[serde(serialize_with = "without_password")]
    pub url: String,
    /// Connections of one service process to PostgreSQL.
    pub connections_max: u32,
    /// A connection must stand, or one of the pool become free, within this.
    pub connect_ms_max: u64,
    /// A statement that takes longer is cancelled by the server.
    pub statement_ms_max: u64,
    /// Services bring their schema up to date when they start. Otherwise they refuse to start on
    /// an older one, and `planaria migrate` is what brings it up to date.
    pub migrate: bool,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            connections_max: 8,
            connect_ms_max: 3_000,
            statement_ms_max: 30_000,
            migrate: true,
        }
    }
}

impl StoreSettings {
    /// Whether the store is PostgreSQL.
    #[must_use]
    pub const fn is_postgres(&self) -> bool {
        !self.url.is_empty()
    }
}

impl std::fmt::Debug for StoreSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        formatter
            .debug_struct("StoreSettings")
            .field("is_postgres", &self.is_postgres())
            .finish_non_exhaustive()
    }
}

/// Section `[bus]`: hints between processes. Without it they fall back to slow polls.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BusSettings {
    /// `redis://:password@host:port/database`, with TLS `rediss://`. Empty: a bus inside of the
    /// process.
    #[serde(serialize_with = "without_password")]
    pub url: String,
    /// The authority that the server's certificate is of, a file in PEM. Empty: the system's.
    pub ca_file: String,
    /// Starts every key in Redis, so that meshes can share a server.
    pub prefix: String,
    /// A connection must stand within this.
    pub connect_ms_max: u64,
    /// Entries kept in a stream, about.
    pub stream_entries_max: u64,
    /// Hints that wait to be published, and that wait for each subscriber; more are dropped.
    pub queue_max: usize,
    /// A hint with a larger body is dropped.
    pub body_bytes_max: usize,
    /// A hint of a group whose consumer did not deal with it within this goes to another.
    pub claim_ms: u64,
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            ca_file: String::new(),
            prefix: "planaria".into(),
            connect_ms_max: 1_000,
            stream_entries_max: 10_000,
            queue_max: 4_096,
            body_bytes_max: 65_536,
            claim_ms: 30_000,
        }
    }
}

impl std::fmt::Debug for BusSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        formatter.debug_struct("BusSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// Settings are printed for people to look at, and their looks may be recorded.
fn without_password<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&masked(url))
}

/// The URL with `***` for its password.
fn masked(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let Some((who, place)) = rest.rsplit_once('@') else { return url.to_owned() };
    match who.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***@{place}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_printed() {
        for (url, printed) in [
            ("postgres://a:secret@h:5/d", "postgres://a:***@h:5/d"),
            ("redis://:se@cret@h", "redis://:***@h"),
            ("postgres://a@h/d", "postgres://a@h/d"),
            ("redis://h", "redis://h"),
            ("", ""),
        ] {
            assert_eq!(masked(url), printed);
        }
    }
}
