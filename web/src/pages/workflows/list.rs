//! What was loaded of the list, and how it is asked for again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::workflow::v1::{
    GetWorkflowRequest, ListWorkflowsRequest, ListWorkflowsResponse, Workflow,
};
use planaria_view::workflows::{Rows, WorkflowFilter};
use tonic::{Code, Status};

use crate::clock::now_ms;
use crate::mesh::{self, Failure};

/// Rows of a page.
pub(super) const PAGE: u32 = 200;
/// Between two questions for what changed: with what they take, a change is seen within 250 ms.
const PAUSE: Duration = Duration::from_millis(150);
/// So many workflows that changed are asked for one by one; instead of more, what is seen.
pub(super) const SINGLE_MAX: usize = 10;

/// The list of workflows.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub(super) filter: Memo<WorkflowFilter>,
    /// The filter that the mesh knows: without the text.
    pub(super) asked: Memo<WorkflowFilter>,
    pub(super) rows: RwSignal<Rows>,
    pub(super) loading: RwSignal<bool>,
    pub(super) failure: RwSignal<Option<Failure>>,
    /// Newer than what is listed, while one reads further down.
    pub(super) fresh: RwSignal<BTreeSet<String>>,
    pub(super) selected: RwSignal<BTreeSet<Arc<str>>>,
    /// Ids of the rows that are drawn.
    pub(super) drawn: StoredValue<Vec<Arc<str>>>,
    /// Whether the newest row is seen.
    pub(super) on_top: StoredValue<bool>,
    /// Counts filters: answers to an earlier one are too late.
    turn: StoredValue<u32>,
    changed: StoredValue<Changed>,
}

#[derive(Default)]
struct Changed {
    ids: BTreeSet<String>,
    /// More than can be asked for one by one, or nobody knows which.
    many: bool,
    asking: bool,
}

impl List {
    pub(super) fn new(filter: Memo<WorkflowFilter>) -> Self {
        let asked = Memo::new(move |_| WorkflowFilter { text: String::new(), ..filter.get() });
        Self {
            filter,
            asked,
            rows: RwSignal::default(),
            loading: RwSignal::new(true),
            failure: RwSignal::default(),
            fresh: RwSignal::default(),
            selected: RwSignal::default(),
            drawn: StoredValue::default(),
            on_top: StoredValue::new(true),
            turn: StoredValue::new(0),
            changed: StoredValue::default(),
        }
    }

    /// Begins anew with the first page.
    pub(super) fn begin(self) {
        self.turn.try_update_value(|turn| *turn = turn.wrapping_add(1));
        self.selected.update(BTreeSet::clear);
        self.load(String::new());
    }

    /// Loads the page behind the last row, if there is one and none is on its way.
    pub(super) fn more(self) {
        let next = self.rows.with_untracked(|rows| rows.next().map(str::to_owned));
        if let (Some(token), false) = (next, self.loading.get_untracked()) {
            self.load(token);
        }
    }

    fn load(self, token: String) {
        self.loading.set(true);
        let turn = self.turn.get_value();
        spawn_local(async move {
            let answer = self.page(token.clone()).await;
            if self.turn.try_get_value() != Some(turn) {
                return;
            }
            self.loading.try_set(false);
            match answer {
                Ok(page) if token.is_empty() => {
                    self.fresh.try_update(BTreeSet::clear);
                    self.rows.try_update(|rows| rows.begin(page.workflows, page.next_page_token));
                    self.failure.try_set(None);
                }
                Ok(page) => {
                    let next = page.next_page_token;
                    self.rows.try_update(|rows| rows.append(token, page.workflows, next));
                    self.failure.try_set(None);
                }
                Err(status) => {
                    self.failure.try_set(Some(status.into()));
                }
            }
        });
    }

    async fn page(self, page_token: String) -> Result<ListWorkflowsResponse, Status> {
        let filter = self.asked.try_get_untracked().unwrap_or_default().request(now_ms());
        let request = ListWorkflowsRequest { filter: Some(filter), page_size: PAGE, page_token };
        Ok(mesh::workflows().list_workflows(request).await?.into_inner())
    }

    /// Whether the row of this workflow is on the screen, or near it.
    pub(super) fn draws(self, id: &str) -> bool {
        self.drawn.with_value(|drawn| drawn.iter().any(|drawn| **drawn == *id))
    }

    /// Something happened to these workflows.
    pub(super) fn changed(self, ids: BTreeSet<String>) {
        self.changed.update_value(|changed| {
            changed.ids.extend(ids);
            changed.many |= changed.ids.len() > SINGLE_MAX;
        });
        self.ask();
    }

