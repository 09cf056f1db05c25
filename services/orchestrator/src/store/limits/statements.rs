//! Limits in a database. Both databases are asked in the same words: compiled for each of them,
//! `super` says what a session, a row and the database are.

use std::collections::BTreeMap;
use std::sync::Arc;

use planaria_kernel::flow::{Bucket, Rate};
use sqlx::{QueryBuilder, Row as _, query};

use super::{Db, FOR_UPDATE, Row, Session};
use crate::store::limits::{
    Demand, Known, LimitKey, LimitRow, LimitUse, Outcome, Settled, UseRow, settle_all,
};
use crate::store::{Shard, StoreError};

/// Rows of one statement.
const CHUNK: usize = 200;

pub(super) async fn limits(session: &mut Session<'_>) -> Result<Vec<LimitRow>, StoreError> {
    let select = "SELECT * FROM limits ORDER BY namespace, function, per";
    session.rows(query(select)).await?.iter().map(limit).collect()
}

pub(super) async fn put(
    session: &mut Session<'_>,
    row: &LimitRow,
) -> Result<(LimitRow, bool), StoreError> {
    let (per_second, burst) = row.rate.map(|rate| (rate.per_second, rate.burst)).unzip();
    let update = "UPDATE limits SET concurrency = $4, rate = $5, burst = $6, changed_at_ms = $7
        WHERE namespace = $1 AND function = $2 AND per = $3 RETURNING *";
    let insert = "INSERT INTO limits
        (namespace, function, per, concurrency, rate, burst, changed_at_ms, created_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING *";
    for (statement, is_new) in [(update, false), (insert, true)] {
        let put = query(statement)
            .bind(&row.key.namespace)
            .bind(&row.key.function)
            .bind(&row.key.per)
            .bind(row.concurrency.map(i64::from))
            .bind(per_second)
            .bind(burst.map(i64::from))
            .bind(row.changed_at_ms.cast_signed());
        if let Some(row) = session.row(put).await? {
            return Ok((limit(&row)?, is_new));
        }
    }
    Err(StoreError::Conflict)
}

pub(super) async fn delete(session: &mut Session<'_>, key: &LimitKey) -> Result<bool, StoreError> {
    let delete = "DELETE FROM limits WHERE namespace = $1 AND function = $2 AND per = $3
        RETURNING id";
    let delete = query(delete).bind(&key.namespace).bind(&key.function).bind(&key.per);
    let Some(row) = session.row(delete).await? else { return Ok(false) };
    let id: i64 = row.try_get("id")?;
    for delete in [
        "DELETE FROM limit_uses WHERE limit_id = $1",
        "DELETE FROM limit_buckets WHERE limit_id = $1",
    ] {
        session.execute(query(delete).bind(id)).await?;
    }
    Ok(true)
}

pub(super) async fn uses(session: &mut Session<'_>) -> Result<Vec<UseRow>, StoreError> {
    session.rows(query("SELECT * FROM limit_uses")).await?.iter().map(use_row).collect()
}

/// Settles demands inside of a transaction that already holds the shard.
pub(super) async fn settle(
    session: &mut Session<'_>,
    shard: Shard,
    demands: &[Demand],
    (now_ms, is_shared): (u64, bool),
) -> Result<Vec<Option<Settled>>, StoreError> {
    let mut answers = Vec::with_capacity(demands.len());
    for demands in demands.chunks(CHUNK) {
        let known = known(session, demands).await?;
        let mut outcome = settle_all(known, shard, demands, (now_ms, is_shared));
        answers.append(&mut outcome.answers);
        write(session, shard, &outcome, now_ms).await?;
    }
    Ok(answers)
}

/// What there is to be known; the limits are locked until the transaction is over.
async fn known(session: &mut Session<'_>, demands: &[Demand]) -> Result<Known, StoreError> {
    let mut select = QueryBuilder::<Db>::new("SELECT * FROM limits WHERE");
    among(&mut select, "id", demands.iter().map(|demand| demand.of.limit));
    // In an order, so that two who settle do not wait for each other.
    select.push(" ORDER BY id").push(FOR_UPDATE);
    let limits: Result<Vec<LimitRow>, StoreError> =
        session.rows(select.build()).await?.iter().map(limit).collect();
    let limits = limits?;
    let mut select = QueryBuilder::<Db>::new("SELECT * FROM limit_uses WHERE");
    of_demands(&mut select, demands);
    let uses: Result<Vec<UseRow>, StoreError> =
        session.rows(select.build()).await?.iter().map(use_row).collect();
    let mut buckets = BTreeMap::new();
    if limits.iter().any(|limit| limit.rate.is_some()) {
        let mut select = QueryBuilder::<Db>::new("SELECT * FROM limit_buckets WHERE");
        of_demands(&mut select, demands);
        for row in session.rows(select.build()).await? {
            let bucket = Bucket {
                tokens: row.try_get("tokens")?,
                at_ms: row.try_get::<i64, _>("at_ms")?.cast_unsigned(),
            };
            buckets.insert(limit_use(&row)?, bucket);
        }
    }
    Ok(Known { limits, uses: uses?, buckets })
}

/// All values of demands; more than are asked for may come.
fn of_demands(select: &mut QueryBuilder<Db>, demands: &[Demand]) {
    among(select, "limit_id", demands.iter().map(|demand| demand.of.limit));
    select.push(" AND");
    among(select, "value", demands.iter().map(|demand| demand.of.value.to_string()));
}

fn among<'q, V>(select: &mut QueryBuilder<Db>, column: &str, values: impl Iterator<Item = V>)
where
    V: sqlx::Encode<'q, Db> + sqlx::Type<Db> + Ord + 'q,
{
    let values: std::collections::BTreeSet<V> = values.collect();
    select.push(" ").push(column).push(" IN (");
    let mut list = select.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    select.push(")");
}

async fn write(
    session: &mut Session<'_>,
    shard: Shard,
    outcome: &Outcome,
    now_ms: u64,
) -> Result<(), StoreError> {
    if outcome.uses.is_empty() {
        return Ok(());
    }
    let insert =
        "INSERT INTO limit_uses (limit_id, value, shard, wanted, running, waiting, granted) ";
    let mut insert = QueryBuilder::<Db>::new(insert);
    insert.push_values(&outcome.uses, |mut row, used| {
        row.push_bind(used.of.limit)
            .push_bind(used.of.value.to_string())
            .push_bind(i32::from(shard.0))
            .push_bind(i64::from(used.wanted))
            .push_bind(i64::from(used.running))
            .push_bind(i64::from(used.waiting))
            .push_bind(i64::from(used.granted));
    });
    insert.push(
        " ON CONFLICT (limit_id, value, shard) DO UPDATE SET wanted = excluded.wanted,
            running = excluded.running, waiting = excluded.waiting, granted = excluded.granted",
    );
    session.execute(insert.build()).await?;
    if outcome.uses.iter().any(UseRow::is_nothing) {
        let delete = "DELETE FROM limit_uses
            WHERE shard = $1 AND wanted = 0 AND running = 0 AND granted = 0";
        session.execute(query(delete).bind(i32::from(shard.0))).await?;
    }
    if outcome.buckets.is_empty() {
        return Ok(());
    }
    let insert = "INSERT INTO limit_buckets (limit_id, value, tokens, at_ms, full_at_ms) ";
    let mut insert = QueryBuilder::<Db>::new(insert);
    insert.push_values(&outcome.buckets, |mut row, (of, bucket, rate)| {
        row.push_bind(of.limit)
            .push_bind(of.value.to_string())
            .push_bind(bucket.tokens)
            .push_bind(bucket.at_ms.cast_signed())
            .push_bind(bucket.full_at_ms(*rate).cast_signed());
    });
    insert.push(
        " ON CONFLICT (limit_id, value) DO UPDATE SET tokens = excluded.tokens,
            at_ms = excluded.at_ms, full_at_ms = excluded.full_at_ms",
    );
    session.execute(insert.build()).await?;
    // A bucket that is not there is full.
    let delete = query("DELETE FROM limit_buckets WHERE full_at_ms < $1");
    session.execute(delete.bind(now_ms.cast_signed())).await?;
    Ok(())
}

fn limit(row: &Row) -> Result<LimitRow, StoreError> {
    let rate: Option<f64> = row.try_get("rate")?;
    let burst = row.try_get::<Option<i64>, _>("burst")?.map(|burst| small("burst", burst));
    let concurrency: Option<i64> = row.try_get("concurrency")?;
    let rate = match (rate, burst.transpose()?) {
        (Some(per_second), Some(burst)) => Some(Rate { per_second, burst }),
        _ => None,
    };
    Ok(LimitRow {
        id: row.try_get("id")?,
        key: LimitKey {
            namespace: row.try_get("namespace")?,
            function: row.try_get("function")?,
            per: row.try_get("per")?,
        },
        concurrency: concurrency.map(|most| small("concurrency", most)).transpose()?,
        rate,
        created_at_ms: row.try_get::<i64, _>("created_at_ms")?.cast_unsigned(),
        changed_at_ms: row.try_get::<i64, _>("changed_at_ms")?.cast_unsigned(),
    })
}

fn limit_use(row: &Row) -> Result<LimitUse, StoreError> {
    let value: String = row.try_get("value")?;
    Ok(LimitUse { limit: row.try_get("limit_id")?, value: Arc::from(value) })
}

fn use_row(row: &Row) -> Result<UseRow, StoreError> {
    let shard: i32 = row.try_get("shard")?;
    let number = |column| row.try_get(column).map_err(StoreError::from);
    Ok(UseRow {
        of: limit_use(row)?,
        shard: u16::try_from(shard)
            .map(Shard)
            .map_err(|_| StoreError::Corrupt(format!("shard {shard}")))?,
        wanted: small("wanted", number("wanted")?)?,
        running: small("running", number("running")?)?,
        waiting: small("waiting", number("waiting")?)?,
        granted: small("granted", number("granted")?)?,
    })
}

fn small(column: &str, number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|_| StoreError::Corrupt(format!("{column} {number}")))
}
