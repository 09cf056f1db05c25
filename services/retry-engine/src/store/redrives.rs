//! Redrives by filter. Compiled for each database: `super` says what a session and a row are.

use planaria_proto::retry::v1::{Redrive, RedriveState};
use prost::Message;
use sqlx::{Row as _, query};

use super::rows::{message, small, undecodable, unsigned};
use super::{REDRIVE_CLAIMED, Row, Session};
use crate::convert;
use crate::store::{Counted, RedriveRow};

pub(super) async fn start(
    session: &mut Session<'_>,
    row: &RedriveRow,
) -> Result<RedriveRow, sqlx::Error> {
    let start = query(
        "INSERT INTO redrives (id, state, redrive, input, redriven, refused, detail,
             claimed_until_ms)
         VALUES ($1, 1, $2, $3, 0, 0, '', 0) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&row.redrive.id)
    .bind(row.redrive.encode_to_vec())
    .bind(row.input.clone());
    session.execute(start).await?;
    get(session, &row.redrive.id).await?.ok_or(sqlx::Error::RowNotFound)
}

pub(super) async fn get(
    session: &mut Session<'_>,
    id: &str,
) -> Result<Option<RedriveRow>, sqlx::Error> {
    let row = session.row(query("SELECT * FROM redrives WHERE id = $1").bind(id)).await?;
    row.as_ref().map(redrive).transpose()
}

pub(super) async fn claim(
    session: &mut Session<'_>,
    now_ms: u64,
    until_ms: u64,
) -> Result<Option<RedriveRow>, sqlx::Error> {
    let claim = query(REDRIVE_CLAIMED).bind(now_ms.cast_signed()).bind(until_ms.cast_signed());
    session.row(claim).await?.as_ref().map(redrive).transpose()
}

pub(super) async fn count(
    session: &mut Session<'_>,
    id: &str,
    counted: &Counted,
    claimed_until_ms: u64,
) -> Result<bool, sqlx::Error> {
    let count = query(
        "UPDATE redrives SET redriven = redriven + $1, refused = refused + $2,
             detail = CASE WHEN $3 = '' THEN detail ELSE $3 END, claimed_until_ms = $4
         WHERE id = $5",
    )
    .bind(counted.redriven.cast_signed())
    .bind(counted.refused.cast_signed())
    .bind(&counted.detail)
    .bind(claimed_until_ms.cast_signed())
    .bind(id);
    session.execute(count).await?;
    if let Some(at_ms) = counted.ended_at_ms {
        end(session, id, RedriveState::Done, at_ms).await?;
    }
    let state = query("SELECT state FROM redrives WHERE id = $1").bind(id);
    let row = session.row(state).await?.ok_or(sqlx::Error::RowNotFound)?;
    Ok(small(&row, "state")? == 1)
}

/// Ends it, if it is still running.
pub(super) async fn end(
    session: &mut Session<'_>,
    id: &str,
    state: RedriveState,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    let end = query("UPDATE redrives SET state = $1, ended_at_ms = $2 WHERE id = $3 AND state = 1")
        .bind(i64::from(i32::from(state)))
        .bind(at_ms.cast_signed())
        .bind(id);
    session.execute(end).await.map(drop)
}

pub(super) async fn clear(session: &mut Session<'_>, before_ms: u64) -> Result<(), sqlx::Error> {
    let clear = query("DELETE FROM redrives WHERE state <> 1 AND ended_at_ms < $1");
    session.execute(clear.bind(before_ms.cast_signed())).await.map(drop)
}

fn redrive(row: &Row) -> Result<RedriveRow, sqlx::Error> {
    let state = small(row, "state")?.cast_signed();
    let state = RedriveState::try_from(state).map_err(|error| undecodable("state", error))?;
    let ended_at_ms: Option<i64> = row.try_get("ended_at_ms")?;
    let redrive = Redrive {
        state: state.into(),
        redriven: unsigned(row, "redriven")?,
        refused: unsigned(row, "refused")?,
        detail: row.try_get("detail")?,
        ended_at: ended_at_ms.map(|at| convert::timestamp(at.cast_unsigned())),
        ..message(row, "redrive")?
    };
    Ok(RedriveRow { redrive, input: row.try_get("input")? })
}
