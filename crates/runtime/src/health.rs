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
    /// What is wrong, in words; not each makes the service unready.
    troubles: BTreeMap<&'static str, String>,
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

    /// The parts that are not ready, with what is known of why, and `draining` at the end of the
    /// service's life.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let state = self.state.borrow();
        let missing = state.parts.iter().filter(|(_, ready)| !**ready);
        let missing = missing.map(|(part, _)| match state.troubles.get(part) {
            Some(why) => format!("{part} ({why})"),
            None => (*part).to_owned(),
        });
        missing.chain(state.draining.then(|| "draining".to_owned())).collect()
    }

    /// What is wrong although every part that counts is ready.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let state = self.state.borrow();
        let minor =
            state.troubles.iter().filter(|(about, _)| state.parts.get(*about) != Some(&false));
        minor.map(|(about, why)| format!("{about} ({why})")).collect()
    }

    /// Keeps in mind what is wrong with something, as the receiver has it, until its sender is
    /// gone. With a readiness, the service is not ready for as long as anything is.
    pub async fn follow(
        self,
        about: &'static str,
        mut trouble: watch::Receiver<Option<String>>,
        readiness: Option<Readiness>,
    ) {
        loop {
            let why = trouble.borrow_and_update().clone();
            let works = why.is_none();
            self.state.send_if_modified(|state| match why {
                Some(why) => state.troubles.insert(about, why.clone()) != Some(why),
                None => state.troubles.remove(about).is_some(),
            });
            if let Some(readiness) = &readiness {
                readiness.set(works);
            }
            if trouble.changed().await.is_err() {
                return;
            }
        }
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
        assert_eq!((health.ready(), health.missing()), (false, vec!["bus".to_owned()]));
        bus.set(true);
        assert!(health.ready());
        health.drain();
        assert_eq!((health.ready(), health.missing()), (false, vec!["draining".to_owned()]));
    }
    #[tokio::test]
    async fn what_is_wrong_is_said_and_does_not_always_count() {
        let health = Health::default();
        let (store, bus) = (watch::Sender::new(None), watch::Sender::new(None));
        let part = health.part("store");
        tokio::spawn(health.clone().follow("store", store.subscribe(), Some(part)));
        tokio::spawn(health.clone().follow("bus", bus.subscribe(), None));
        health.wait(true).await;
        bus.send_replace(Some("away".to_owned()));
        store.send_replace(Some("full".to_owned()));
        health.wait(false).await;
        health.state.subscribe().wait_for(|state| state.troubles.len() == 2).await.unwrap();
        assert_eq!(health.missing(), ["store (full)"]);
        assert_eq!(health.troubles(), ["bus (away)"]);
        store.send_replace(None);
        health.wait(true).await;
        assert_eq!(health.troubles(), ["bus (away)"]);
    }
}
