//! The bus inside of a process: what is published is in the subscribers' queues at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use planaria_runtime::BusSettings;
use tokio::sync::watch;

use crate::condition::Conditions;
use crate::feed::{Feed, feed, group_feed};
use crate::{Condition, Counters, EventBus, Hint, Subscription};

use group::GroupQueue;

mod group;

/// Cheap to clone; all clones are one bus.
#[derive(Debug, Clone)]
pub struct InProcessBus {
    topics: Arc<Mutex<HashMap<Arc<str>, Topic>>>,
    queue_max: usize,
    body_bytes_max: usize,
    counters: Counters,
    conditions: Conditions,
}

#[derive(Debug, Default)]
struct Topic {
    feeds: Vec<Arc<Feed>>,
    groups: HashMap<String, Arc<GroupQueue>>,
}

impl InProcessBus {
    /// An empty bus. Of the settings it takes the limits.
    #[must_use]
    pub fn new(settings: &BusSettings) -> Self {
        Self {
            topics: Arc::default(),
            queue_max: settings.queue_max,
            body_bytes_max: settings.body_bytes_max,
            counters: Counters::default(),
            conditions: Conditions::new(Condition::Up),
        }
    }

    fn with_topic<T>(&self, topic: &str, act: impl FnOnce(&Arc<str>, &mut Topic) -> T) -> T {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let known = topics.get_key_value(topic).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| topic.into());
        act(&name, topics.entry(Arc::clone(&name)).or_default())
    }
}

impl EventBus for InProcessBus {
    fn publish(&self, topic: &str, body: Bytes) {
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = topics.get_key_value(topic).map(|(name, _)| Arc::clone(name)) else {
            // Nobody ever listened.
            self.counters.published.inc();
            return;
        };
        let Some(topic) = topics.get_mut(&name) else { return };
        if body.len() > self.body_bytes_max {
            self.counters.dropped.inc();
            topic.feeds.retain(|feed| feed.gap());
            topic.groups.values().for_each(|group| group.lost());
            return;
        }
        self.counters.published.inc();
        let news = |body: &Bytes| Hint::News { topic: Arc::clone(&name), body: body.clone() };
        topic.feeds.retain(|feed| feed.offer(news(&body)));
        topic.groups.values().for_each(|group| group.push(body.clone()));
    }

    fn subscribe(&self, topics: &[&str]) -> Subscription {
        let (feed, subscription) = feed(self.queue_max, self.counters.clone());
        let feed = Arc::new(feed);
        for topic in topics {
            self.with_topic(topic, |_, topic| {
                topic.feeds.retain(|feed| !feed.is_closed());
                topic.feeds.push(Arc::clone(&feed));
            });
        }
        feed.gap();
        subscription
    }

    fn subscribe_group(&self, topic: &str, group: &str, _consumer: &str) -> Subscription {
        let (feed, acknowledged, subscription) = group_feed(self.counters.clone());
        let queue_max = self.queue_max;
        let (name, queue) = self.with_topic(topic, |name, topic| {
            let queue = topic
                .groups
                .entry(group.to_owned())
                .or_insert_with(|| Arc::new(GroupQueue::new(queue_max, self.counters.clone())));
            (Arc::clone(name), Arc::clone(queue))
        });
        tokio::spawn(group::pump(queue, name, feed, acknowledged));
        subscription
    }

    fn condition(&self) -> watch::Receiver<Condition> {
        self.conditions.watch()
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }
}
