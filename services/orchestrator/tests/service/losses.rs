//! Lost attempts: how each is noticed, and what it costs.

use std::collections::VecDeque;

use planaria_orchestrator::Config;
use planaria_proto::orchestrator::v1::observe_sessions_request::{Checkpoint, Observation};
use planaria_proto::orchestrator::v1::report_verdicts_request::Verdict;
use planaria_proto::orchestrator::v1::{ObserveSessionsRequest, ReportVerdictsRequest};
use planaria_proto::task::v1::Acceptance;
use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::{Failure, OpenSessionRequest, Release};
use planaria_proto::types::v1::{HealingAction, Phase, Signal};
use prost_types::Timestamp;
use serde_json::json;

use crate::worker::{Worker, hello, result};
use crate::world::{World, eventually, kind, payload};

const ONE: &str = "- a: { call: echo }";

async fn pronounce_dead(world: &World, worker: &Worker) {
    pronounce(world, worker, Signal::StreamLost).await;
}

async fn pronounce(world: &World, worker: &Worker, signal: Signal) {
    pronounce_at(world, worker, signal, 1_000).await;
}

/// At some time in Unix milliseconds.
async fn pronounce_at(world: &World, worker: &Worker, signal: Signal, at_ms: u64) {
    let seconds = i64::try_from(at_ms / 1_000).expect("a time");
    let nanos = i32::try_from(at_ms % 1_000).expect("a part of a second") * 1_000_000;
    let verdict = Verdict {
        session_id: worker.session.clone(),
        signal: signal.into(),
        signal_at: Some(Timestamp { seconds, nanos }),
        ..Verdict::default()
    };
    let request = ReportVerdictsRequest { verdicts: vec![verdict] };
    world.mesh().report_verdicts(request).await.expect("heard");
}

#[tokio::test]
async fn a_delivery_that_two_inventories_miss_is_repeated_uncharged() {
    let world = World::with(Config { delivery_ms_max: 0, ..Config::default() }).await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let lost = worker.next().await;
    // One inventory may have crossed the delivery.
    worker.renew(&[]).await.expect("renewed");
    worker.renew(&[&lost]).await.expect("renewed");
    worker.renew(&[]).await.expect("renewed");
    assert_eq!(world.get(&id).await.tasks[0].losses, 0);
    let again = eventually("the task comes again", async || {
        worker.renew(&[]).await.expect("renewed");
        worker.idle_for(std::time::Duration::from_millis(5)).await.pop()
    })
    .await;
    assert!(again.attempt > 1);
    let healing = world.healing(&id).await;
    assert_eq!(healing.signal(), Signal::LostDelivery);
    assert_eq!(world.get(&id).await.tasks[0].losses, 0, "uncharged");
    assert_eq!(worker.complete(&lost, json!(1)).await, Acceptance::Stale);
}

#[tokio::test]
async fn a_heart_that_beats_at_another_detector_is_not_taken_for_dead() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    worker.renew(&[&task]).await.expect("renewed");
    // The detector that it beat for before misses it.
    pronounce(&world, &worker, Signal::HeartbeatsStopped).await;
    worker.renew(&[&task]).await.expect("the session stands");
    assert_eq!(worker.complete(&task, json!(1)).await, Acceptance::Accepted);
    assert_eq!(world.output(&id).await, json!(1));

    let id = world.start_workflow("one", json!({})).await;
    let task = worker.next().await;
    worker.renew(&[&task]).await.expect("renewed");
    pronounce(&world, &worker, Signal::HeartbeatsStopped).await;
    // Nobody hears of it any more.
    let mut other = Worker::new(&world, "v", &["echo"]).await;
    assert_eq!(other.next().await.attempt, 2);
    let healing = world.healing(&id).await;
    assert_eq!(healing.signal(), Signal::HeartbeatsStopped);
    assert_eq!(world.get(&id).await.tasks[0].losses, 1);
}

#[tokio::test]
async fn a_lost_attempt_runs_before_what_never_ran() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let single = |name| OpenSessionRequest { capacity: 1, ..hello(name, "1", &["echo"]) };
    let mut dead = Worker::open(&world, single("dead")).await.expect("a session");
    assert_eq!(dead.next().await.workflow_id, id);
    for _ in 0..5 {
        world.start_workflow("one", json!({})).await;
    }
    pronounce_dead(&world, &dead).await;
    let mut alive = Worker::open(&world, single("alive")).await.expect("a session");
    let first = alive.next().await;
    assert_eq!((first.workflow_id, first.attempt), (id, 2));
}

