//! Routes: per queue and function, who offers it and what waits for it.

use std::collections::HashMap;

use planaria_kernel::flow::turn_ms;
use uuid::Uuid;

use super::guard::{Door, Doorkeeper, Seeker};
use super::lane::{Asked, Parked, Place, Rank, Tenant};
use super::pool::Pools;
use super::session::Session;
use crate::limits::{LimitUse, Rules};
use crate::store::{TaskKey, TaskRow};

/// All routes.
pub(crate) struct Routes {
    queues: HashMap<String, HashMap<String, Route>>,
    pools: Pools,
    /// What a step of priority is worth in milliseconds of waiting.
    ageing_step_ms: u64,
    waiting: u64,
    /// Namespaces with something that may go, counted in each route.
    open: usize,
}

/// A queue's tasks of one function.
#[derive(Default)]
pub(crate) struct Route {
    /// Sessions that offer the function in this queue.
    pub(crate) sessions: Vec<Uuid>,
    /// What waits, by namespace.
    tenants: HashMap<String, Tenant>,
    /// How many of them have something that may go.
    open: usize,
}

/// A task that is next for a session.
pub(crate) struct Next {
    pub(crate) queue: String,
    pub(crate) function: String,
    pub(crate) namespace: String,
    pub(crate) place: Place,
    /// Whether another namespace had one for the session too.
    pub(crate) is_contended: bool,
}

impl Routes {
    pub(crate) fn new(ageing_step_ms: u64) -> Self {
        let (queues, pools) = (HashMap::new(), Pools::default());
        Self { queues, pools, ageing_step_ms, waiting: 0, open: 0 }
    }

    /// Where a task ranks among those of its namespace.
    fn rank(&self, row: &TaskRow) -> Rank {
        Rank {
            is_whole: row.healing.is_none(),
            turn_ms: turn_ms(row.since_ms, row.priority, self.ageing_step_ms),
            key: row.key,
        }
    }

    /// The route of a queue and function, if there ever was one.
    pub(crate) fn get(&self, queue: &str, function: &str) -> Option<&Route> {
        self.queues.get(queue)?.get(function)
    }

    fn get_mut(&mut self, queue: &str, function: &str) -> Option<&mut Route> {
        self.queues.get_mut(queue)?.get_mut(function)
    }

    fn entry(&mut self, queue: &str, function: &str) -> &mut Route {
        if self.get(queue, function).is_none() {
            let functions = self.queues.entry(queue.to_owned()).or_default();
            functions.insert(function.to_owned(), Route::default());
        }
        self.get_mut(queue, function).expect("it was put there if it was not")
    }

    /// A task waits. Answers the sessions that may take it.
    pub(crate) fn add(&mut self, row: &TaskRow, avoid: Option<String>) -> Vec<Uuid> {
        let rank = self.rank(row);
        let route = self.entry(&row.queue, &row.function);
        let sessions = route.sessions.clone();
        if !route.tenants.contains_key(&row.namespace) {
            route.tenants.insert(row.namespace.clone(), Tenant::default());
        }
        let mut is_new = false;
        self.change(&row.queue, &row.function, &row.namespace, |tenant| {
            is_new = tenant.insert(row, rank, avoid);
        });
        self.waiting += u64::from(is_new);
        sessions
    }

    /// A task does not wait any more.
    pub(crate) fn remove(&mut self, row: &TaskRow) {
        let rank = self.rank(row);
        let mut was_there = false;
        self.change(&row.queue, &row.function, &row.namespace, |tenant| {
            was_there = tenant.remove(row, &rank);
        });
        self.waiting -= u64::from(was_there);
    }

    /// A task waits nowhere, whatever its row says. Looks through everything that waits: only for
    /// rows that cannot be trusted.
    pub(crate) fn forget(&mut self, key: TaskKey) {
        while let Some((queue, function, namespace, place)) = self.find(key) {
            let mut was_there = false;
            self.change(&queue, &function, &namespace, |tenant| {
                was_there = tenant.remove_at(&place);
            });
            self.waiting -= u64::from(was_there);
            if !was_there {
                return;
            }
        }
    }

    fn find(&self, key: TaskKey) -> Option<(String, String, String, Place)> {
        self.iter().find_map(|(queue, function, route)| {
            let mut tenants = route.tenants.iter();
            tenants.find_map(|(namespace, tenant)| {
                let place = tenant.place_of(key)?;
                Some((queue.to_owned(), function.to_owned(), namespace.clone(), place))
            })
        })
    }

