//! What both databases are asked in the same words. Compiled once for each of them: `super` says
//! what a session and a row are.

use planaria_log_tail::LogCursor;
use planaria_proto::types::v1::Healing;
use prost::Message;
use sqlx::Row as _;

use super::{Row, Session};
use crate::convert;
use crate::harvest::{Harvest, NamespaceHealing, Place};
use crate::healings::detected_at_ms;
use crate::histogram::Histogram;
use crate::metric::{Metric, Spread};
use crate::store::{Filter, Recent, Resolution, Retained, Step, Stretch};

/// The newest so many healings of the recent past make up its percentiles.
const SAMPLES_MAX: i64 = 10_000;

pub(super) async fn take(
    session: &mut Session<'_>,
    holder: &str,
    now_ms: u64,
    lease_ms: u64,
) -> Result<Option<LogCursor>, sqlx::Error> {
    let query = sqlx::query(
        "UPDATE place SET holder = $1, held_until_ms = $2
         WHERE id = 1 AND (holder = $1 OR held_until_ms <= $3) RETURNING cursor",
    )
    .bind(holder)
    .bind(now_ms.saturating_add(lease_ms).cast_signed())
    .bind(now_ms.cast_signed());
    let row = session.row(query).await?;
    row.map(|row| {
        let text: String = row.try_get("cursor")?;
        text.parse().map_err(|_| damaged("cursor", "it is no cursor"))
    })
    .transpose()
}

/// Moves the place; the number of the change, or nothing if another one holds it.
async fn advance(
    session: &mut Session<'_>,
    step: Step<'_>,
    now_ms: u64,
) -> Result<Option<i64>, sqlx::Error> {
    let query = sqlx::query(
        "UPDATE place SET cursor = $1, held_until_ms = $2, change = change + 1
         WHERE id = 1 AND holder = $3 AND cursor = $4 RETURNING change",
    )
    .bind(step.to.to_string())
    .bind(now_ms.saturating_add(step.lease_ms).cast_signed())
    .bind(step.holder)
    .bind(step.from.to_string());
    let row = session.row(query).await?;
    row.map(|row| row.try_get("change")).transpose()
}

pub(super) async fn save(
    session: &mut Session<'_>,
    step: Step<'_>,
    now_ms: u64,
    harvest: &Harvest,
) -> Result<Option<Vec<Healing>>, sqlx::Error> {
    let Some(change) = advance(session, step, now_ms).await? else {
        return Ok(None);
    };
    let mut healed = Vec::new();
    for one in &harvest.healings {
        if put_healing(session, one, change).await? {
            healed.push(one.healing.clone());
        }
    }
    for (place, value) in &harvest.values {
        for resolution in Resolution::ALL {
            add_value(session, place, resolution, *value).await?;
        }
    }
    for (place, histogram) in &harvest.spreads {
        for resolution in Resolution::ALL {
            add_spread(session, place, resolution, histogram).await?;
        }
    }
    Ok(Some(healed))
}

pub(super) async fn release(session: &mut Session<'_>, holder: &str) -> Result<(), sqlx::Error> {
    let query =
        sqlx::query("UPDATE place SET held_until_ms = 0 WHERE id = 1 AND holder = $1").bind(holder);
    session.execute(query).await?;
    Ok(())
}

/// Tells whether the healing is completed by this. What is healed stays so: the log may be read
/// again, after it was trimmed.
async fn put_healing(
    session: &mut Session<'_>,
    one: &NamespaceHealing,
    change: i64,
) -> Result<bool, sqlx::Error> {
    let healing = &one.healing;
    let healed = healing.healed_at.is_some();
    let query = sqlx::query(
        "INSERT INTO healings (id, namespace, incident, workflow_id, detected_at_ms,
             detected_after_ms, healed_after_ms, healed, change, record)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET
             detected_after_ms = excluded.detected_after_ms,
             healed_after_ms = excluded.healed_after_ms,
             healed = excluded.healed, change = excluded.change, record = excluded.record
         WHERE NOT healings.healed",
    )
    .bind(&healing.id)
    .bind(&one.namespace)
    .bind(&healing.incident)
    .bind(&healing.workflow_id)
    .bind(detected_at_ms(healing).cast_signed())
    .bind(convert::span_milliseconds(healing.detected_after).map(u64::cast_signed))
    .bind(convert::span_milliseconds(healing.healed_after).map(u64::cast_signed))
    .bind(healed)
    .bind(change)
    .bind(healing.encode_to_vec());
    let done = session.execute(query).await?;
    Ok(healed && done > 0)
}

