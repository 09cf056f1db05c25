//! Who is alive: the failure detector's decisions.
//!
//! [`Estimator`] turns the heartbeats of one session into a suspicion (phi), [`SessionLiveness`]
//! combines that with the other signs of life and death of a session, [`Roster`] watches all
//! workers and doubts itself before it doubts many of them. Times are milliseconds of any
//! monotonic clock, given as arguments.
//!
//! Nothing here is needed for safety: a wrong verdict costs a repeated execution, a missing one
//! costs the rest of the session's lease.

mod estimator;
mod own_health;
mod policy;
mod progress;
mod roster;
mod session;

pub use estimator::{Estimator, Verdict};
pub use own_health::OwnHealth;
pub use policy::Policy;
pub use progress::{AttemptReport, Progress};
pub use roster::{Beat, Member, Roster, RosterEffect, RosterEvent};
pub use session::{
    Cause, Conditions, Death, Loss, SessionEffect, SessionEvent, SessionLiveness, Step, Watch,
};