    /// Takes a task out for a session, to the account of its namespace if others wanted the slot.
    pub(crate) fn take(&mut self, id: Uuid, next: &Next) {
        let mut was_there = false;
        self.change(&next.queue, &next.function, &next.namespace, |tenant| {
            was_there = tenant.remove_at(&next.place);
        });
        self.waiting -= u64::from(was_there);
        if next.is_contended
            && let Some(shares) = self.pools.shares_mut(id)
        {
            shares.charge(&next.namespace);
        }
    }

    /// A lane may not go, whatever was thought before.
    pub(crate) fn set_aside(&mut self, next: &Next) {
        self.change(&next.queue, &next.function, &next.namespace, |tenant| {
            tenant.set_aside(&next.place);
        });
    }

    /// The first task that a session may take: of the namespace that had least of the session's
    /// pool, the one whose turn it is.
    pub(crate) fn next(
        &mut self,
        (id, session): (Uuid, &Session),
        sessions: &HashMap<Uuid, Session>,
        mut keeper: Doorkeeper<'_>,
    ) -> Option<Next> {
        let mut best: Option<(u64, Next)> = None;
        let mut closed = Vec::new();
        for queue in &session.queues {
            let Some(functions) = self.queues.get_mut(queue) else { continue };
            for function in session.functions.keys() {
                let Some(route) = functions.get_mut(function).filter(|route| route.open > 0) else {
                    continue;
                };
                let mut tenants = std::mem::take(&mut route.tenants);
                for (namespace, tenant) in &mut tenants {
                    if !session.is_for(namespace) || !tenant.is_open() {
                        continue;
                    }
                    let seeker = Some(Seeker { id, session, sessions, route });
                    let keeper = &mut keeper;
                    let mut door = Door { keeper, queue, function, namespace, seeker };
                    let place = tenant.first(&mut door);
                    if !tenant.is_open() {
                        closed.push((queue.clone(), function.clone(), namespace.clone()));
                    }
                    let Some(place) = place else { continue };
                    let shares = self.pools.shares(id);
                    let pass = shares.map_or(0, |shares| shares.pass(namespace));
                    better(&mut best, (pass, place), (queue, function, namespace));
                }
                route.tenants = tenants;
            }
        }
        for (queue, function, namespace) in closed {
            self.closed(&queue, &function, &namespace);
        }
        best.map(|(_, next)| next)
    }

    /// What was set aside and may go now is open again.
    pub(crate) fn reopen(&mut self, mut keeper: Doorkeeper<'_>) {
        for (queue, functions) in &mut self.queues {
            for (function, route) in functions {
                for (namespace, tenant) in &mut route.tenants {
                    let was_open = tenant.is_open();
                    let keeper = &mut keeper;
                    let seeker = None;
                    tenant.reopen(&mut Door { keeper, queue, function, namespace, seeker });
                    if !was_open && tenant.is_open() {
                        route.open += 1;
                        self.open += 1;
                        self.pools.join(queue, function, namespace);
                    }
                }
            }
        }
    }

    /// What was parked is open again.
    pub(crate) fn unpark(&mut self, parked: &Parked) {
        self.change(&parked.queue, &parked.function, &parked.namespace, |tenant| {
            tenant.unpark(parked);
        });
    }

    /// Counts what waits under limits.
    pub(crate) fn count_limited(&self, rules: &Rules) -> HashMap<LimitUse, u32> {
        let mut counts: HashMap<LimitUse, u32> = HashMap::new();
        for (namespace, function) in rules.functions() {
            let routes = self.queues.values().filter_map(|functions| functions.get(function));
            for tenant in routes.filter_map(|route| route.tenants.get(namespace)) {
                for (values, count) in tenant.counts() {
                    let rules = rules.of(namespace, function).iter();
                    for used in rules.filter_map(|rule| rule.used_by(values)) {
                        let counted = counts.entry(used).or_default();
                        *counted = counted.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
                    }
                }
            }
        }
        counts
    }

