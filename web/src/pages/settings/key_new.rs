//! Makes an API key.

use leptos::prelude::*;
use planaria_proto::gateway::v1::{CreateApiKeyRequest, Role};
use planaria_view::keys;
use prost_types::Timestamp;

use crate::clock::now_ms;
use crate::mesh;
use crate::ui::Confirm;

const ROLES: &[Role] = &[Role::Reader, Role::Operator, Role::Worker, Role::Admin];
const DAY_S: i64 = 86_400;
/// What the gateway gives where nothing is said.
const DAYS: i64 = 90;

#[component]
pub(super) fn NewKey(made: RwSignal<Option<String>>, changed: Callback<()>) -> impl IntoView {
    let label = RwSignal::new(String::new());
    let namespace = RwSignal::new(String::new());
    let role = RwSignal::new(Role::Reader);
    let days = RwSignal::new(DAYS);
    let act = move || {
        let seconds = now_ms() / 1000 + days.get_untracked() * DAY_S;
        let request = CreateApiKeyRequest {
            label: label.get_untracked().trim().to_owned(),
            namespace: namespace.get_untracked().trim().to_owned(),
            role: role.get_untracked().into(),
            expires_at: Some(Timestamp { seconds, nanos: 0 }),
            ..Default::default()
        };
        async move {
            let answer = mesh::access().create_api_key(request).await?.into_inner();
            made.set(Some(answer.secret));
            changed.run(());
            Ok(())
        }
    };
    let roles =
        move || {
            let choices = ROLES.iter().map(|&it| view! {
            <label class="choice">
                <input type="radio" name="role" prop:checked=move || role.get() == it
                    on:change=move |_| role.set(it) />
                <span>
                    <b>{keys::role(it)}</b><br /><span class="faint">{keys::role_may(it)}</span>
                </span>
            </label>
        });
            choices.collect_view()
        };
    view! {
        <Confirm label="New key" class="primary" act=act
            question="The key is shown once, right after it was made.">
            <div class="fields">
                <label class="field">
                    "Label"
                    <input type="text" prop:value=label autocomplete="off" maxlength="128"
                        placeholder="who or what shows it"
                        on:input=move |event| label.set(event_target_value(&event)) />
                </label>
                <label class="field">
                    "Namespace"
                    <input type="text" prop:value=namespace autocomplete="off"
                        placeholder="yours; * = all"
                        on:input=move |event| namespace.set(event_target_value(&event)) />
                </label>
                <label class="field">
                    "Ends after (days)"
                    <input type="number" min="1" prop:value=move || days.get().to_string()
                        on:input=move |event| {
                            if let Ok(number) = event_target_value(&event).parse::<i64>() {
                                days.set(number.clamp(1, 36_500));
                            }
                        } />
                </label>
                <fieldset><legend class="hidden">"Role"</legend>{roles}</fieldset>
            </div>
        </Confirm>
    }
}
