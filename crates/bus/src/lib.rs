//! Hints between the processes of a mesh: "something happened here, look".
//!
//! The bus is lossy by contract. Whoever subscribes must find everything by looking at the truth
//! (a store, another service) at its own slow pace; a hint only makes it look sooner. Losing the
//! bus, all of its data or any single hint therefore costs latency, and nothing else.
//!
//! What a subscriber may rely on:
//! - The first item of a subscription, once it is live, is [`Hint::Gap`]: look now, and from here
//!   on you will be told.
//! - Another [`Hint::Gap`] follows whatever may have hidden a hint: a lost connection, a flushed
//!   or trimmed stream, a subscriber that was too slow, a publisher that could not deliver.
//! - Hints of one publisher on one topic come in order. A hint may come twice.
//! - A subscription outlives every outage. It ends when the bus is in-process and dropped.
//!
//! The bus of [`open`] lives in this process, or in Redis 6 or newer (Valkey too) as streams.

mod condition;
mod counters;
mod error;
mod feed;
mod hint;
mod in_process;
mod redis;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use planaria_runtime::BusSettings;
use tokio::sync::watch;

pub use condition::Condition;
pub use counters::Counters;
pub use error::Error;
pub use hint::{Hint, Subscription};
pub use in_process::InProcessBus;
pub use redis::RedisBus;

/// The port. Its methods return at once and are called inside of a tokio runtime.
pub trait EventBus: fmt::Debug + Send + Sync {
    /// Hints at something to every subscription of the topic and to one consumer of each of its
    /// groups. Never waits: a hint that cannot be delivered is dropped and counted, and its
    /// subscribers get a [`Hint::Gap`] as soon as they can be reached.
    fn publish(&self, topic: &str, body: Bytes);

    /// Every hint of these topics from now on.
    fn subscribe(&self, topics: &[&str]) -> Subscription;

    /// The hints of a topic that this consumer gets of its group: each goes to one of the
    /// consumers. Asking for the next hint acknowledges the last; one whose consumer went away
    /// first is given to another (within [`BusSettings::claim_ms`] and a bit).
    ///
    /// `consumer` is unique among the living consumers of the group.
    fn subscribe_group(&self, topic: &str, group: &str, consumer: &str) -> Subscription;

    /// How the bus is, and every change of it.
    fn condition(&self) -> watch::Receiver<Condition>;

    /// What it counted.
    fn counters(&self) -> &Counters;
}

/// The bus that the settings name. One that cannot be reached is no error: it is tried for ever,
/// its [`EventBus::condition`] and the log say why.
///
/// # Errors
/// The address is not one of a Redis server.
pub fn open(settings: &BusSettings) -> Result<Arc<dyn EventBus>, Error> {
    if settings.url.is_empty() {
        if !settings.ca_file.is_empty() {
            return Err(Error::Plain);
        }
        return Ok(Arc::new(InProcessBus::new(settings)));
    }
    Ok(Arc::new(RedisBus::open(settings)?))
}

/// What is wrong with the bus, in words with what to do, and every change of it; nothing if it
/// works, or was not tried yet.
#[must_use]
pub fn trouble(bus: &dyn EventBus) -> watch::Receiver<Option<String>> {
    let mut condition = bus.condition();
    let first = condition.borrow_and_update().trouble();
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        while condition.changed().await.is_ok() {
            let trouble = condition.borrow_and_update().trouble();
            if sender.send(trouble).is_err() {
                return;
            }
        }
    });
    receiver
}
