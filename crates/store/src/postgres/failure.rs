//! What an error of PostgreSQL means, by its SQLSTATE.

/// What went wrong, by what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it was lost. Whether the last statement was done is not known.
    Unreachable,
    /// The server is starting or ending.
    NotReady,
    /// User or password are wrong.
    LogIn,
    /// There is no such database.
    DatabaseMissing,
    /// The user may not do this.
    Privilege,
    /// The server has no connection left.
    TooManyConnections,
    /// The server takes no writes.
    ReadOnly,
    /// No space is left.
    Full,
    /// Two transactions were in each other's way; nothing was done, and trying again may help.
    Race,
    /// Anything else: see the error itself.
    Other,
}

/// Codes; <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
const CODES: &[(&str, Failure)] = &[
    ("08", Failure::Unreachable),
    ("25006", Failure::ReadOnly),
    ("28", Failure::LogIn),
    ("3D000", Failure::DatabaseMissing),
    ("40001", Failure::Race),
    ("40P01", Failure::Race),
    ("42501", Failure::Privilege),
    ("53100", Failure::Full),
    ("53300", Failure::TooManyConnections),
    ("57P", Failure::NotReady),
];

/// What an error means.
#[must_use]
pub fn failure(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Failure::Unreachable,
        sqlx::Error::Database(error) => error.code().map_or(Failure::Other, |code| of_code(&code)),
        _ => Failure::Other,
    }
}

fn of_code(code: &str) -> Failure {
    let known = CODES.iter().find(|(prefix, _)| code.starts_with(prefix));
    known.map_or(Failure::Other, |(_, failure)| *failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_meanings() {
        for (code, failure) in [
            ("28P01", Failure::LogIn),
            ("28000", Failure::LogIn),
            ("40001", Failure::Race),
            ("40P01", Failure::Race),
            ("57P01", Failure::NotReady),
            ("57P03", Failure::NotReady),
            ("57014", Failure::Other),
            ("53100", Failure::Full),
            ("23505", Failure::Other),
            ("08006", Failure::Unreachable),
        ] {
            assert_eq!(of_code(code), failure, "{code}");
        }
    }
}
