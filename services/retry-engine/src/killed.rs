//! A replica that is killed at each boundary of what it does, before and after each change of the
//! store: nothing is lost, and nothing happens twice.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod mortal;
mod play;

use std::sync::Arc;

use planaria_store::SqliteSettings;
use planaria_store::testing::TestDatabase;

use self::mortal::{Fate, When};
use self::play::Play;
use crate::postgres::PostgresRetryStore;
use crate::sqlite::SqliteRetryStore;
use crate::store::RetryStore;

/// More changes than a play has.
const CHANGES_MAX: usize = 500;

/// Each boundary in turn. `survivor`: whether another replica lives on, or one is started after.
async fn at_each_boundary<S: AsyncFn() -> Play>(set: S, survivor: bool, stride: usize) {
    for when in [When::Before, When::After] {
        for change in (0..CHANGES_MAX).step_by(stride) {
            let mut play = set().await;
            if survivor {
                play.start(Fate::immortal()).await;
            }
            let fate = Fate::at(change, when);
            play.start(fate.clone()).await;
            let title = format!("killed {when:?} change {change}");
            play.until_over_or(&fate, &title).await;
            if fate.is_met() && !survivor {
                play.kill_all().await;
                play.start(Fate::immortal()).await;
            }
            play.until_over_or(&Fate::immortal(), &title).await;
            play.check(&title).await;
            play.kill_all().await;
            if !fate.is_met() {
                assert!(change > 0, "no change was made at all");
                break;
            }
            assert!(change + stride < CHANGES_MAX, "the play has no end");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alone_and_started_again() {
    let set = async || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("retry-engine.db");
        let open = move || {
            let path = path.clone();
            let open = async move {
                let settings = SqliteSettings::default();
                let store = SqliteRetryStore::open(&path, &settings).await.unwrap();
                Arc::new(store) as Arc<dyn RetryStore>
            };
            Box::pin(open) as play::Opening
        };
        Play::new(Box::new(open), Box::new(directory)).await
    };
    at_each_boundary(set, false, 1).await;
}

async fn on_postgres() -> Play {
    let database = TestDatabase::create().await;
    let plan = database.plan();
    let open = move || {
        let plan = plan.clone();
        let open = async move {
            let store = PostgresRetryStore::open(&plan).await.unwrap();
            Arc::new(store) as Arc<dyn RetryStore>
        };
        Box::pin(open) as play::Opening
    };
    Play::new(Box::new(open), Box::new(database)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_another_replica_that_lives_on() {
    at_each_boundary(on_postgres, true, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_replicas_at_once() {
    at_each_boundary(on_postgres, false, 4).await;
}
