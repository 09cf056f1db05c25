//! Webhooks, in the words of both databases. Whatever changes what is derived changes the version
//! in the same transaction, first, which keeps the changes apart.

use planaria_log_tail::LogCursor;
use prost::Message;

use super::{Session, rows};
use crate::records::Webhook;
use crate::secret::Secret;

type Result<T> = std::result::Result<T, sqlx::Error>;

pub(super) async fn create(
    session: &mut Session<'_>,
    webhook: &Webhook,
    webhooks_max: u32,
) -> Result<bool> {
    change(session).await?;
    let count = sqlx::query("SELECT count(*) AS count FROM webhooks");
    let count = session.row(count).await?.ok_or(sqlx::Error::RowNotFound)?;
    if rows::number(&count, "count")? >= u64::from(webhooks_max) {
        return Ok(false);
    }
    let query = sqlx::query(
        "INSERT INTO webhooks (id, namespace, url, filter, description, enabled,
             disabled_because, created_at_ms, secret, former_secret, former_until_ms, behind)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 0, $10)",
    )
    .bind(&webhook.id)
    .bind(&webhook.filter.namespace)
    .bind(&webhook.url)
    .bind(webhook.filter.encode_to_vec())
    .bind(&webhook.description)
    .bind(webhook.enabled)
    .bind(&webhook.disabled_because)
    .bind(webhook.created_at_ms.cast_signed())
    .bind(webhook.secret.text())
    .bind(webhook.behind.to_string());
    session.execute(query).await?;
    begin(session, &webhook.behind).await?;
    Ok(true)
}

pub(super) async fn webhook(session: &mut Session<'_>, id: &str) -> Result<Option<Webhook>> {
    let row = session.row(sqlx::query("SELECT * FROM webhooks WHERE id = $1").bind(id)).await?;
    row.as_ref().map(rows::webhook).transpose()
}

pub(super) async fn list(
    session: &mut Session<'_>,
    namespace: &str,
    after: &str,
    limit: u32,
) -> Result<Vec<Webhook>> {
    // Ids rise with time.
    let query = sqlx::query(
        "SELECT * FROM webhooks WHERE ($1 = '' OR namespace = $1) AND id > $2
         ORDER BY id LIMIT $3",
    )
    .bind(namespace)
    .bind(after)
    .bind(i64::from(limit));
    session.rows(query).await?.iter().map(rows::webhook).collect()
}

pub(super) async fn delete(session: &mut Session<'_>, id: &str) -> Result<bool> {
    change(session).await?;
    let query = sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id);
    let gone = session.execute(query).await? > 0;
    end(session).await?;
    Ok(gone)
}

pub(super) async fn delete_deliveries(
    session: &mut Session<'_>,
    id: &str,
    limit: u32,
) -> Result<u64> {
    let query = sqlx::query(
        "DELETE FROM deliveries WHERE id IN (
             SELECT id FROM deliveries WHERE webhook_id = $1 LIMIT $2)",
    )
    .bind(id)
    .bind(i64::from(limit));
    session.execute(query).await
}

pub(super) async fn enable(
    session: &mut Session<'_>,
    id: &str,
    behind: &LogCursor,
) -> Result<bool> {
    change(session).await?;
    let query = sqlx::query(
        "UPDATE webhooks SET enabled = $2, disabled_because = '', behind = $3
         WHERE id = $1 AND NOT enabled",
    )
    .bind(id)
    .bind(true)
    .bind(behind.to_string());
    if session.execute(query).await? > 0 {
        begin(session, behind).await?;
        return Ok(true);
    }
    is_there(session, id).await
}

pub(super) async fn disable(session: &mut Session<'_>, id: &str, because: &str) -> Result<bool> {
    change(session).await?;
    let query = sqlx::query(
        "UPDATE webhooks SET enabled = $2, disabled_because = $3 WHERE id = $1 AND enabled",
    )
    .bind(id)
    .bind(false)
    .bind(because);
    if session.execute(query).await? > 0 {
        end(session).await?;
        return Ok(true);
    }
    is_there(session, id).await
}

pub(super) async fn rotate(
    session: &mut Session<'_>,
    id: &str,
    secret: &Secret,
    former_until_ms: u64,
) -> Result<bool> {
    let query = sqlx::query(
        "UPDATE webhooks SET former_secret = secret, former_until_ms = $3, secret = $2
         WHERE id = $1",
    )
    .bind(id)
    .bind(secret.text())
    .bind(former_until_ms.cast_signed());
    Ok(session.execute(query).await? > 0)
}

pub(super) async fn pending(session: &mut Session<'_>, id: &str) -> Result<u64> {
    let query = sqlx::query(
        "SELECT count(*) AS count FROM deliveries
         WHERE webhook_id = $1 AND next_at_ms IS NOT NULL",
    )
    .bind(id);
    let row = session.row(query).await?.ok_or(sqlx::Error::RowNotFound)?;
    rows::number(&row, "count")
}

async fn is_there(session: &mut Session<'_>, id: &str) -> Result<bool> {
    let row = session.row(sqlx::query("SELECT 1 FROM webhooks WHERE id = $1").bind(id)).await?;
    Ok(row.is_some())
}

/// What is derived changes: whoever derives looks again before it saves.
async fn change(session: &mut Session<'_>) -> Result<()> {
    let query = sqlx::query("UPDATE place SET version = version + 1 WHERE id = 1");
    session.execute(query).await?;
    Ok(())
}

/// Deriving begins, unless it goes on already.
async fn begin(session: &mut Session<'_>, behind: &LogCursor) -> Result<()> {
    let query = sqlx::query("UPDATE place SET cursor = $1 WHERE id = 1 AND cursor = ''");
    session.execute(query.bind(behind.to_string())).await?;
    Ok(())
}

/// Deriving ends if no webhook is enabled any more.
async fn end(session: &mut Session<'_>) -> Result<()> {
    let query = sqlx::query(
        "UPDATE place SET cursor = ''
         WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM webhooks WHERE enabled)",
    );
    session.execute(query).await?;
    Ok(())
}
