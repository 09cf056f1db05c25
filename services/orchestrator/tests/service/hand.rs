//! A hand that reaches past the orchestrator into its store, whichever that is, and spoils what is
//! there.

use std::time::{Duration, Instant};

use planaria_orchestrator::Config;
use planaria_proto::types::v1::{Healing, HealingAction};
use planaria_runtime::StoreSettings;
use planaria_store::testing::TestDatabase;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use uuid::Uuid;

use crate::world::{World, eventually};

/// The longest that a bad state may stay.
pub(crate) const MENDED: Duration = Duration::from_secs(5);

/// The stores that there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// Runs each case on every store.
macro_rules! on_every_store {
    ($($case:ident)*) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(crate::hand::Store::Sqlite).await;
                }
            )*
        }
        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(crate::hand::Store::Postgres).await;
                }
            )*
        }
    };
}
pub(crate) use on_every_store;

/// An orchestrator, and a hand in its store.
pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) hand: Hand,
    /// Dropped last.
    _database: Option<TestDatabase>,
}

/// A connection beside the orchestrator's.
pub(crate) enum Hand {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Scene {
    pub(crate) async fn on(store: Store, config: Config) -> Self {
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(TestDatabase::create().await),
        };
        let url = database.as_ref().map_or_else(String::new, |database| database.url.clone());
        let world = World::at(config, StoreSettings { url, ..StoreSettings::default() }).await;
        let hand = Hand::in_store_of(&world).await;
        Self { world, hand, _database: database }
    }

    /// Waits for a healing of a workflow, complete or not.
    pub(crate) async fn told(&self, id: &str, action: HealingAction) -> Healing {
        eventually(&format!("{action:?} of {id}"), async || self.all_told(id, action).await.pop())
            .await
    }

    /// The last word on each healing of a workflow.
    pub(crate) async fn all_told(&self, id: &str, action: HealingAction) -> Vec<Healing> {
        let mut last: Vec<Healing> = Vec::new();
        for healing in self.world.healings_in_what_is_left().await {
            last.retain(|before| before.id != healing.id);
            last.push(healing);
        }
        last.retain(|healing| healing.workflow_id == id && healing.action() == action);
        last
    }

    /// Waits for a healing that is complete, and checks that it came in time.
    pub(crate) async fn healed(&self, id: &str, since: Instant) -> Healing {
        let healing = self.world.healing(id).await;
        assert!(since.elapsed() < MENDED, "{:?}: {healing:?}", since.elapsed());
        healing
    }
}

impl Hand {
    pub(crate) async fn in_store_of(world: &World) -> Self {
        let Some(url) = world.database() else {
            let options = SqliteConnectOptions::new().filename(world.file());
            let options = options.busy_timeout(Duration::from_secs(5));
            return Self::Sqlite(options.connect().await.expect("the store"));
        };
        let options: PgConnectOptions = url.parse().expect("a URL");
        let options = options.options([("search_path", "orchestrator")]);
        Self::Postgres(options.connect().await.expect("the store"))
    }

    pub(crate) async fn execute(&mut self, sql: &str) -> u64 {
        let query = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(store) => {
                sqlx::query(query).execute(store).await.expect(sql).rows_affected()
            }
            Self::Postgres(store) => {
                sqlx::query(query).execute(store).await.expect(sql).rows_affected()
            }
        }
    }

    /// The first column, which is text, of every row.
    pub(crate) async fn texts(&mut self, sql: &str) -> Vec<String> {
        let query = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(store) => {
                let rows = sqlx::query(query).fetch_all(store).await.expect(sql);
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(store) => {
                let rows = sqlx::query(query).fetch_all(store).await.expect(sql);
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    pub(crate) async fn count(&mut self, of: &str) -> i64 {
        let found = self.texts(&format!("SELECT CAST(count(*) AS TEXT) FROM {of}")).await;
        found[0].parse().expect("a number")
    }

    /// The literal of an id.
    pub(crate) fn id(&self, id: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.replace('-', "")),
            Self::Postgres(_) => format!("'{id}'"),
        }
    }

    /// The literal of bytes.
    pub(crate) fn bytes(&self, hex: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{hex}'"),
            Self::Postgres(_) => format!("'\\x{hex}'::bytea"),
        }
    }

    /// Puts a row of a workflow into a table.
    pub(crate) async fn insert(&mut self, table: &str, id: &str, columns: &str, values: &str) {
        let of = self.id(id);
        let sql = match self {
            Self::Sqlite(_) => {
                format!("INSERT INTO {table} (workflow_id, {columns}) VALUES ({of}, {values})")
            }
            Self::Postgres(_) => {
                // A shard is the last two bytes of its workflows' ids.
                let shard = Uuid::parse_str(id).expect("an id").as_u128() & 0xffff;
                format!(
                    "INSERT INTO {table} (shard, workflow_id, {columns})
                    VALUES ({shard}, {of}, {values})"
                )
            }
        };
        assert_eq!(self.execute(&sql).await, 1, "{sql}");
    }

    /// Every row of what a workflow has open, and its own, but for what changes with each attempt.
    pub(crate) async fn rows(&mut self, id: &str) -> Vec<String> {
        let of = self.id(id);
        let texts = format!(
            "SELECT 'task ' || frame || ' ' || state || ' ' || function || ' ' || queue || ' '
                || priority || CASE WHEN attempt > 0 THEN '' ELSE ' never' END
                FROM tasks WHERE workflow_id = {of}
            UNION ALL SELECT 'timer ' || frame || ' ' || timer || ' ' || due_ms
                FROM timers WHERE workflow_id = {of}
            UNION ALL SELECT 'listener ' || frame || ' ' || event_type
                FROM listeners WHERE workflow_id = {of}
            UNION ALL SELECT 'workflow ' || phase || ' ' || started_at_ms || ' '
                || coalesce(ended_at_ms, 0) FROM workflows WHERE id = {of}
            ORDER BY 1"
        );
        self.texts(&texts).await
    }
}
