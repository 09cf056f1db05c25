//! The task that writes hints: in batches, in order, never holding up whoever publishes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Pipeline, RedisError, RedisResult, Value};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::entry::{self, Keys};
use super::link::Link;
use super::lost::Lost;
use super::{Server, classify};
use crate::Counters;

/// Hints written with one round trip.
const BATCH_MAX: usize = 256;
/// An idle publisher writes this often, to know whether it could.
const PROBE: Duration = Duration::from_millis(1_000);
/// A stream that nobody writes to is gone after this.
const IDLE_SECONDS: u64 = 3_600;

/// A hint on its way.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) topic: Arc<str>,
    pub(super) body: Bytes,
}

#[derive(Debug)]
pub(super) struct Publisher {
    link: Link,
    queue: mpsc::Receiver<Outgoing>,
    lost: Arc<Lost>,
    keys: Keys,
    entries_max: u64,
    counters: Counters,
}

/// The bus was dropped.
struct Ended;

impl Publisher {
    pub(super) fn new(server: &Server, queue: mpsc::Receiver<Outgoing>, lost: Arc<Lost>) -> Self {
        Self {
            link: server.link(Duration::ZERO),
            queue,
            lost,
            keys: server.keys.clone(),
            entries_max: server.settings.stream_entries_max,
            counters: server.counters.clone(),
        }
    }

    /// Publishes until the bus is dropped.
    pub(super) async fn run(mut self) {
        while let Ok(mut connection) = self.connect().await {
            match self.deliver(&mut connection).await {
                Ok(Ended) => return,
                Err(error) => self.link.failed(&error),
            }
        }
    }

    /// Connects, and drops what is published meanwhile: an old hint is worth nothing.
    async fn connect(&mut self) -> Result<MultiplexedConnection, Ended> {
        let Self { link, queue, lost, counters, .. } = self;
        let mut connecting = std::pin::pin!(link.connect());
        loop {
            tokio::select! {
                connection = &mut connecting => return Ok(connection),
                hint = queue.recv() => {
                    let hint = hint.ok_or(Ended)?;
                    counters.dropped.inc();
                    lost.add(&hint.topic);
                }
            }
        }
    }

    async fn deliver(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<Ended> {
        self.probe(connection).await?;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            match timeout(PROBE, self.queue.recv_many(&mut batch, BATCH_MAX)).await {
                Ok(0) => return Ok(Ended),
                Ok(_) => self.write(connection, &batch).await?,
                Err(_) => self.probe(connection).await?,
            }
            batch.clear();
        }
    }

    /// Writes what nobody reads, and the gaps that are owed.
    async fn probe(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        match entry::add(&self.keys.probe(), 1, None).query_async::<Value>(connection).await {
            Ok(_) => {
                self.link.works();
                self.tell_gaps(connection).await
            }
            Err(error) if classify::is_full(&error) => {
                self.link.full(&error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a batch. Hints that the server has no room for are lost, the connection is not.
    async fn write(
        &mut self,
        connection: &mut MultiplexedConnection,
        batch: &[Outgoing],
    ) -> RedisResult<()> {
        let entries = batch.iter().map(|hint| (&*hint.topic, Some(&hint.body)));
        let outcome = self.add_all(connection, entries).await;
        let added = outcome.as_ref().map_or(&[][..], Vec::as_slice);
        for (at, hint) in batch.iter().enumerate() {
            if matches!(added.get(at), Some(Ok(_))) {
                self.counters.published.inc();
            } else {
                self.counters.dropped.inc();
                self.lost.add(&hint.topic);
            }
        }
        let refused = outcome?.into_iter().find_map(Result::err);
        match refused {
            None => {
                self.link.works();
                self.tell_gaps(connection).await
            }
            Some(error) if classify::is_full(&error) => {
                self.link.full(&error);
                Ok(())
            }
            Some(error) => Err(error),
        }
    }

    /// Tells the subscribers of topics that lost hints to look for themselves.
    async fn tell_gaps(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let topics = self.lost.take();
        if topics.is_empty() {
            return Ok(());
        }
        let entries = topics.iter().map(|topic| (topic.as_str(), None));
        let outcome = self.add_all(connection, entries).await;
        let added = outcome.as_ref().map_or(&[][..], Vec::as_slice);
        for (at, topic) in topics.iter().enumerate() {
            if !matches!(added.get(at), Some(Ok(_))) {
                self.lost.add(topic);
            }
        }
        outcome.map(drop)
    }

    /// The outcome of each entry, in order.
    async fn add_all<'a>(
        &self,
        connection: &mut MultiplexedConnection,
        entries: impl Iterator<Item = (&'a str, Option<&'a Bytes>)>,
    ) -> RedisResult<Vec<Result<(), RedisError>>> {
        let mut pipeline = Pipeline::new();
        let mut keys = HashSet::new();
        for (topic, body) in entries {
            let key = self.keys.topic(topic);
            pipeline.add_command(entry::add(&key, self.entries_max, body));
            keys.insert(key);
        }
        for key in keys {
            pipeline.cmd("EXPIRE").arg(key).arg(IDLE_SECONDS).ignore();
        }
        let outcomes: Vec<RedisResult<Value>> =
            pipeline.ignore_errors().query_async(connection).await?;
        Ok(outcomes.into_iter().map(|outcome| outcome.map(drop)).collect())
    }
}
