//! The versions of a definition.

use leptos::prelude::*;
use planaria_proto::workflow::v1::Definition;

use crate::ui::When;

#[component]
pub(super) fn Versions(
    /// Newest first.
    all: Vec<Definition>,
    /// The one that is shown.
    current: String,
) -> impl IntoView {
    let rows = all.into_iter().map(|definition| {
        let of = definition.reference.unwrap_or_default();
        let page = format!("/definitions/{}/{}", of.namespace, of.name);
        let is_shown = of.version == current;
        let compare = (!is_shown).then(|| {
            let href = format!("{page}?version={current}&against={}", of.version);
            let label = format!("Compare {current} with {}", of.version);
            view! { <a href=href aria-label=label>"compare"</a> }
        });
        let href = format!("{page}?version={}", of.version);
        view! {
            <tr>
                <th scope="row">
                    <a class="mono" href=href aria-current=is_shown.then_some("true")>
                        {of.version}
                    </a>
                </th>
                <td class="faint"><When at=definition.published_at /></td>
                <td>{compare}{is_shown.then_some("shown")}</td>
            </tr>
        }
    });
    view! {
        <section class="card">
            <h2>"Versions"</h2>
            <table><tbody>{rows.collect_view()}</tbody></table>
        </section>
    }
}
