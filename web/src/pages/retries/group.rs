//! Dead letters of the same trouble.

use leptos::prelude::*;
use planaria_proto::retry::v1::{
    DeadLetter, DeadLetterGroup, DeadLetterState, ListDeadLettersRequest, ListDeadLettersResponse,
};
use planaria_view::letters::{self, LetterQuery};
use planaria_view::words;

use super::redrive::RedriveDialog;
use crate::mesh::{self, Again, Loaded};
use crate::ui::{Asked, Id, Show, When};

const PAGE: u32 = 50;

#[component]
pub(super) fn Group(
    of: DeadLetterGroup,
    query: Memo<LetterQuery>,
    /// The fingerprint of the group that is unfolded.
    opened: Asked,
    again: Again,
    redrive: Asked,
) -> impl IntoView {
    let fingerprint = of.fingerprint.clone();
    let is_opened = {
        let fingerprint = fingerprint.clone();
        Memo::new(move |_| opened.get() == fingerprint)
    };
    let fold = {
        let fingerprint = fingerprint.clone();
        move |_| opened.set(if is_opened.get_untracked() { "" } else { &fingerprint })
    };
    let function = (!of.function.is_empty()).then(|| format!("function {}; ", of.function));
    let detail = format!(
        "{}{}; of {}; ",
        function.unwrap_or_default(),
        letters::cause(of.cause()),
        words::plural(of.definitions, "definition", "definitions"),
    );
    let inside = {
        let fingerprint = fingerprint.clone();
        move || {
            is_opened.get().then(|| {
                view! {
                    <Inside query=query fingerprint=fingerprint.clone() again=again />
                }
            })
        }
    };
    let named = Signal::derive({
        let fingerprint = fingerprint.clone();
        move || fingerprint.clone()
    });
    let dialog = move || {
        (query.get().letter_state() == DeadLetterState::Open).then(|| view! {
        <RedriveDialog label="Redrive" query=query fingerprint=named redrive=redrive again=again />
    })
    };
    view! {
        <li class="group">
            <div class="head">
                <span class="size">{words::count(of.count)}</span>
                <button type="button" class="fold" on:click=fold
                    aria-expanded=move || is_opened.get().to_string()>
                    {move || if is_opened.get() { "▾ " } else { "▸ " }}
                    {letters::error(of.error.as_ref())}
                </button>
                {dialog}
            </div>
            <p class="detail">
                {detail}"last "<When at=of.last_at />", first "<When at=of.first_at />
            </p>
            {inside}
        </li>
    }
}

/// The letters of a group, the newest first.
#[component]
fn Inside(query: Memo<LetterQuery>, fingerprint: String, again: Again) -> impl IntoView {
    let data = RwSignal::new(Loaded::<ListDeadLettersResponse>::Loading);
    let size = RwSignal::new(PAGE);
    Effect::new(move || {
        again.track();
        let query = query.get();
        let request = ListDeadLettersRequest {
            state: query.letter_state() as i32,
            filter: Some(query.filter(&fingerprint)),
            page_size: size.get(),
            ..Default::default()
        };
        let call = async move { mesh::retries().list_dead_letters(request).await };
        Loaded::fetch(data, call, |answer| answer);
    });
    let render = move |answer: ListDeadLettersResponse| {
        let shown = answer.dead_letters.len() as u64;
        let more = (answer.total > shown).then(|| {
            view! {
                <button type="button" class="further"
                    on:click=move |_| size.update(|size| *size += PAGE)>
                    {format!("More: {} of {} are shown", shown, words::count(answer.total))}
                </button>
            }
        });
        let rows = answer.dead_letters.into_iter().map(row).collect_view();
        view! {
            <div class="scroll" tabindex="0" role="region" aria-label="Dead letters">
                <table>
                    <thead><tr>
                        <th scope="col">"Dead letter"</th>
                        <th scope="col">"Definition"</th>
                        <th scope="col">"Task"</th>
                        <th scope="col">"Given up"</th>
                        <th scope="col">"Why"</th>
                        <th scope="col">"Workflow"</th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            {more}
        }
        .into_any()
    };
    view! { <div class="inside"><Show data=data render=render /></div> }
}

fn row(letter: DeadLetter) -> impl IntoView {
    let cause = letters::cause(letter.cause());
    let definition = letter.definition.clone().unwrap_or_default();
    let definition = format!("{}/{}:{}", definition.namespace, definition.name, definition.version);
    let href = format!("/dead-letters/{}", letter.id);
    let workflow = format!("/workflows/{}", letter.workflow_id);
    view! {
        <tr class="link">
            <th scope="row"><Id id=letter.id href=href /></th>
            <td>{definition}</td>
            <td class="mono">{letter.task}</td>
            <td><When at=letter.created_at /></td>
            <td>{cause}</td>
            <td><Id id=letter.workflow_id href=workflow /></td>
        </tr>
    }
}
