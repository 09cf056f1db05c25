//! One worker, lent to one shard.

use std::time::Duration;

use planaria_proto::orchestrator::v1::lending_service_client::LendingServiceClient;
use planaria_proto::orchestrator::v1::{OpenLentSessionRequest, PullLentRequest};
use planaria_proto::task::v1::OpenSessionRequest;
use tokio::time::{sleep, timeout};
use tonic::Status;
use uuid::Uuid;

use super::{CALL, Lender};
use crate::api::MESSAGE_BYTES_MAX;
use crate::engine::Command;
use crate::error::Error;
use crate::shards::Local;
use crate::store::Shard;

/// The pause before a lost session or stream is opened again.
const PAUSE: Duration = Duration::from_millis(50);
/// A shard that was taken over waits for its workers no longer than this.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Keeps a lent session open and passes on what it is handed.
pub(super) struct Pump {
    lender: Lender,
    home: Local,
    own: Uuid,
    to: Shard,
    worker: OpenSessionRequest,
}

impl Pump {
    pub(super) fn new(
        lender: &Lender,
        home: &Local,
        (own, to): (Uuid, Shard),
        worker: OpenSessionRequest,
    ) -> Self {
        Self { lender: lender.clone(), home: home.clone(), own, to, worker }
    }

    /// Runs until it is aborted, which forgets the lent session: it ends with its lease, or by the
    /// verdict on the worker.
    pub(super) async fn run(self) {
        let _forgotten = Forget(&self);
        let mut pause = PAUSE;
        loop {
            match self.pump(&mut pause).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!(%error, session = %self.own, shard = %self.to, "not lent");
                }
            }
            if self.home.engine.send(Command::HeldBy(self.own, self.to, 0)).await.is_err() {
                return;
            }
            sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn pump(&self, pause: &mut Duration) -> Result<(), Status> {
        let channel = self.lender.channel(self.to).await?;
        let mut client =
            LendingServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let request =
            OpenLentSessionRequest { shard: self.to.0.into(), worker: Some(self.worker.clone()) };
        let late = |_| Status::deadline_exceeded("no answer in time");
        let opened = timeout(CALL, client.open_lent_session(request)).await.map_err(late)??;
        let session_id = opened.into_inner().session_id;
        let session = Uuid::try_parse(&session_id).map_err(|_| Error::SessionNotFound)?;
        let pulled = client.pull_lent(PullLentRequest { session_id });
        let mut stream = timeout(CALL, pulled).await.map_err(late)??.into_inner();
        self.lender.lent.set(self.own, self.to, Some(session));
        while let Some(told) = stream.message().await? {
            *pause = PAUSE;
            if let Some(held) = told.held {
                self.tell(Command::HeldBy(self.own, self.to, held as usize)).await?;
                // What waits there was told when nobody here could lend it anything.
                let others = self.lender.shards.all().len().saturating_sub(1);
                self.lender.lend_from(&self.home, self.to, others, Some(self.own)).await;
            }
            if !told.assignments.is_empty() {
                self.tell(Command::PassOn(self.own, told.assignments)).await?;
            }
            if told.returned > 0 {
                let slots = told.returned as usize;
                self.tell(Command::TakeBack(self.own, self.to, slots)).await?;
            }
        }
        Ok(())
    }

    async fn tell(&self, command: Command) -> Result<(), Error> {
        self.home.engine.send(command).await
    }
}

struct Forget<'a>(&'a Pump);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lender.lent.set(self.0.own, self.0.to, None);
    }
}
