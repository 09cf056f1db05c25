//! The definitions by their names.

use leptos::prelude::*;
use leptos::task::spawn_local;
use planaria_view::definitions::{Group, groups};
use planaria_view::words;

use super::fetch::all;
use crate::mesh::Loaded;
use crate::ui::{Empty, Show, When};

#[component]
pub(super) fn List() -> impl IntoView {
    let found = RwSignal::new(Loaded::<Vec<Group>>::Loading);
    spawn_local(async move {
        let answer = all(String::new(), String::new()).await;
        found.try_set(answer.map_or_else(Loaded::Failed, |all| Loaded::Ready(groups(all))));
    });
    let render = |groups: Vec<Group>| {
        if groups.is_empty() {
            return view! {
                <Empty text="Nothing is published yet.">
                    <a class="button" href="/definitions?edit=new">"Write the first"</a>
                </Empty>
            }
            .into_any();
        }
        let rows = groups.into_iter().map(|group| view! { <Row group=group /> }).collect_view();
        view! {
            <div class="card scroll" tabindex="0" role="region" aria-label="Definitions">
                <table class="definitions">
                    <thead>
                        <tr>
                            <th scope="col">"Definition"</th>
                            <th scope="col">"Newest"</th>
                            <th scope="col">"Earlier versions"</th>
                            <th scope="col">"Published"</th>
                            <th scope="col">"Functions"</th>
                            <th scope="col"><span class="hidden">"Its workflows"</span></th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    };
    view! { <Show data=found render=render /> }
}

/// Earlier versions that have a link of their own.
const EARLIER: usize = 3;

#[component]
fn Row(group: Group) -> impl IntoView {
    let functions = group.functions().join(", ");
    let functions = if functions.is_empty() { "–".to_owned() } else { functions };
    let Group { namespace, name, versions } = group;
    let page = format!("/definitions/{namespace}/{name}");
    let version = |index: usize| {
        let of = versions.get(index).and_then(|version| version.reference.as_ref());
        of.map(|of| of.version.clone()).unwrap_or_default()
    };
    let earlier = (1..versions.len().min(EARLIER + 1)).map(|index| {
        let version = version(index);
        let href = format!("{page}?version={version}");
        view! { <a class="mono" href=href>{version}</a>" " }
    });
    let earlier = earlier.collect_view();
    let more = versions.len().saturating_sub(EARLIER + 1);
    let more = (more > 0).then(|| {
        let text = format!("{} more", words::count(more as u64));
        view! { <a href=page.clone()>{text}</a> }
    });
    let (newest, single) = (version(0), versions.len() < 2);
    let first = versions.into_iter().next().unwrap_or_default();
    let about = [first.title, first.summary].into_iter().filter(|text| !text.is_empty());
    let about = about.collect::<Vec<_>>().join(": ");
    view! {
        <tr class="link">
            <th scope="row">
                <a href=page.clone()>{name.clone()}</a>
                " "<span class="faint">{namespace.clone()}</span>
                <div class="detail">{about}</div>
            </th>
            <td class="mono">{newest}</td>
            <td>{earlier}{more}{single.then_some("–")}</td>
            <td><When at=first.published_at /></td>
            <td>{functions}</td>
            <td>
                <a href=format!("/workflows?definition={namespace}/{name}")
                    aria-label=format!("Workflows of {namespace}/{name}")>"workflows"</a>
            </td>
        </tr>
    }
}
