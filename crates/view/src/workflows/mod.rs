//! The list of workflows: which are shown, how the list follows what happens, and what is done to
//! many at once.

mod bulk;
mod filter;
mod query;
mod rows;

pub use bulk::Bulk;
pub use filter::{Definition, PHASES, PRESETS, Started, WorkflowFilter};
pub use rows::{Rows, Taken, Window, window};
