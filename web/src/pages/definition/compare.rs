//! What differs between two versions.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_proto::types::v1::DefinitionReference;
use planaria_proto::workflow::v1::Definition;
use planaria_view::definitions::{Change, Line, diff};
use planaria_view::words;

use crate::mesh::Loaded;
use crate::pages::definitions::one;
use crate::ui::Show;

#[component]
pub(super) fn Compare(of: Definition, earlier: String) -> impl IntoView {
    let reference = of.reference.clone().unwrap_or_default();
    let version = reference.version.clone();
    let back = format!("/definitions/{}/{}?version={version}", reference.namespace, reference.name);
    let other = RwSignal::new(Loaded::<Vec<Line>>::Loading);
    let asked = DefinitionReference { version: earlier.clone(), ..reference };
    let after = String::from_utf8_lossy(&of.source).into_owned();
    spawn_local(async move {
        let found = one(asked).await;
        other.try_set(found.map_or_else(Loaded::Failed, |found| {
            Loaded::Ready(diff(&String::from_utf8_lossy(&found.source), &after))
        }));
    });
    view! {
        <section class="card">
            <h2>
                {format!("From {earlier} to {version}")}
                <a class="more" href=back>"the text alone"</a>
            </h2>
            <Show data=other render=|lines| view! { <Lines lines=lines /> } />
        </section>
    }
}

#[component]
fn Lines(lines: Vec<Line>) -> impl IntoView {
    let count = |change| lines.iter().filter(|line| line.change == change).count() as u64;
    let (added, removed) = (count(Change::Added), count(Change::Removed));
    let told = match (added, removed) {
        (0, 0) => "The texts are the same.".to_owned(),
        _ => format!(
            "{} added, {} removed",
            words::plural(added, "line", "lines"),
            words::plural(removed, "line", "lines")
        ),
    };
    let rows = lines.into_iter().map(|line| {
        let (class, sign, word) = match line.change {
            Change::Same => ("", "", ""),
            Change::Added => ("added", "+", "added: "),
            Change::Removed => ("removed", "−", "removed: "),
        };
        let number = |number: Option<usize>| number.map(|number| number.to_string());
        view! {
            <tr class=class>
                <td class="line">{number(line.before)}</td>
                <td class="line">{number(line.after)}</td>
                <td class="sign" aria-hidden="true">{sign}</td>
                <td class="text"><span class="hidden">{word}</span>{line.text}</td>
            </tr>
        }
    });
    view! {
        <p class="faint">{told}</p>
        <div class="scroll" tabindex="0" role="region" aria-label="What differs">
            <table class="diff">
                <thead class="hidden">
                    <tr>
                        <th scope="col">"Line before"</th>
                        <th scope="col">"Line after"</th>
                        <th scope="col">"Sign"</th>
                        <th scope="col">"Text"</th>
                    </tr>
                </thead>
                <tbody>{rows.collect_view()}</tbody>
            </table>
        </div>
    }
}
