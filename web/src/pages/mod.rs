//! The pages, a file or folder each.

mod docs;
mod events;
mod lost;
mod overview;
mod settings;

pub(crate) use docs::Docs;
pub(crate) use events::Events;
pub(crate) use lost::Lost;
pub(crate) use overview::Overview;
pub(crate) use settings::Settings;
