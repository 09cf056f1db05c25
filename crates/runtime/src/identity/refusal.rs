//! Why a call is not let in, with reasons that stay stable.

use std::collections::HashMap;
use std::sync::Arc;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::Role;

const DOMAIN: &str = "planaria.dev";

/// Why somebody may not call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no header: the call did not come from this mesh.
    #[error("the call says nothing about who makes it; clients call the gateway")]
    Missing,
    /// The header is not one of this mesh's.
    #[error("the identity is not one of this mesh's")]
    Invalid,
    /// The header was valid once.
    #[error("the identity has expired")]
    Expired {
        /// Whose it was.
        key_id: Arc<str>,
    },
    /// The caller's role is not enough.
    #[error("the role {} is not enough, this needs {}", role.name(), least.name())]
    Role {
        /// What the caller has.
        role: Role,
        /// What it needs.
        least: Role,
    },
    /// The method speaks of all namespaces, the caller belongs to one.
    #[error("this speaks of all namespaces, and the key is for one")]
    Namespace,
}

impl Refused {
    /// A stable word for metrics, logs and clients.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "IDENTITY_MISSING",
            Self::Invalid => "IDENTITY_INVALID",
            Self::Expired { .. } => "IDENTITY_EXPIRED",
            Self::Role { .. } => "ROLE_INSUFFICIENT",
            Self::Namespace => "NAMESPACE_INSUFFICIENT",
        }
    }

    /// What the caller is told.
    #[must_use]
    pub fn status(&self) -> Status {
        let mut metadata = HashMap::new();
        let code = match self {
            Self::Missing | Self::Invalid | Self::Expired { .. } => Code::Unauthenticated,
            Self::Role { role, least } => {
                metadata.insert("role".to_owned(), role.name().to_owned());
                metadata.insert("needed".to_owned(), least.name().to_owned());
                Code::PermissionDenied
            }
            Self::Namespace => Code::PermissionDenied,
        };
        let details = ErrorDetails::with_error_info(self.reason(), DOMAIN, metadata);
        Status::with_error_details(code, self.to_string(), details)
    }
}