/// Tasks that were lost together twice, with the one that kills their workers among them, are tried
/// together once more, then in pairs, then alone: two losses alone convict the culprit.
#[tokio::test]
async fn who_was_lost_with_a_culprit_is_not_given_up_with_it() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(world.start_workflow("one", json!({})).await);
    }
    let culprit = ids[0].clone();
    for name in ["a", "b"] {
        let mut worker = Worker::new(&world, name, &["echo"]).await;
        for _ in 0..4 {
            worker.next().await;
        }
        pronounce_dead(&world, &worker).await;
    }
    let (mut batches, mut done, mut convictions) = (Vec::new(), 0, 0);
    for name in ["c", "d", "e", "f", "g"] {
        let mut worker = Worker::new(&world, name, &["echo"]).await;
        while done < 3 || convictions < 2 {
            let mut batch = vec![worker.next().await];
            // Whatever else comes at once, though there is room for all.
            batch.extend(worker.idle_for(std::time::Duration::from_millis(50)).await);
            batches.push(batch.len());
            if batch.iter().any(|task| task.workflow_id == culprit) {
                convictions += usize::from(batch.len() == 1);
                pronounce_dead(&world, &worker).await;
                break;
            }
            for task in batch {
                worker.complete(&task, json!(1)).await;
                done += 1;
            }
        }
    }
    // The other pair, the one that was in the culprit's, and the culprit twice, in some order.
    batches[2..].sort_unstable();
    assert_eq!(batches, [4, 2, 1, 1, 1, 2]);
    world.until(&culprit, Phase::Faulted).await;
    for id in &ids[1..] {
        assert_eq!(world.output(id).await, json!(1));
    }
}

/// A suspect that has outlived its first moments makes room for the next, though it still runs; and
/// if the worker comes to its end then, it was the next: the first is above suspicion again.
#[tokio::test]
async fn who_has_outlived_its_probation_makes_room_and_is_acquitted() {
    let world = World::with(Config { sweep_ms: 20, ..Config::default() }).await;
    world.publish("one", ONE).await;
    let innocent = world.start_workflow("one", json!({})).await;
    let culprit = world.start_workflow("one", json!({})).await;
    // Twice in company, once in a batch, once as a pair.
    for name in ["a", "b", "c", "d"] {
        let mut worker = Worker::new(&world, name, &["echo"]).await;
        worker.next().await;
        worker.next().await;
        pronounce_dead(&world, &worker).await;
    }
    let losses = async |id: &str| world.get(id).await.tasks[0].losses;
    eventually("both were lost four times", async || {
        (losses(&innocent).await == 4 && losses(&culprit).await == 4).then_some(())
    })
    .await;
    let mut worker = Worker::new(&world, "e", &["echo"]).await;
    assert_eq!(worker.next().await.workflow_id, innocent);
    assert!(worker.idle_for(std::time::Duration::from_millis(150)).await.is_empty());
    assert_eq!(worker.next().await.workflow_id, culprit);
    let now_ms = planaria_runtime::clock::now_ms;
    pronounce_at(&world, &worker, Signal::StreamLost, now_ms()).await;
    eventually("one is acquitted, the other charged", async || {
        (losses(&innocent).await == 1 && losses(&culprit).await == 5).then_some(())
    })
    .await;
    // Whichever comes first, they do not share the worker any more.
    let mut worker = Worker::new(&world, "f", &["echo"]).await;
    let task = worker.next().await;
    let is_done = task.workflow_id == innocent;
    if is_done {
        worker.complete(&task, json!(1)).await;
        assert_eq!(worker.next().await.workflow_id, culprit);
    }
    pronounce_at(&world, &worker, Signal::StreamLost, now_ms()).await;
    world.until(&culprit, Phase::Faulted).await;
    if !is_done {
        let mut last = Worker::new(&world, "g", &["echo"]).await;
        let task = last.next().await;
        last.complete(&task, json!(1)).await;
    }
    assert_eq!(world.output(&innocent).await, json!(1));
}

