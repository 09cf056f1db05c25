//! Redrives in the store.

use planaria_proto::retry::v1::{DeadLetterFilter, Redrive, RedriveState};

use super::*;
use crate::store::{Counted, RedriveRow};

fn redrive(id: &str, rate: f64) -> RedriveRow {
    let filter = DeadLetterFilter { namespace: "shop".into(), ..DeadLetterFilter::default() };
    let redrive = Redrive {
        id: id.into(),
        state: RedriveState::Running.into(),
        filter: Some(filter),
        rate,
        matched: 7,
        ..Redrive::default()
    };
    RedriveRow { redrive, input: Some(b"{}".to_vec()) }
}

pub(crate) async fn a_redrive_is_started_once_and_worked_on_by_one(store: &dyn RetryStore) {
    let first = redrive("one", 3.0);
    assert_eq!(store.start_redrive(&first).await.unwrap(), first);
    assert_eq!(store.start_redrive(&redrive("one", 9.0)).await.unwrap(), first);
    let claimed = store.claim_redrive(1_000, 2_000).await.unwrap().unwrap();
    assert_eq!(claimed, first);
    assert_eq!(store.claim_redrive(1_999, 3_000).await.unwrap(), None);
    let counted = Counted { redriven: 2, refused: 1, detail: "gone".into(), ended_at_ms: None };
    assert!(store.count_redrive("one", &counted, 2_500).await.unwrap());
    assert_eq!(store.claim_redrive(2_499, 3_000).await.unwrap(), None);
    // Its replica ended: another goes on.
    let taken = store.claim_redrive(2_500, 3_000).await.unwrap().unwrap();
    assert_eq!((taken.redrive.redriven, taken.redrive.refused), (2, 1));
    let done = Counted { redriven: 1, ended_at_ms: Some(2_700), ..Counted::default() };
    assert!(!store.count_redrive("one", &done, 0).await.unwrap());
    let ended = store.redrive("one").await.unwrap().unwrap().redrive;
    assert_eq!((ended.state(), ended.redriven, &*ended.detail), (RedriveState::Done, 3, "gone"));
    assert_eq!(store.claim_redrive(FAR, FAR).await.unwrap(), None);

    store.start_redrive(&redrive("two", 3.0)).await.unwrap();
    store.stop_redrive("two", 2_800).await.unwrap();
    assert!(!store.count_redrive("two", &Counted::default(), 0).await.unwrap());
    assert_eq!(store.claim_redrive(FAR, FAR).await.unwrap(), None);
    store.clear_old(2_750).await.unwrap();
    assert_eq!(store.redrive("one").await.unwrap(), None);
    let stopped = store.redrive("two").await.unwrap().unwrap().redrive;
    assert_eq!(stopped.state(), RedriveState::Stopped);
}
