//! Workflows that are frozen.

use planaria_store::PostgresStore;
use planaria_store::postgres::PostgresTransaction;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::query::number;
use crate::store::plan::Plan;
use crate::store::{Shard, StoreError};

pub(super) async fn all(
    store: &PostgresStore,
    shard: Shard,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let select = "SELECT workflow_id, why FROM frozen WHERE shard = $1 ORDER BY workflow_id";
    read(&store.rows(sqlx::query(select).bind(number(shard))).await?)
}

pub(super) async fn of(
    store: &PostgresStore,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let select = "SELECT workflow_id, why FROM frozen WHERE workflow_id = ANY ($1)";
    read(&store.rows(sqlx::query(select).bind(ids)).await?)
}

fn read(rows: &[PgRow]) -> Result<Vec<(Uuid, String)>, StoreError> {
    rows.iter().map(|row| Ok((row.try_get("workflow_id")?, row.try_get("why")?))).collect()
}

/// Of a batch.
pub(super) async fn change(
    transaction: &mut PostgresTransaction,
    shard: i32,
    plan: &Plan<'_>,
) -> Result<(), sqlx::Error> {
    for (id, why) in &plan.frozen {
        let change = match why {
            Some((why, at_ms)) => sqlx::query(
                "INSERT INTO frozen (workflow_id, shard, why, at_ms) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (workflow_id) DO UPDATE SET why = excluded.why",
            )
            .bind(*id)
            .bind(shard)
            .bind(*why)
            .bind(*at_ms as i64),
            None => sqlx::query("DELETE FROM frozen WHERE workflow_id = $1").bind(*id),
        };
        transaction.execute(change).await?;
    }
    Ok(())
}
