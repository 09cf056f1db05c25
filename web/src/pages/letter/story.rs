//! What happened to the task, from its start on.

use leptos::prelude::*;
use planaria_proto::workflow::v1::HistoryEvent;
use planaria_view::letters::tell;
use planaria_view::words;

use crate::ui::{Empty, When};

#[component]
pub(super) fn Story(story: Vec<HistoryEvent>) -> impl IntoView {
    if story.is_empty() {
        let text = "Its workflow is not kept any more, and its story with it.";
        return view! { <section class="card"><Empty text=text /></section> }.into_any();
    }
    let begin = story.iter().filter_map(|fact| fact.at.as_ref()).map(words::millis).min();
    let items = story
        .into_iter()
        .filter_map(|fact| {
            let told = tell(&fact)?;
            let after = fact
                .at
                .as_ref()
                .zip(begin)
                .map(|(at, begin)| words::span((words::millis(at) - begin) as f64));
            let more = (!told.more.is_empty()).then(|| view! { <p class="detail">{told.more}</p> });
            Some(view! {
                <li class=if told.bad { "bad" } else { "" }>
                    <span class="when faint">
                        {after.map(|after| format!("+{after}, "))}<When at=fact.at />
                    </span>
                    {told.what}{more}
                </li>
            })
        })
        .collect_view();
    view! {
        <section class="card"><h2>"Its story"</h2><ol class="story">{items}</ol></section>
    }
    .into_any()
}