    /// Changes what a namespace has waiting, and keeps the books of what may go.
    fn change(
        &mut self,
        queue: &str,
        function: &str,
        namespace: &str,
        change: impl FnOnce(&mut Tenant),
    ) {
        let Some(route) = self.queues.get_mut(queue).and_then(|them| them.get_mut(function)) else {
            return;
        };
        let Some(tenant) = route.tenants.get_mut(namespace) else { return };
        let was_open = tenant.is_open();
        change(tenant);
        let (is_open, is_empty) = (tenant.is_open(), tenant.waiting() == 0);
        // The only one is likely to be needed again.
        if is_empty && route.tenants.len() > 1 {
            route.tenants.remove(namespace);
        }
        if is_open && !was_open {
            route.open += 1;
            self.open += 1;
            self.pools.join(queue, function, namespace);
        } else if was_open && !is_open {
            self.closed(queue, function, namespace);
        }
    }

    fn closed(&mut self, queue: &str, function: &str, namespace: &str) {
        if let Some(route) = self.get_mut(queue, function) {
            route.open -= 1;
            self.open -= 1;
            self.pools.leave(queue, function, namespace);
        }
    }

    /// A session offers its functions in its queues.
    pub(crate) fn offer(&mut self, id: Uuid, session: &Session) {
        for queue in &session.queues {
            for function in session.functions.keys() {
                let route = self.entry(queue, function);
                if !route.sessions.contains(&id) {
                    route.sessions.push(id);
                }
            }
        }
        if !self.pools.enter(id, session) {
            return;
        }
        for queue in &session.queues {
            for function in session.functions.keys() {
                let Some(route) = self.queues.get(queue).and_then(|them| them.get(function)) else {
                    continue;
                };
                let open = route.tenants.iter().filter(|(_, tenant)| tenant.is_open());
                for (namespace, _) in open {
                    if let Some(shares) = self.pools.shares_mut(id) {
                        shares.join(namespace);
                    }
                }
            }
        }
    }

    /// A session is over.
    pub(crate) fn withdraw(&mut self, session: Uuid) {
        for functions in self.queues.values_mut() {
            for route in functions.values_mut() {
                route.sessions.retain(|other| *other != session);
            }
            functions.retain(|_, route| !route.sessions.is_empty() || route.waiting() > 0);
        }
        self.queues.retain(|_, functions| !functions.is_empty());
        self.pools.exit(session);
    }

    /// Whether a task waits.
    pub(crate) fn has(&self, row: &TaskRow) -> bool {
        let route = self.get(&row.queue, &row.function);
        let tenant = route.and_then(|route| route.tenants.get(&row.namespace));
        tenant.is_some_and(|tenant| tenant.has(row, &self.rank(row)))
    }

    /// How many tasks wait.
    pub(crate) const fn waiting(&self) -> u64 {
        self.waiting
    }

    /// Whether something waits that may go.
    pub(crate) const fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Every route with its queue and function.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, &Route)> {
        self.queues.iter().flat_map(|(queue, functions)| {
            functions.iter().map(move |(function, route)| (&**queue, &**function, route))
        })
    }
}

impl Route {
    /// Whether a new task would overtake nothing that may go, nor what is held back as it is.
    pub(crate) fn is_free_for(&self, row: &TaskRow) -> bool {
        let tenant = self.tenants.get(&row.namespace);
        self.open == 0 && tenant.is_none_or(|tenant| !tenant.has_lane_of(row))
    }

    /// What the suspects ask for that wait and may go, and how many there are.
    pub(crate) fn suspects(&self) -> impl Iterator<Item = (&Asked, usize)> {
        self.tenants.values().flat_map(Tenant::suspects)
    }

    /// How many tasks wait.
    pub(crate) fn waiting(&self) -> usize {
        self.tenants.values().map(Tenant::waiting).sum()
    }

    /// How many of them are held back.
    pub(crate) fn held(&self) -> usize {
        self.tenants.values().map(Tenant::aside).sum()
    }

    /// Since when the task waits that has waited longest, of those that are first in their lanes;
    /// in Unix milliseconds.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.tenants.values().flat_map(Tenant::ages).min()
    }
}

/// Keeps the better one of what was found: the least pass, then the first turn.
fn better(
    best: &mut Option<(u64, Next)>,
    (pass, place): (u64, Place),
    (queue, function, namespace): (&str, &str, &str),
) {
    let is_other = |next: &Next| next.is_contended || next.namespace != namespace;
    let is_contended = best.as_ref().is_some_and(|(_, next)| is_other(next));
    match best {
        Some((least, next)) if (*least, next.place.rank) <= (pass, place.rank) => {
            next.is_contended = is_contended;
        }
        _ => {
            let (queue, function) = (queue.to_owned(), function.to_owned());
            let namespace = namespace.to_owned();
            *best = Some((pass, Next { queue, function, namespace, place, is_contended }));
        }
    }
}
