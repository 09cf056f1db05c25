//! Whether a service is ready to be used, told the same way to gRPC and to HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// The parts of a service that must be ready before it is; cheap to clone.
#[derive(Debug, Clone)]
pub struct Health {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    parts: BTreeMap<&'static str, bool>,
    draining: bool,
}

impl State {
    fn ready(&self) -> bool {
        !self.draining && self.parts.values().all(|ready| *ready)
    }
}

/// The handle of one part.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: Arc<watch::Sender<State>>,
    part: &'static str,
}

impl Default for Health {
    fn default() -> Self {
        Self { state: Arc::new(watch::Sender::new(State::default())) }
    }
}

impl Health {
    /// Adds a part, not ready yet. A service without parts is ready from the start.
    #[must_use]
    pub fn part(&self, part: &'static str) -> Readiness {
        self.state.send_modify(|state| {
            state.parts.insert(part, false);
        });
        Readiness { state: Arc::clone(&self.state), part }
    }

    /// Every part is ready and the service does not drain.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.state.borrow().ready()
    }

    /// The parts that are not ready, and `draining` at the end of the service's life.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let state = self.state.borrow();
        let parts = state.parts.iter().filter(|(_, ready)| !**ready).map(|(part, _)| *part);
        parts.chain(state.draining.then_some("draining")).collect()
    }

    /// Waits until [`Health::ready`] is `ready`.
    pub async fn wait(&self, ready: bool) {
        let mut receiver = self.state.subscribe();
        // The sender lives in self, so the channel cannot close while this waits.
        let _closed = receiver.wait_for(|state| state.ready() == ready).await;
    }

    /// From here on the service is never ready again. Whoever serves it says so before it drains.
    pub fn drain(&self) {
        self.state.send_modify(|state| state.draining = true);
    }
}

impl Readiness {
    /// Tells whether the part works.
    pub fn set(&self, ready: bool) {
        self.state.send_if_modified(|state| state.parts.insert(self.part, ready) != Some(ready));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_when_all_its_parts_are_and_until_it_drains() {
        let health = Health::default();
        assert!(health.ready());
        let (store, bus) = (health.part("store"), health.part("bus"));
        store.set(true);
        assert_eq!((health.ready(), health.missing()), (false, vec!["bus"]));
        bus.set(true);
        assert!(health.ready());
        health.drain();
        assert_eq!((health.ready(), health.missing()), (false, vec!["draining"]));
    }
}
