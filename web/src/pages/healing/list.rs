//! The healings that are known here: pages of them, and what the stream tells since.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::monitoring::v1::ListHealingsRequest;
use planaria_proto::types::v1::Healing;
use planaria_view::healing::merge;
use planaria_view::words;

use crate::mesh::{self, Failure};

const PAGE: u32 = 200;
/// More than these are not kept in the browser.
const KEPT_MAX: usize = 5000;
/// The length of a whole id of a workflow, of which the monitoring service can list the healings.
const WORKFLOW_ID_CHARS: usize = 36;

#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    healings: RwSignal<Vec<Healing>>,
    ready: RwSignal<bool>,
    failure: RwSignal<Option<Failure>>,
    /// Of the page behind the last one; empty if that was the end.
    token: RwSignal<String>,
    busy: StoredValue<bool>,
    /// Which list is loaded: answers for a former one come too late.
    turn: StoredValue<u32>,
    /// The workflow and the incident that is asked for.
    question: Memo<(String, String)>,
}

impl List {
    pub(super) fn new(question: Memo<(String, String)>) -> Self {
        Self {
            healings: RwSignal::new(Vec::new()),
            ready: RwSignal::new(false),
            failure: RwSignal::new(None),
            token: RwSignal::new(String::new()),
            busy: StoredValue::new(false),
            turn: StoredValue::new(0),
            question,
        }
    }

    /// Loads the newest page. What was there stays until it came.
    pub(super) fn load(&self) {
        self.turn.update_value(|turn| *turn += 1);
        self.ask(String::new());
    }

    /// Loads the next page, if there is one and none is on its way.
    pub(super) fn more(&self) {
        let token = self.token.get_untracked();
        if !token.is_empty() && !self.busy.get_value() {
            self.ask(token);
        }
    }

    fn ask(&self, page_token: String) {
        let this = *self;
        let first = page_token.is_empty();
        let turn = self.turn.get_value();
        let (workflow, incident) = self.question.get_untracked();
        let workflow_id =
            if workflow.len() == WORKFLOW_ID_CHARS { workflow } else { String::new() };
        let request = ListHealingsRequest {
            workflow_id,
            incident,
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        self.busy.set_value(true);
        spawn_local(async move {
            let outcome = mesh::monitoring().list_healings(request).await;
            // The page may be gone, or ask for something else.
            if this.turn.try_get_value() != Some(turn) {
                return;
            }
            this.busy.set_value(false);
            match outcome {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    this.healings.update(|known| {
                        if first {
                            known.clear();
                        }
                        merge(known, answer.healings);
                    });
                    let full = this.healings.with_untracked(Vec::len) >= KEPT_MAX;
                    this.token.set(if full { String::new() } else { answer.next_page_token });
                    this.failure.set(None);
                    this.ready.set(true);
                }
                Err(status) => this.failure.set(Some(status.into())),
            }
        });
    }

    /// What the stream told.
    pub(super) fn tell(&self, told: Vec<Healing>) {
        self.healings.update(|known| merge(known, told));
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&[Healing]) -> T) -> T {
        self.healings.with(|all| read(all))
    }

    /// When the oldest that is loaded was detected; nothing where there is none.
    pub(super) fn reaches_back_to(&self) -> Option<i64> {
        self.with(|all| {
            all.iter().filter_map(|it| Some(words::millis(it.detected_at.as_ref()?))).min()
        })
    }

    pub(super) fn has_more(&self) -> bool {
        !self.token.with(String::is_empty)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.get()
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.get()
    }
}