    /// Whether all that is seen will be asked for soon.
    pub(super) fn asks_for_seen(self) -> bool {
        self.changed.with_value(|changed| changed.many)
    }

    /// Something happened, nobody knows to which: the stream was away.
    pub(super) fn all_changed(self) {
        self.changed.update_value(|changed| changed.many = true);
        self.ask();
    }

    /// Asks for what changed: at once, then again and again for as long as more changes.
    fn ask(self) {
        let asks = self.changed.try_update_value(|changed| {
            let begins = !changed.asking;
            changed.asking = true;
            begins
        });
        if asks != Some(true) {
            return;
        }
        spawn_local(async move {
            loop {
                let taken = self.changed.try_update_value(|changed| {
                    let taken = std::mem::take(changed);
                    changed.asking = taken.many || !taken.ids.is_empty();
                    taken
                });
                match taken {
                    Some(changed) if changed.many => self.ask_for_seen().await,
                    Some(changed) if !changed.ids.is_empty() => self.ask_for(changed.ids).await,
                    // Nothing more changed, or the page was left.
                    _ => break,
                }
                TimeoutFuture::new(PAUSE.as_millis() as u32).await;
            }
        });
    }

    /// Asks for single workflows.
    async fn ask_for(self, ids: BTreeSet<String>) {
        let Some(filter) = self.asked.try_get_untracked() else { return };
        if filter.holds(&Workflow::default(), 0).is_none() {
            return self.ask_for_seen().await;
        }
        let turn = self.turn.try_get_value();
        let calls = ids.into_iter().map(|workflow_id| async move {
            let request = GetWorkflowRequest { workflow_id: workflow_id.clone() };
            let answer = mesh::workflows().get_workflow(request).await;
            (workflow_id, answer.map(|answer| answer.into_inner().workflow.unwrap_or_default()))
        });
        let answers = join_all(calls).await;
        if turn.is_none() || self.turn.try_get_value() != turn {
            return;
        }
        let on_top = self.on_top.get_value();
        let mut fresh = Vec::new();
        self.rows.try_update(|rows| {
            for (id, answer) in answers {
                match answer {
                    Ok(workflow) if filter.holds(&workflow, now_ms()) == Some(true) => {
                        let is_newest = rows.ids().first().is_none_or(|first| **first < *id);
                        if !rows.put(small(workflow), on_top) && is_newest {
                            fresh.push(id);
                        }
                    }
                    Ok(_) => rows.remove(&id),
                    Err(status) if status.code() == Code::NotFound => rows.remove(&id),
                    // The next change asks again.
                    Err(_) => {}
                }
            }
        });
        if !fresh.is_empty() {
            self.fresh.try_update(|known| known.extend(fresh));
        }
    }

    /// Asks for the first page, which has what is new, and for those that are seen.
    async fn ask_for_seen(self) {
        let Some(turn) = self.turn.try_get_value() else { return };
        let drawn = self.drawn.try_get_value().unwrap_or_default();
        let mut tokens = self.rows.with_untracked(|rows| rows.pages_of(&drawn));
        if !tokens.iter().any(String::is_empty) {
            tokens.push(String::new());
        }
        let calls = tokens.into_iter().map(|token| async move {
            let answer = self.page(token.clone()).await;
            (token, answer)
        });
        let answers = join_all(calls).await;
        if self.turn.try_get_value() != Some(turn) {
            return;
        }
        let on_top = self.on_top.get_value();
        let mut fresh = Vec::new();
        let mut failure = None;
        self.rows.try_update(|rows| {
            for (token, answer) in answers {
                match answer {
                    Ok(page) => {
                        if !on_top && token.is_empty() {
                            let newest = rows.ids().first().cloned();
                            let ids = page.workflows.iter().map(|row| &row.id);
                            let newer = ids.filter(|id| {
                                newest.as_deref().is_none_or(|newest| ***id > *newest)
                            });
                            fresh.extend(newer.cloned());
                        }
                        rows.refresh(&token, page.workflows, &page.next_page_token, on_top);
                    }
                    Err(status) => failure = Some(Failure::from(status)),
                }
            }
        });
        if !fresh.is_empty() {
            self.fresh.try_update(|known| known.extend(fresh));
        }
        self.failure.try_set(failure);
    }
}

/// What the list shows of a workflow.
fn small(workflow: Workflow) -> Workflow {
    Workflow { input: None, output: None, tasks: Vec::new(), ..workflow }
}
