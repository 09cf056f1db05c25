//! What a key is: `planaria_<id>_<secret>`, of which only a hash is kept.

use planaria_runtime::Role;
use sha2::{Digest, Sha256};

/// Starts every key, so that scanners find one that got into a repository.
const PREFIX: &str = "planaria_";
/// Of the id; enough that two are never the same.
const ID_BYTES: usize = 8;
/// Of the secret: 256 bits, so that no slow hash is needed.
const SECRET_BYTES: usize = 32;

/// What is kept of a key.
pub(crate) type Hash = [u8; 32];

/// A key as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// May be seen by everybody.
    pub(crate) id: String,
    /// Of the whole key.
    pub(crate) hash: Hash,
    /// What people call it.
    pub(crate) label: String,
    /// The only namespace that it sees, or `*`.
    pub(crate) namespace: String,
    pub(crate) role: Role,
    pub(crate) created_at_ms: u64,
    /// The key that made it.
    pub(crate) created_by: String,
    pub(crate) expires_at_ms: u64,
    pub(crate) revoked_at_ms: Option<u64>,
    /// 0 = the gateway's own setting.
    pub(crate) requests_per_second: u32,
    /// 0 = the gateway's own setting.
    pub(crate) requests_burst: u32,
}

/// A new key: its id, and the whole of it.
pub(crate) fn generate() -> (String, String) {
    let id = hex(&rand::random::<[u8; ID_BYTES]>());
    let secret = hex(&rand::random::<[u8; SECRET_BYTES]>());
    let key = format!("{PREFIX}{id}_{secret}");
    (id, key)
}

/// The id in a key.
pub(crate) fn id_of(key: &str) -> Option<&str> {
    let (id, secret) = key.strip_prefix(PREFIX)?.split_once('_')?;
    (!id.is_empty() && !secret.is_empty()).then_some(id)
}

/// What is kept of a key. A fast hash is enough: there are 256 bits to guess.
pub(crate) fn hash(key: &str) -> Hash {
    Sha256::digest(key.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_their_ids_and_are_all_different() {
        let (id, key) = generate();
        assert_eq!(id_of(&key), Some(&*id));
        assert_eq!(key.len(), PREFIX.len() + 2 * ID_BYTES + 1 + 2 * SECRET_BYTES);
        let (other_id, other) = generate();
        assert!(other_id != id && other != key && hash(&other) != hash(&key));
    }

    #[test]
    fn what_is_no_key_has_no_id() {
        for text in ["", "planaria", "planaria_", "planaria_a", "planaria__b", "planaria_a_"] {
            assert_eq!(id_of(text), None, "{text}");
        }
        assert_eq!(id_of("planaria_a_b_c"), Some("a"));
    }
}
