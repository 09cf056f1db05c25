//! Task tokens: the right to report an attempt.
//!
//! A token is the attempt's name and an HMAC-SHA256 over it with a secret of the store. It proves
//! that the orchestrator handed the attempt out to that session; whether the attempt is still the
//! current one is for the commit to say.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use planaria_kernel::workflow::FrameId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::store::{Shard, TaskKey};

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The task.
    pub task: TaskKey,
    /// The attempt.
    pub attempt: u32,
    /// The session that it was handed to.
    pub session: Uuid,
    /// The workflow's namespace: [`namespace_digest`].
    pub namespace: [u8; 8],
}

/// Signs and verifies tokens; cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens {
    keyed: Hmac<Sha256>,
}

const VERSION: u8 = 2;
const CLAIMS_BYTES: usize = 1 + 16 + 4 + 4 + 16 + 8;
/// Half of the digest, the shortest that RFC 2104 advises.
const MAC_BYTES: usize = 16;

impl Tokens {
    /// Tokens under a secret.
    #[must_use]
    pub(crate) fn new(secret: &[u8]) -> Self {
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        Self { keyed }
    }

    /// The token of an attempt.
    #[must_use]
    pub(crate) fn sign(&self, claims: &Claims) -> Bytes {
        let mut token = Vec::with_capacity(CLAIMS_BYTES + MAC_BYTES);
        token.push(VERSION);
        token.extend_from_slice(claims.task.workflow.as_bytes());
        token.extend_from_slice(&claims.task.frame.0.to_be_bytes());
        token.extend_from_slice(&claims.attempt.to_be_bytes());
        token.extend_from_slice(claims.session.as_bytes());
        token.extend_from_slice(&claims.namespace);
        let mut mac = self.keyed.clone();
        mac.update(&token);
        token.extend_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
        Bytes::from(token)
    }

    /// The shard of the workflow that a token names, whoever made it: for finding the engine that
    /// will verify it.
    #[must_use]
    pub(crate) fn shard_of(token: &[u8]) -> Shard {
        let workflow = token.get(1..17).and_then(|bytes| Uuid::from_slice(bytes).ok());
        workflow.map_or_else(Shard::default, Shard::of)
    }

    /// What a token says; `None` if it is not one of ours.
    #[must_use]
    pub(crate) fn verify(&self, token: &[u8]) -> Option<Claims> {
        let (claims, given) = token.split_at_checked(CLAIMS_BYTES)?;
        let mut mac = self.keyed.clone();
        mac.update(claims);
        if given.len() != MAC_BYTES || claims[0] != VERSION {
            return None;
        }
        // In constant time, whatever the token holds.
        mac.verify_truncated_left(given).ok()?;
        let number = |from: usize| -> Option<u32> {
            Some(u32::from_be_bytes(claims.get(from..from + 4)?.try_into().ok()?))
        };
        Some(Claims {
            task: TaskKey {
                workflow: Uuid::from_slice(claims.get(1..17)?).ok()?,
                frame: FrameId(number(17)?),
            },
            attempt: number(21)?,
            session: Uuid::from_slice(claims.get(25..41)?).ok()?,
            namespace: claims.get(41..49)?.try_into().ok()?,
        })
    }
}

/// A namespace in a token, where a length of its own would be in the way.
#[must_use]
pub(crate) fn namespace_digest(namespace: &str) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = Sha256::digest(namespace.as_bytes()).0;
    [a, b, c, d, e, f, g, h]
}

/// The name of an attempt in heartbeats and logs: `<workflow>/<frame>/<attempt>`.
#[must_use]
pub(crate) fn attempt_id(task: TaskKey, attempt: u32) -> String {
    format!("{}/{}/{attempt}", task.workflow, task.frame.0)
}

/// The attempt of a name.
#[must_use]
pub(crate) fn parse_attempt_id(id: &str) -> Option<(TaskKey, u32)> {
    let mut parts = id.split('/');
    let workflow = Uuid::try_parse(parts.next()?).ok()?;
    let frame = FrameId(parts.next()?.parse().ok()?);
    let attempt = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((TaskKey { workflow, frame }, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        let task = TaskKey { workflow: Uuid::now_v7(), frame: FrameId(7) };
        let namespace = namespace_digest("shop");
        Claims { task, attempt: 3, session: Uuid::now_v7(), namespace }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let tokens = Tokens::new(b"secret");
        let claims = claims();
        let token = tokens.sign(&claims);
        assert_eq!(tokens.verify(&token), Some(claims));
        assert_eq!(Tokens::shard_of(&token), Shard::of(claims.task.workflow));
        assert_eq!(Tokens::shard_of(b"nonsense"), Shard::default());
    }

    #[test]
    fn every_flipped_bit_every_cut_and_another_secret_are_refused() {
        let tokens = Tokens::new(b"secret");
        let token = tokens.sign(&claims());
        for bit in 0..token.len() * 8 {
            let mut forged = token.to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tokens.verify(&forged), None, "bit {bit}");
        }
        for length in 0..token.len() {
            assert_eq!(tokens.verify(&token[..length]), None, "length {length}");
        }
        assert_eq!(Tokens::new(b"other").verify(&token), None);
    }

    #[test]
    fn attempt_ids_can_be_read_back() {
        let claims = claims();
        let id = attempt_id(claims.task, claims.attempt);
        assert_eq!(parse_attempt_id(&id), Some((claims.task, claims.attempt)));
        assert_eq!(parse_attempt_id("nonsense"), None);
        assert_eq!(parse_attempt_id(&format!("{id}/1")), None);
    }
}
