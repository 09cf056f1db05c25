//! The promises, by their numbers.

mod durability;
mod fencing;
mod history;
mod liveness;
mod notice;
mod retry;
#[cfg(test)]
mod tests;

use crate::evidence::Evidence;
use crate::report::Finding;

/// All of them, in the order of their numbers.
pub(crate) fn all(evidence: &Evidence) -> Vec<Finding> {
    [durability::all, fencing::all, liveness::all, history::all, retry::all, notice::all]
        .into_iter()
        .flat_map(|chapter| chapter(evidence))
        .collect()
}
