//! Retry budgets, a row each. Compiled for each database: `super` says what a session is, and how
//! a row is locked.

use std::collections::BTreeMap;

use planaria_kernel::retry::budget::Budget;
use sqlx::{Row as _, query};

use super::encoded::{budget, budget_from};
use super::{BUDGET_LOCKED, Session};
use crate::records::{Ended, Route};
use crate::store::Rules;

/// Counts first attempts.
pub(super) async fn count(
    session: &mut Session<'_>,
    ended: &[Ended],
    rules: &Rules,
) -> Result<(), sqlx::Error> {
    let mut by_route: BTreeMap<&Route, BTreeMap<u64, u32>> = BTreeMap::new();
    for first in ended.iter().filter(|ended| ended.is_first) {
        // By the second: nothing finer is counted.
        let second = first.at_ms / 1_000;
        *by_route.entry(&first.route).or_default().entry(second).or_default() += 1;
    }
    for (route, counts) in by_route {
        let mut held = hold(session, route).await?;
        let mut newest_ms = 0;
        for (second, count) in counts {
            newest_ms = second * 1_000;
            held.attempted(&rules.budget, newest_ms, count);
        }
        keep(session, route, &held, newest_ms).await?;
    }
    Ok(())
}

/// Takes up to so many retries out of a budget. Answers how many, and the budget.
pub(super) async fn take(
    session: &mut Session<'_>,
    route: &Route,
    (now_ms, wanted): (u64, u32),
    rules: &Rules,
) -> Result<(u32, Budget), sqlx::Error> {
    let mut held = hold(session, route).await?;
    let taken = held.take(&rules.budget, now_ms, wanted);
    if taken > 0 {
        keep(session, route, &held, now_ms).await?;
    }
    Ok((taken, held))
}

/// Nobody else has it until the transaction ends.
async fn hold(session: &mut Session<'_>, route: &Route) -> Result<Budget, sqlx::Error> {
    let locked = || {
        query(BUDGET_LOCKED).bind(&route.namespace).bind(&route.function).bind(&route.destination)
    };
    let row = match session.row(locked()).await? {
        Some(row) => row,
        None => {
            create(session, route).await?;
            session.row(locked()).await?.ok_or(sqlx::Error::RowNotFound)?
        }
    };
    Ok(budget_from(row.try_get("counts")?))
}

async fn create(session: &mut Session<'_>, route: &Route) -> Result<(), sqlx::Error> {
    let there = query(
        "INSERT INTO budgets (namespace, function, destination, counts, at_ms)
         VALUES ($1, $2, $3, $4, 0) ON CONFLICT (namespace, function, destination) DO NOTHING",
    )
    .bind(&route.namespace)
    .bind(&route.function)
    .bind(&route.destination)
    .bind(Vec::<u8>::new());
    session.execute(there).await.map(drop)
}

async fn keep(
    session: &mut Session<'_>,
    route: &Route,
    held: &Budget,
    at_ms: u64,
) -> Result<(), sqlx::Error> {
    let keep = query(
        "UPDATE budgets SET counts = $4, at_ms = $5
         WHERE namespace = $1 AND function = $2 AND destination = $3",
    )
    .bind(&route.namespace)
    .bind(&route.function)
    .bind(&route.destination)
    .bind(budget(held))
    .bind(at_ms.cast_signed());
    session.execute(keep).await.map(drop)
}
