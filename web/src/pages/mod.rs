//! The pages, a file or folder each.

mod definition;
mod definitions;
mod docs;
mod events;
mod healing;
mod letter;
mod lost;
mod overview;
mod retries;
mod settings;
mod workers;
mod workflow;
mod workflows;

pub(crate) use definition::Definition;
pub(crate) use definitions::Definitions;
pub(crate) use docs::Docs;
pub(crate) use events::Events;
pub(crate) use healing::Healing;
pub(crate) use letter::DeadLetter;
pub(crate) use lost::Lost;
pub(crate) use overview::Overview;
pub(crate) use retries::Retries;
pub(crate) use settings::Settings;
pub(crate) use workers::Workers;
pub(crate) use workflow::Workflow;
pub(crate) use workflows::Workflows;
