//! A word with a colour. The word alone says everything: nobody has to see the colour.

use leptos::prelude::*;
use planaria_proto::types::v1::Phase;
use planaria_view::names;

/// What a word is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Busy,
    Wait,
    Bad,
}

impl Tone {
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Wait => "wait",
            Self::Bad => "bad",
        }
    }

    pub(crate) fn of(phase: Phase) -> Self {
        match phase {
            Phase::Completed => Self::Good,
            Phase::Running => Self::Busy,
            Phase::Faulted => Self::Bad,
            Phase::Waiting | Phase::Suspended => Self::Wait,
            Phase::Unspecified | Phase::Pending | Phase::Cancelled => Self::Plain,
        }
    }
}

/// A word with a dot of its tone.
#[component]
pub(crate) fn Badge(tone: Tone, #[prop(into)] text: String) -> impl IntoView {
    view! { <span class=format!("badge {}", tone.class())>{text}</span> }
}

/// The phase of a workflow or a task.
#[component]
pub(crate) fn PhaseBadge(phase: Phase) -> impl IntoView {
    view! { <Badge tone=Tone::of(phase) text=names::phase(phase) /> }
}
