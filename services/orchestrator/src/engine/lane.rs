//! Lanes: the waiting tasks of one namespace in a route, in the order in which they run.
//!
//! Tasks that ask the same of their worker are a *line*; in a line, those that would be held back
//! together are a *lane*. A lane that is held is set aside until something is freed, so that it
//! costs those that may go nothing, however many tasks or lanes are held.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::guard::Guard;
use crate::limits::Values;
use crate::store::{TaskKey, TaskRow, Trial};

/// When a task's turn is: the smaller, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Whether no attempt of it was lost: those that were come first.
    pub(crate) is_whole: bool,
    /// Its turn by priority and age: see [`planaria_kernel::flow::turn_ms`].
    pub(crate) turn_ms: i64,
    /// The task.
    pub(crate) key: TaskKey,
}

/// What is known of a task that waits.
pub(crate) struct Waiting {
    /// Since when, in Unix milliseconds.
    pub(crate) since_ms: u64,
    /// A worker that just lost it: another is preferred.
    pub(crate) avoid: Option<String>,
}

/// What the tasks of a lane have in common besides their line: what they would be held back by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaneKey {
    /// The far side that they will call.
    pub(crate) destination: Option<Arc<str>>,
    /// The values that limits count them by.
    pub(crate) values: Option<Arc<Values>>,
}

impl LaneKey {
    fn of(row: &TaskRow) -> Self {
        let destination = row.destination.as_deref().map(Arc::from);
        Self { destination, values: row.limit_values.clone() }
    }
}

/// What the tasks of a line ask of their worker: a version, labels, and that it has nothing but
/// suspects if they are such.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// The function's version; `None` = any.
    pub(crate) version: Option<String>,
    /// Labels that the worker must carry, as JSON; `None` = none.
    pub(crate) labels: Option<String>,
    /// Set if they may be what kills their workers: see [`TaskRow::trial`].
    pub(crate) trial: Option<Trial>,
}

impl Asked {
    pub(crate) fn of(row: &TaskRow) -> Self {
        let (version, labels) = (row.version.clone(), row.labels.clone());
        Self { version, labels, trial: row.trial() }
    }
}

/// What waits aside until a permit is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Parked {
    pub(crate) queue: String,
    pub(crate) function: String,
    pub(crate) namespace: String,
    /// One lane; `None` = everything of the namespace in the route.
    pub(crate) lane: Option<(Asked, LaneKey)>,
}

/// Where the next task of a namespace stands.
pub(crate) struct Place {
    line: usize,
    pub(crate) trial: Option<Trial>,
    pub(crate) lane: LaneKey,
    pub(crate) rank: Rank,
}

/// What a namespace has waiting in a route.
#[derive(Default)]
pub(crate) struct Tenant {
    lines: Vec<Line>,
    waiting: usize,
    /// The function's limits let nothing of it start.
    is_aside: bool,
}

/// Tasks that ask the same of their worker.
struct Line {
    asked: Asked,
    lanes: HashMap<LaneKey, Lane>,
    /// The lanes that are not set aside, by their first tasks.
    open: BTreeMap<Rank, LaneKey>,
}

/// Tasks that are held back together, or not at all.
#[derive(Default)]
struct Lane {
    tasks: BTreeMap<Rank, Waiting>,
    is_aside: bool,
}

