//! What the log made of the records, the place in it, and who follows it. Compiled for each
//! database: `super` says what a session is.

use std::collections::BTreeMap;

use planaria_proto::retry::v1::{BreakerChange, DeadLetterState};
use sqlx::{QueryBuilder, Row as _, query};

use super::{Db, Session, breakers, budgets, dead_letters, retries};
use crate::records::Change;
use crate::store::{Rules, Tenure, Told};

/// Workflows that are asked for in one statement.
const ASKED_MAX: usize = 512;

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
    // Of most workflows that are over nothing is known. One question finds the others, and is asked
    // before anything else happens to a workflow.
    let mut over = BTreeMap::new();
    for change in told.changes {
        if let Change::Over { workflow, at_ms } = change {
            over.insert(workflow.as_str(), *at_ms);
            continue;
        }
        if over.contains_key(workflow_of(change)) {
            forget(session, &std::mem::take(&mut over)).await?;
        }
        apply(session, change).await?;
    }
    forget(session, &over).await?;
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
            forget(session, &BTreeMap::from([(workflow.as_str(), *at_ms)])).await
        }
    }
}

fn workflow_of(change: &Change) -> &str {
    match change {
        Change::Decided(retry) => &retry.key.workflow,
        Change::Faulted(fault) => &fault.workflow,
        Change::Lost { workflow, .. }
        | Change::WentOn { workflow, .. }
        | Change::Over { workflow, .. } => workflow,
    }
}

/// Workflows are over, each at its time.
async fn forget(session: &mut Session<'_>, over: &BTreeMap<&str, u64>) -> Result<(), sqlx::Error> {
    // SQLite takes some thousands of values in a statement.
    let all: Vec<_> = over.keys().copied().collect();
    for some in all.chunks(ASKED_MAX) {
        for workflow in known(session, some).await? {
            let at_ms = over.get(workflow.as_str()).copied().unwrap_or_default();
            let state = DeadLetterState::Resolved;
            dead_letters::settle_of(session, &workflow, state, at_ms).await?;
            retries::forget(session, &workflow).await?;
        }
    }
    Ok(())
}

/// Those of some workflows that there are rows of. As many are asked for as there are in one of few
/// statements, so that the database knows them: some of them twice.
async fn known(session: &mut Session<'_>, workflows: &[&str]) -> Result<Vec<String>, sqlx::Error> {
    let mut select = QueryBuilder::<Db>::new("");
    for (place, table) in ["retries", "give_ups", "losses", "dead_letters"].into_iter().enumerate()
    {
        let union = if place == 0 { "" } else { ") UNION " };
        select.push(union).push("SELECT workflow_id FROM ").push(table);
        select.push(" WHERE workflow_id IN (");
        let mut list = select.separated(", ");
        for workflow in workflows.iter().cycle().take(workflows.len().next_power_of_two()) {
            list.push_bind(*workflow);
        }
    }
    select.push(")");
    let rows = session.rows(select.build()).await?;
    rows.iter().map(|row| row.try_get("workflow_id")).collect()
}