async fn add_value(
    session: &mut Session<'_>,
    place: &Place<Metric>,
    resolution: Resolution,
    value: u64,
) -> Result<(), sqlx::Error> {
    let add = "INSERT INTO series (step_s, metric, at_s, namespace, value)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (step_s, metric, at_s, namespace)
         DO UPDATE SET value = series.value + excluded.value";
    let raise = "INSERT INTO series (step_s, metric, at_s, namespace, value)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (step_s, metric, at_s, namespace)
         DO UPDATE SET value = excluded.value WHERE series.value < excluded.value";
    let query = sqlx::query(if place.metric.is_level() { raise } else { add })
        .bind(resolution.step_s().cast_signed())
        .bind(place.metric.name())
        .bind(begin_s(place, resolution).cast_signed())
        .bind(&place.namespace)
        .bind(value.cast_signed());
    session.execute(query).await?;
    Ok(())
}

/// The holder alone writes: what is read here stays so until it is written.
async fn add_spread(
    session: &mut Session<'_>,
    place: &Place<Spread>,
    resolution: Resolution,
    histogram: &Histogram,
) -> Result<(), sqlx::Error> {
    let (step_s, begin_s) = (resolution.step_s().cast_signed(), begin_s(place, resolution));
    let query = sqlx::query(
        "SELECT buckets FROM spreads
         WHERE step_s = $1 AND metric = $2 AND at_s = $3 AND namespace = $4",
    )
    .bind(step_s)
    .bind(place.metric.name())
    .bind(begin_s.cast_signed())
    .bind(&place.namespace);
    let row = session.row(query).await?;
    let mut merged = row.as_ref().map(buckets).transpose()?.unwrap_or_default();
    merged.merge(histogram);
    let query = sqlx::query(
        "INSERT INTO spreads (step_s, metric, at_s, namespace, buckets)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (step_s, metric, at_s, namespace)
         DO UPDATE SET buckets = excluded.buckets",
    )
    .bind(step_s)
    .bind(place.metric.name())
    .bind(begin_s.cast_signed())
    .bind(&place.namespace)
    .bind(merged.encode());
    session.execute(query).await?;
    Ok(())
}

const fn begin_s<M>(place: &Place<M>, resolution: Resolution) -> u64 {
    place.minute_s / resolution.step_s() * resolution.step_s()
}

pub(super) async fn list(
    session: &mut Session<'_>,
    filter: &Filter,
    limit: u32,
) -> Result<Vec<Healing>, sqlx::Error> {
    let everything = (i64::MAX, String::new());
    let before = filter.before.as_ref().map(|(at_ms, id)| (at_ms.cast_signed(), id.clone()));
    let (before_ms, before_id) = before.unwrap_or(everything);
    let query = sqlx::query(
        "SELECT record FROM healings
         WHERE ($1 = '' OR workflow_id = $1) AND ($2 = '' OR incident = $2)
             AND ($3 = '' OR namespace = $3) AND (detected_at_ms, id) < ($4, $5)
         ORDER BY detected_at_ms DESC, id DESC LIMIT $6",
    )
    .bind(&filter.workflow)
    .bind(&filter.incident)
    .bind(&filter.namespace)
    .bind(before_ms)
    .bind(before_id)
    .bind(i64::from(limit));
    let rows = session.rows(query).await?;
    rows.iter().map(healing).collect()
}

pub(super) async fn recent(
    session: &mut Session<'_>,
    since_ms: u64,
) -> Result<Recent, sqlx::Error> {
    let query = sqlx::query(
        "SELECT healed, detected_after_ms, healed_after_ms FROM healings
         WHERE detected_at_ms >= $1 ORDER BY detected_at_ms DESC LIMIT $2",
    )
    .bind(since_ms.cast_signed())
    .bind(SAMPLES_MAX);
    let rows = session.rows(query).await?;
    let mut recent = Recent { count: rows.len() as u64, ..Recent::default() };
    for row in &rows {
        let number = |column| row.try_get::<Option<i64>, _>(column);
        recent.open += u64::from(!row.try_get::<bool, _>("healed")?);
        recent.detected_after_ms.extend(number("detected_after_ms")?.map(i64::cast_unsigned));
        recent.healed_after_ms.extend(number("healed_after_ms")?.map(i64::cast_unsigned));
    }
    recent.detected_after_ms.sort_unstable();
    recent.healed_after_ms.sort_unstable();
    Ok(recent)
}

pub(super) async fn last_change(session: &mut Session<'_>) -> Result<u64, sqlx::Error> {
    let query = sqlx::query("SELECT change FROM place WHERE id = 1");
    let row = session.row(query).await?;
    let row = row.ok_or(sqlx::Error::RowNotFound)?;
    Ok(row.try_get::<i64, _>("change")?.cast_unsigned())
}

