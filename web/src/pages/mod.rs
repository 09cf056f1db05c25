//! The pages, a file or folder each.

mod lost;
mod overview;

pub(crate) use lost::Lost;
pub(crate) use overview::Overview;
