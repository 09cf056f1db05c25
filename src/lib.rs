//! The contract of Planaria: every message and service of `proto/planaria/<area>/v1`, as
//! `planaria_proto::<area>::v1`.
//!
//! Without features there are messages and clients generic over their channel, no transport, and
//! the crate compiles to wasm32. The feature `server` adds the server traits.

/// Every file of the contract with its imports and comments, an encoded
/// `google.protobuf.FileDescriptorSet`: the source of reflection and of the API documentation.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/planaria.binpb"));

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/contract.rs"));
}

pub use generated::planaria::*;
