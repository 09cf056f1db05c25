//! Rows as records, in the words of both databases.

use planaria_log_tail::LogCursor;
use planaria_proto::notification::v1::{DeliveryState, EventFilter};
use prost::Message;
use sqlx::Row as _;

use super::Row;
use crate::records::{Attempt, Delivery, Webhook};
use crate::secret::Secret;

type Result<T> = std::result::Result<T, sqlx::Error>;

pub(super) fn webhook(row: &Row) -> Result<Webhook> {
    let filter: &[u8] = row.try_get("filter")?;
    let former_secret: String = row.try_get("former_secret")?;
    let former = match former_secret.as_str() {
        "" => None,
        text => Some((secret(text)?, number(row, "former_until_ms")?)),
    };
    let text: String = row.try_get("secret")?;
    Ok(Webhook {
        id: row.try_get("id")?,
        url: row.try_get("url")?,
        filter: EventFilter::decode(filter).map_err(|error| damaged("filter", error))?,
        description: row.try_get("description")?,
        enabled: row.try_get("enabled")?,
        disabled_because: row.try_get("disabled_because")?,
        created_at_ms: number(row, "created_at_ms")?,
        secret: secret(&text)?,
        former,
        behind: cursor(row, "behind")?,
    })
}

/// A delivery, with its body if that was asked for.
pub(super) fn delivery(row: &Row) -> Result<Delivery> {
    let attempted_at_ms: Option<i64> = row.try_get("attempted_at_ms")?;
    let last = match attempted_at_ms {
        None => None,
        Some(at_ms) => Some(Attempt {
            at_ms: at_ms.cast_unsigned(),
            status: u16::try_from(number(row, "status")?).unwrap_or(0),
            error: row.try_get("error")?,
            took_ms: number(row, "took_ms")?,
            response: row.try_get("response")?,
        }),
    };
    let state = i32::try_from(row.try_get::<i64, _>("state")?).unwrap_or(0);
    Ok(Delivery {
        id: row.try_get("id")?,
        webhook: row.try_get("webhook_id")?,
        namespace: row.try_get("namespace")?,
        event_id: row.try_get("event_id")?,
        event_type: row.try_get("event_type")?,
        state: DeliveryState::try_from(state).map_err(|error| damaged("state", error))?,
        attempts: u32::try_from(number(row, "attempts")?).unwrap_or(u32::MAX),
        created_at_ms: number(row, "created_at_ms")?,
        next_at_ms: row.try_get::<Option<i64>, _>("next_at_ms")?.map(i64::cast_unsigned),
        last,
        body: row.try_get("body")?,
    })
}

pub(super) fn cursor(row: &Row, column: &str) -> Result<LogCursor> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|_| damaged(column, "it is no cursor"))
}

pub(super) fn number(row: &Row, column: &str) -> Result<u64> {
    row.try_get::<i64, _>(column).map(i64::cast_unsigned)
}

fn secret(text: &str) -> Result<Secret> {
    Secret::parse(text).map_err(|error| damaged("secret", error))
}

fn damaged(
    column: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.into(), source: source.into() }
}
