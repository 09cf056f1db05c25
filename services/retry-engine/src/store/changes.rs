//! What the log made of the records, the place in it, and who follows it. Compiled for each
//! database: `super` says what a session is.

use planaria_proto::retry::v1::{BreakerChange, DeadLetterState};
use sqlx::{Row as _, query};

use super::{Session, breakers, budgets, dead_letters, retries};
use crate::records::Change;
use crate::store::{Rules, Tenure, Told};

/// `alone`: no other replica can be there, whatever the row says of one that was.
pub(super) async fn take(
    session: &mut Session<'_>,
    tenure: Tenure<'_>,
    alone: bool,
) -> Result<Option<String>, sqlx::Error> {
    let take = query(
        "UPDATE reading SET holder = $1, until_ms = $2
         WHERE id = 1 AND (holder = $1 OR until_ms <= $3 OR $4 = 1) RETURNING cursor",
    )
    .bind(tenure.holder)
    .bind(tenure.until_ms.cast_signed())
    .bind(tenure.now_ms.cast_signed())
    .bind(i64::from(alone));
    session.row(take).await?.map(|row| row.try_get("cursor")).transpose()
}

pub(super) async fn resign(session: &mut Session<'_>, holder: &str) -> Result<(), sqlx::Error> {
    let resign = query("UPDATE reading SET until_ms = 0 WHERE id = 1 AND holder = $1");
    session.execute(resign.bind(holder)).await.map(drop)
}

pub(super) async fn record(
    session: &mut Session<'_>,
    tenure: Tenure<'_>,
    told: Told<'_>,
    rules: &Rules,
) -> Result<Option<Vec<BreakerChange>>, sqlx::Error> {
    // First, so that whoever is not the follower any more does nothing, and nobody else becomes
    // it before this is done.
    let place = query("UPDATE reading SET cursor = $2, until_ms = $3 WHERE id = 1 AND holder = $1");
    let place = place.bind(tenure.holder).bind(told.cursor).bind(tenure.until_ms.cast_signed());
    if session.execute(place).await? == 0 {
        return Ok(None);
    }
    for change in told.changes {
        apply(session, change).await?;
    }
    budgets::count(session, told.ended, rules).await?;
    breakers::count(session, told.ended, rules).await.map(Some)
}

async fn apply(session: &mut Session<'_>, change: &Change) -> Result<(), sqlx::Error> {
    match change {
        Change::Decided(retry) => retries::put(session, retry).await,
        Change::Lost { workflow, frame, function, loss, at_ms } => {
            dead_letters::put_loss(session, (workflow, *frame, function), loss, *at_ms).await
        }
        Change::Faulted(fault) => {
            dead_letters::write(session, fault).await?;
            retries::forget(session, &fault.workflow).await
        }
        Change::WentOn { workflow, redriven, at_ms } => {
            let state =
                if *redriven { DeadLetterState::Redriven } else { DeadLetterState::Resolved };
            dead_letters::settle_of(session, workflow, state, *at_ms).await?;
            retries::forget(session, workflow).await
        }
        Change::Over { workflow, at_ms } => {
            let state = DeadLetterState::Resolved;
            dead_letters::settle_of(session, workflow, state, *at_ms).await?;
            retries::forget(session, workflow).await
        }
    }
}
