//! Who may come in: API keys, what they are good for, how fast they may be used.
//!
//! Every key is in memory; the store is asked only whether anything changed. A key that another
//! gateway made is found when it is first shown, one that was revoked elsewhere ends with the next
//! look at the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use planaria_runtime::identity::{ALL_NAMESPACES, Signer};
use planaria_runtime::{Identity, Role, Secret};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

mod api;
mod bucket;
mod denied;
mod end;
mod error;
mod key;
mod postgres;
mod ring;
mod sqlite;
mod store;

use crate::Config;
use bucket::Bucket;
use key::Hash;

pub(crate) use api::Api;
pub(crate) use denied::Denied;
pub(crate) use end::End;
pub(crate) use postgres::PostgresKeyStore;
pub use postgres::SCHEMA;
pub(crate) use ring::Ring;
pub(crate) use sqlite::SqliteKeyStore;
pub(crate) use store::KeyStore;

/// How a key is shown: `Bearer planaria_<id>_<secret>`.
const SCHEME: &str = "Bearer";
/// Whom logs name where nobody has to show a key.
const NOBODY: &str = "nobody";
/// The key of the settings.
const FIRST_ADMIN: &str = "admin-key";
/// The built-in workers' key, which every process of the mesh can derive from its secret.
const MESH_WORKER: &str = "worker";

/// Somebody who was let in.
#[derive(Debug)]
pub(crate) struct Caller {
    identity: Identity,
    signer: Signer,
    bucket: Option<Bucket>,
    /// Calls under way, and how many there may be.
    open: AtomicUsize,
    open_max: usize,
    /// Cancelled when the key ends before its calls.
    over: CancellationToken,
}

impl Caller {
    fn new(
        secret: &Secret,
        identity: Identity,
        (bucket, open_max): (Option<Bucket>, usize),
    ) -> Self {
        let signer = Signer::for_identity(secret.clone(), identity.clone());
        let (open, over) = (AtomicUsize::new(0), CancellationToken::new());
        Self { identity, signer, bucket, open, open_max, over }
    }

    /// Counts a call that begins; [`Caller::end`] must follow, also after an error.
    ///
    /// # Errors
    /// How many may be under way: there are as many already.
    pub(crate) fn begin(&self) -> Result<(), usize> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        if before < self.open_max { Ok(()) } else { Err(self.open_max) }
    }

    /// Counts a call that ended.
    pub(crate) fn end(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// Who it is.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Says so on the way to a service.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        self.signer.sign(headers);
    }
}

/// The door's book.
#[derive(Debug)]
pub(crate) struct Access {
    /// Whether anybody has to show a key.
    authentication: bool,
    nobody: Arc<Caller>,
    /// Keys that are in no store.
    fixed: Vec<(Hash, Arc<Caller>)>,
    ring: Arc<Ring>,
}

impl Access {
    pub(crate) fn new(config: &Config, secret: &Secret, ring: Arc<Ring>) -> Self {
        let caller = |name: &str, role| {
            let identity = Identity::new(name, ALL_NAMESPACES, role);
            Arc::new(Caller::new(secret, identity, (None, usize::MAX)))
        };
        let worker = secret.derived_key(MESH_WORKER);
        let mut fixed = vec![(key::hash(&worker), caller("mesh-worker", Role::Worker))];
        if !config.admin_key.is_empty() {
            let admin = caller(FIRST_ADMIN, Role::Admin);
            fixed.push((key::hash(&config.admin_key), admin));
        }
        let nobody = caller(NOBODY, Role::Admin);
        Self { authentication: config.authentication, nobody, fixed, ring }
    }

    pub(crate) fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Lets a call in, or says why not.
    pub(crate) async fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Arc<Caller>, Denied> {
        let (caller, denied) = match self.identify(headers).await {
            Ok(caller) => match check(&caller, path) {
                Ok(()) => return Ok(caller),
                Err(denied) => (Some(caller), denied),
            },
            Err(denied) => (None, denied),
        };
        let known = caller.as_ref().map(|caller| &*caller.identity.key_id);
        let key_id = known.or(denied.key_id()).unwrap_or_default();
        tracing::warn!(key_id, path, reason = denied.reason(), "call refused");
        Err(denied)
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Denied> {
        if !self.authentication {
            return Ok(Arc::clone(&self.nobody));
        }
        let shown = shown(headers)?;
        let hash = key::hash(shown);
        for (fixed, caller) in &self.fixed {
            if bool::from(fixed.ct_eq(&hash)) {
                return Ok(Arc::clone(caller));
            }
        }
        let id = key::id_of(shown).ok_or(Denied::KeyInvalid)?;
        self.ring.find(id, &hash).await
    }
}

fn check(caller: &Caller, path: &str) -> Result<(), Denied> {
    caller.identity.admit(path).map_err(Denied::Rule)?;
    match &caller.bucket {
        None => Ok(()),
        Some(bucket) => bucket.take().map_err(|retry_after| Denied::TooFast { retry_after }),
    }
}

/// The key in the metadata; there may be one at most.
fn shown(headers: &HeaderMap) -> Result<&str, Denied> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Denied::KeyMissing)?;
    if values.next().is_some() {
        return Err(Denied::KeyInvalid);
    }
    let text = value.to_str().map_err(|_| Denied::KeyInvalid)?;
    let (scheme, key) = text.split_once(' ').ok_or(Denied::KeyInvalid)?;
    if scheme.eq_ignore_ascii_case(SCHEME) { Ok(key.trim()) } else { Err(Denied::KeyInvalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bearer_token_is_shown_or_none_is() {
        for (values, expected) in [
            (vec![], Err(Denied::KeyMissing)),
            (vec!["Bearer planaria_a_b"], Ok("planaria_a_b")),
            (vec!["bearer  planaria_a_b "], Ok("planaria_a_b")),
            (vec!["planaria_a_b"], Err(Denied::KeyInvalid)),
            (vec!["Basic dXNlcjpwYXNz"], Err(Denied::KeyInvalid)),
            (vec!["Bearer a", "Bearer b"], Err(Denied::KeyInvalid)),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(shown(&headers), expected, "{values:?}");
        }
    }
}
