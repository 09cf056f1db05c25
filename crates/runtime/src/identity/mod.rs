//! Who calls: said by the mesh itself in one header, and proven under the mesh's secret.
//!
//! The gateway finds out who a client is and says so in `planaria-identity`; services say their
//! own names when they call each other. Every service verifies the header before it answers
//! anything but health, and its handlers read the [`Identity`] from the request. The header is
//! looked at when a call begins: it lives for a minute at most, a stream may live longer, and
//! whoever let it in ends it (the gateway does so when a key is revoked).
//!
//! What this module does not do: it knows no API keys and stores nothing.

use std::sync::Arc;

use tonic::{Request, Status};

mod encoding;
mod guard;
mod refusal;
mod rules;
mod secret;
mod signer;

pub(crate) use guard::Guard;
pub use refusal::Refused;
pub use rules::{RULES, Rule, rule};
pub use secret::{MeshSettings, Secret};
pub use signer::Signer;

/// The metadata that says who calls.
pub const HEADER: &str = "planaria-identity";
/// The namespace of those who may see all of them.
pub const ALL_NAMESPACES: &str = "*";
/// The longest life of a header.
pub const IDENTITY_MS_MAX: u64 = 60_000;
/// The longest key id, and the longest namespace.
const NAME_BYTES_MAX: usize = 64;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Looks at everything in its namespace, changes nothing.
    Reader,
    /// Publishes definitions, starts and steers workflows.
    Operator,
    /// Pulls tasks and reports results; nothing else.
    Worker,
    /// Everything that a client can do, API keys included.
    Admin,
    /// A service of the mesh, when it calls another one by itself.
    Service,
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Names the key of a client, or the service that calls; for logs, never a secret.
    pub key_id: Arc<str>,
    /// The only namespace that it sees, or [`ALL_NAMESPACES`].
    pub namespace: Arc<str>,
    /// What it may do there.
    pub role: Role,
    /// Not believed afterwards; Unix milliseconds.
    pub expires_at_ms: u64,
}

impl Identity {
    /// Somebody, from now on for as long as a header may live.
    #[must_use]
    pub fn new(key_id: &str, namespace: &str, role: Role) -> Self {
        let expires_at_ms = crate::clock::now_ms().saturating_add(IDENTITY_MS_MAX);
        Self { key_id: key_id.into(), namespace: namespace.into(), role, expires_at_ms }
    }

    /// The caller of a request that a service got.
    ///
    /// # Errors
    /// The request did not come through the server of this crate; nobody is nobody.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let identity = request.extensions().get::<Self>().cloned();
        identity.ok_or_else(|| Refused::Missing.status())
    }

    /// Whether it may know that something of this namespace exists.
    #[must_use]
    pub fn sees(&self, namespace: &str) -> bool {
        *self.namespace == *ALL_NAMESPACES || *self.namespace == *namespace
    }

    /// The one namespace that it sees; nothing if it sees all.
    #[must_use]
    pub fn only_namespace(&self) -> Option<&str> {
        Some(&*self.namespace).filter(|namespace| *namespace != ALL_NAMESPACES)
    }

    /// Whether its role is enough for what asks at least for `least`.
    #[must_use]
    pub fn may(&self, least: Role) -> bool {
        match (self.role, least) {
            (Role::Service, _) => true,
            (Role::Admin, least) => least != Role::Service,
            (Role::Operator, least) => matches!(least, Role::Reader | Role::Operator),
            (role, least) => role == least,
        }
    }

    /// Whether it may call this method at all.
    ///
    /// # Errors
    /// Its role is too small, or the method speaks of all namespaces.
    pub fn admit(&self, path: &str) -> Result<(), Refused> {
        let rule = rule(path);
        if !self.may(rule.least) {
            return Err(Refused::Role { role: self.role, least: rule.least });
        }
        if rule.mesh_wide && self.only_namespace().is_some() {
            return Err(Refused::Namespace);
        }
        Ok(())
    }
}

impl Role {
    /// Its name in headers, keys and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Worker => "worker",
            Self::Admin => "admin",
            Self::Service => "service",
        }
    }

    /// The role of a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Reader, Self::Operator, Self::Worker, Self::Admin, Self::Service];
        all.into_iter().find(|role| role.name() == name)
    }
}

/// Whether a text can stand for a key or a namespace in a header.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_may_what_it_may_and_nothing_else() {
        use Role::{Admin, Operator, Reader, Service, Worker};
        for (role, may) in [
            (Reader, vec![Reader]),
            (Operator, vec![Reader, Operator]),
            (Worker, vec![Worker]),
            (Admin, vec![Reader, Operator, Worker, Admin]),
            (Service, vec![Reader, Operator, Worker, Admin, Service]),
        ] {
            let identity = Identity::new("key", "shop", role);
            let all = [Reader, Operator, Worker, Admin, Service];
            let allowed: Vec<Role> = all.into_iter().filter(|least| identity.may(*least)).collect();
            assert_eq!(allowed, may, "{role:?}");
            assert_eq!(Role::parse(role.name()), Some(role));
        }
    }

    #[test]
    fn a_namespace_sees_itself_and_all_sees_all() {
        let shop = Identity::new("key", "shop", Role::Admin);
        assert!(shop.sees("shop") && !shop.sees("shop2") && !shop.sees("*") && !shop.sees(""));
        let all = Identity::new("key", "*", Role::Reader);
        assert!(all.sees("shop") && all.sees("*"));
        assert_eq!((shop.only_namespace(), all.only_namespace()), (Some("shop"), None));
    }

    #[test]
    fn names_are_safe_inside_a_header() {
        for (text, fits) in
            [("k7-a_b.c", true), ("", false), ("a:b", false), ("*", false), ("a b", false)]
        {
            assert_eq!(is_name(text), fits, "{text}");
        }
        assert!(!is_name(&"a".repeat(65)));
    }
}
