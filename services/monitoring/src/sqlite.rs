//! The store in SQLite.

use std::path::Path;

use planaria_proto::orchestrator::v1::LogPosition;
use planaria_proto::types::v1::Healing;
use planaria_store::{Migration, SqliteSettings, SqliteStore, sqlite};
use prost::Message;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::convert;
use crate::store::{Filter, HealingStore, Recent};

const MIGRATIONS: &[Migration] =
    &[Migration { name: "0001_healings", sql: include_str!("sqlite/0001_healings.sql") }];

/// The newest so many healings of the recent past make up its percentiles.
const SAMPLES_MAX: u32 = 10_000;

/// Monitoring's own file.
#[derive(Debug, Clone)]
pub(crate) struct SqliteHealingStore {
    store: SqliteStore,
}

impl SqliteHealingStore {
    pub(crate) async fn open(
        path: &Path,
        settings: &SqliteSettings,
    ) -> Result<Self, planaria_store::Error> {
        let store = sqlite::open_with(path, MIGRATIONS, settings).await?;
        Ok(Self { store })
    }
}

#[tonic::async_trait]
impl HealingStore for SqliteHealingStore {
    async fn position(&self) -> Result<Option<LogPosition>, sqlx::Error> {
        let row = sqlx::query("SELECT log, seq FROM position")
            .fetch_optional(self.store.readers())
            .await?;
        row.map(|row| {
            let number = |column| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
            Ok(LogPosition { log: number("log")?, seq: number("seq")? })
        })
        .transpose()
    }

    async fn record(
        &self,
        healings: &[Healing],
        position: LogPosition,
    ) -> Result<Vec<Healing>, sqlx::Error> {
        let mut transaction = self.store.writer().begin_with("BEGIN IMMEDIATE").await?;
        let mut healed = Vec::new();
        for healing in healings {
            if put(&mut transaction, healing).await? {
                healed.push(healing.clone());
            }
        }
        sqlx::query("INSERT OR REPLACE INTO position (id, log, seq) VALUES (1, ?, ?)")
            .bind(position.log.cast_signed())
            .bind(position.seq.cast_signed())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(healed)
    }

    async fn list(&self, filter: &Filter, limit: u32) -> Result<Vec<Healing>, sqlx::Error> {
        let everything = (i64::MAX, String::new());
        let before = filter.before.as_ref().map(|(at_ms, id)| (at_ms.cast_signed(), id.clone()));
        let (before_ms, before_id) = before.unwrap_or(everything);
        let rows = sqlx::query(
            "SELECT record FROM healings
             WHERE (?1 = '' OR workflow_id = ?1) AND (?2 = '' OR incident = ?2)
                 AND (detected_at_ms, id) < (?3, ?4)
             ORDER BY detected_at_ms DESC, id DESC LIMIT ?5",
        )
        .bind(&filter.workflow)
        .bind(&filter.incident)
        .bind(before_ms)
        .bind(before_id)
        .bind(limit)
        .fetch_all(self.store.readers())
        .await?;
        rows.iter().map(record).collect()
    }

    async fn recent(&self, since_ms: u64) -> Result<Recent, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT healed, detected_after_ms, healed_after_ms FROM healings
             WHERE detected_at_ms >= ? ORDER BY detected_at_ms DESC LIMIT ?",
        )
        .bind(since_ms.cast_signed())
        .bind(SAMPLES_MAX)
        .fetch_all(self.store.readers())
        .await?;
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

    async fn clear(&self, healings_max: u32, before_ms: u64) -> Result<(), sqlx::Error> {
        sqlx::query(
            "DELETE FROM healings WHERE detected_at_ms < ?1 OR id IN (
                 SELECT id FROM healings ORDER BY detected_at_ms DESC LIMIT -1 OFFSET ?2)",
        )
        .bind(before_ms.cast_signed())
        .bind(healings_max)
        .execute(self.store.writer())
        .await?;
        Ok(())
    }
}

/// Tells whether the healing is completed by this. What is healed stays so: the log may be read
/// again from an earlier place.
async fn put(connection: &mut SqliteConnection, healing: &Healing) -> Result<bool, sqlx::Error> {
    let healed = healing.healed_at.is_some();
    let done = sqlx::query(
        "INSERT INTO healings (id, incident, workflow_id, detected_at_ms, detected_after_ms,
             healed_after_ms, healed, record)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET
             detected_after_ms = excluded.detected_after_ms,
             healed_after_ms = excluded.healed_after_ms,
             healed = excluded.healed, record = excluded.record
         WHERE NOT healings.healed",
    )
    .bind(&healing.id)
    .bind(&healing.incident)
    .bind(&healing.workflow_id)
    .bind(detected_at_ms(healing).cast_signed())
    .bind(convert::span_milliseconds(healing.detected_after).map(u64::cast_signed))
    .bind(convert::span_milliseconds(healing.healed_after).map(u64::cast_signed))
    .bind(healed)
    .bind(healing.encode_to_vec())
    .execute(connection)
    .await?;
    Ok(healed && done.rows_affected() > 0)
}

/// What healings are ordered by.
pub(crate) fn detected_at_ms(healing: &Healing) -> u64 {
    convert::milliseconds(healing.detected_at.or(healing.signal_at)).unwrap_or(0)
}

fn record(row: &SqliteRow) -> Result<Healing, sqlx::Error> {
    let bytes: &[u8] = row.try_get("record")?;
    Healing::decode(bytes).map_err(|error| sqlx::Error::ColumnDecode {
        index: "record".into(),
        source: Box::new(error),
    })
}
