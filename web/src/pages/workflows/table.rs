//! The rows that are seen, out of many.

use std::sync::Arc;

use leptos::ev;
use leptos::prelude::*;
use planaria_view::words;
use planaria_view::workflows::{WorkflowFilter, window};

use super::bulk::BulkBar;
use super::list::{List, PAGE};
use super::row::Row;
use crate::ui::Empty;

/// Height of a row in pixels, as workflows.css has it.
const ROW: usize = 44;
/// The next page is loaded when so few rows are left below.
const AHEAD: usize = 150;

#[component]
pub(super) fn Table(list: List) -> impl IntoView {
    let scroller = NodeRef::<leptos::html::Div>::new();
    let top = RwSignal::new(0usize);
    let seen = RwSignal::new(900usize);
    let measure = move || {
        if let Some(scroller) = scroller.get_untracked() {
            let pixels = |value: i32| usize::try_from(value).unwrap_or_default();
            top.set(pixels(scroller.scroll_top()));
            seen.set(pixels(scroller.client_height()));
            list.on_top.set_value(scroller.scroll_top() < ROW as i32);
        }
    };
    Effect::new(move || {
        scroller.track();
        measure();
    });
    let resized = window_event_listener(ev::resize, move |_| measure());
    on_cleanup(move || resized.remove());
    // The rows that the text is in; nothing if there is no text.
    let found = Memo::new(move |_| {
        let filter = list.filter.get();
        (!filter.text.trim().is_empty()).then(|| {
            list.rows.with(|rows| {
                let rows = rows.iter().filter(|row| filter.text_holds(row));
                rows.map(|row| Arc::<str>::from(row.id.as_str())).collect::<Vec<_>>()
            })
        })
    });
    let count = Memo::new(move |_| {
        found.with(|found| match found {
            Some(found) => found.len(),
            None => list.rows.with(|rows| rows.ids().len()),
        })
    });
    let part = Memo::new(move |_| window(count.get(), ROW, top.get(), seen.get()));
    let drawn = Memo::new(move |_| {
        let range = part.get().rows;
        let cut = |ids: &[Arc<str>]| ids.get(range.clone()).unwrap_or_default().to_vec();
        found.with(|found| match found {
            Some(found) => cut(found),
            None => list.rows.with(|rows| cut(rows.ids())),
        })
    });
    Effect::new(move || list.drawn.set_value(drawn.get()));
    Effect::new(move || {
        let near = part.get().rows.end + AHEAD >= count.get();
        // What a text is sought in is loaded by hand: it may be very much.
        if near && found.with(Option::is_none) && !list.loading.get() {
            list.more();
        }
    });
    // Another filter is read from its top.
    Effect::new(move || {
        list.asked.track();
        if let Some(scroller) = scroller.get_untracked() {
            scroller.set_scroll_top(0);
        }
    });
    let to_top = move |_| {
        if let Some(scroller) = scroller.get_untracked() {
            scroller.set_scroll_top(0);
        }
        list.on_top.set_value(true);
        list.begin();
    };
    let fresh = move || {
        let count = list.fresh.with(std::collections::BTreeSet::len);
        (count > 0).then(|| {
            let more = if count >= PAGE as usize { "+" } else { "" };
            let label = format!("↑ {}{more} new", words::count(count as u64));
            view! {
                <button type="button" class="primary fresh" on:click=to_top>{label}</button>
            }
        })
    };
    let empty = move || {
        let nothing = count.get() == 0 && !list.loading.get() && list.failure.get().is_none();
        nothing.then(|| view! { <Nothing list=list /> })
    };
    let spacer = move |height: fn(&planaria_view::workflows::Window) -> usize| {
        move || format!("{}px", part.with(height))
    };
    view! {
        <div class="above">
            <Told list=list shown=count />
            <BulkBar list=list />
        </div>
        <div class="workflows">
            {fresh}
            <div class="rows" node_ref=scroller tabindex="0" role="region" aria-label="Workflows"
                on:scroll=move |_| measure()>
                <table>
                    <Head list=list found=found />
                    <tbody>
                        <tr class="spacer" aria-hidden="true">
                            <td colspan="7" style:height=spacer(|part| part.above)></td>
                        </tr>
                        <For each=move || drawn.get() key=Clone::clone let:id>
                            <Row list=list id=id />
                        </For>
                        <tr class="spacer" aria-hidden="true">
                            <td colspan="7" style:height=spacer(|part| part.below)></td>
                        </tr>
                    </tbody>
                </table>
                {move || (list.loading.get() && count.get() == 0).then(|| view! {
                    <div class="loading" role="status">"Loading…"</div>
                })}
                {empty}
            </div>
        </div>
    }
}

#[component]
fn Head(list: List, found: Memo<Option<Vec<Arc<str>>>>) -> impl IntoView {
    let all = move |event: ev::Event| {
        let chosen = event_target_checked(&event);
        list.selected.update(|selected| {
            selected.clear();
            if chosen {
                match found.get_untracked() {
                    Some(found) => selected.extend(found),
                    None => list.rows.with_untracked(|rows| {
                        selected.extend(rows.ids().iter().cloned());
                    }),
                }
            }
        });
    };
    let any = move || list.selected.with(|selected| !selected.is_empty());
    view! {
        <thead>
            <tr>
                <th scope="col" class="pick">
                    <input type="checkbox" aria-label="Select all that are loaded"
                        prop:checked=any on:change=all />
                </th>
                <th scope="col" class="name">"Workflow"</th>
                <th scope="col" class="phase">"Phase"</th>
                <th scope="col" class="definition">"Definition"</th>
                <th scope="col" class="started">"Started"</th>
                <th scope="col" class="took">"Duration"</th>
                <th scope="col" class="waits">"Waiting for"</th>
            </tr>
        </thead>
    }
}

/// How many are listed, and how many more there may be.
#[component]
fn Told(list: List, shown: Memo<usize>) -> impl IntoView {
    let loaded =
        Memo::new(move |_| list.rows.with(|rows| (rows.ids().len() as u64, rows.next().is_some())));
    let told = move || {
        let (count, more) = loaded.get();
        let count = words::plural(count, "workflow", "workflows");
        let more = if more { ", older ones as you scroll" } else { "" };
        if list.filter.with(|filter| filter.text.trim().is_empty()) {
            return format!("{count} loaded{more}");
        }
        format!("{} of {count} loaded here have the text", words::count(shown.get() as u64))
    };
    let next = move || {
        let (_, more) = loaded.get();
        let sought = list.filter.with(|filter| !filter.text.trim().is_empty());
        (more && sought).then(|| {
            view! {
                <button type="button" disabled=list.loading on:click=move |_| list.more()>
                    {format!("Load {PAGE} older ones")}
                </button>
            }
        })
    };
    view! { <p class="row told"><span class="faint" role="status">{told}</span>{next}</p> }
}

#[component]
fn Nothing(list: List) -> impl IntoView {
    move || {
        if list.filter.get() == WorkflowFilter::default() {
            return view! {
                <Empty text="No workflow was started yet.">
                    <a class="button" href="/definitions">"Start one from its definition"</a>
                </Empty>
            }
            .into_any();
        }
        view! {
            <Empty text="No workflow fits this filter.">
                <a class="button" href="/workflows">"Show all"</a>
            </Empty>
        }
        .into_any()
    }
}
