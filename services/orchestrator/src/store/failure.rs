//! What errors of the databases mean to whoever writes.

use planaria_store::{Failure, failure};

use super::StoreError;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) if database.is_unique_violation() => Self::Conflict,
            sqlx::Error::Database(database) if is_refusal(database.as_ref()) => {
                Self::Refused(Box::new(error))
            }
            sqlx::Error::Encode(_) => Self::Refused(Box::new(error)),
            _ => Self::Failed(Box::new(error)),
        }
    }
}

/// Whether the row is at fault, not the store.
fn is_refusal(error: &dyn sqlx::error::DatabaseError) -> bool {
    let Some(code) = error.code() else { return false };
    if code.len() == 5 {
        // PostgreSQL: a value, a constraint or a size of the program's limits.
        return ["22", "23", "54"].iter().any(|class| code.starts_with(class));
    }
    // `SQLITE_TOOBIG`, `SQLITE_CONSTRAINT` or `SQLITE_MISMATCH`, in the low byte of the extended
    // code.
    matches!(code.parse::<u32>().map(|code| code & 0xff), Ok(18..=20))
}

/// Whether a change may have been made although this came instead of an answer.
pub(super) fn is_open(error: &sqlx::Error) -> bool {
    matches!(failure(error), Failure::Unreachable | Failure::NotReady)
}
