//! One subscription: a blocking read of all its topics over a connection of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::streams::{StreamRangeReply, StreamReadReply};
use ::redis::{Pipeline, RedisResult};
use tokio::time::Instant;

use super::entry::{self, EntryId, Keys};
use super::link::Link;
use super::{BLOCK, Server};
use crate::feed::Feed;

/// Entries of each topic in one reply.
const ENTRIES_MAX: usize = 500;

#[derive(Debug)]
pub(super) struct Reader {
    link: Link,
    keys: Keys,
    topics: Vec<Position>,
    feed: Feed,
    /// A reply with as many entries of a topic means that the reader may be behind the trimming.
    behind_entries: usize,
    /// The life of the server's data that the positions belong to.
    epoch: Option<String>,
}

/// How far a topic was read.
#[derive(Debug)]
struct Position {
    topic: Arc<str>,
    key: String,
    /// The last entry that was read. None: begin with what comes next.
    last: Option<EntryId>,
}

impl Reader {
    pub(super) fn new(server: &Server, topics: &[&str], feed: Feed) -> Self {
        let position = |topic: &&str| Position {
            topic: (*topic).into(),
            key: server.keys.topic(topic),
            last: None,
        };
        Self {
            link: server.link(BLOCK),
            keys: server.keys.clone(),
            topics: topics.iter().map(position).collect(),
            feed,
            behind_entries: usize::try_from(server.settings.stream_entries_max)
                .unwrap_or(ENTRIES_MAX)
                .min(ENTRIES_MAX),
            epoch: None,
        }
    }

    /// Reads until the subscriber is gone.
    pub(super) async fn run(mut self) {
        if self.topics.is_empty() {
            return self.feed.closed().await;
        }
        while !self.feed.is_closed() {
            let mut connection = tokio::select! {
                connection = self.link.connect() => connection,
                () = self.feed.closed() => return,
            };
            // Both only borrow: the read is cut off, and its connection with it.
            let Self { link, keys, topics, feed, behind_entries, epoch } = &mut self;
            let behind_entries = *behind_entries;
            let mut reading = Reading { link, keys, topics, feed, behind_entries, epoch };
            let failed = tokio::select! {
                Err(error) = reading.follow(&mut connection) => error,
                () = feed.closed() => return,
            };
            self.link.failed(&failed);
        }
    }
}

/// A reader while it has a connection.
struct Reading<'a> {
    link: &'a mut Link,
    keys: &'a Keys,
    topics: &'a mut Vec<Position>,
    feed: &'a Feed,
    behind_entries: usize,
    epoch: &'a mut Option<String>,
}

impl Reading<'_> {
    async fn follow(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<Infallible> {
        self.locate(connection).await?;
        self.link.works();
        self.feed.gap();
        let mut checked = Instant::now();
        loop {
            let news = self.read(connection).await?;
            if let Some(reply) = news {
                self.hand_on(connection, reply).await?;
            }
            if checked.elapsed() >= BLOCK {
                let epoch = current_epoch(self.keys, connection).await?;
                if epoch != *self.epoch {
                    self.locate(connection).await?;
                    self.feed.gap();
                }
                checked = Instant::now();
            }
        }
    }

    /// Finds where to begin. After a flush that is the start of the new streams, unless they are
    /// already read in part.
    async fn locate(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let epoch = current_epoch(self.keys, connection).await?;
        let mut pipeline = Pipeline::new();
        for position in self.topics.iter() {
            pipeline.cmd("XREVRANGE").arg(&position.key).arg("+").arg("-").arg("COUNT").arg(1);
        }
        let newest: Vec<StreamRangeReply> = pipeline.query_async(connection).await?;
        for (position, newest) in self.topics.iter_mut().zip(newest) {
            let newest =
                newest.ids.first().map_or(EntryId::default(), |entry| EntryId::parse(&entry.id));
            // A stream that is behind what was read of it is another one.
            let last = position
                .last
                .map_or(newest, |last| if newest < last { EntryId::default() } else { last });
            position.last = Some(last);
        }
        *self.epoch = epoch;
        Ok(())
    }

    /// What came, or nothing within [`BLOCK`].
    async fn read(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Option<StreamReadReply>> {
        let mut command = ::redis::cmd("XREAD");
        command.arg("COUNT").arg(ENTRIES_MAX).arg("BLOCK").arg(milliseconds(BLOCK)).arg("STREAMS");
        for position in self.topics.iter() {
            command.arg(&position.key);
        }
        for position in self.topics.iter() {
            command.arg(position.last.unwrap_or_default().to_string());
        }
        command.query_async(connection).await
    }

    async fn hand_on(
        &mut self,
        connection: &mut MultiplexedConnection,
        reply: StreamReadReply,
    ) -> RedisResult<()> {
        for stream in reply.keys {
            let found = self.topics.iter_mut().find(|position| position.key == stream.key);
            let Some(position) = found else { continue };
            let before = position.last.unwrap_or_default();
            let behind = stream.ids.len() >= self.behind_entries;
            if behind && trimmed(connection, &stream.key, before).await? {
                self.feed.gap();
            }
            for entry in stream.ids {
                position.last = Some(EntryId::parse(&entry.id));
                self.feed.offer(entry::hint(&position.topic, entry));
            }
        }
        Ok(())
    }
}

/// Whether entries after this one may have been trimmed away.
async fn trimmed(
    connection: &mut MultiplexedConnection,
    key: &str,
    after: EntryId,
) -> RedisResult<bool> {
    let mut command = ::redis::cmd("XRANGE");
    command.arg(key).arg("-").arg("+").arg("COUNT").arg(1);
    let oldest: StreamRangeReply = command.query_async(connection).await?;
    Ok(oldest.ids.first().is_some_and(|entry| EntryId::parse(&entry.id) > after))
}

/// The life of the server's data; begins one if there is none. None: the server has no room for
/// the mark, so that a flush shows as a mark that appears.
async fn current_epoch(
    keys: &Keys,
    connection: &mut MultiplexedConnection,
) -> RedisResult<Option<String>> {
    let key = keys.epoch();
    let get = || {
        let mut command = ::redis::cmd("GET");
        command.arg(&key);
        command
    };
    let found: Option<String> = get().query_async(connection).await?;
    if found.is_some() {
        return Ok(found);
    }
    let mut set = ::redis::cmd("SET");
    set.arg(&key).arg(format!("{:016x}", fastrand::u64(..))).arg("NX");
    match set.query_async::<Option<String>>(connection).await {
        Err(error) if super::classify::is_full(&error) => Ok(None),
        Err(error) => Err(error),
        Ok(_) => get().query_async(connection).await,
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
