//! Routes: per queue and function, who offers it and what waits for it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::store::{TaskKey, TaskRow};

/// All routes.
#[derive(Default)]
pub(crate) struct Routes {
    queues: HashMap<String, HashMap<String, Route>>,
    waiting: u64,
}

/// A queue's tasks of one function.
#[derive(Default)]
pub(crate) struct Route {
    /// Sessions that offer the function in this queue.
    pub(crate) sessions: Vec<Uuid>,
    /// What waits, the first to run first.
    pub(crate) waiting: BTreeMap<Rank, Waiting>,
}

/// The order in which waiting tasks run: higher priority, then longer wait.
pub(crate) type Rank = (Reverse<i32>, u64, TaskKey);

/// A task that waits.
pub(crate) struct Waiting {
    /// The namespace it is of.
    pub(crate) namespace: String,
    /// The far side that it will call.
    pub(crate) destination: Option<String>,
    /// The version it asks for.
    pub(crate) version: Option<String>,
    /// Labels that the worker must carry, as JSON.
    pub(crate) labels: Option<String>,
    /// A worker that just lost it: another is preferred.
    pub(crate) avoid: Option<String>,
}

/// Where a task ranks: one whose attempt was lost comes before all that never ran.
pub(crate) fn rank(row: &TaskRow) -> Rank {
    let since_ms = if row.healing.is_some() { 0 } else { row.since_ms };
    (Reverse(row.priority), since_ms, row.key)
}

impl Routes {
    /// The route of a queue and function, if there ever was one.
    pub(crate) fn get(&self, queue: &str, function: &str) -> Option<&Route> {
        self.queues.get(queue)?.get(function)
    }

    fn entry(&mut self, queue: &str, function: &str) -> &mut Route {
        if self.get(queue, function).is_none() {
            let functions = self.queues.entry(queue.to_owned()).or_default();
            functions.insert(function.to_owned(), Route::default());
        }
        let functions = self.queues.get_mut(queue).expect("it was put there if it was not");
        functions.get_mut(function).expect("it was put there if it was not")
    }

    /// A task waits. Answers the sessions that may take it.
    pub(crate) fn add(&mut self, row: &TaskRow, avoid: Option<String>) -> Vec<Uuid> {
        let waiting = Waiting {
            namespace: row.namespace.clone(),
            destination: row.destination.clone(),
            version: row.version.clone(),
            labels: row.labels.clone(),
            avoid,
        };
        let route = self.entry(&row.queue, &row.function);
        let sessions = route.sessions.clone();
        if route.waiting.insert(rank(row), waiting).is_none() {
            self.waiting += 1;
        }
        sessions
    }

    /// A task does not wait any more.
    pub(crate) fn remove(&mut self, row: &TaskRow) {
        let functions = self.queues.get_mut(&row.queue);
        let route = functions.and_then(|functions| functions.get_mut(&row.function));
        if route.is_some_and(|route| route.waiting.remove(&rank(row)).is_some()) {
            self.waiting -= 1;
        }
    }

    /// Takes a task at a rank out.
    pub(crate) fn take(&mut self, queue: &str, function: &str, rank: &Rank) -> Option<Waiting> {
        let waiting = self.queues.get_mut(queue)?.get_mut(function)?.waiting.remove(rank)?;
        self.waiting -= 1;
        Some(waiting)
    }

    /// Puts a task back that was taken out.
    pub(crate) fn put_back(&mut self, queue: &str, function: &str, rank: Rank, waiting: Waiting) {
        if self.entry(queue, function).waiting.insert(rank, waiting).is_none() {
            self.waiting += 1;
        }
    }

    /// A session offers a function in a queue.
    pub(crate) fn offer(&mut self, queue: &str, function: &str, session: Uuid) {
        let route = self.entry(queue, function);
        if !route.sessions.contains(&session) {
            route.sessions.push(session);
        }
    }

    /// A session is over.
    pub(crate) fn withdraw(&mut self, session: Uuid) {
        for functions in self.queues.values_mut() {
            for route in functions.values_mut() {
                route.sessions.retain(|other| *other != session);
            }
            functions.retain(|_, route| !route.sessions.is_empty() || !route.waiting.is_empty());
        }
        self.queues.retain(|_, functions| !functions.is_empty());
    }

    /// Whether a task waits.
    pub(crate) fn has(&self, row: &TaskRow) -> bool {
        self.get(&row.queue, &row.function)
            .is_some_and(|route| route.waiting.contains_key(&rank(row)))
    }

    /// How many tasks wait.
    pub(crate) const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Every route with its queue and function.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Route)> {
        self.queues.iter().flat_map(|(queue, functions)| {
            functions.iter().map(move |(function, route)| (&**queue, &**function, route))
        })
    }
}
