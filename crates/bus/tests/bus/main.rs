//! What every adapter of the bus promises, and what the one of Redis survives.

mod conformance;
mod encrypted;
mod outages;
mod server;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use planaria_bus::{Condition, EventBus, Hint, Subscription};
use tokio::time::timeout;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The next item, or the test fails.
async fn next(subscription: &mut Subscription) -> Hint {
    let next = timeout(PATIENCE, subscription.next()).await.expect("something must come");
    next.expect("a subscription does not end")
}

/// The next news; gaps before it are counted.
async fn news(subscription: &mut Subscription) -> (String, Bytes, usize) {
    let mut gaps = 0;
    loop {
        match next(subscription).await {
            Hint::News { topic, body } => return (topic.to_string(), body, gaps),
            Hint::Gap => gaps += 1,
        }
    }
}

/// Waits until the subscription is live, or is told again to look.
async fn gap(subscription: &mut Subscription) {
    while next(subscription).await != Hint::Gap {}
}

/// Waits for a condition of the bus.
async fn condition(bus: &Arc<dyn EventBus>, wanted: impl FnMut(&Condition) -> bool) -> Condition {
    let mut watch = bus.condition();
    let found = timeout(PATIENCE, watch.wait_for(wanted)).await;
    found.expect("the bus must change").expect("the bus lives").clone()
}