impl Tenant {
    /// How many tasks wait, those that are set aside among them.
    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether something waits that is not set aside.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_aside && self.lines.iter().any(|line| !line.open.is_empty())
    }

    /// What the suspects ask for that are not set aside, and how many there are.
    pub(crate) fn suspects(&self) -> impl Iterator<Item = (&Asked, usize)> {
        let may_go = |line: &&Line| line.asked.trial.is_some() && !line.open.is_empty();
        let lines = self.lines.iter().filter(|_| !self.is_aside).filter(may_go);
        lines.map(|line| {
            let lanes = line.lanes.values().filter(|lane| !lane.is_aside);
            (&line.asked, lanes.map(|lane| lane.tasks.len()).sum())
        })
    }

    /// How many tasks are set aside.
    pub(crate) fn aside(&self) -> usize {
        if self.is_aside {
            return self.waiting;
        }
        let lanes = self.lines.iter().flat_map(|line| line.lanes.values());
        lanes.filter(|lane| lane.is_aside).map(|lane| lane.tasks.len()).sum()
    }

    /// How many tasks wait in each lane, with what limits count them by.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Option<&Values>, usize)> {
        let lanes = self.lines.iter().flat_map(|line| &line.lanes);
        lanes.map(|(key, lane)| (key.values.as_deref(), lane.tasks.len()))
    }

    /// Whether something waits in the lane that a task belongs to.
    pub(crate) fn has_lane_of(&self, row: &TaskRow) -> bool {
        self.line_of(row).is_some_and(|line| line.lanes.contains_key(&LaneKey::of(row)))
    }

    /// Whether a task waits.
    pub(crate) fn has(&self, row: &TaskRow, rank: &Rank) -> bool {
        let lane = self.line_of(row).and_then(|line| line.lanes.get(&LaneKey::of(row)));
        lane.is_some_and(|lane| lane.tasks.contains_key(rank))
    }

    /// A task waits. Whether it did not before.
    pub(crate) fn insert(&mut self, row: &TaskRow, rank: Rank, avoid: Option<String>) -> bool {
        let waiting = Waiting { since_ms: row.since_ms, avoid };
        let position = self.lines.iter().position(|line| line.is_of(row));
        let position = position.unwrap_or_else(|| {
            self.lines.push(Line {
                asked: Asked::of(row),
                lanes: HashMap::new(),
                open: BTreeMap::new(),
            });
            self.lines.len() - 1
        });
        let is_new = self.lines[position].insert(LaneKey::of(row), rank, waiting);
        self.waiting += usize::from(is_new);
        is_new
    }

    /// Where a task waits, whatever its row says.
    pub(crate) fn place_of(&self, key: TaskKey) -> Option<Place> {
        self.lines.iter().enumerate().find_map(|(line, them)| {
            let mut lanes = them.lanes.iter();
            lanes.find_map(|(lane, waiting)| {
                let rank = waiting.tasks.keys().find(|rank| rank.key == key)?;
                Some(Place { line, trial: None, lane: lane.clone(), rank: *rank })
            })
        })
    }

    /// A task does not wait any more. Whether it did.
    pub(crate) fn remove(&mut self, row: &TaskRow, rank: &Rank) -> bool {
        let Some(position) = self.lines.iter().position(|line| line.is_of(row)) else {
            return false;
        };
        let (lane, trial) = (LaneKey::of(row), row.trial());
        self.remove_at(&Place { line: position, trial, lane, rank: *rank })
    }

    /// Takes a task out where [`Tenant::first`] found it.
    pub(crate) fn remove_at(&mut self, place: &Place) -> bool {
        let Some(line) = self.lines.get_mut(place.line) else { return false };
        if !line.remove(&place.lane, &place.rank) {
            return false;
        }
        self.waiting -= 1;
        self.is_aside &= self.waiting > 0;
        // The only one is likely to be needed again.
        if line.lanes.is_empty() && self.lines.len() > 1 {
            self.lines.swap_remove(place.line);
        }
        true
    }

    /// The first task that the guard's session fits and should take, in a lane that may go. Lanes
    /// that may not go are set aside on the way.
    pub(crate) fn first(&mut self, guard: &mut impl Guard) -> Option<Place> {
        if !guard.admits_all() {
            self.is_aside = true;
            return None;
        }
        let mut best: Option<Place> = None;
        for (position, line) in self.lines.iter_mut().enumerate() {
            if !guard.fits(&line.asked) {
                continue;
            }
            let Some((rank, lane)) = line.first(guard) else { continue };
            if best.as_ref().is_none_or(|best| rank < best.rank) {
                let trial = line.asked.trial;
                best = Some(Place { line: position, trial, lane, rank });
            }
        }
        best
    }

    /// Lanes that were set aside and may go now are open again.
    pub(crate) fn reopen(&mut self, guard: &mut impl Guard) {
        self.is_aside = self.is_aside && !guard.admits_all();
        for line in &mut self.lines {
            for (key, lane) in &mut line.lanes {
                if lane.is_aside && guard.admits(&line.asked, key) {
                    lane.is_aside = false;
                    if let Some(first) = lane.first() {
                        line.open.insert(first, key.clone());
                    }
                }
            }
        }
    }

    /// What was parked is open again; whether it may go is looked at when it is its turn.
    pub(crate) fn unpark(&mut self, parked: &Parked) {
        let Some((asked, key)) = &parked.lane else {
            self.is_aside = false;
            return;
        };
        let Some(line) = self.lines.iter_mut().find(|line| line.asked == *asked) else { return };
        let Some(lane) = line.lanes.get_mut(key).filter(|lane| lane.is_aside) else { return };
        lane.is_aside = false;
        if let Some(first) = lane.first() {
            line.open.insert(first, key.clone());
        }
    }

    /// A lane may not go, whatever was thought before.
    pub(crate) fn set_aside(&mut self, place: &Place) {
        if let Some(line) = self.lines.get_mut(place.line) {
            line.set_aside(&place.lane);
        }
    }

    /// Since when the first task of each lane waits, in Unix milliseconds.
    pub(crate) fn ages(&self) -> impl Iterator<Item = u64> {
        let lanes = self.lines.iter().flat_map(|line| line.lanes.values());
        lanes.filter_map(|lane| lane.tasks.values().next()).map(|waiting| waiting.since_ms)
    }

    fn line_of(&self, row: &TaskRow) -> Option<&Line> {
        self.lines.iter().find(|line| line.is_of(row))
    }
}

