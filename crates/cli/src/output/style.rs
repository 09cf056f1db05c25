//! Few colours, each with one meaning.

use planaria_proto::types::v1::Phase;

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Nothing special.
    Plain,
    /// A title, or what the eye should find.
    Strong,
    /// Less important.
    Dim,
    /// Well and done.
    Good,
    /// Under way.
    Active,
    /// Needs attention soon, or waits.
    Warm,
    /// Wrong.
    Bad,
}

impl Style {
    /// The text between the terminal's codes, or as it is without `colours`.
    pub(crate) fn paint(self, text: &str, colours: bool) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Strong => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Active => "36",
            Self::Warm => "33",
            Self::Bad => "31",
        };
        if colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// The style of a status.
    pub(crate) fn of_phase(phase: Phase) -> Self {
        match phase {
            Phase::Completed => Self::Good,
            Phase::Running => Self::Active,
            Phase::Waiting | Phase::Suspended => Self::Warm,
            Phase::Faulted | Phase::Cancelled => Self::Bad,
            Phase::Pending | Phase::Unspecified => Self::Dim,
        }
    }
}
