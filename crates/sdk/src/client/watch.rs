//! Follows a workflow.

use std::time::{Duration, Instant};

use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_proto::workflow::v1::{WatchWorkflowRequest, WatchWorkflowResponse};
use tonic::{Status, Streaming};

use super::retrying::Outage;
use crate::Error;
use crate::channel::Channel;

/// A workflow's news. Broken streams are opened again behind the last event seen.
#[derive(Debug)]
pub struct Watch {
    client: WorkflowServiceClient<Channel>,
    outage: Outage,
    workflow_id: String,
    after_seq: u64,
    stream: Option<Streaming<WatchWorkflowResponse>>,
    ended: bool,
}

impl Watch {
    pub(super) fn new(
        client: WorkflowServiceClient<Channel>,
        outage_max: Duration,
        workflow_id: &str,
        after_seq: u64,
    ) -> Self {
        Self {
            client,
            outage: Outage::new(outage_max),
            workflow_id: workflow_id.to_owned(),
            after_seq,
            stream: None,
            ended: false,
        }
    }

    /// The next news; none after the workflow's end.
    ///
    /// # Errors
    /// `WORKFLOW_NOT_FOUND`, or the engine was away for too long.
    pub async fn next(&mut self) -> Result<Option<WatchWorkflowResponse>, Error> {
        while !self.ended {
            let began = Instant::now();
            match self.try_next().await {
                Ok(news) => {
                    self.outage.over();
                    self.after_seq = news.events.last().map_or(self.after_seq, |event| event.seq);
                    self.ended = news.ended != 0;
                    return Ok(Some(news));
                }
                Err(status) => {
                    self.stream = None;
                    self.outage.survive(began, status).await?;
                }
            }
        }
        Ok(None)
    }

    async fn try_next(&mut self) -> Result<WatchWorkflowResponse, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let workflow_id = self.workflow_id.clone();
                let request = WatchWorkflowRequest { workflow_id, after_seq: self.after_seq };
                none.insert(self.client.watch_workflow(request).await?.into_inner())
            }
        };
        // Only the message that says so is the end.
        stream.message().await?.ok_or_else(|| Status::unavailable("the stream ended early"))
    }
}
