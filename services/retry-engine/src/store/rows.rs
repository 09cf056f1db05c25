//! Columns that are not stored as they are used. Compiled for each database.

use prost::Message;
use sqlx::Row as _;

use super::Row;

/// A number that is never negative.
pub(super) fn unsigned(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

/// A number of at most 32 bits that is never negative.
pub(super) fn small(row: &Row, column: &str) -> Result<u32, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u32::try_from(number).map_err(|error| undecodable(column, error))
}

/// An encoded message of the contract.
pub(super) fn message<M: Message + Default>(row: &Row, column: &str) -> Result<M, sqlx::Error> {
    let bytes: &[u8] = row.try_get(column)?;
    M::decode(bytes).map_err(|error| undecodable(column, error))
}

pub(super) fn undecodable(
    column: &str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(source) }
}