/// A busy worker need not be emptied for a suspect if one comes back first: it is kept, whatever
/// else waits.
#[tokio::test]
async fn a_worker_that_comes_back_is_kept_for_a_suspect() {
    let world = World::with(Config { sweep_ms: 20, ..Config::default() }).await;
    world.publish("one", ONE).await;
    let suspect = world.start_workflow("one", json!({})).await;
    let few = |name, capacity| OpenSessionRequest { capacity, ..hello(name, "1", &["echo"]) };
    let mut first = Worker::open(&world, few("a", 1)).await.expect("a session");
    assert_eq!(first.next().await.workflow_id, suspect);
    pronounce_dead(&world, &first).await;
    let mut second = Worker::open(&world, few("b", 1)).await.expect("a session");
    assert_eq!(second.next().await.workflow_id, suspect);
    let mut busy = Worker::open(&world, few("c", 1)).await.expect("a session");
    world.start_workflow("one", json!({})).await;
    busy.next().await;
    for _ in 0..3 {
        world.start_workflow("one", json!({})).await;
    }
    pronounce_dead(&world, &second).await;
    eventually("it is lost twice", async || {
        (world.get(&suspect).await.tasks[0].losses == 2).then_some(())
    })
    .await;
    let mut back = Worker::open(&world, few("d", 4)).await.expect("a session");
    let task = back.next().await;
    assert_eq!(task.workflow_id, suspect);
    assert!(back.idle_for(std::time::Duration::from_millis(100)).await.is_empty(), "alone");
    // What waited has its turn afterwards.
    back.complete(&task, json!(1)).await;
    for _ in 0..3 {
        back.next().await;
    }
}

/// A worker that is never empty by chance is emptied for a suspect.
#[tokio::test]
async fn a_busy_worker_is_kept_free_for_a_suspect() {
    let world = World::with(Config { sweep_ms: 20, ..Config::default() }).await;
    world.publish("one", ONE).await;
    let suspect = world.start_workflow("one", json!({})).await;
    let few = |name, capacity| OpenSessionRequest { capacity, ..hello(name, "1", &["echo"]) };
    let mut first = Worker::open(&world, few("a", 1)).await.expect("a session");
    first.next().await;
    pronounce_dead(&world, &first).await;
    let mut second = Worker::open(&world, few("b", 1)).await.expect("a session");
    assert_eq!(second.next().await.workflow_id, suspect);
    let mut busy = Worker::open(&world, few("c", 2)).await.expect("a session");
    let mut held = VecDeque::new();
    for _ in 0..2 {
        world.start_workflow("one", json!({})).await;
        held.push_back(busy.next().await);
    }
    pronounce_dead(&world, &second).await;
    let alone = eventually("the suspect runs", async || {
        world.start_workflow("one", json!({})).await;
        if let Some(task) = held.pop_front() {
            busy.complete(&task, json!(1)).await;
        }
        held.extend(busy.idle_for(std::time::Duration::from_millis(30)).await);
        held.iter().position(|task| task.workflow_id == suspect)
    })
    .await;
    assert_eq!((alone, held.len()), (0, 1), "nothing else runs there");
    // What waits has its turn afterwards.
    busy.complete(&held[0], json!(1)).await;
    assert_eq!(world.output(&suspect).await, json!(1));
    busy.next().await;
}

#[tokio::test]
async fn a_lease_that_nobody_renews_runs_out() {
    let config = Config { lease_ms: 300, sweep_ms: 50, ..Config::default() };
    let world = World::with(config).await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut dead = Worker::new(&world, "dead", &["echo"]).await;
    let lost = dead.next().await;
    let mut alive = Worker::new(&world, "alive", &["echo"]).await;
    let again = eventually("the task runs elsewhere", async || {
        alive.renew(&[]).await.expect("its lease is renewed");
        alive.idle_for(std::time::Duration::from_millis(20)).await.pop()
    })
    .await;
    assert_eq!(again.attempt, 2);
    let healing = world.healing(&id).await;
    assert_eq!((healing.signal(), &*healing.new_worker), (Signal::LeaseExpired, "alive"));
    assert_eq!(alive.complete(&again, json!(1)).await, Acceptance::Accepted);
    assert_eq!(dead.complete(&lost, json!(2)).await, Acceptance::Stale);
    assert_eq!(world.output(&id).await, json!(1));
    let lost = world.history(&id).await.into_iter().filter(|e| kind(e) == "AttemptLost").count();
    assert_eq!(lost, 1);
}

#[tokio::test]
async fn a_goodbye_hands_back_uncharged_and_keeps_the_checkpoint() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    let id = world.start_workflow("one", json!({})).await;
    let mut first = Worker::new(&world, "first", &["echo"]).await;
    let task = first.next().await;
    let mut second = Worker::new(&world, "second", &["echo"]).await;
    let checkpoint = Some(payload(&json!({"at": 3})));
    let release = Release { reason: "drain".to_owned(), checkpoint };
    assert_eq!(
        first.report(vec![result(&task, Outcome::Release(release))]).await[0],
        Acceptance::Accepted
    );
    let again = second.next().await;
    assert_eq!(crate::world::json(again.checkpoint.clone()), json!({"at": 3}));
    second.close().await;
    // Who handed back takes more once it says that it is there.
    first.renew(&[]).await.expect("renewed");
    let last = first.next().await;
    assert_eq!(last.attempt, 3);
    assert_eq!(world.get(&id).await.tasks[0].losses, 0);
    let healing = world.healing(&id).await;
    assert_eq!((healing.signal(), &*healing.namespace), (Signal::Drained, "test"));
    first.complete(&last, json!(1)).await;
    assert_eq!(world.output(&id).await, json!(1));
}

