//! Going on from an earlier task.

use planaria_proto::task::v1::Acceptance;
use planaria_proto::types::v1::Phase;
use planaria_proto::workflow::v1::{RerunWorkflowRequest, RunWorkflowRequest};
use serde_json::{Value, json};
use sqlx::Row;
use tonic::{Code, Status};

use crate::reconciler::open;
use crate::worker::Worker;
use crate::world::{World, event, json as document_of, payload, refused, start};

const TWO: &str = "- a: { call: echo }
- b: { call: echo }";

async fn rerun(world: &World, id: &str, task: &str, input: Option<Value>) -> Result<(), Status> {
    let request = RerunWorkflowRequest {
        workflow_id: id.to_owned(),
        task: task.to_owned(),
        input: input.as_ref().map(payload),
    };
    world.workflows().rerun_workflow(request).await.map(drop)
}

#[tokio::test]
async fn a_completed_workflow_goes_on_from_an_earlier_task_with_another_input() {
    let world = World::new().await;
    world.publish("two", TWO).await;
    let id = world.start_workflow("two", json!({"n": 1})).await;
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    for output in [json!(1), json!(2)] {
        let task = worker.next().await;
        worker.complete(&task, output).await;
    }
    assert_eq!(world.output(&id).await, json!(2));
    rerun(&world, &id, "/do/1/b", Some(json!({"n": 7}))).await.expect("goes on");
    let task = worker.next().await;
    assert_eq!((&*task.task, document_of(task.arguments.clone())), ("/do/1/b", json!({"n": 7})));
    assert_eq!(world.get(&id).await.phase(), Phase::Running);
    worker.complete(&task, json!("again")).await;
    assert_eq!(world.output(&id).await, json!("again"));
    world.history(&id).await;
}

#[tokio::test]
async fn a_rerun_of_no_such_task_changes_nothing() {
    let world = World::new().await;
    world.publish("two", TWO).await;
    let mut workflows = world.workflows();
    let run = tokio::spawn(async move {
        let request = RunWorkflowRequest { start: Some(start("two", json!({}))) };
        workflows.run_workflow(request).await
    });
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let task = worker.next().await;
    let id = task.workflow_id.clone();
    let length = world.history(&id).await.len();
    for unknown in ["/do/1/b", "/do/9/none", "nonsense", ""] {
        let status = rerun(&world, &id, unknown, None).await.expect_err("never entered");
        refused(&status, Code::NotFound, "TASK_NOT_FOUND");
    }
    assert_eq!(world.history(&id).await.len(), length);
    assert_eq!(worker.renew(&[&task]).await.expect("renewed").len(), 0, "the attempt is wanted");
    assert_eq!(worker.complete(&task, json!(1)).await, Acceptance::Accepted);
    let task = worker.next().await;
    worker.complete(&task, json!(2)).await;
    // Whoever waited for the end still does.
    let ran = run.await.expect("no panic").expect("answered").into_inner();
    assert_eq!(document_of(ran.output), json!(2));
}

#[tokio::test]
async fn who_waits_for_the_end_waits_over_a_rerun_and_old_attempts_are_fenced() {
    let world = World::new().await;
    world.publish("two", TWO).await;
    let mut workflows = world.workflows();
    let run = tokio::spawn(async move {
        let request = RunWorkflowRequest { start: Some(start("two", json!({}))) };
        workflows.run_workflow(request).await
    });
    let mut worker = Worker::new(&world, "w", &["echo"]).await;
    let first = worker.next().await;
    worker.complete(&first, json!(1)).await;
    let left = worker.next().await;
    rerun(&world, &left.workflow_id, "/do/0/a", None).await.expect("goes on");
    let again = worker.next().await;
    assert_eq!(again.task, "/do/0/a");
    assert_eq!(worker.renew(&[&left, &again]).await.expect("renewed"), [&*left.attempt_id]);
    assert_eq!(worker.complete(&left, json!("late")).await, Acceptance::Stale);
    worker.complete(&again, json!(3)).await;
    let last = worker.next().await;
    worker.complete(&last, json!(4)).await;
    let ran = run.await.expect("no panic").expect("answered").into_inner();
    assert_eq!(document_of(ran.output), json!(4));
}

#[tokio::test]
async fn a_rerun_leaves_no_timer_and_no_listener_behind() {
    let world = World::new().await;
    let tasks = "- a: { set: { n: 1 } }
- both:
    fork:
      branches:
        - wait: { wait: PT1H }
        - listen: { listen: { to: { one: { with: { type: go } } } } }
- c: { set: { n: 2 } }";
    world.publish("open", tasks).await;
    let id = world.start_workflow("open", json!({})).await;
    world.until(&id, Phase::Waiting).await;
    rerun(&world, &id, "/do/0/a", None).await.expect("goes on");
    world.until(&id, Phase::Waiting).await;
    let mut store = open(&world).await;
    for table in ["timers", "listeners"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let row = sqlx::query(sql).fetch_one(&mut store).await.expect("counted");
        assert_eq!(row.get::<i64, _>(0), 1, "{table}");
    }
    assert!(world.signal(&id, event("go", "1", &json!(1))).await.expect("taken"));
    world.cancel(&id).await;
    for table in ["timers", "listeners", "tasks"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let row = sqlx::query(sql).fetch_one(&mut store).await.expect("counted");
        assert_eq!(row.get::<i64, _>(0), 0, "{table}");
    }
}
