//! A client gets through outages, repeats with the same key, and tells reasons.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use planaria_proto::workflow::v1::workflow_service_server::{
    WorkflowService, WorkflowServiceServer,
};
use planaria_proto::workflow::v1::*;
use planaria_sdk::{Client, Start};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Fails as the test says, then answers.
#[derive(Clone, Default)]
struct Fake {
    failures: Arc<Mutex<VecDeque<Status>>>,
    keys: Arc<Mutex<Vec<String>>>,
    watched_from: Arc<Mutex<Vec<u64>>>,
}

impl Fake {
    fn heard(&self, start: Option<WorkflowStart>) -> Result<(), Status> {
        self.keys.lock().unwrap().push(start.unwrap().idempotency_key);
        self.failures.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    async fn serve(&self) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(WorkflowServiceServer::new(self.clone()))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        Client::connect(&format!("http://{address}")).unwrap()
    }

    fn fail_with(&self, failures: impl IntoIterator<Item = Status>) {
        self.failures.lock().unwrap().extend(failures);
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn not_needed<T>() -> Answer<T> {
    Err(Status::unimplemented("not needed here"))
}

fn start() -> Start {
    Start::new("shop", "order").input(&[1, 2]).unwrap()
}

#[tokio::test]
async fn a_run_is_waited_for_through_outages_with_one_key() {
    let fake = Fake::default();
    let client = fake.serve().await;
    let ways_to_break = [Code::Unavailable, Code::Unknown, Code::Cancelled, Code::DeadlineExceeded];
    fake.fail_with(ways_to_break.map(|code| Status::new(code, "the way broke")));
    let ended = client.run(start()).await.unwrap();
    assert_eq!(ended.workflow_id, "w");
    let keys = fake.keys.lock().unwrap().clone();
    assert_eq!(keys.len(), 5);
    assert!(!keys[0].is_empty() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn an_engine_that_is_full_is_asked_again_when_it_says() {
    let fake = Fake::default();
    let client = fake.serve().await;
    let pause = Duration::from_millis(200);
    let full = || {
        let mut details = ErrorDetails::with_error_info("OVERLOADED", "planaria.dev", []);
        details.set_retry_info(Some(pause));
        Status::with_error_details(Code::ResourceExhausted, "full", details)
    };
    for runs in [true, false] {
        fake.keys.lock().unwrap().clear();
        fake.fail_with([full(), full()]);
        let began = Instant::now();
        let id = if runs {
            client.run(start()).await.unwrap().workflow_id
        } else {
            client.start(start()).await.unwrap().workflow_id
        };
        assert_eq!(id, "w");
        assert!(began.elapsed() >= pause * 2, "{:?}", began.elapsed());
        assert_eq!(fake.keys.lock().unwrap().len(), 3);
    }
    // What will not pass is not waited for.
    fake.fail_with([Status::resource_exhausted("too large")]);
    assert!(client.run(start()).await.is_err());
}

#[tokio::test]
async fn a_run_gives_up_when_the_engine_stays_away() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = Client::connect(&format!("http://{nobody}")).unwrap();
    let client = client.outage_max(Duration::from_millis(100));
    assert!(client.run(start()).await.unwrap_err().is_outage());
    assert!(client.get("w").await.unwrap_err().is_outage());
}

#[tokio::test]
async fn a_start_is_tried_three_times_and_only_for_outages() {
    let fake = Fake::default();
    let client = fake.serve().await;
    fake.fail_with([Status::unavailable("1"), Status::unavailable("2")]);
    client.start(start().idempotency_key("mine")).await.unwrap();
    assert_eq!(*fake.keys.lock().unwrap(), ["mine"; 3]);
    fake.fail_with((0..3).map(|_| Status::unavailable("away")));
    assert!(client.start(start()).await.unwrap_err().is_outage());
    assert_eq!(fake.keys.lock().unwrap().len(), 6);
    fake.fail_with([Status::invalid_argument("no")]);
    assert!(!client.start(start()).await.unwrap_err().is_outage());
    assert_eq!(fake.keys.lock().unwrap().len(), 7);
}

#[tokio::test]
async fn errors_tell_their_reason_and_what_was_wrong() {
    let client = Fake::default().serve().await;
    let error = client.get("nothing").await.unwrap_err();
    assert_eq!(error.reason().as_deref(), Some("WORKFLOW_NOT_FOUND"));
    assert_eq!(error.code(), Some(Code::NotFound));
    assert_eq!(error.violations(), [("workflow_id".to_owned(), "unknown".to_owned())]);
    assert_eq!(error.to_string(), "there is no workflow nothing (WORKFLOW_NOT_FOUND)");
}

#[tokio::test]
async fn a_broken_watch_goes_on_behind_the_last_event() {
    let fake = Fake::default();
    let mut watch = fake.serve().await.watch("w", 0);
    let mut seen = Vec::new();
    while let Some(news) = watch.next().await.unwrap() {
        seen.extend(news.events.iter().map(|event| event.seq));
    }
    assert_eq!(seen, [1, 2, 3, 4]);
    assert_eq!(*fake.watched_from.lock().unwrap(), [0, 2]);
}

#[tonic::async_trait]
impl WorkflowService for Fake {
    async fn run_workflow(&self, it: Request<RunWorkflowRequest>) -> Answer<RunWorkflowResponse> {
        self.heard(it.into_inner().start)?;
        let workflow_id = "w".to_owned();
        Ok(Response::new(RunWorkflowResponse { workflow_id, ..RunWorkflowResponse::default() }))
    }

    async fn start_workflow(
        &self,
        it: Request<StartWorkflowRequest>,
    ) -> Answer<StartWorkflowResponse> {
        self.heard(it.into_inner().start)?;
        Ok(Response::new(StartWorkflowResponse::default()))
    }

    async fn start_workflows(
        &self,
        _: Request<StartWorkflowsRequest>,
    ) -> Answer<StartWorkflowsResponse> {
        not_needed()
    }

    async fn get_workflow(&self, it: Request<GetWorkflowRequest>) -> Answer<GetWorkflowResponse> {
        let mut details = ErrorDetails::new();
        details.set_error_info("WORKFLOW_NOT_FOUND", "planaria.dev", []);
        details.add_bad_request_violation("workflow_id", "unknown");
        let message = format!("there is no workflow {}", it.into_inner().workflow_id);
        Err(Status::with_error_details(Code::NotFound, message, details))
    }

    async fn list_workflows(
        &self,
        _: Request<ListWorkflowsRequest>,
    ) -> Answer<ListWorkflowsResponse> {
        not_needed()
    }

    type WatchWorkflowStream =
        Pin<Box<dyn Stream<Item = Result<WatchWorkflowResponse, Status>> + Send>>;

    async fn watch_workflow(
        &self,
        it: Request<WatchWorkflowRequest>,
    ) -> Answer<Self::WatchWorkflowStream> {
        let from = it.into_inner().after_seq;
        self.watched_from.lock().unwrap().push(from);
        let event = |seq| HistoryEvent { seq, ..HistoryEvent::default() };
        let events = (from + 1..=from + 2).map(event).collect();
        let ended = if from > 0 { 7 } else { 0 };
        let news = WatchWorkflowResponse { events, ended, ..WatchWorkflowResponse::default() };
        let broken = Err(Status::unavailable("the way broke"));
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(news), broken]))))
    }

    async fn get_history(&self, _: Request<GetHistoryRequest>) -> Answer<GetHistoryResponse> {
        not_needed()
    }

    async fn suspend_workflow(
        &self,
        _: Request<SuspendWorkflowRequest>,
    ) -> Answer<SuspendWorkflowResponse> {
        not_needed()
    }

    async fn resume_workflow(
        &self,
        _: Request<ResumeWorkflowRequest>,
    ) -> Answer<ResumeWorkflowResponse> {
        not_needed()
    }

    async fn cancel_workflow(
        &self,
        _: Request<CancelWorkflowRequest>,
    ) -> Answer<CancelWorkflowResponse> {
        not_needed()
    }

    async fn retry_workflow(
        &self,
        _: Request<RetryWorkflowRequest>,
    ) -> Answer<RetryWorkflowResponse> {
        not_needed()
    }

    async fn rerun_workflow(
        &self,
        _: Request<RerunWorkflowRequest>,
    ) -> Answer<RerunWorkflowResponse> {
        not_needed()
    }

    async fn skip_task(&self, _: Request<SkipTaskRequest>) -> Answer<SkipTaskResponse> {
        not_needed()
    }

    async fn signal_workflow(
        &self,
        _: Request<SignalWorkflowRequest>,
    ) -> Answer<SignalWorkflowResponse> {
        not_needed()
    }

    async fn publish_event(&self, _: Request<PublishEventRequest>) -> Answer<PublishEventResponse> {
        not_needed()
    }
}
