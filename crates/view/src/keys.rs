//! API keys in words.

use planaria_proto::gateway::v1::{ApiKey, Role};

use crate::words;

/// The part of a key that may be seen; none for a key that is in no list.
#[must_use]
pub fn id_of(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix("planaria_")?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some(id)
}

/// What a key is good for, in a word.
#[must_use]
pub fn role(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "unknown",
        Role::Reader => "reader",
        Role::Operator => "operator",
        Role::Worker => "worker",
        Role::Admin => "admin",
    }
}

/// What a role may do.
#[must_use]
pub fn role_may(role: Role) -> &'static str {
    match role {
        Role::Unspecified => "",
        Role::Reader => "looks at everything in its namespace",
        Role::Operator => "reads, publishes definitions, starts and steers workflows",
        Role::Worker => "pulls tasks and reports results, nothing else",
        Role::Admin => "everything, keys included",
    }
}

/// Whether a key still opens anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Good,
    /// Somebody ended it.
    Revoked,
    /// Its time is over.
    Expired,
}

/// How a key stands now.
#[must_use]
pub fn standing(key: &ApiKey, now_ms: i64) -> Standing {
    match (&key.revoked_at, &key.expires_at) {
        (Some(_), _) => Standing::Revoked,
        (None, Some(at)) if words::millis(at) <= now_ms => Standing::Expired,
        _ => Standing::Good,
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;

    use super::*;

    #[test]
    fn the_id_is_the_part_that_may_be_seen() {
        assert_eq!(id_of("planaria_ab12_cd34"), Some("ab12"));
        for other in ["", "planaria_", "planaria_ab12", "planaria__cd", "some-admin_key_text"] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_key_is_good_until_it_is_revoked_or_its_time_is_over() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let key = ApiKey { expires_at: at(10), ..ApiKey::default() };
        assert_eq!(standing(&key, 9_999), Standing::Good);
        assert_eq!(standing(&key, 10_000), Standing::Expired);
        let revoked = ApiKey { revoked_at: at(5), ..key };
        assert_eq!(standing(&revoked, 9_999), Standing::Revoked);
    }
}
