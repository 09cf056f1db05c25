//! Permits: what limits let start in this shard.
//!
//! A task takes a permit of every limit of its function when a slot is reserved for it, and has
//! them for as long as the slot. How many there are is settled with the other shards
//! (`engine/settling.rs`). What has no permit waits aside in its lane, and is looked at again when
//! one comes back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use planaria_kernel::flow::Holder;
use uuid::Uuid;

use super::lane::Parked;
use crate::limits::{Demand, LimitUse, Rule, Rules, Settled, Values};
use crate::store::TaskKey;

/// Uses that are settled at once.
const DEMANDS_MAX: usize = 500;

/// The permits of a shard.
#[derive(Default)]
pub(crate) struct Permits {
    rules: Arc<Rules>,
    uses: HashMap<LimitUse, Permit>,
    /// What each task has that runs or for which a slot is reserved, and whose slot it is.
    held: HashMap<TaskKey, (Uuid, Vec<LimitUse>)>,
    /// What waits aside.
    parked: HashMap<LimitUse, HashSet<Parked>>,
    /// What may have come back.
    freed: Vec<LimitUse>,
    /// What is being settled.
    settling: Option<Vec<LimitUse>>,
    /// Something should be settled before its time.
    is_urgent: bool,
    /// Attempts whose limits are not known yet: they run in workflows that are being read.
    uncounted: usize,
    /// Counts the times that something was settled.
    settled: u64,
}

/// A shard's part of a limit, for one value.
struct Permit {
    holder: Holder,
    /// Starts that may be made, where they are limited.
    tokens: Option<u32>,
    /// What was said last, and when; nothing was if it is 0.
    told: Option<Demand>,
    told_at: u64,
    /// Everything that was wanted then was there: there may be more.
    was_enough: bool,
}

