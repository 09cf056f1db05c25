//! One consumer of a group: one entry at a time, acknowledged when the next is asked for.
//!
//! What a consumer held when it died is claimed by the others with `XPENDING` and `XCLAIM`, which
//! every Redis with streams has (`XAUTOCLAIM` came with 6.2).

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::streams::{StreamId, StreamReadReply};
use ::redis::{Cmd, FromRedisValue, RedisResult, Value};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::link::Link;
use super::reader::milliseconds;
use super::{BLOCK, Server, classify, entry};
use crate::Hint;
use crate::feed::Feed;

/// Entries looked at for one that a dead consumer holds; the oldest come first.
const PENDING_MAX: usize = 100;
/// An entry that was handed out more often than this kills its consumers: it is given up.
const DELIVERIES_MAX: u64 = 5;

#[derive(Debug)]
pub(super) struct Group {
    link: Link,
    topic: Arc<str>,
    key: String,
    group: String,
    consumer: String,
    feed: Feed,
    claim: Duration,
    /// Acknowledged by the consumer, not yet by the server.
    done: Option<String>,
    /// The group existed: if it does not any more, the server was flushed.
    created: bool,
}

/// Why following ended without an error.
struct Gone;

/// The id of an entry, its consumer, how long that has it (ms), and how often it was handed out.
type Pending = (String, String, u64, u64);

impl Group {
    pub(super) fn new(
        server: &Server,
        topic: &str,
        group: &str,
        consumer: &str,
        feed: Feed,
    ) -> Self {
        Self {
            link: server.link(BLOCK),
            topic: topic.into(),
            key: server.keys.topic(topic),
            group: group.to_owned(),
            consumer: consumer.to_owned(),
            feed,
            claim: Duration::from_millis(server.settings.claim_ms.max(1)),
            done: None,
            created: false,
        }
    }

    /// Consumes until the subscriber is gone.
    pub(super) async fn run(mut self, mut acknowledged: mpsc::Receiver<()>) {
        while !self.feed.is_closed() {
            let mut connection = tokio::select! {
                connection = self.link.connect() => connection,
                () = self.feed.closed() => return,
            };
            match self.follow(&mut connection, &mut acknowledged).await {
                Ok(Gone) => return,
                Err(error) => self.link.failed(&error),
            }
        }
    }

    async fn follow(
        &mut self,
        connection: &mut MultiplexedConnection,
        acknowledged: &mut mpsc::Receiver<()>,
    ) -> RedisResult<Gone> {
        self.create(connection).await?;
        self.link.works();
        self.feed.gap();
        let mut looked: Option<Instant> = None;
        loop {
            self.acknowledge(connection).await?;
            let due = looked.is_none_or(|looked| looked.elapsed() >= self.look());
            let claimed = if due { self.claim_abandoned(connection).await? } else { None };
            let entry = match claimed {
                Some(entry) => entry,
                None => {
                    looked = looked.filter(|_| !due).or_else(|| Some(Instant::now()));
                    match self.read(connection).await? {
                        Some(entry) => entry,
                        None if self.feed.is_closed() => return self.leave(connection).await,
                        None => continue,
                    }
                }
            };
            let id = entry.id.clone();
            let hint = entry::hint(&self.topic, entry);
            let is_gap = hint == Hint::Gap;
            if !self.feed.give(hint).await || (!is_gap && acknowledged.recv().await.is_none()) {
                return self.release(connection, &id).await;
            }
            self.done = Some(id);
        }
    }

    /// How often to look for abandoned entries.
    fn look(&self) -> Duration {
        BLOCK.min(self.claim / 2).max(Duration::from_millis(1))
    }

    /// Makes the group if it is missing: of what comes next, or after a flush of all there is.
    async fn create(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut command = ::redis::cmd("XGROUP");
        command.arg("CREATE").arg(&self.key).arg(&self.group);
        command.arg(if self.created { "0" } else { "$" }).arg("MKSTREAM");
        match command.query_async::<Value>(connection).await {
            Err(error) if !classify::is_busy_group(&error) => Err(error),
            _ => {
                self.created = true;
                Ok(())
            }
        }
    }

