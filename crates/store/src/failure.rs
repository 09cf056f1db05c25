//! What an error of a database means: of PostgreSQL by its SQLSTATE, of SQLite by its result code.

use std::io::ErrorKind;

/// What went wrong, by what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or it was lost. Whether the last statement was done is not known.
    Unreachable,
    /// The server is starting or ending.
    NotReady,
    /// The server does not speak TLS, or its certificate is not one to trust.
    Tls,
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
    /// The file, or the disk under it, is damaged.
    Broken,
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
    ("58030", Failure::Broken),
    ("XX001", Failure::Broken),
    ("XX002", Failure::Broken),
];

/// Primary result codes; <https://sqlite.org/rescode.html>.
const SQLITE_CODES: &[(u32, Failure)] = &[
    (8, Failure::ReadOnly),
    (10, Failure::Broken),
    (11, Failure::Broken),
    (13, Failure::Full),
    (14, Failure::ReadOnly),
    (26, Failure::Broken),
];

/// What an error means.
#[must_use]
pub fn failure(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Tls(_) => Failure::Tls,
        // What the TLS of a connection refuses comes as data that is not valid.
        sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => Failure::Tls,
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Failure::Unreachable,
        sqlx::Error::Database(error) => error.code().map_or(Failure::Other, |code| of_code(&code)),
        _ => Failure::Other,
    }
}

fn of_code(code: &str) -> Failure {
    // The codes of PostgreSQL have five characters, those of SQLite are numbers whose low byte is
    // the primary code.
    if code.len() != 5 {
        let primary = code.parse::<u32>().map_or(0, |code| code & 0xff);
        let known = SQLITE_CODES.iter().find(|(code, _)| *code == primary);
        return known.map_or(Failure::Other, |(_, failure)| *failure);
    }
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
            ("13", Failure::Full),
            ("1032", Failure::ReadOnly),
            ("778", Failure::Broken),
            ("5", Failure::Other),
        ] {
            assert_eq!(of_code(code), failure, "{code}");
        }
    }
}