/// What a worker's heartbeat says of an attempt that is under way.
async fn observe_checkpoint(world: &World, worker: &Worker, attempt_id: &str, at: u32) {
    let attempt_id = attempt_id.to_owned();
    let checkpoint = Some(payload(&json!({ "at": at })));
    let attempt_ids = vec![attempt_id.clone()];
    let checkpoints = vec![Checkpoint { attempt_id, checkpoint, ..Checkpoint::default() }];
    let session_id = worker.session.clone();
    let seen = Observation { session_id, attempt_ids, checkpoints, ..Observation::default() };
    let request = ObserveSessionsRequest { observations: vec![seen] };
    world.mesh().observe_sessions(request).await.expect("heard");
}

#[tokio::test]
async fn a_checkpoint_counts_from_the_worker_that_has_the_attempt_alone() {
    let world = World::new().await;
    world.publish("one", ONE).await;
    world.start_workflow("one", json!({})).await;
    let mut first = Worker::new(&world, "first", &["echo"]).await;
    let task = first.next().await;
    let other = Worker::new(&world, "other", &["something-else"]).await;
    observe_checkpoint(&world, &first, &task.attempt_id, 3).await;
    observe_checkpoint(&world, &other, &task.attempt_id, 9).await;
    let mut second = Worker::new(&world, "second", &["echo"]).await;
    pronounce_dead(&world, &first).await;
    let again = second.next().await;
    assert_eq!(again.attempt, 2);
    assert_eq!(crate::world::json(again.checkpoint), json!({"at": 3}));
}

/// Loses a task with one worker after the other; answers how many losses it took until it faulted.
async fn lose(world: &World, id: &str, workers: &[&str]) -> usize {
    for (losses, name) in workers.iter().enumerate() {
        if world.get(id).await.phase() == Phase::Faulted {
            return losses;
        }
        let incarnation = format!("{losses:03}");
        let mut worker =
            Worker::open(world, hello(name, &incarnation, &["echo"])).await.expect("a session");
        worker.next().await;
        pronounce_dead(world, &worker).await;
        eventually("the loss is known", async || {
            let workflow = world.get(id).await;
            (workflow.tasks[0].losses as usize > losses).then_some(())
        })
        .await;
    }
    assert_eq!(world.get(id).await.phase(), Phase::Faulted, "{workers:?}");
    workers.len()
}

#[tokio::test]
async fn poison_is_quarantined_after_three_losses_on_two_workers_or_six_on_one() {
    for (workers, expected) in [(&["a", "b", "a", "b"][..], 3), (&["a"; 8][..], 6)] {
        let world = World::new().await;
        world.publish("one", ONE).await;
        let id = world.start_workflow("one", json!({})).await;
        assert_eq!(lose(&world, &id, workers).await, expected);
        let error = world.get(&id).await.error.expect("an error");
        assert!(error.r#type.contains("quarantined"), "{error:?}");
        let healings = world.healings().await;
        assert_eq!(healings.last().expect("told").action(), HealingAction::Quarantined);
        // Every healing that was begun is complete.
        let last = |healing: &planaria_proto::types::v1::Healing| {
            healings.iter().rev().find(|other| other.id == healing.id).cloned()
        };
        let open = healings.iter().filter(|h| last(h).is_some_and(|h| h.healed_at.is_none()));
        assert_eq!(open.count(), 0);
    }
}

#[tokio::test]
async fn a_retry_that_nobody_decides_is_decided_by_the_policy() {
    let config = Config { retry_grace_ms: 50, reconcile_ms: 50, ..Config::default() };
    let world = World::with(config).await;
    let tasks = "- a:
    call: echo
    metadata:
      planaria:
        retry: { delay: PT0.1S, attempts: 2 }";
    world.publish("two-tries", tasks).await;
    let id = world.start_workflow("two-tries", json!({})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    let failure = Failure { retryable: true, ..Failure::default() };
    worker.report(vec![result(&task, Outcome::Failure(failure))]).await;
    let again = worker.next().await;
    assert_eq!(again.attempt, 2);
    let healing = world.healing(&id).await;
    assert_eq!(healing.action(), HealingAction::RetryQueued);
    worker.fail(&again, false).await;
    let faulted = world.until(&id, Phase::Faulted).await;
    assert_eq!(faulted.error.expect("an error").title, "no");
}
