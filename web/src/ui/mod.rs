//! The small parts that pages are made of.

mod act;
mod asked;
mod badge;
mod chart;
mod dialog;
mod id;
mod json;
mod query;
mod secret;
mod state;
mod when;

pub(crate) use act::Act;
pub(crate) use asked::{Ask, Asked, Pick, Switch};
pub(crate) use badge::{Badge, PhaseBadge, Tone};
pub(crate) use chart::TimeChart;
pub(crate) use dialog::Confirm;
pub(crate) use id::Id;
pub(crate) use json::{Json, payload_text};
pub(crate) use query::query;
pub(crate) use secret::Secret;
pub(crate) use state::{Empty, Oops, Show, Title};
pub(crate) use when::When;
