//! Whether and when a failed function task is tried again, what that may cost the far side, and
//! how the retry engine mends its own records. Lost attempts are not failures: they never consume
//! a policy. Neither do the delays of an author's `try/catch/retry` come here.

pub mod backoff;
pub mod breaker;
pub mod budget;
mod class;
mod fingerprint;
mod policy;
pub mod reconcile;
mod verdict;
mod window;

pub use class::ErrorClass;
pub use fingerprint::{fingerprint, normalised};
pub use policy::RetryPolicy;
pub use verdict::{Failure, GiveUpReason, Verdict, decide, latest_start};
pub use window::Window;
