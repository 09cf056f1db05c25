//! Says who calls, on every call of a service to another.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};

use super::{ALL_NAMESPACES, HEADER, IDENTITY_MS_MAX, Identity, Role, Secret};
use crate::clock::now_ms;

/// Signs for one caller; cheap to clone. A header is made anew when half of its life is over.
#[derive(Debug, Clone)]
pub struct Signer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    identity: Identity,
    secret: Secret,
    current: Mutex<Option<(HeaderValue, u64)>>,
}

impl Signer {
    /// For a service of the mesh.
    #[must_use]
    pub fn for_service(secret: Secret, name: &str) -> Self {
        Self::for_identity(secret, Identity::new(name, ALL_NAMESPACES, Role::Service))
    }

    /// For anybody; the expiry is the header's own.
    #[must_use]
    pub fn for_identity(secret: Secret, identity: Identity) -> Self {
        let current = Mutex::default();
        Self { inner: Arc::new(Inner { identity, secret, current }) }
    }

    /// Adds the header, unless somebody's identity is being passed on already.
    pub fn sign(&self, headers: &mut HeaderMap) {
        if headers.contains_key(HEADER) {
            return;
        }
        match self.header() {
            Some(header) => drop(headers.insert(HEADER, header)),
            // The call will be refused, with a reason.
            None => tracing::error!(key_id = &*self.inner.identity.key_id, "no name for a header"),
        }
    }

    /// The header; nothing if the names cannot stand in one.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        let now_ms = now_ms();
        let Inner { identity, secret, current } = &*self.inner;
        let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((header, made_ms)) = &*current
            && now_ms.abs_diff(*made_ms) < IDENTITY_MS_MAX / 2
        {
            return Some(header.clone());
        }
        let identity = Identity { expires_at_ms: now_ms + IDENTITY_MS_MAX, ..identity.clone() };
        let header = identity.encode(secret).ok()?;
        *current = Some((header.clone(), now_ms));
        Some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_its_name_and_an_identity_that_is_passed_on_stays() {
        let signer = Signer::for_service(Secret::default(), "retry-engine");
        let mut headers = HeaderMap::new();
        signer.sign(&mut headers);
        let header = headers.get(HEADER).unwrap().clone();
        let who = Identity::decode(&header, &Secret::default(), now_ms(), 0).unwrap();
        assert_eq!((&*who.key_id, &*who.namespace, who.role), ("retry-engine", "*", Role::Service));
        Signer::for_service(Secret::default(), "monitoring").sign(&mut headers);
        assert_eq!(headers.get(HEADER), Some(&header));
    }
}
