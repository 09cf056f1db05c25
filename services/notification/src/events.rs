//! Facts as CloudEvents: the lifecycle events of the DSL, those of the mesh, and what workflows
//! emit, as it is.

mod draft;
mod emitted;
pub(crate) mod json;
pub(crate) mod kind;
mod mesh;

pub(crate) use draft::{Draft, drafts};

#[cfg(test)]
mod tests;
