//! The definition's text, with where the workflow is in it.

use std::sync::Arc;

use leptos::prelude::*;

use super::flow::{Flow, Plan};
use crate::ui::Show;

#[component]
pub(super) fn Source(flow: Flow, task: Memo<String>, select: Callback<String>) -> impl IntoView {
    let places = Memo::new(move |_| flow.places());
    let render = move |plan: Arc<Plan>| {
        view! {
            <Text plan=plan places=places task=task select=select />
        }
    };
    view! { <section class="card"><Show data=flow.plan render=render /></section> }
}

#[component]
fn Text(
    plan: Arc<Plan>,
    places: Memo<Vec<String>>,
    task: Memo<String>,
    select: Callback<String>,
) -> impl IntoView {
    let plan = StoredValue::new(plan);
    let lines_of = move |reference: &str| {
        plan.with_value(|plan| {
            let document = plan.drawn.as_ref().ok()?;
            document.0.find(reference).map(|task| task.lines)
        })
    };
    // The innermost places only: a box is where its tasks are.
    let here = Memo::new(move |_| {
        places.with(|places| {
            let inner = places.iter().filter(|place| {
                !places.iter().any(|other| other.starts_with(&format!("{place}/")))
            });
            inner.filter_map(|place| Some((place.clone(), lines_of(place)?.0))).collect::<Vec<_>>()
        })
    });
    let chosen = Memo::new(move |_| task.with(|task| lines_of(task)));
    let lines = plan.with_value(|plan| {
        let numbered = plan.text.lines().map(str::to_owned).enumerate();
        numbered.collect::<Vec<_>>()
    });
    let lines = lines.into_iter().map(|(index, text)| {
        let number = index as u32 + 1;
        let at = Memo::new(move |_| {
            here.with(|here| {
                here.iter().find(|(_, line)| *line == number).map(|(task, _)| task.clone())
            })
        });
        let inside = move || chosen.get().is_some_and(|(from, to)| (from..=to).contains(&number));
        let mark = move || {
            at.get().map(|task| {
                let name = planaria_view::document::name_of(&task);
                view! {
                    <button type="button" class="here"
                        aria-label=format!("{name} is under way: show it")
                        on:click=move |_| select.run(task.clone())>"▶"</button>
                }
            })
        };
        view! {
            <li class:place=move || at.get().is_some() class:chosen=inside>
                <span class="number" aria-hidden="true">{number}</span>
                <span class="gutter">{mark}</span>
                <code>{text}</code>
            </li>
        }
    });
    let told = move || {
        let names: Vec<_> = here.with(|here| {
            here.iter().map(|(task, _)| planaria_view::document::name_of(task)).collect()
        });
        if names.is_empty() {
            "Nothing of it is under way.".to_owned()
        } else {
            format!("It is at {}.", names.join(", "))
        }
    };
    view! {
        <p class="faint" role="status">{told}</p>
        <div class="scroll" tabindex="0" role="region" aria-label="The definition's text">
            <ol class="flow-source">{lines.collect_view()}</ol>
        </div>
    }
}
