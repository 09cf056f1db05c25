//! The workers that were lost with the task.

use leptos::prelude::*;
use planaria_proto::retry::v1::dead_letter::Loss;
use planaria_view::{healing, words};

use crate::ui::{Id, When};

#[component]
pub(super) fn Losses(losses: Vec<Loss>) -> impl IntoView {
    if losses.is_empty() {
        return ().into_any();
    }
    let rows = losses
        .into_iter()
        .map(|loss| {
            let ran = match (&loss.started_at, &loss.signal_at) {
                (Some(from), Some(until)) => {
                    words::span((words::millis(until) - words::millis(from)).max(0) as f64)
                }
                _ => "–".to_owned(),
            };
            let how = healing::how(loss.signal());
            let progress = if loss.progress.is_empty() { "–".to_owned() } else { loss.progress };
            view! {
                <tr>
                    <th scope="row" class="nowrap">{loss.worker_id}</th>
                    <td class="number">{loss.attempt}</td>
                    <td class="says">{how}<p class="detail">{loss.detail}</p></td>
                    <td class="number">{ran}</td>
                    <td>{progress}</td>
                    <td><When at=loss.signal_at /></td>
                    <td><Id id=loss.session_id /></td>
                </tr>
            }
        })
        .collect_view();
    view! {
        <section class="card">
            <h2>"Workers that were lost with it"</h2>
            <div class="scroll" tabindex="0" role="region" aria-label="Losses">
                <table>
                    <thead><tr>
                        <th scope="col">"Worker"</th>
                        <th scope="col" class="number">"Attempt"</th>
                        <th scope="col">"How that was known"</th>
                        <th scope="col" class="number">"It had run"</th>
                        <th scope="col">"Its last word"</th>
                        <th scope="col">"First sign"</th>
                        <th scope="col">"Session"</th>
                    </tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
