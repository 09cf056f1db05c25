//! One connection to the server, made again for ever.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, RedisError};
use planaria_runtime::metrics::Counter;

use super::classify;
use crate::Condition;
use crate::condition::LinkCondition;

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Makes connections and tells how they fare.
#[derive(Debug)]
pub(super) struct Link {
    client: Client,
    config: AsyncConnectionConfig,
    condition: LinkCondition,
    connections: Counter,
    failures: u32,
}

impl Link {
    pub(super) fn new(
        client: Client,
        config: AsyncConnectionConfig,
        condition: LinkCondition,
        connections: Counter,
    ) -> Self {
        Self { client, config, condition, connections, failures: 0 }
    }

    /// Waits as the failures since the last good time ask for, then connects until that works.
    pub(super) async fn connect(&mut self) -> MultiplexedConnection {
        loop {
            if self.failures > 0 {
                tokio::time::sleep(backoff(self.failures)).await;
            }
            let config = self.config.clone();
            match self.client.get_multiplexed_async_connection_with_config(&config).await {
                Ok(connection) => return connection,
                Err(error) => self.tell(&error),
            }
        }
    }

    /// The connection did what it is for.
    pub(super) fn works(&mut self) {
        if self.failures > 0 || self.connections.get() == 0 {
            self.connections.inc();
        }
        self.failures = 0;
        self.condition.set(Condition::Up);
    }

    /// The connection failed; the next one waits. One that was lost may be had again at once: what
    /// is wrong is told when that fails.
    pub(super) fn failed(&mut self, error: &RedisError) {
        if error.is_io_error() && self.failures == 0 {
            self.failures = 1;
        } else {
            self.tell(error);
        }
    }

    fn tell(&mut self, error: &RedisError) {
        self.failures = self.failures.saturating_add(1);
        self.condition.set(classify::condition(error));
    }

    /// The server takes no more, the connection is good.
    pub(super) fn full(&self, error: &RedisError) {
        self.condition.set(classify::condition(error));
    }
}

/// Between half of the doubled delay and the whole, so that a mesh does not return as one.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}
