//! Whom services may call outside of the mesh.
//!
//! By default everybody but link-local addresses, where clouds keep their machines' credentials.
//! Loopback and private networks are allowed then, because people try their workflows on one
//! machine; where the caller is not to be trusted, [`Network::not_public`] denies them.

mod clients;
mod guard;
mod network;

pub use clients::Clients;
pub use guard::{Denied, Egress, EgressConfig};
pub use network::Network;
