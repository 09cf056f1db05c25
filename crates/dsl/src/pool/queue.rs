//! Who may evaluate next: first come first served within a namespace, in turn between them, and
//! no namespace more than half of the places.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::child::Child;

/// The places and those who wait for one.
pub(super) struct Queue {
    places: usize,
    waiting_max: usize,
    waiting_per_namespace_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Child>,
    busy: usize,
    busy_of: HashMap<String, usize>,
    /// Namespaces that wait, in turn.
    waiting: VecDeque<Line>,
    waiting_count: usize,
}

struct Line {
    namespace: String,
    waiters: VecDeque<oneshot::Sender<Grant>>,
}

/// The right to run one process. Dropping it frees the place.
pub(super) struct Grant {
    queue: Arc<Queue>,
    namespace: String,
    child: Option<Child>,
}

impl Grant {
    /// The process that is free, if there is one; else one may be started.
    pub(super) fn take(&mut self) -> Option<Child> {
        self.child.take()
    }

    /// Gives a process back for the next.
    pub(super) fn put(&mut self, child: Child) {
        self.child = Some(child);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let child = self.child.take();
        self.queue.clone().leave(&self.namespace, child);
    }
}

impl Queue {
    pub(super) fn new(places: usize, waiting_max: usize, per_namespace_max: usize) -> Self {
        Self {
            places,
            waiting_max,
            waiting_per_namespace_max: per_namespace_max,
            state: Mutex::new(State::default()),
        }
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// If too many wait already.
    pub(super) async fn enter(self: &Arc<Self>, namespace: &str) -> Result<Grant, String> {
        let waiter = {
            let mut state = self.lock();
            if state.has_place_for(namespace, self.places) {
                return Ok(self.grant(&mut state, namespace.to_owned()));
            }
            self.join(&mut state, namespace)?
        };
        waiter.await.map_err(|_| "the evaluators are gone".to_owned())
    }

    /// How many processes are alive.
    pub(super) fn children(&self) -> usize {
        let state = self.lock();
        state.idle.len() + state.busy
    }

    fn join(&self, state: &mut State, namespace: &str) -> Result<oneshot::Receiver<Grant>, String> {
        let line = state.waiting.iter_mut().find(|line| line.namespace == namespace);
        let length = line.as_ref().map_or(0, |line| line.waiters.len());
        if state.waiting_count >= self.waiting_max || length >= self.waiting_per_namespace_max {
            return Err("too many expressions are waiting to be evaluated".to_owned());
        }
        let (sender, receiver) = oneshot::channel();
        match line {
            Some(line) => line.waiters.push_back(sender),
            None => state.waiting.push_back(Line {
                namespace: namespace.to_owned(),
                waiters: VecDeque::from([sender]),
            }),
        }
        state.waiting_count += 1;
        Ok(receiver)
    }

    fn grant(self: &Arc<Self>, state: &mut State, namespace: String) -> Grant {
        state.busy += 1;
        *state.busy_of.entry(namespace.clone()).or_default() += 1;
        Grant { queue: self.clone(), namespace, child: state.idle.pop() }
    }

    fn leave(self: Arc<Self>, namespace: &str, child: Option<Child>) {
        let mut next = Vec::new();
        {
            let mut state = self.lock();
            state.idle.extend(child);
            state.busy = state.busy.saturating_sub(1);
            if let Some(busy) = state.busy_of.get_mut(namespace) {
                *busy -= 1;
                if *busy == 0 {
                    state.busy_of.remove(namespace);
                }
            }
            while let Some((namespace, waiter)) = state.next(self.places) {
                next.push((waiter, self.grant(&mut state, namespace)));
            }
        }
        for (waiter, grant) in next {
            // Who does not wait any more drops the grant here, which serves the next.
            drop(waiter.send(grant));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_place_for(&self, namespace: &str, places: usize) -> bool {
        let held = self.busy_of.get(namespace).copied().unwrap_or_default();
        self.busy < places && held < places / 2
    }

    /// Who is next in turn, if there is a place.
    fn next(&mut self, places: usize) -> Option<(String, oneshot::Sender<Grant>)> {
        for _ in 0..self.waiting.len() {
            let mut line = self.waiting.pop_front()?;
            if !self.has_place_for(&line.namespace, places) {
                self.waiting.push_back(line);
                continue;
            }
            let waiter = line.waiters.pop_front();
            let namespace = line.namespace.clone();
            if !line.waiters.is_empty() {
                self.waiting.push_back(line);
            }
            if let Some(waiter) = waiter {
                self.waiting_count = self.waiting_count.saturating_sub(1);
                return Some((namespace, waiter));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn no_namespace_holds_more_than_half() {
        let queue = Arc::new(Queue::new(4, 10, 10));
        let enter = |namespace| now(queue.enter(namespace)).map(|grant| grant.expect("a place"));
        let one = enter("a").expect("free");
        let _two = enter("a").expect("free");
        assert!(enter("a").is_none());
        let _three = enter("b").expect("free");
        drop(one);
        assert!(enter("a").is_some());
    }

    #[test]
    fn waiting_is_in_turn_and_bounded() {
        let queue = Arc::new(Queue::new(2, 3, 2));
        let first = now(queue.enter("a")).expect("free").expect("a place");
        let join = |namespace: &str| queue.join(&mut queue.lock(), namespace);
        let (mut a1, mut a2) = (join("a").expect("room"), join("a").expect("room"));
        assert!(join("a").is_err(), "the namespace has as many as it may");
        let mut b1 = join("b").expect("room");
        assert!(join("c").is_err(), "the queue is full");
        drop(first);
        let grant = a1.try_recv().expect("its turn");
        assert!(b1.try_recv().is_ok(), "the other half is for others");
        assert!(a2.try_recv().is_err());
        drop(grant);
        assert!(a2.try_recv().is_ok());
        assert_eq!(queue.lock().busy, 0);
    }

    #[test]
    fn who_gave_up_does_not_block_the_rest() {
        let queue = Arc::new(Queue::new(2, 3, 3));
        let first = now(queue.enter("a")).expect("free").expect("a place");
        drop(queue.join(&mut queue.lock(), "a"));
        let mut second = queue.join(&mut queue.lock(), "a").expect("room");
        drop(first);
        assert!(second.try_recv().is_ok());
    }
}
