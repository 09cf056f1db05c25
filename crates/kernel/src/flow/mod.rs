//! Flow control: which waiting task is next.

pub mod shares;
pub mod turn;

pub use shares::Shares;
pub use turn::turn_ms;

#[cfg(test)]
mod properties;
