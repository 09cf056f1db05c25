//! The rows of a long list that is loaded page by page from the newest on, and follows what
//! happens.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use planaria_proto::workflow::v1::Workflow;

/// Workflows that were loaded, newest first. Their ids are in the order of their starts: the list
/// of the mesh is in the order of the ids.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    ids: Vec<Arc<str>>,
    rows: HashMap<Arc<str>, Arc<Workflow>>,
    /// The token that each loaded page was asked for with, and its first row: where a row that is
    /// seen is asked for again.
    pages: Vec<(String, Arc<str>)>,
    next: Option<String>,
}

/// What came of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is part of the list now.
    Merged,
    /// So many workflows are newer than all that were loaded, and were not added. If it is the
    /// whole page, there may be more of them.
    Newer(usize),
}

impl Rows {
    /// Begins anew with the first page.
    pub fn begin(&mut self, page: Vec<Workflow>, next: String) {
        *self = Self::default();
        self.append(String::new(), page, next);
    }

    /// Adds the page behind the last row; `token` is what it was asked for with.
    pub fn append(&mut self, token: String, page: Vec<Workflow>, next: String) {
        self.next = (!next.is_empty()).then_some(next);
        let last = self.ids.last().cloned();
        let behind =
            page.into_iter().filter(|row| last.as_deref().is_none_or(|last| *row.id < *last));
        let first = self.ids.len();
        for row in behind {
            let id: Arc<str> = row.id.as_str().into();
            self.rows.insert(id.clone(), Arc::new(row));
            self.ids.push(id);
        }
        if let Some(id) = self.ids.get(first) {
            self.pages.push((token, id.clone()));
        }
    }

    /// Puts a page that was asked for again with its token in the place of what was there. New
    /// workflows on top are taken only if `on_top`.
    pub fn refresh(&mut self, token: &str, page: Vec<Workflow>, next: &str, on_top: bool) -> Taken {
        let newest = self.ids.first().cloned();
        let is_newer = |row: &Workflow| newest.as_deref().is_none_or(|newest| *row.id > *newest);
        let newer = page.iter().filter(|row| is_newer(row)).count();
        if token.is_empty() && on_top && newer == page.len() {
            // Whatever lies between it and what was there is not known.
            self.begin(page, next.to_owned());
            return Taken::Merged;
        }
        let known = self.pages.iter().position(|(known, _)| known == token);
        if let Some(known) = known
            && (newer < page.len() || next.is_empty())
        {
            self.replace(known, page, next, on_top);
        }
        if on_top || newer == 0 { Taken::Merged } else { Taken::Newer(newer) }
    }

    /// Puts a workflow in its place; a new one on top only if `on_top`. Whether it has one.
    pub fn put(&mut self, row: Workflow, on_top: bool) -> bool {
        let id: Arc<str> = row.id.as_str().into();
        let at = self.ids.partition_point(|other| *other > id);
        if self.ids.get(at) != Some(&id) {
            let is_newest = at == 0;
            // What lies behind the last row is loaded when somebody goes there.
            let is_behind = at == self.ids.len() && self.next.is_some();
            if (is_newest && !on_top) || is_behind {
                return false;
            }
            self.ids.insert(at, id.clone());
            if self.pages.is_empty() {
                self.pages.push((String::new(), id.clone()));
            } else if is_newest && let Some(page) = self.pages.first_mut() {
                page.1 = id.clone();
            }
        }
        self.rows.insert(id, Arc::new(row));
        true
    }

    /// Takes a workflow out, if it is there.
    pub fn remove(&mut self, id: &str) {
        if self.rows.remove(id).is_some() {
            self.ids.retain(|other| &**other != id);
            self.mend_pages();
        }
    }

