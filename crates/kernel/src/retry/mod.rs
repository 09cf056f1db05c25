//! Whether and when a failed function task is tried again, and how the retry engine mends its own
//! records. Lost attempts are not failures and never come here; neither do the delays of an
//! author's `try/catch/retry`.

pub mod backoff;
mod policy;
pub mod reconcile;
mod verdict;

pub use policy::RetryPolicy;
pub use verdict::{ErrorClass, Failure, GiveUpReason, Verdict, decide, latest_start};
