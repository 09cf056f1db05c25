//! A worker that speaks the contract and does what the test says.

use std::time::Duration;

use planaria_proto::task::v1::result::Outcome;
use planaria_proto::task::v1::task_service_client::TaskServiceClient;
use planaria_proto::task::v1::{Result as TaskResult, *};
use planaria_proto::types::v1::WorkflowError;
use planaria_runtime::ReplicaChannel as Channel;
use serde_json::Value;
use tonic::{Status, Streaming};

use crate::world::{PATIENCE, World, payload};

/// A worker with a session and a pull stream.
pub(crate) struct Worker {
    pub(crate) tasks: TaskServiceClient<Channel>,
    pub(crate) session: String,
    stream: Streaming<PullTasksResponse>,
    waiting: std::collections::VecDeque<Assignment>,
}

type Opened = std::result::Result<Worker, Status>;

/// An announcement.
pub(crate) fn hello(name: &str, incarnation: &str, functions: &[&str]) -> OpenSessionRequest {
    let function = |name: &&str| Function { name: (*name).to_owned(), ..Function::default() };
    OpenSessionRequest {
        worker_id: name.to_owned(),
        incarnation: incarnation.to_owned(),
        functions: functions.iter().map(function).collect(),
        capacity: 100,
        ..OpenSessionRequest::default()
    }
}

impl Worker {
    pub(crate) async fn new(world: &World, name: &str, functions: &[&str]) -> Self {
        Self::open(world, hello(name, "1", functions)).await.expect("a session")
    }

    pub(crate) async fn open(world: &World, hello: OpenSessionRequest) -> Opened {
        let mut tasks = world.tasks();
        let session = tasks.open_session(hello).await?.into_inner().session_id;
        let request = PullTasksRequest { session_id: session.clone() };
        let stream = tasks.pull_tasks(request).await?.into_inner();
        Ok(Self { tasks, session, stream, waiting: std::collections::VecDeque::new() })
    }

    /// The next task that it gets.
    pub(crate) async fn next(&mut self) -> Assignment {
        while self.waiting.is_empty() {
            let message = tokio::time::timeout(PATIENCE, self.stream.message()).await;
            let message = message.expect("a task comes").expect("the stream stands");
            self.waiting.extend(message.expect("the stream does not end").assignments);
        }
        self.waiting.pop_front().expect("one came")
    }

    /// The next task, with heartbeats while it waits: what was handed out and lost comes again.
    pub(crate) async fn next_beating(&mut self, held: &[&Assignment]) -> Assignment {
        crate::world::eventually("a task comes", async || {
            let _ = self.renew(held).await;
            if self.waiting.is_empty() {
                let got = self.idle_for(Duration::from_millis(50)).await;
                self.waiting.extend(got);
            }
            self.waiting.pop_front()
        })
        .await
    }

    /// The next task of that workflow; others' are held, and said to be.
    pub(crate) async fn next_of(&mut self, id: &str, held: &mut Vec<Assignment>) -> Assignment {
        loop {
            let task = self.next_beating(&held.iter().collect::<Vec<_>>()).await;
            if task.workflow_id == id {
                return task;
            }
            held.push(task);
        }
    }

    /// The next task, or how the stream ended.
    pub(crate) async fn next_or_end(&mut self) -> Option<Assignment> {
        while self.waiting.is_empty() {
            let message = tokio::time::timeout(PATIENCE, self.stream.message()).await;
            self.waiting.extend(message.expect("something comes").ok()??.assignments);
        }
        self.waiting.pop_front()
    }

    /// What the worker got within a moment; nothing is what is expected.
    pub(crate) async fn idle_for(&mut self, moment: Duration) -> Vec<Assignment> {
        let got = tokio::time::timeout(moment, self.stream.message()).await;
        match got {
            Err(_) => self.waiting.drain(..).collect(),
            Ok(message) => message.expect("the stream stands").unwrap_or_default().assignments,
        }
    }

    pub(crate) async fn report(&mut self, results: Vec<TaskResult>) -> Vec<Acceptance> {
        self.try_report(results).await.expect("answered")
    }

    pub(crate) async fn try_report(
        &mut self,
        results: Vec<TaskResult>,
    ) -> std::result::Result<Vec<Acceptance>, Status> {
        let request = ReportResultsRequest { session_id: self.session.clone(), results };
        let response = self.tasks.report_results(request).await?.into_inner();
        Ok(response.verdicts.iter().map(report_results_response::Verdict::acceptance).collect())
    }

    pub(crate) async fn complete(&mut self, assignment: &Assignment, output: Value) -> Acceptance {
        self.report(vec![output_of(assignment, &output)]).await[0]
    }

    pub(crate) async fn fail(&mut self, assignment: &Assignment, retryable: bool) -> Acceptance {
        let error = WorkflowError { title: "no".to_owned(), status: 500, ..Default::default() };
        let failure = Failure { error: Some(error), retryable, ..Failure::default() };
        self.report(vec![result(assignment, Outcome::Failure(failure))]).await[0]
    }

    /// Says which attempts it has; answers those that it is to abandon.
    pub(crate) async fn renew(
        &mut self,
        attempts: &[&Assignment],
    ) -> std::result::Result<Vec<String>, Status> {
        let request = RenewSessionRequest {
            session_id: self.session.clone(),
            attempt_ids: attempts.iter().map(|assignment| assignment.attempt_id.clone()).collect(),
        };
        Ok(self.tasks.renew_session(request).await?.into_inner().abandon)
    }

    pub(crate) async fn close(mut self) {
        let request =
            CloseSessionRequest { session_id: self.session.clone(), reason: "tired".to_owned() };
        self.tasks.close_session(request).await.expect("closed");
    }
}

pub(crate) fn result(assignment: &Assignment, outcome: Outcome) -> TaskResult {
    TaskResult { token: assignment.token.clone(), outcome: Some(outcome) }
}

pub(crate) fn output_of(assignment: &Assignment, output: &Value) -> TaskResult {
    result(assignment, Outcome::Output(payload(output)))
}

/// The arguments of a task.
pub(crate) fn arguments(assignment: &Assignment) -> Value {
    crate::world::json(assignment.arguments.clone())
}
