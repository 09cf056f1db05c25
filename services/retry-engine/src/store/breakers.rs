//! Breakers, a row each. Compiled for each database: `super` says what a session and a row are,
//! and how a row is locked.

use std::collections::BTreeMap;

use planaria_kernel::retry::backoff;
use planaria_kernel::retry::breaker::{Breaker, BreakerEvent, BreakerPolicy};
use planaria_proto::retry::v1::{BreakerChange, BreakerPhase};
use prost::Message;
use sqlx::{Row as _, query};

use super::rows::{message, small, undecodable, unsigned};
use super::{BREAKER_LOCKED, Row, Session, encoded};
use crate::convert;
use crate::records::{Ended, Route};
use crate::store::{Acted, BreakerRow, Rules};

/// Counts what ended, route by route in their order. Answers the changes of phases.
pub(super) async fn count(
    session: &mut Session<'_>,
    ended: &[Ended],
    rules: &Rules,
) -> Result<Vec<BreakerChange>, sqlx::Error> {
    let mut by_route: BTreeMap<&Route, Vec<&Ended>> = BTreeMap::new();
    for one in ended {
        by_route.entry(&one.route).or_default().push(one);
    }
    let mut changes = Vec::new();
    for (route, ended) in by_route {
        let mut row = hold(session, route).await?;
        let mut newest_ms = 0;
        for Ended { outcome, started_at_ms, at_ms, .. } in ended {
            let event = BreakerEvent::Ended { outcome: *outcome, started_at_ms: *started_at_ms };
            newest_ms = newest_ms.max(*at_ms);
            let acted = apply(session, row, event, *at_ms, &rules.breaker).await?;
            changes.extend(acted.change);
            row = acted.row;
        }
        keep(session, &row, newest_ms).await?;
    }
    Ok(changes)
}

pub(super) async fn act(
    session: &mut Session<'_>,
    route: &Route,
    event: BreakerEvent,
    now_ms: u64,
    rules: &Rules,
) -> Result<Acted, sqlx::Error> {
    let row = hold(session, route).await?;
    let acted = apply(session, row, event, now_ms, &rules.breaker).await?;
    keep(session, &acted.row, now_ms).await?;
    Ok(acted)
}

/// Nobody else has it until the transaction ends.
async fn hold(session: &mut Session<'_>, route: &Route) -> Result<BreakerRow, sqlx::Error> {
    let locked = || {
        query(BREAKER_LOCKED).bind(&route.namespace).bind(&route.function).bind(&route.destination)
    };
    let row = match session.row(locked()).await? {
        Some(row) => row,
        None => {
            create(session, route).await?;
            session.row(locked()).await?.ok_or(sqlx::Error::RowNotFound)?
        }
    };
    breaker(&row)
}

async fn create(session: &mut Session<'_>, route: &Route) -> Result<(), sqlx::Error> {
    let there = query(
        "INSERT INTO breakers (namespace, function, destination, phase, revision, since_ms,
             state, at_ms)
         VALUES ($1, $2, $3, 1, 0, 0, $4, 0)
         ON CONFLICT (namespace, function, destination) DO NOTHING",
    )
    .bind(&route.namespace)
    .bind(&route.function)
    .bind(&route.destination)
    .bind(Vec::<u8>::new());
    session.execute(there).await.map(drop)
}

/// A change of its phase gets the next revision, which is taken last: whoever waits for it sees
/// the changes in the order of their revisions.
async fn apply(
    session: &mut Session<'_>,
    mut row: BreakerRow,
    event: BreakerEvent,
    now_ms: u64,
    policy: &BreakerPolicy,
) -> Result<Acted, sqlx::Error> {
    let from = encoded::phase(&row.breaker);
    let reason = reason(&row.breaker, event);
    let seconds = u32::try_from(now_ms / 1_000).unwrap_or(u32::MAX);
    let bits = backoff::bits(&row.route.to_string(), seconds, 0);
    let step = std::mem::take(&mut row.breaker).apply(policy, event, now_ms, bits);
    row.breaker = step.next;
    let to = encoded::phase(&row.breaker);
    if from == to {
        return Ok(Acted { row, effect: step.effect, change: None });
    }
    let next =
        query("UPDATE revisions SET revision = revision + 1 WHERE id = 1 RETURNING revision");
    let next = session.row(next).await?.ok_or(sqlx::Error::RowNotFound)?;
    row.revision = unsigned(&next, "revision")?;
    let change = BreakerChange {
        id: format!("breaker-{}", row.revision),
        key: Some(convert::key(&row.route)),
        from: from.into(),
        to: to.into(),
        at: Some(convert::timestamp(now_ms)),
        until: match &row.breaker {
            Breaker::Open(open) => Some(convert::timestamp(open.until_ms)),
            Breaker::Closed(_) | Breaker::HalfOpen(_) => None,
        },
        reason: reason.to_owned(),
    };
    let note = query(
        "INSERT INTO breaker_changes (revision, namespace, change, at_ms) VALUES ($1, $2, $3, $4)",
    )
    .bind(row.revision.cast_signed())
    .bind(&row.route.namespace)
    .bind(change.encode_to_vec())
    .bind(now_ms.cast_signed());
    session.execute(note).await?;
    Ok(Acted { row, effect: step.effect, change: Some(change) })
}

