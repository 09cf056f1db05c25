//! A document as it can be read: indented, with its parts told apart, and folded where it is long.

use leptos::prelude::*;
use planaria_proto::types::v1::Payload;
use serde_json::Value;

/// Members and items beyond this stay folded until somebody opens them.
const OPEN_MAX: usize = 50;
/// Objects and lists below this depth are folded at first.
const OPEN_DEPTH: usize = 3;

/// The text of a payload, indented if it is JSON.
pub(crate) fn payload_text(payload: &Payload) -> String {
    serde_json::from_slice::<Value>(&payload.data)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| String::from_utf8_lossy(&payload.data).into_owned())
}

/// A document; text that is no JSON is shown as it is.
#[component]
pub(crate) fn Json(#[prop(into)] data: Vec<u8>) -> impl IntoView {
    if data.is_empty() {
        return view! { <span class="faint">"nothing"</span> }.into_any();
    }
    match serde_json::from_slice::<Value>(&data) {
        Ok(value) => view! { <div class="json">{node(None, value, 0)}</div> }.into_any(),
        Err(_) => {
            let text = String::from_utf8_lossy(&data).into_owned();
            view! { <pre class="json">{text}</pre> }.into_any()
        }
    }
}

fn node(name: Option<String>, value: Value, depth: usize) -> AnyView {
    let name = name.map(|name| view! { <span class="key">{name}": "</span> });
    let (children, what): (Vec<(Option<String>, Value)>, _) = match value {
        Value::Object(members) if !members.is_empty() => {
            let what = format!("{{…}} {}", members.len());
            (members.into_iter().map(|(key, value)| (Some(key), value)).collect(), what)
        }
        Value::Array(items) if !items.is_empty() => {
            let what = format!("[…] {}", items.len());
            let numbered = items.into_iter().enumerate();
            (numbered.map(|(index, item)| (Some(index.to_string()), item)).collect(), what)
        }
        leaf => {
            let class = match leaf {
                Value::String(_) => "string",
                Value::Number(_) => "number",
                _ => "word",
            };
            let text = leaf.to_string();
            return view! { <div class="leaf">{name}<span class=class>{text}</span></div> }
                .into_any();
        }
    };
    let open = depth < OPEN_DEPTH && children.len() <= OPEN_MAX;
    let opened = RwSignal::new(open);
    let children = StoredValue::new(children);
    let inside = move || {
        opened.get().then(|| {
            let nodes = children.get_value().into_iter();
            nodes.map(|(name, value)| node(name, value, depth + 1)).collect_view()
        })
    };
    let toggled = move |event: leptos::ev::Event| {
        let details: leptos::web_sys::HtmlDetailsElement = event_target(&event);
        if details.open() {
            opened.set(true);
        }
    };
    view! {
        <details open=open on:toggle=toggled>
            <summary>{name}<span class="faint">{what}</span></summary>
            <div class="inside">{inside}</div>
        </details>
    }
    .into_any()
}
