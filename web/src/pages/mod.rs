//! The pages, a file or folder each.

mod docs;
mod events;
mod healing;
mod lost;
mod overview;
mod settings;
mod workers;

pub(crate) use docs::Docs;
pub(crate) use events::Events;
pub(crate) use healing::Healing;
pub(crate) use lost::Lost;
pub(crate) use overview::Overview;
pub(crate) use settings::Settings;
pub(crate) use workers::Workers;
