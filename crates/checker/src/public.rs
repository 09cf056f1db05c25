//! What the mesh says of itself to anybody: histories, dead letters, events.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use planaria_proto::notification::v1::SubscribeRequest;
use planaria_proto::notification::v1::notification_service_client::NotificationServiceClient;
use planaria_proto::retry::v1::retry_service_client::RetryServiceClient;
use planaria_proto::retry::v1::{
    BreakerChange, DeadLetter, ListBreakerChangesRequest, ListDeadLettersRequest,
};
use planaria_proto::types::v1::CloudEvent;
use planaria_proto::workflow::v1::workflow_service_client::WorkflowServiceClient;
use planaria_proto::workflow::v1::{GetHistoryRequest, GetWorkflowRequest, HistoryEvent, Workflow};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::Error;

const PARALLEL: usize = 16;
const PAGE: u32 = 500;
const TRIES_MAX: u32 = 5;
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The stream of events is read until nothing came for so long, or for so long in all.
const SILENCE: Duration = Duration::from_secs(4);
const EVENTS_MAX: Duration = Duration::from_secs(120);

/// A workflow and its history, as the gateway tells them.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) workflow: Workflow,
    pub(crate) history: Vec<HistoryEvent>,
}

/// A gateway.
#[derive(Debug, Clone)]
pub(crate) struct Public {
    channel: Channel,
}

impl Public {
    pub(crate) fn connect(gateway: &str) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(gateway.to_owned())?;
        Ok(Self { channel: endpoint.connect_timeout(Duration::from_secs(2)).connect_lazy() })
    }

    fn workflows(&self) -> WorkflowServiceClient<Channel> {
        WorkflowServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// The stories of workflows; those that nobody knows are missing.
    pub(crate) async fn stories(&self, ids: Vec<String>) -> Result<BTreeMap<String, Story>, Error> {
        let fetched = futures_util::stream::iter(ids)
            .map(async |id| (id.clone(), self.story(&id).await))
            .buffer_unordered(PARALLEL);
        let mut stories = BTreeMap::new();
        let mut fetched = std::pin::pin!(fetched);
        while let Some((id, story)) = fetched.next().await {
            if let Some(story) = story? {
                stories.insert(id, story);
            }
        }
        Ok(stories)
    }

    async fn story(&self, id: &str) -> Result<Option<Story>, Status> {
        let request = GetWorkflowRequest { workflow_id: id.to_owned() };
        let got = tried(async || self.workflows().get_workflow(request.clone()).await).await;
        let workflow = match got {
            Ok(answer) => answer.into_inner().workflow.unwrap_or_default(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            Err(status) => return Err(status),
        };
        let mut history: Vec<HistoryEvent> = Vec::new();
        loop {
            let request = GetHistoryRequest {
                workflow_id: id.to_owned(),
                after_seq: history.last().map_or(0, |event| event.seq),
                page_size: PAGE,
            };
            let page = tried(async || self.workflows().get_history(request.clone()).await).await?;
            let page = page.into_inner();
            history.extend(page.events);
            if !page.more {
                return Ok(Some(Story { workflow, history }));
            }
        }
    }

    /// All open dead letters.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<DeadLetter>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListDeadLettersRequest {
                page_size: PAGE,
                page_token: page_token.clone(),
                ..Default::default()
            };
            let list = async || {
                let mut client = RetryServiceClient::new(self.channel.clone())
                    .max_decoding_message_size(ANSWER_BYTES_MAX);
                client.list_dead_letters(request.clone()).await
            };
            let page = tried(list).await?.into_inner();
            all.extend(page.dead_letters);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// The last changes of circuit breakers, the oldest first.
    pub(crate) async fn breaker_changes(&self) -> Result<Vec<BreakerChange>, Error> {
        let list = async || {
            let mut client = RetryServiceClient::new(self.channel.clone());
            let request = ListBreakerChangesRequest { page_size: PAGE, ..Default::default() };
            client.list_breaker_changes(request).await
        };
        let mut changes = tried(list).await?.into_inner().changes;
        changes.reverse();
        Ok(changes)
    }

    /// Every event that is kept, from the oldest, in the order of their delivery.
    pub(crate) async fn events(&self) -> Result<Vec<CloudEvent>, Error> {
        let request = SubscribeRequest { cursor: "start".into(), ..Default::default() };
        let subscribe = async || {
            let mut client = NotificationServiceClient::new(self.channel.clone())
                .max_decoding_message_size(ANSWER_BYTES_MAX);
            client.subscribe(request.clone()).await
        };
        let mut stream = tried(subscribe).await?.into_inner();
        let mut events = Vec::new();
        let reading = async {
            // Silence is how the end of what is kept is known.
            while let Ok(message) = tokio::time::timeout(SILENCE, stream.message()).await {
                let Some(message) = message? else { break };
                events.extend(message.deliveries.into_iter().filter_map(|delivery| delivery.event));
            }
            Ok::<_, Status>(())
        };
        tokio::time::timeout(EVENTS_MAX, reading).await.map_err(|_| "events never end")??;
        Ok(events)
    }
}

/// Tries again what the network lost.
async fn tried<T>(mut call: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    let mut tries = 0;
    loop {
        tries += 1;
        match call().await {
            Err(status) if tries < TRIES_MAX && status.code() == Code::Unavailable => {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            other => return other,
        }
    }
}
