//! Definitions: their versions, what differs between two of them, and the form of their input.

mod diff;
mod form;
mod groups;
mod place;
mod source;

pub use diff::{Change, Line, diff};
pub use form::{Field, Kind, fields, read};
pub use groups::{Group, groups};
pub use place::offset;
pub use source::parse;