/// Why a phase ends, if it does.
const fn reason(before: &Breaker, event: BreakerEvent) -> &'static str {
    match (before, event) {
        (_, BreakerEvent::Reset) => "it was reset by hand",
        (Breaker::Closed(_), _) => "too many calls failed",
        (Breaker::Open(_), _) => "its time is over: probes go through",
        (Breaker::HalfOpen(_), _) => "its probes were answered, or failed",
    }
}

async fn keep(session: &mut Session<'_>, row: &BreakerRow, at_ms: u64) -> Result<(), sqlx::Error> {
    let keep = query(
        "UPDATE breakers SET phase = $4, revision = $5, since_ms = $6, deadline_ms = $7,
             state = $8, at_ms = $9
         WHERE namespace = $1 AND function = $2 AND destination = $3",
    )
    .bind(&row.route.namespace)
    .bind(&row.route.function)
    .bind(&row.route.destination)
    .bind(i64::from(i32::from(encoded::phase(&row.breaker))))
    .bind(row.revision.cast_signed())
    .bind(row.breaker.since_ms().cast_signed())
    .bind(row.breaker.deadline_ms().map(u64::cast_signed))
    .bind(encoded::breaker(&row.breaker))
    .bind(at_ms.cast_signed());
    session.execute(keep).await.map(drop)
}

pub(super) async fn list(
    session: &mut Session<'_>,
    namespace: &str,
    all: bool,
    limit: u32,
) -> Result<Vec<BreakerRow>, sqlx::Error> {
    let list = query(
        "SELECT * FROM breakers WHERE ($1 = '' OR namespace = $1) AND (phase > 1 OR $2 = 1)
         ORDER BY CASE WHEN phase > 1 THEN 0 ELSE 1 END, since_ms DESC,
             namespace, function, destination LIMIT $3",
    );
    let list = list.bind(namespace).bind(i64::from(all)).bind(i64::from(limit));
    session.rows(list).await?.iter().map(breaker).collect()
}

pub(super) async fn get(
    session: &mut Session<'_>,
    route: &Route,
) -> Result<Option<BreakerRow>, sqlx::Error> {
    let get =
        query("SELECT * FROM breakers WHERE namespace = $1 AND function = $2 AND destination = $3")
            .bind(&route.namespace)
            .bind(&route.function)
            .bind(&route.destination);
    session.row(get).await?.as_ref().map(breaker).transpose()
}

pub(super) async fn after(
    session: &mut Session<'_>,
    revision: u64,
    limit: u32,
) -> Result<Vec<BreakerRow>, sqlx::Error> {
    let after = query("SELECT * FROM breakers WHERE revision > $1 ORDER BY revision LIMIT $2");
    let rows = session.rows(after.bind(revision.cast_signed()).bind(i64::from(limit))).await?;
    rows.iter().map(breaker).collect()
}

pub(super) async fn revision(session: &mut Session<'_>) -> Result<u64, sqlx::Error> {
    let row = session.row(query("SELECT revision FROM revisions WHERE id = 1")).await?;
    unsigned(&row.ok_or(sqlx::Error::RowNotFound)?, "revision")
}

pub(super) async fn deadlines(
    session: &mut Session<'_>,
    limit: u32,
) -> Result<Vec<(Route, u64)>, sqlx::Error> {
    let due = query(
        "SELECT namespace, function, destination, deadline_ms FROM breakers
         WHERE deadline_ms IS NOT NULL ORDER BY deadline_ms LIMIT $1",
    );
    let rows = session.rows(due.bind(i64::from(limit))).await?;
    rows.iter().map(|row| Ok((route(row)?, unsigned(row, "deadline_ms")?))).collect()
}

pub(super) async fn changes(
    session: &mut Session<'_>,
    namespace: &str,
    limit: u32,
) -> Result<Vec<BreakerChange>, sqlx::Error> {
    let changes = query(
        "SELECT change FROM breaker_changes WHERE $1 = '' OR namespace = $1
         ORDER BY revision DESC LIMIT $2",
    );
    let rows = session.rows(changes.bind(namespace).bind(i64::from(limit))).await?;
    rows.iter().map(|row| message(row, "change")).collect()
}

/// What nothing happened to since a time: breakers that let everything through, changes, budgets.
pub(super) async fn clear(session: &mut Session<'_>, before_ms: u64) -> Result<(), sqlx::Error> {
    for statement in [
        "DELETE FROM breakers WHERE phase = 1 AND at_ms < $1",
        "DELETE FROM breaker_changes WHERE at_ms < $1",
        "DELETE FROM budgets WHERE at_ms < $1",
    ] {
        session.execute(query(statement).bind(before_ms.cast_signed())).await?;
    }
    Ok(())
}

fn route(row: &Row) -> Result<Route, sqlx::Error> {
    Ok(Route {
        namespace: row.try_get("namespace")?,
        function: row.try_get("function")?,
        destination: row.try_get("destination")?,
    })
}

fn breaker(row: &Row) -> Result<BreakerRow, sqlx::Error> {
    let phase = i32::try_from(small(row, "phase")?).unwrap_or_default();
    let phase = BreakerPhase::try_from(phase).map_err(|error| undecodable("phase", error))?;
    let state: &[u8] = row.try_get("state")?;
    let breaker = encoded::breaker_from(phase, unsigned(row, "since_ms")?, state);
    Ok(BreakerRow {
        route: route(row)?,
        breaker: breaker.map_err(|error| undecodable("state", error))?,
        revision: unsigned(row, "revision")?,
    })
}
