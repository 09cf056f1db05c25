//! The bus in Redis 6 or newer, and in Valkey: a stream for each topic.
//!
//! One task publishes over a connection of its own, each subscription reads over another. Streams
//! are trimmed as they are written and expire when nobody writes. A key named `epoch` dies with
//! the data: a subscriber that finds another one knows that the server was flushed.

mod classify;
mod entry;
mod group;
mod link;
mod lost;
mod publisher;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use ::redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, TlsCertificates};
use bytes::Bytes;
use planaria_runtime::BusSettings;
use tokio::sync::{mpsc, watch};

use crate::condition::Conditions;
use crate::feed::{feed, group_feed};
use crate::{Condition, Counters, Error, EventBus, Subscription};

use entry::Keys;
use group::Group;
use link::Link;
use lost::Lost;
use publisher::{Outgoing, Publisher};
use reader::Reader;

/// A read waits this long for news before it checks that the server was not flushed.
const BLOCK: Duration = Duration::from_millis(1_000);

/// A bus in Redis. Dropping it ends the publishing; subscriptions live until they are dropped.
#[derive(Debug)]
pub struct RedisBus {
    server: Server,
    outgoing: mpsc::Sender<Outgoing>,
    lost: Arc<Lost>,
}

/// How to reach the server and what all its connections share; cheap to clone.
#[derive(Debug, Clone)]
struct Server {
    client: Client,
    keys: Keys,
    settings: Arc<BusSettings>,
    conditions: Conditions,
    counters: Counters,
}

impl Server {
    /// A connection, not yet made, whose commands may take `wait` longer than a plain one.
    fn link(&self, wait: Duration) -> Link {
        let connect = Duration::from_millis(self.settings.connect_ms_max);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(Some(connect + wait));
        let connections = self.counters.connections.clone();
        Link::new(self.client.clone(), config, self.conditions.link(), connections)
    }
}

impl RedisBus {
    /// Starts to connect, in the background, for ever.
    ///
    /// # Errors
    /// The address is not one of a Redis server, or the file of its authority cannot be read.
    pub fn open(settings: &BusSettings) -> Result<Self, Error> {
        let client = client(settings)?;
        let server = Server {
            client,
            keys: Keys::new(&settings.prefix),
            settings: Arc::new(settings.clone()),
            conditions: Conditions::new(Condition::Connecting),
            counters: Counters::default(),
        };
        let (outgoing, queue) = mpsc::channel(settings.queue_max.max(1));
        let lost = Arc::new(Lost::default());
        let publisher = Publisher::new(&server, queue, Arc::clone(&lost));
        tokio::spawn(publisher.run());
        Ok(Self { server, outgoing, lost })
    }

    fn drop_hint(&self, topic: &str) {
        self.server.counters.dropped.inc();
        self.lost.add(topic);
    }
}

fn client(settings: &BusSettings) -> Result<Client, Error> {
    let url = settings.url.trim();
    let client = Client::open(url).map_err(|error| refuse(&error))?;
    let ConnectionAddr::TcpTls { insecure, .. } = client.get_connection_info().addr() else {
        if !settings.ca_file.is_empty() {
            return Err(Error::Plain);
        }
        return Ok(client);
    };
    if *insecure {
        let reason = "#insecure would trust everybody: name the authority in bus.ca_file";
        return Err(Error::Url { reason: reason.into() });
    }
    // The first that is installed stays; all of this program are the same.
    let _first = rustls::crypto::ring::default_provider().install_default();
    let root_cert = match settings.ca_file.as_str() {
        "" => None,
        path => {
            let read = std::fs::read(path);
            Some(read.map_err(|source| Error::Authority { path: path.into(), source })?)
        }
    };
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(url, certificates).map_err(|error| refuse(&error))
}

/// What the client says about an address, without the address.
fn refuse(error: &::redis::RedisError) -> Error {
    let reason = match error.kind() {
        ErrorKind::InvalidClientConfig => error.to_string(),
        _ => error.category().to_owned(),
    };
    Error::Url { reason }
}

impl EventBus for RedisBus {
    fn publish(&self, topic: &str, body: Bytes) {
        if body.len() > self.server.settings.body_bytes_max {
            return self.drop_hint(topic);
        }
        if self.outgoing.try_send(Outgoing { topic: topic.into(), body }).is_err() {
            self.drop_hint(topic);
        }
    }

    fn subscribe(&self, topics: &[&str]) -> Subscription {
        let server = &self.server;
        let (feed, subscription) = feed(server.settings.queue_max, server.counters.clone());
        tokio::spawn(Reader::new(server, topics, feed).run());
        subscription
    }

    fn subscribe_group(&self, topic: &str, group: &str, consumer: &str) -> Subscription {
        let (feed, acknowledged, subscription) = group_feed(self.server.counters.clone());
        tokio::spawn(Group::new(&self.server, topic, group, consumer, feed).run(acknowledged));
        subscription
    }

    fn condition(&self) -> watch::Receiver<Condition> {
        self.server.conditions.watch()
    }

    fn counters(&self) -> &Counters {
        &self.server.counters
    }
}