impl Permits {
    pub(crate) fn new(rules: Arc<Rules>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The limits that it goes by.
    pub(crate) const fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Whether nothing is limited, or ever was.
    pub(crate) fn is_idle(&self) -> bool {
        self.rules.is_empty() && self.uses.is_empty()
    }

    /// Goes by other limits from now on. What runs is to be counted anew; until it is, it has what
    /// it had, and [`Permits::begin_count`] keeps everything from being settled.
    pub(crate) fn adopt(&mut self, rules: Arc<Rules>) {
        let known: HashMap<i64, &Rule> = rules.all().map(|rule| (rule.limit, rule)).collect();
        self.uses.retain(|used, permit| {
            let rule = known.get(&used.limit);
            permit.tokens = rule.and_then(|rule| rule.burst).map(|_| permit.tokens.unwrap_or(0));
            permit.told = None;
            permit.was_enough = true;
            rule.is_some()
        });
        self.held.retain(|_, (_, uses)| {
            uses.retain(|used| known.contains_key(&used.limit));
            !uses.is_empty()
        });
        self.rules = rules;
        self.parked.clear();
        self.is_urgent = true;
    }

    /// Something of this was settled before the engine began.
    pub(crate) fn know(&mut self, used: &LimitUse) {
        if self.rules.all().any(|rule| rule.limit == used.limit) {
            self.permit(used);
            self.is_urgent = true;
        }
    }

    /// The first limit that has no permit for a task; of the `whole` function, or by value.
    pub(crate) fn lacks(
        &mut self,
        (namespace, function): (&str, &str),
        values: Option<&Values>,
        whole: bool,
    ) -> Option<LimitUse> {
        if self.rules.is_empty() {
            return None;
        }
        let rules = self.rules.clone();
        let rules = rules.of(namespace, function).iter();
        let mut used = rules.filter(|rule| rule.per.is_empty() == whole);
        used.find_map(|rule| rule.used_by(values).filter(|used| self.is_dry(used)))
    }

    fn is_dry(&mut self, used: &LimitUse) -> bool {
        let permit = self.permit(used);
        if permit.room() > 0 {
            return false;
        }
        if std::mem::take(&mut permit.was_enough) {
            self.is_urgent = true;
        }
        true
    }

    fn permit(&mut self, used: &LimitUse) -> &mut Permit {
        if !self.uses.contains_key(used) {
            let rule = self.rules.all().find(|rule| rule.limit == used.limit);
            self.uses.insert(used.clone(), Permit::new(rule));
        }
        self.uses.get_mut(used).expect("it was put there if it was not")
    }

    /// A task takes a permit of each of its limits, for a slot of a session.
    pub(crate) fn take(
        &mut self,
        (key, session): (TaskKey, Uuid),
        (namespace, function): (&str, &str),
        values: Option<&Values>,
    ) {
        self.hold((key, session), (namespace, function), values, |permit| {
            permit.holder.start();
            permit.tokens = permit.tokens.map(|tokens| tokens.saturating_sub(1));
        });
    }

    /// A task has its slot already, whether there are permits or not.
    pub(crate) fn count(
        &mut self,
        (key, session): (TaskKey, Uuid),
        (namespace, function): (&str, &str),
        values: Option<&Values>,
    ) {
        self.hold((key, session), (namespace, function), values, |permit| permit.holder.adopt());
    }

    fn hold(
        &mut self,
        (key, session): (TaskKey, Uuid),
        (namespace, function): (&str, &str),
        values: Option<&Values>,
        mut each: impl FnMut(&mut Permit),
    ) {
        if self.rules.is_empty() {
            return;
        }
        let rules = self.rules.clone();
        let rules = rules.of(namespace, function).iter();
        let uses: Vec<LimitUse> = rules.filter_map(|rule| rule.used_by(values)).collect();
        if uses.is_empty() {
            return;
        }
        self.release(key);
        for used in &uses {
            each(self.permit(used));
        }
        self.held.insert(key, (session, uses));
    }

    /// An attempt's workflow is being read for its limits.
    pub(crate) const fn begin_count(&mut self) {
        self.uncounted += 1;
    }

    /// It was read, or cannot be.
    pub(crate) const fn end_count(&mut self) {
        self.uncounted = self.uncounted.saturating_sub(1);
    }

    /// Whether a task has its permits, or needs none.
    pub(crate) fn is_held(&self, key: TaskKey, (namespace, function): (&str, &str)) -> bool {
        self.held.contains_key(&key) || self.rules.of(namespace, function).is_empty()
    }

    /// A task's slot is its own no more.
    pub(crate) fn release(&mut self, key: TaskKey) {
        if self.held.is_empty() {
            return;
        }
        let Some((_, uses)) = self.held.remove(&key) else { return };
        for used in uses {
            if let Some(permit) = self.uses.get_mut(&used) {
                permit.holder.end();
                self.freed.push(used);
            }
        }
    }

    /// Something waits aside until a permit is there.
    pub(crate) fn park(&mut self, used: LimitUse, parked: Parked) {
        self.parked.entry(used).or_default().insert(parked);
    }

    /// What waited aside and may go now.
    pub(crate) fn take_unparked(&mut self) -> Vec<Parked> {
        let mut unparked = Vec::new();
        for used in std::mem::take(&mut self.freed) {
            if self.uses.get(&used).is_some_and(|permit| permit.room() > 0)
                && let Some(parked) = self.parked.remove(&used)
            {
                unparked.extend(parked);
            }
        }
        unparked
    }

    /// Whether something is to be settled at once, and nothing is being settled.
    pub(crate) const fn is_urgent(&self) -> bool {
        self.is_urgent && self.settling.is_none() && self.uncounted == 0
    }

    /// Whether anything is limited that runs or waits here.
    pub(crate) fn is_active(&self) -> bool {
        !self.uses.is_empty() || !self.parked.is_empty()
    }

    /// What is limited is to be settled, if anything is.
    pub(crate) fn wish(&mut self) {
        self.is_urgent |= self.is_active();
    }

    /// What is to be settled: whatever waits, and whatever changed. `waiting` counts what waits;
    /// `has` tells whether a session has a task still: what runs is counted from that each time, so
    /// that no permit can be lost.
    pub(crate) fn demands(
        &mut self,
        mut waiting: HashMap<LimitUse, u32>,
        has: impl Fn(Uuid, TaskKey) -> bool,
    ) -> Vec<Demand> {
        self.is_urgent = false;
        let before = self.held.len();
        self.held.retain(|key, (session, _)| has(*session, *key));
        if self.held.len() < before {
            self.recount();
        }
        self.parked.retain(|used, _| waiting.contains_key(used));
        for used in waiting.keys() {
            self.permit(used);
        }
        let mut due: Vec<(u64, LimitUse, u32)> = Vec::new();
        for (used, permit) in &self.uses {
            let waits = waiting.remove(used).unwrap_or(0);
            if waits > 0 || permit.has_news() {
                due.push((permit.told_at, used.clone(), waits));
            }
        }
        due.sort_unstable();
        // Those that were settled least lately; the others come next.
        self.is_urgent = due.len() > DEMANDS_MAX;
        due.truncate(DEMANDS_MAX);
        due.sort_unstable_by(|(_, one, _), (_, other, _)| one.cmp(other));
        self.settled += 1;
        let mut demands = Vec::new();
        for (_, used, waits) in due {
            let Some(permit) = self.uses.get_mut(&used) else { continue };
            permit.told_at = self.settled;
            demands.push(permit.demand(used, waits));
        }
        if !demands.is_empty() {
            self.settling = Some(demands.iter().map(|demand| demand.of.clone()).collect());
        }
        demands
    }

    fn recount(&mut self) {
        let mut running: HashMap<&LimitUse, u32> = HashMap::new();
        for (_, uses) in self.held.values() {
            for used in uses {
                *running.entry(used).or_default() += 1;
            }
        }
        for (used, permit) in &mut self.uses {
            let running = running.get(used).copied().unwrap_or(0);
            if permit.holder.running() != running {
                permit.holder.recount(running);
                self.freed.push(used.clone());
            }
        }
    }

    /// The answer of the store, if there was one.
    pub(crate) fn settled(&mut self, answers: Option<&[Option<Settled>]>) {
        let Some(settling) = self.settling.take() else { return };
        let Some(answers) = answers else {
            // Nobody knows what the store has now: it is told again.
            for used in settling {
                if let Some(permit) = self.uses.get_mut(&used) {
                    permit.told = None;
                }
            }
            return;
        };
        for (used, answer) in settling.into_iter().zip(answers) {
            let Some(permit) = self.uses.get_mut(&used) else { continue };
            let Some(answer) = answer else {
                // There is no such limit any more; that is heard soon.
                self.uses.remove(&used);
                continue;
            };
            permit.told(*answer);
            self.is_urgent |= permit.holder.has_surplus();
            if permit.is_nothing() && !self.parked.contains_key(&used) {
                self.uses.remove(&used);
            } else {
                self.freed.push(used);
            }
        }
    }
}

impl Permit {
    fn new(rule: Option<&Rule>) -> Self {
        Self {
            holder: Holder::new(0),
            tokens: rule.and_then(|rule| rule.burst).map(|_| 0),
            told: None,
            told_at: 0,
            was_enough: true,
        }
    }

