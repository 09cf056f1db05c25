//! The workflow machine.
//!
//! A workflow's state is the fold of its history ([`Workflow::record`], [`Workflow::fold`]).
//! [`apply`] takes an input, walks the definition as far as it goes without help, and says what
//! happened (facts, already folded into the state) and what is to be done (effects, after the facts
//! are committed). Expressions are evaluated through a port; what they yielded is in the facts, so
//! that replay never evaluates.
//!
//! What the machine deliberately does not do: it does not know which worker has an attempt (that is
//! a row of the orchestrator's store, fenced by the attempt's number), whether a failure is retried
//! (the retry engine's word), or what time it is.

mod advance;
mod apply;
mod catch;
mod effect;
mod enter;
mod error_object;
mod fact;
mod finish;
mod fold;
mod input;
mod listen;
mod rerun;
mod state;

pub use apply::{Limits, Rejected, Step, Surroundings, apply};
pub use effect::{Effect, Timer};
pub use error_object::ErrorObject;
pub use fact::{
    AttemptFailed, AttemptLost, Detail, Execution, Fact, FrameId, LossCause, Recorded, Rerun,
    TaskCompleted, TaskStarted,
};
pub use input::Input;
pub use rerun::RerunPlan;
pub use state::{Frame, FrameState, Phase, ReceivedEvent, TryStage, Variables, Workflow};
