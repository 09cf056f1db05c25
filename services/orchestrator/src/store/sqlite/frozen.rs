//! Workflows that are frozen.

use planaria_store::SqliteStore;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::plan::Plan;

pub(super) async fn all(store: &SqliteStore) -> Result<Vec<(Uuid, String)>, StoreError> {
    let select = "SELECT workflow_id, why FROM frozen ORDER BY workflow_id";
    read(&sqlx::query(select).fetch_all(store.readers()).await?)
}

pub(super) async fn of(
    store: &SqliteStore,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, String)>, StoreError> {
    let select = "SELECT workflow_id, why FROM frozen WHERE workflow_id IN (";
    let mut query = QueryBuilder::<Sqlite>::new(select);
    let mut wanted = query.separated(", ");
    for id in ids {
        wanted.push_bind(*id);
    }
    query.push(")");
    read(&query.build().fetch_all(store.readers()).await?)
}

fn read(rows: &[SqliteRow]) -> Result<Vec<(Uuid, String)>, StoreError> {
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Of a batch.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    plan: &Plan<'_>,
) -> Result<(), StoreError> {
    for (id, why) in &plan.frozen {
        match why {
            Some((why, at_ms)) => {
                sqlx::query("INSERT OR REPLACE INTO frozen VALUES (?, ?, ?)")
                    .bind(*id)
                    .bind(*why)
                    .bind(*at_ms as i64)
                    .execute(&mut *connection)
                    .await?;
            }
            None => {
                sqlx::query("DELETE FROM frozen WHERE workflow_id = ?")
                    .bind(*id)
                    .execute(&mut *connection)
                    .await?;
            }
        }
    }
    Ok(())
}
