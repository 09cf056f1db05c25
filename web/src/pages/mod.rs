//! The pages, a file or folder each.

mod healing;
mod letter;
mod lost;
mod overview;
mod retries;
mod workers;

pub(crate) use healing::Healing;
pub(crate) use letter::DeadLetter;
pub(crate) use lost::Lost;
pub(crate) use overview::Overview;
pub(crate) use retries::Retries;
pub(crate) use workers::Workers;
