//! Flow control: which waiting task is next, and how much may run.

pub mod bucket;
pub mod division;
pub mod holder;
pub mod shares;
pub mod turn;

pub use bucket::{Bucket, Rate};
pub use division::{Claim, Grant, Held, settle};
pub use holder::Holder;
pub use shares::Shares;
pub use turn::turn_ms;

#[cfg(test)]
mod interleavings;
#[cfg(test)]
mod properties;
