//! What the server says about the text.

use leptos::prelude::*;
use planaria_proto::workflow::v1::{DocumentProblem, ValidateDefinitionResponse};
use planaria_view::definitions::offset;

use crate::mesh::Loaded;
use crate::ui::{Badge, Oops, Tone};

#[component]
pub(super) fn Problems(
    text: RwSignal<String>,
    verdict: RwSignal<Loaded<ValidateDefinitionResponse>>,
    area: NodeRef<leptos::html::Textarea>,
) -> impl IntoView {
    let go = Callback::new(move |(line, column): (u32, u32)| {
        let at = text.with_untracked(|text| offset(text, line, column));
        if let Some(area) = area.get_untracked() {
            // It fails only for fields that have no text.
            let _ = area.set_selection_range(at, at);
            let _ = area.focus();
        }
    });
    let said = move || match verdict.get() {
        Loaded::Loading => view! { <p class="faint">"Checking…"</p> }.into_any(),
        Loaded::Failed(failure) => view! { <Oops failure=failure /> }.into_any(),
        Loaded::Ready(verdict) => {
            let of = verdict.reference.unwrap_or_default();
            let fine = verdict.problems.is_empty().then(|| {
                let name = format!("{}/{}:{}", of.namespace, of.name, of.version);
                view! {
                    <p>
                        <Badge tone=Tone::Good text="valid" />
                        " "<span class="mono">{name}</span>
                    </p>
                }
            });
            let wrong = verdict.problems.into_iter().map(|it| (Tone::Bad, it));
            let warned = verdict.warnings.into_iter().map(|it| (Tone::Wait, it));
            let items = wrong.chain(warned).map(|(tone, problem)| {
                view! { <Problem tone=tone problem=problem go=go /> }
            });
            view! { {fine}<ul class="problems">{items.collect_view()}</ul> }.into_any()
        }
    };
    view! {
        <section class="card verdict" aria-label="What the mesh says about it">
            <div role="status">{said}</div>
            <p class="detail" id="tab-key">
                "The Tab key indents; after Escape it leaves the text. Nothing is published until \
                 you press Publish."
            </p>
        </section>
    }
}

#[component]
fn Problem(tone: Tone, problem: DocumentProblem, go: Callback<(u32, u32)>) -> impl IntoView {
    let DocumentProblem { pointer, line, column, reason, message } = problem;
    let word = if tone == Tone::Bad { "problem" } else { "warning" };
    let place = match line {
        0 => ().into_any(),
        _ => view! {
            <button type="button" class="place mono" on:click=move |_| go.run((line, column))
                aria-label=format!("{line}:{column}, go there")>
                {format!("{line}:{column}")}
            </button>
        }
        .into_any(),
    };
    view! {
        <li>
            <span class="row">
                {place}<Badge tone=tone text=word /><span class="detail">{reason}</span>
            </span>
            <span>{message}</span>
            <span class="detail mono">{pointer}</span>
        </li>
    }
}
