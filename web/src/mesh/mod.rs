//! The mesh, as a browser reaches it: calls, the one stream of a page, and who one is.

mod again;
mod client;
mod door;
mod failure;
mod follow;
mod key;
mod raw;
mod visibility;

pub(crate) use again::Again;
pub(crate) use client::*;
pub(crate) use door::knock;
pub(crate) use failure::{Failure, Loaded};
pub(crate) use follow::{Link, Told, follow};
pub(crate) use key::Key;
pub(crate) use raw::call;