impl Line {
    fn is_of(&self, row: &TaskRow) -> bool {
        self.asked.version == row.version
            && self.asked.labels == row.labels
            && self.asked.trial == row.trial()
    }

    fn insert(&mut self, key: LaneKey, rank: Rank, waiting: Waiting) -> bool {
        let lane = self.lanes.entry(key.clone()).or_default();
        let before = lane.first();
        let is_new = lane.tasks.insert(rank, waiting).is_none();
        if !lane.is_aside && before.is_none_or(|before| rank < before) {
            before.map(|before| self.open.remove(&before));
            self.open.insert(rank, key);
        }
        is_new
    }

    fn remove(&mut self, key: &LaneKey, rank: &Rank) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else { return false };
        if lane.tasks.remove(rank).is_none() {
            return false;
        }
        let was_first = self.open.remove(rank);
        match lane.first() {
            None => drop(self.lanes.remove(key)),
            Some(first) => drop(was_first.map(|key| self.open.insert(first, key))),
        }
        true
    }

    fn first(&mut self, guard: &mut impl Guard) -> Option<(Rank, LaneKey)> {
        let mut held = Vec::new();
        let mut found = None;
        for key in self.open.values() {
            if !guard.admits(&self.asked, key) {
                held.push(key.clone());
                continue;
            }
            let Some(lane) = self.lanes.get(key) else { continue };
            let mut tasks = lane.tasks.iter();
            if let Some((rank, _)) = tasks.find(|(_, task)| !guard.avoids(&self.asked, task)) {
                found = Some((*rank, key.clone()));
                break;
            }
        }
        for key in &held {
            self.set_aside(key);
        }
        found
    }

    fn set_aside(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.is_aside = true;
        if let Some(first) = lane.first() {
            self.open.remove(&first);
        }
    }
}

impl Lane {
    fn first(&self) -> Option<Rank> {
        self.tasks.keys().next().copied()
    }
}