    fn room(&self) -> u32 {
        self.holder.room().min(self.tokens.unwrap_or(u32::MAX))
    }

    /// Whether what was said last is not so any more.
    fn has_news(&self) -> bool {
        let Some(told) = &self.told else { return true };
        told.running != self.holder.running()
            || told.claim.wanted != self.holder.running()
            || self.holder.has_surplus()
    }

    fn demand(&mut self, of: LimitUse, waiting: u32) -> Demand {
        let claim = self.holder.claim(waiting);
        let tokens = self.tokens.unwrap_or(0);
        let demand = Demand {
            of,
            claim,
            running: self.holder.running(),
            waiting,
            tokens_wanted: waiting.saturating_sub(tokens),
            tokens_returned: tokens.saturating_sub(waiting),
        };
        self.tokens = self.tokens.map(|tokens| tokens.min(waiting));
        self.told = Some(demand.clone());
        demand
    }

    fn told(&mut self, answer: Settled) {
        self.holder.told(answer.grant);
        let wanted =
            self.told.as_ref().map_or((0, 0), |told| (told.claim.wanted, told.tokens_wanted));
        self.was_enough = answer.grant.share >= wanted.0;
        if let Some(tokens) = &mut self.tokens {
            *tokens += answer.tokens.min(wanted.1);
            self.was_enough &= answer.tokens >= wanted.1;
        }
    }

    /// Whether it can be forgotten: the store has nothing of it either.
    fn is_nothing(&self) -> bool {
        let said = self
            .told
            .as_ref()
            .is_some_and(|told| told.claim.wanted == 0 && told.running == 0 && told.waiting == 0);
        said && self.holder.running() == 0 && self.tokens.unwrap_or(0) == 0
    }
}