    /// The workflow with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Workflow>> {
        self.rows.get(id)
    }

    /// All ids, newest first.
    #[must_use]
    pub fn ids(&self) -> &[Arc<str>] {
        &self.ids
    }

    /// All workflows, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Workflow>> {
        self.ids.iter().filter_map(|id| self.rows.get(id))
    }

    /// The token of the page behind the last row; nothing at the end of the list.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// The tokens of the pages that have these rows, at most three.
    #[must_use]
    pub fn pages_of(&self, ids: &[Arc<str>]) -> Vec<String> {
        let (Some(newest), Some(oldest)) = (ids.first(), ids.last()) else { return Vec::new() };
        let until = self.pages.partition_point(|(_, first)| first >= oldest);
        let from = self.pages.partition_point(|(_, first)| first >= newest).saturating_sub(1);
        let shown = self.pages.get(from..until).unwrap_or_default();
        shown.iter().take(3).map(|(token, _)| token.clone()).collect()
    }

    /// Puts a page in the place of what was there of it. A page that is full ends with its last
    /// row; what was loaded behind that stays.
    fn replace(&mut self, known: usize, page: Vec<Workflow>, next: &str, on_top: bool) {
        let newest = self.ids.first().filter(|_| !on_top).cloned();
        let is_taken = |row: &Workflow| newest.as_deref().is_none_or(|newest| *row.id <= *newest);
        let page: Vec<_> = page.into_iter().filter(is_taken).collect();
        let ids: Vec<Arc<str>> = page.iter().map(|row| row.id.as_str().into()).collect();
        let oldest = ids.last().filter(|_| !next.is_empty()).cloned();
        let begins = |first: &Arc<str>| self.ids.partition_point(|id| id > first);
        let was = self.pages.get(known).map_or(0, |(_, first)| begins(first));
        let from = ids.first().map_or(was, |first| was.min(begins(first)));
        let until = oldest
            .as_ref()
            .map_or(self.ids.len(), |oldest| self.ids.partition_point(|id| id >= oldest).max(from));
        let old: Vec<_> = self.ids.splice(from..until, ids.iter().cloned()).collect();
        for id in old {
            self.rows.remove(&id);
        }
        self.rows.extend(ids.iter().cloned().zip(page.into_iter().map(Arc::new)));
        if let (Some(page), Some(first)) = (self.pages.get_mut(known), ids.first()) {
            page.1 = first.clone();
        }
        // Pages that begin within this one are part of it, and what is left begins behind it.
        let behind = oldest.and_then(|oldest| self.ids.iter().find(|id| **id < oldest)).cloned();
        let mut index = 0;
        self.pages.retain(|(_, first)| {
            index += 1;
            index <= known + 1 || behind.as_ref().is_some_and(|behind| first <= behind)
        });
        match behind {
            Some(first) => {
                let after = (next.to_owned(), first.clone());
                match self.pages.get_mut(known + 1).filter(|(_, old)| *old == first) {
                    Some(page) => *page = after,
                    None => self.pages.insert(known + 1, after),
                }
            }
            None => self.next = (!next.is_empty()).then(|| next.to_owned()),
        }
        self.mend_pages();
    }

    /// Pages begin with rows that are there: the first with the first row, others with the next
    /// one that is left.
    fn mend_pages(&mut self) {
        let ids = &self.ids;
        self.pages.retain_mut(|(token, first)| {
            let at = if token.is_empty() { 0 } else { ids.partition_point(|id| id > first) };
            ids.get(at).is_some_and(|id| {
                *first = id.clone();
                true
            })
        });
        self.pages.dedup_by(|later, earlier| later.1 == earlier.1);
    }
}

/// The part of a long list that is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Window {
    /// The rows that are drawn.
    pub rows: Range<usize>,
    /// How many pixels the rows above and below would take.
    pub above: usize,
    /// See `above`.
    pub below: usize,
}

/// The part of `count` rows of `height` pixels that is drawn where `seen` pixels are seen from
/// `top` on, with some more rows around it. It moves in steps, so that few scrolls draw anything.
#[must_use]
pub fn window(count: usize, height: usize, top: usize, seen: usize) -> Window {
    const STEP: usize = 8;
    const AROUND: usize = 12;
    let height = height.max(1);
    let first = (top / height).min(count) / STEP * STEP;
    let from = first.saturating_sub(AROUND);
    let until = (first + STEP + seen.div_ceil(height) + AROUND).min(count);
    let from = from.min(until);
    Window { rows: from..until, above: from * height, below: (count - until) * height }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
