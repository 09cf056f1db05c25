//! The pages, a file or folder each.

mod healing;
//X mod letter;
mod lost;
mod overview;
//X mod retries;
mod workers;

pub(crate) use healing::Healing;
//X pub(crate) use letter::DeadLetter;
pub(crate) use lost::Lost;
pub(crate) use overview::Overview;
//X pub(crate) use retries::Retries;
pub(crate) use workers::Workers;
