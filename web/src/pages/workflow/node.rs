//! A task in the drawing.

use leptos::prelude::*;
use planaria_view::document::Kind;
use planaria_view::graph::{NODE_HEIGHT, Node};
use planaria_view::story::State;

use super::drawing::States;

/// Letters that fit beside each other.
const NAME_MAX: usize = 22;
const DETAIL_MAX: usize = 31;
/// What is under way runs this far from end to end of its mark.
const MARK: f64 = 4.0;

/// The id of a task's element.
pub(super) fn dom_id(reference: &str) -> String {
    format!("task:{reference}")
}

/// Which tone a state has.
pub(super) fn tone(state: State) -> &'static str {
    match state {
        State::Running => "busy",
        State::Open | State::Queued | State::Retrying | State::Healing => "wait",
        State::Completed | State::SkippedByHand => "good",
        State::Faulted => "bad",
        State::Skipped | State::Abandoned | State::Cancelled => "plain",
    }
}

fn sign(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "ƒ",
        Kind::Do => "≡",
        Kind::Emit => "↗",
        Kind::For => "⟳",
        Kind::Fork => "∥",
        Kind::Listen => "↘",
        Kind::Raise => "!",
        Kind::Run => "»",
        Kind::Set => "=",
        Kind::Switch => "◇",
        Kind::Try => "↺",
        Kind::Wait => "◷",
    }
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[component]
pub(super) fn NodeView(
    node: Node,
    states: States,
    task: Memo<String>,
    /// The one that Tab leads to.
    focus: RwSignal<String>,
    select: Callback<String>,
    /// From a task into a direction.
    move_to: Callback<(String, (i32, i32))>,
) -> impl IntoView {
    let reference = StoredValue::new(node.reference.clone());
    let state = Memo::new({
        let reference = node.reference.clone();
        move |_| {
            states.with(|states| states.get(&reference).map(|state| state.clone().told(node.kind)))
        }
    });
    let is = move |signal: &str| reference.with_value(|it| it == signal);
    let chosen = Memo::new(move |_| task.with(|task| is(task)));
    let letters = if node.is_box { ((node.width - 50.0) / 7.0) as usize } else { 0 };
    let kind = node.kind.name();
    let what = match (node.detail.is_empty(), node.conditional) {
        (true, false) => kind.to_owned(),
        (true, true) => format!("{kind}, on a condition"),
        (false, false) => format!("{kind} · {}", node.detail),
        (false, true) => format!("{kind}, if · {}", node.detail),
    };
    let told = move || {
        state.get().map_or_else(
            || "not entered".to_owned(),
            |state| {
                let runs =
                    if state.runs > 1 { format!(" · run {}", state.runs) } else { String::new() };
                format!("{} {}{runs}", state.state.symbol(), state.word)
            },
        )
    };
    let remark = move || state.get().and_then(|state| state.remark).unwrap_or_default();
    let label = {
        let (name, what) = (node.name.clone(), what.clone());
        move || format!("{name}\n{what}\n{} {}", told(), remark())
    };
    let class = move || {
        let state = state.get();
        let tone = state.as_ref().map_or("idle", |state| tone(state.state));
        let moves = state.is_some_and(|it| matches!(it.state, State::Running | State::Healing));
        let moves = if moves { " moves" } else { "" };
        let chosen = if chosen.get() { " chosen" } else { "" };
        let frame = if node.is_box { " head" } else { "" };
        format!("node {tone}{moves}{chosen}{frame}")
    };
    let choose = move || {
        let reference = reference.get_value();
        focus.set(reference.clone());
        select.run(if chosen.get_untracked() { String::new() } else { reference });
    };
    let key = move |event: leptos::ev::KeyboardEvent| {
        let direction = match &*event.key() {
            "Enter" | " " => {
                event.prevent_default();
                return choose();
            }
            "ArrowUp" => (0, -1),
            "ArrowDown" => (0, 1),
            "ArrowLeft" => (-1, 0),
            "ArrowRight" => (1, 0),
            _ => return,
        };
        event.prevent_default();
        move_to.run((reference.get_value(), direction));
    };
    let most = |least: usize| least.max(letters);
    let name = shortened(&node.name, most(NAME_MAX));
    let detail = shortened(&what, most(DETAIL_MAX));
    let state_most = most(DETAIL_MAX);
    let right = node.width - 22.0;
    view! {
        <g class=class id=dom_id(&node.reference) role="button"
            aria-pressed=move || chosen.get().to_string()
            transform=format!("translate({} {})", node.x, node.y)
            tabindex=move || if focus.with(|it| is(it)) { "0" } else { "-1" }
            on:click=move |_| choose() on:keydown=key>
            // The full text, for whoever points at a shortened one and for whoever listens.
            <title>{label}</title>
            <rect class="face" width=node.width height=NODE_HEIGHT rx="10" />
            <rect class="mark" x="0" y="10" width=MARK height=NODE_HEIGHT - 20.0 rx="2" />
            <text class="name" x="16" y="22">{name}</text>
            <text class="detail" x="16" y="38">{detail}</text>
            <text class="state" x="16" y="54">{move || shortened(&told(), state_most)}</text>
            <text class="remark" x="16" y="70">{move || shortened(&remark(), state_most)}</text>
            <text class="sign" x=right y="23" text-anchor="middle" aria-hidden="true">
                {sign(node.kind)}
            </text>
        </g>
    }
}
