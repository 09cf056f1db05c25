//! The definition as a drawing, with where the workflow is in it.

use std::collections::HashMap;
use std::sync::Arc;

use leptos::prelude::*;
use planaria_view::graph::{Edge, Graph};
use planaria_view::story::TaskState;
use wasm_bindgen::JsCast;

use super::flow::{Flow, Plan};
use super::node::{NodeView, dom_id};
use super::stage::{Stage, Tools};
use crate::mesh::Failure;
use crate::ui::{Oops, Show};

/// States of tasks by their references.
pub(super) type States = Memo<HashMap<String, TaskState>>;

#[component]
pub(super) fn Drawing(flow: Flow, task: Memo<String>, select: Callback<String>) -> impl IntoView {
    let states: States = Memo::new(move |_| flow.states());
    let render = move |plan: Arc<Plan>| match &plan.drawn {
        Ok(_) => view! { <Canvas flow=flow plan=plan states=states task=task select=select /> }
            .into_any(),
        Err(problem) => {
            let failure = Failure {
                code: tonic::Code::InvalidArgument,
                reason: String::new(),
                message: format!("The definition cannot be drawn: {problem}"),
            };
            view! { <Oops failure=failure /> }.into_any()
        }
    };
    view! { <Show data=flow.plan render=render /> }
}

#[component]
fn Canvas(
    flow: Flow,
    plan: Arc<Plan>,
    states: States,
    task: Memo<String>,
    select: Callback<String>,
) -> impl IntoView {
    let graph = plan.drawn.as_ref().map(|(_, graph)| graph.clone()).unwrap_or_default();
    // The task that Tab leads to; arrow keys lead on from it.
    let focus = RwSignal::new(match task.get_untracked() {
        asked if graph.node(&asked).is_some() => asked,
        _ => graph.nodes.first().map(|node| node.reference.clone()).unwrap_or_default(),
    });
    let stage = Stage::new(graph);
    look(stage, flow, task);
    let move_to = Callback::new(move |(from, direction): (String, (i32, i32))| {
        let next = stage
            .graph
            .with_value(|graph| graph.beside(&from, direction).map(|node| node.reference.clone()));
        let Some(next) = next else { return };
        focus.set(next.clone());
        if let Some(element) = document().get_element_by_id(&dom_id(&next)) {
            let _ = element.unchecked_ref::<web_sys::HtmlElement>().focus();
        }
        stage.reveal(&next);
    });
    let picture = stage.graph.with_value(|graph| {
        let nodes = graph.nodes.clone().into_iter().map(|node| view! {
            <NodeView node=node states=states task=task focus=focus select=select move_to=move_to />
        });
        (background(graph, states), nodes.collect_view())
    });
    view! {
        <div class="drawing" class:drags=stage.camera.drags node_ref=stage.window
            on:wheel=move |event| stage.wheel(&event) on:keydown=move |event| stage.key(&event)
            on:pointerdown=move |event| stage.hold(&event)
            on:pointermove=move |event| stage.drag(&event)
            on:pointerup=move |_| stage.camera.release()>
            <svg role="group" aria-label="The tasks of the definition, with their states">
                <defs>
                    <marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7"
                        markerHeight="7" orient="auto-start-reverse">
                        <path class="arrow" d="M0 0.8L7 4L0 7.2z" />
                    </marker>
                </defs>
                <g transform=move || stage.camera.transform()>{picture}</g>
            </svg>
            <Tools stage=stage />
        </div>
        <p class="faint hint">
            "Drag to move, turn the wheel or press + and − to zoom, 0 to fit. Arrow keys walk from
            task to task, Enter shows what is known of one."
        </p>
    }
}

/// Keeps in sight what one wants to see: at first the task that the address names, or where the
/// workflow is once that is known; later what is selected.
fn look(stage: Stage, flow: Flow, task: Memo<String>) {
    Effect::new(move || {
        if stage.window.get().is_some() {
            stage.measure();
            stage.camera.begin(stage.size);
            let asked = task.get_untracked();
            if !asked.is_empty() {
                stage.reveal(&asked);
            }
        }
    });
    // The window is narrower while a task is shown beside it, or when the browser's is.
    Effect::new(move |first: Option<()>| {
        task.track();
        if first.is_some() {
            request_animation_frame(move || stage.resized(task));
        }
    });
    let listening = window_event_listener(leptos::ev::resize, move |_| stage.resized(task));
    on_cleanup(move || listening.remove());
    Effect::new(move || {
        let shown = stage.window.get().is_some() && task.with_untracked(String::is_empty);
        if flow.read.get() && shown {
            let places = untrack(|| flow.places());
            let inner = |place: &&String| {
                stage.graph.with_value(|graph| graph.node(place).is_some_and(|node| !node.is_box))
            };
            if let Some(place) = places.iter().find(inner) {
                stage.reveal(place);
            }
        }
    });
}

/// What lies behind the tasks' faces: parts, ways, ends.
fn background(graph: &Graph, states: States) -> impl IntoView + use<> {
    let zones = graph
        .zones
        .clone()
        .into_iter()
        .map(|zone| {
            view! {
                <g class=format!("zone {}", zone.label)>
                    <rect x=zone.x y=zone.y width=zone.width height=zone.height rx="8" />
                    <text x=zone.x + 10.0 y=zone.y + 16.0>{zone.label}</text>
                </g>
            }
        })
        .collect_view();
    let boxes = graph
        .nodes
        .iter()
        .filter(|node| node.is_box)
        .map(|node| {
            view! {
                <rect class="box" x=node.x y=node.y width=node.width height=node.height rx="10" />
            }
        })
        .collect_view();
    let edges = graph.edges.iter().map(|edge| way(edge, states)).collect_view();
    let pills = graph.pills.clone().into_iter().map(|pill| view! {
        <g class="pill">
            <rect x=pill.x y=pill.y - 11.0 width=pill.width height="22" rx="11" />
            <text x=pill.x + pill.width / 2.0 y=pill.y + 4.0 text-anchor="middle">{pill.text}</text>
        </g>
    }).collect_view();
    let dots = graph
        .dots
        .iter()
        .enumerate()
        .map(|(index, &(x, y, r))| {
            view! {
                <circle class=if index == 0 { "dot start" } else { "dot end" } cx=x cy=y r=r />
            }
        })
        .collect_view();
    (boxes, zones, edges, pills, dots)
}

fn way(edge: &Edge, states: States) -> impl IntoView + use<> {
    let label = edge.label.clone().map(|(text, x, y)| view! { <text x=x y=y>{text}</text> });
    let (path, dashed) = (edge.path(), edge.dashed);
    let (from, to) = (edge.from.clone(), edge.to.clone());
    // Ways whose ends were both entered are drawn stronger.
    let taken = Memo::new(move |_| {
        states.with(|states| {
            let entered = |task: &String| task.is_empty() || states.contains_key(task);
            let known = !(from.is_empty() && to.is_empty());
            let over = |task: &String| {
                task.is_empty() || states.get(task).is_some_and(|it| it.state.is_over())
            };
            known && entered(&from) && entered(&to) && (!to.is_empty() || over(&from))
        })
    });
    view! {
        <g class="way" class:taken=taken class:dashed=dashed>
            <path d=path marker-end="url(#arrow)" />
            {label}
        </g>
    }
}