pub(super) async fn changed_after(
    session: &mut Session<'_>,
    change: u64,
    limit: u32,
) -> Result<Vec<(u64, Healing)>, sqlx::Error> {
    // Whole changes only: the next call goes on behind the last one.
    let query = sqlx::query(
        "SELECT change, record FROM healings WHERE change > $1 AND change <= (
             SELECT max(change) FROM (
                 SELECT change FROM healings WHERE change > $1 ORDER BY change, id LIMIT $2
             ) AS first)
         ORDER BY change, id",
    )
    .bind(change.cast_signed())
    .bind(i64::from(limit));
    let rows = session.rows(query).await?;
    let changed = |row: &Row| Ok((row.try_get::<i64, _>("change")?.cast_unsigned(), healing(row)?));
    rows.iter().map(changed).collect()
}

pub(super) async fn values(
    session: &mut Session<'_>,
    metric: Metric,
    stretch: &Stretch,
) -> Result<Vec<(u64, u64)>, sqlx::Error> {
    let query = sqlx::query(
        "SELECT at_s, value FROM series
         WHERE step_s = $1 AND metric = $2 AND at_s >= $3 AND at_s < $4
             AND ($5 = '' OR namespace = $5) ORDER BY at_s",
    )
    .bind(stretch.resolution.step_s().cast_signed())
    .bind(metric.name())
    .bind(stretch.begins_s.start.cast_signed())
    .bind(stretch.begins_s.end.cast_signed())
    .bind(&stretch.namespace);
    let rows = session.rows(query).await?;
    let mut values: Vec<(u64, u64)> = Vec::with_capacity(rows.len());
    for row in &rows {
        let number = |column| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
        let (at_s, value) = (number("at_s")?, number("value")?);
        match values.last_mut() {
            Some((last_s, sum)) if *last_s == at_s => *sum = metric.join(*sum, value),
            _ => values.push((at_s, value)),
        }
    }
    Ok(values)
}

pub(super) async fn spreads(
    session: &mut Session<'_>,
    spread: Spread,
    stretch: &Stretch,
) -> Result<Vec<(u64, Histogram)>, sqlx::Error> {
    let query = sqlx::query(
        "SELECT at_s, buckets FROM spreads
         WHERE step_s = $1 AND metric = $2 AND at_s >= $3 AND at_s < $4
             AND ($5 = '' OR namespace = $5) ORDER BY at_s",
    )
    .bind(stretch.resolution.step_s().cast_signed())
    .bind(spread.name())
    .bind(stretch.begins_s.start.cast_signed())
    .bind(stretch.begins_s.end.cast_signed())
    .bind(&stretch.namespace);
    let rows = session.rows(query).await?;
    let one = |row: &Row| Ok((row.try_get::<i64, _>("at_s")?.cast_unsigned(), buckets(row)?));
    rows.iter().map(one).collect()
}

pub(super) async fn clear(
    session: &mut Session<'_>,
    retained: &Retained,
) -> Result<u64, sqlx::Error> {
    let batch_max = i64::from(retained.batch_max);
    let old = "DELETE FROM healings WHERE id IN (
        SELECT id FROM healings WHERE detected_at_ms < $1 ORDER BY detected_at_ms LIMIT $2)";
    let beyond = "DELETE FROM healings WHERE id IN (SELECT id FROM healings
        ORDER BY detected_at_ms DESC, id DESC LIMIT $2 OFFSET $1)";
    let mut gone = 0;
    let healings_from_ms = retained.healings_from_ms.cast_signed();
    for (statement, bound) in [(old, healings_from_ms), (beyond, retained.healings_max.into())] {
        let query = sqlx::query(statement).bind(bound).bind(batch_max);
        gone += session.execute(query).await?;
    }
    let from = |resolution| match resolution {
        Resolution::Minutes => retained.minutes_from_s,
        Resolution::Hours => retained.hours_from_s,
    };
    for statement in [
        "DELETE FROM series WHERE (step_s, metric, at_s, namespace) IN (
             SELECT step_s, metric, at_s, namespace FROM series
             WHERE step_s = $1 AND at_s < $2 LIMIT $3)",
        "DELETE FROM spreads WHERE (step_s, metric, at_s, namespace) IN (
             SELECT step_s, metric, at_s, namespace FROM spreads
             WHERE step_s = $1 AND at_s < $2 LIMIT $3)",
    ] {
        for resolution in Resolution::ALL {
            let query = sqlx::query(statement)
                .bind(resolution.step_s().cast_signed())
                .bind(from(resolution).cast_signed())
                .bind(batch_max);
            gone += session.execute(query).await?;
        }
    }
    Ok(gone)
}

fn healing(row: &Row) -> Result<Healing, sqlx::Error> {
    let bytes: &[u8] = row.try_get("record")?;
    Healing::decode(bytes).map_err(|error| damaged("record", error))
}

fn buckets(row: &Row) -> Result<Histogram, sqlx::Error> {
    let bytes: &[u8] = row.try_get("buckets")?;
    Histogram::decode(bytes).map_err(|error| damaged("buckets", error))
}

fn damaged(
    column: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.into(), source: source.into() }
}