    /// The next entry that nobody has, or nothing within [`BLOCK`].
    async fn read(
        &mut self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Option<StreamId>> {
        let wait = milliseconds(self.look());
        let mut command = ::redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.group).arg(&self.consumer).arg("COUNT").arg(1);
        command.arg("BLOCK").arg(wait).arg("STREAMS").arg(&self.key).arg(">");
        let reply: Option<StreamReadReply> = match command.query_async(connection).await {
            Err(error) if classify::is_no_group(&error) => {
                self.create(connection).await?;
                self.feed.gap();
                return Ok(None);
            }
            reply => reply?,
        };
        Ok(reply.and_then(|reply| reply.keys.into_iter().flat_map(|stream| stream.ids).next()))
    }

    async fn acknowledge(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        if let Some(id) = &self.done {
            self.forget(connection, id).await?;
            self.done = None;
        }
        Ok(())
    }

    async fn forget(&self, connection: &mut MultiplexedConnection, id: &str) -> RedisResult<()> {
        let mut command = ::redis::cmd("XACK");
        command.arg(&self.key).arg(&self.group).arg(id).exec_async(connection).await
    }

    /// An entry that another consumer, or an earlier life of this one, has had for too long.
    async fn claim_abandoned(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Option<StreamId>> {
        let mut command = ::redis::cmd("XPENDING");
        command.arg(&self.key).arg(&self.group).arg("-").arg("+").arg(PENDING_MAX);
        let pending: Vec<Pending> = match command.query_async(connection).await {
            // The read that follows makes the group.
            Err(error) if classify::is_no_group(&error) => return Ok(None),
            pending => pending?,
        };
        let limit = milliseconds(self.claim);
        for (id, _, _, deliveries) in pending.into_iter().filter(|pending| pending.2 >= limit) {
            if deliveries > DELIVERIES_MAX {
                tracing::warn!(topic = %self.topic, group = self.group, "a hint was given up");
                self.forget(connection, &id).await?;
                continue;
            }
            match first_entry(self.claim_command(&id).query_async(connection).await?)? {
                Claimed::Entry(entry) => return Ok(Some(entry)),
                Claimed::Trimmed => self.forget(connection, &id).await?,
                Claimed::Taken => {}
            }
        }
        Ok(None)
    }

    fn claim_command(&self, id: &str) -> Cmd {
        let mut command = ::redis::cmd("XCLAIM");
        command.arg(&self.key).arg(&self.group).arg(&self.consumer);
        command.arg(milliseconds(self.claim)).arg(id);
        command
    }

    /// Lets the others claim an entry as if this consumer had had it for long.
    async fn release(&self, connection: &mut MultiplexedConnection, id: &str) -> RedisResult<Gone> {
        let mut command = ::redis::cmd("XCLAIM");
        command.arg(&self.key).arg(&self.group).arg(&self.consumer).arg(0).arg(id);
        command.arg("IDLE").arg(milliseconds(self.claim)).arg("JUSTID");
        command.exec_async(connection).await?;
        Ok(Gone)
    }

    /// Takes the name of this consumer from the group; it holds nothing.
    async fn leave(&self, connection: &mut MultiplexedConnection) -> RedisResult<Gone> {
        let mut command = ::redis::cmd("XGROUP");
        command.arg("DELCONSUMER").arg(&self.key).arg(&self.group).arg(&self.consumer);
        command.exec_async(connection).await?;
        Ok(Gone)
    }
}

enum Claimed {
    Entry(StreamId),
    /// The stream has it no more (Redis 6 says so, later ones forget it themselves).
    Trimmed,
    /// Another consumer was faster.
    Taken,
}

fn first_entry(reply: Vec<Value>) -> RedisResult<Claimed> {
    match reply.into_iter().next() {
        None => Ok(Claimed::Taken),
        Some(Value::Nil) => Ok(Claimed::Trimmed),
        Some(entry) => {
            let (id, map) = FromRedisValue::from_redis_value(entry)?;
            Ok(Claimed::Entry(StreamId { id, map, ..StreamId::default() }))
        }
    }
}
