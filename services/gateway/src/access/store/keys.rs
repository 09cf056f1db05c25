//! Keys in a database. Both databases are asked in the same words: compiled for each of them,
//! `super` says what a session and a row are.

use planaria_runtime::Role;
use sqlx::{Row as _, query};

use super::{Row, Session};
use crate::access::key::ApiKey;

const COLUMNS: &str = "id, hash, label, namespace, role, created_at_ms, created_by, \
                       expires_at_ms, revoked_at_ms, requests_per_second, requests_burst";

pub(super) async fn revision(session: &mut Session<'_>) -> Result<u64, sqlx::Error> {
    let row = session.row(query("SELECT value FROM revision WHERE id = 1")).await?;
    row.map_or(Ok(0), |row| row.try_get::<i64, _>("value").map(i64::cast_unsigned))
}

pub(super) async fn all(session: &mut Session<'_>) -> Result<Vec<ApiKey>, sqlx::Error> {
    let text = format!("SELECT {COLUMNS} FROM api_keys");
    session.rows(query(sqlx::AssertSqlSafe(text))).await?.iter().map(key).collect()
}

/// Whoever changes a key waits here for the others, so that counting is exact.
async fn changed(session: &mut Session<'_>) -> Result<(), sqlx::Error> {
    let changed = query("UPDATE revision SET value = value + 1 WHERE id = 1");
    session.execute(changed).await.map(drop)
}

pub(super) async fn create(
    session: &mut Session<'_>,
    key: &ApiKey,
    keys_max: u32,
    now_ms: u64,
) -> Result<bool, sqlx::Error> {
    changed(session).await?;
    let count = query(
        "SELECT count(*) AS count FROM api_keys
         WHERE revoked_at_ms IS NULL AND expires_at_ms > $1",
    );
    let row = session.row(count.bind(now_ms.cast_signed())).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get("count"))?;
    if count >= i64::from(keys_max) {
        return Ok(false);
    }
    let text = format!(
        "INSERT INTO api_keys ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    );
    let insert = query(sqlx::AssertSqlSafe(text))
        .bind(&key.id)
        .bind(key.hash.to_vec())
        .bind(&key.label)
        .bind(&key.namespace)
        .bind(key.role.name())
        .bind(key.created_at_ms.cast_signed())
        .bind(&key.created_by)
        .bind(key.expires_at_ms.cast_signed())
        .bind(key.revoked_at_ms.map(u64::cast_signed))
        .bind(i64::from(key.requests_per_second))
        .bind(i64::from(key.requests_burst));
    session.execute(insert).await?;
    Ok(true)
}

pub(super) async fn list(
    session: &mut Session<'_>,
    namespace: Option<&str>,
    good_at_ms: Option<u64>,
    after: &str,
    limit: u32,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    let text = format!(
        "SELECT {COLUMNS} FROM api_keys
         WHERE id > $1 AND ($2 = '*' OR namespace = $2)
             AND ($3 = 0 OR (revoked_at_ms IS NULL AND expires_at_ms > $3))
         ORDER BY id LIMIT $4"
    );
    let list = query(sqlx::AssertSqlSafe(text))
        .bind(after)
        .bind(namespace.unwrap_or("*"))
        .bind(good_at_ms.unwrap_or(0).cast_signed())
        .bind(i64::from(limit));
    session.rows(list).await?.iter().map(key).collect()
}

pub(super) async fn revoke(
    session: &mut Session<'_>,
    id: &str,
    namespace: Option<&str>,
    now_ms: u64,
) -> Result<Option<ApiKey>, sqlx::Error> {
    changed(session).await?;
    let revoke = query(
        "UPDATE api_keys SET revoked_at_ms = $1
         WHERE id = $2 AND ($3 = '*' OR namespace = $3) AND revoked_at_ms IS NULL",
    )
    .bind(now_ms.cast_signed())
    .bind(id)
    .bind(namespace.unwrap_or("*"));
    session.execute(revoke).await?;
    let text =
        format!("SELECT {COLUMNS} FROM api_keys WHERE id = $1 AND ($2 = '*' OR namespace = $2)");
    let select = query(sqlx::AssertSqlSafe(text)).bind(id).bind(namespace.unwrap_or("*"));
    session.row(select).await?.as_ref().map(key).transpose()
}

pub(super) async fn clear(session: &mut Session<'_>, before_ms: u64) -> Result<(), sqlx::Error> {
    let clear = query("DELETE FROM api_keys WHERE expires_at_ms < $1 OR revoked_at_ms < $1");
    if session.execute(clear.bind(before_ms.cast_signed())).await? > 0 {
        changed(session).await?;
    }
    Ok(())
}

fn key(row: &Row) -> Result<ApiKey, sqlx::Error> {
    let unsigned = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let small = |column: &str| {
        let number: i64 = row.try_get(column)?;
        u32::try_from(number).map_err(|error| undecodable(column, error.to_string()))
    };
    let role: String = row.try_get("role")?;
    let hash: Vec<u8> = row.try_get("hash")?;
    Ok(ApiKey {
        id: row.try_get("id")?,
        hash: hash.try_into().map_err(|_| undecodable("hash", "its length is wrong"))?,
        label: row.try_get("label")?,
        namespace: row.try_get("namespace")?,
        role: Role::parse(&role).ok_or_else(|| undecodable("role", role))?,
        created_at_ms: unsigned("created_at_ms")?,
        created_by: row.try_get("created_by")?,
        expires_at_ms: unsigned("expires_at_ms")?,
        revoked_at_ms: row.try_get::<Option<i64>, _>("revoked_at_ms")?.map(i64::cast_unsigned),
        requests_per_second: small("requests_per_second")?,
        requests_burst: small("requests_burst")?,
    })
}

fn undecodable(column: &str, why: impl Into<String>) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: why.into().into() }
}
