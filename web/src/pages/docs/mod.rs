//! The API: what the contract says of itself, and a form to try each method.

mod method;
mod shape;
mod try_it;

use std::collections::HashSet;
use std::sync::LazyLock;

use leptos::prelude::*;
use leptos_router::hooks::use_location;
use planaria_view::api::{Api, Service, Type};
use planaria_view::words;

use crate::ui::{Empty, Title, query};
use method::Entry;
use shape::Shape;
use try_it::Running;

/// Read when the page is opened first.
static API: LazyLock<Result<Api, String>> = LazyLock::new(Api::read);

/// What the search found: anchors of methods, and names of types.
type Found = Memo<HashSet<String>>;

#[component]
pub(crate) fn Docs() -> impl IntoView {
    let body = match &*API {
        Ok(api) => view! { <Contract api=api /> }.into_any(),
        Err(problem) => {
            view! { <Empty text=format!("The contract is damaged: {problem}") /> }.into_any()
        }
    };
    view! {
        <Title text="API" />
        {body}
    }
}

#[component]
fn Contract(api: &'static Api) -> impl IntoView {
    let (text, set_text) = query("q");
    provide_context(Running::default());
    let found: Found = Memo::new(move |_| {
        let text = text.get();
        let services = api.find(&text).into_iter().flat_map(|service| service.methods);
        let types = api.find_types(&text).into_iter().map(|it| it.full_name().to_owned());
        services.map(|method| method.anchor).chain(types).collect()
    });
    let services = api.services.iter().map(|service| {
        view! {
            <ServiceEntry service=service found=found />
        }
    });
    let types = api.types.values().map(|it| view! { <TypeEntry it=it found=found /> });
    let no_types = move || found.with(|found| !api.types.keys().any(|name| found.contains(name)));
    let told = move || match found.with(HashSet::len) {
        0 => "nothing fits: try fewer words".to_owned(),
        number => words::plural(number as u64, "entry", "entries"),
    };
    view! {
        <p>"Everything that this page does, a program can do: the mesh speaks gRPC and gRPC-Web, \
            and tells its contract by reflection. This is the contract, with its own comments."</p>
        <form class="filters" role="search" aria-label="In the contract"
            on:submit=|event| event.prevent_default()>
            <label class="field wide">
                "Search methods, messages and comments"
                <input type="search" prop:value=text autocomplete="off" spellcheck="false"
                    on:input=move |event| set_text(event_target_value(&event)) />
            </label>
            <span class="faint" role="status">{told}</span>
        </form>
        {services.collect_view()}
        <section class="card api" hidden=no_types>
            <h2>"Messages and enums"</h2>
            {types.collect_view()}
        </section>
    }
}

#[component]
fn ServiceEntry(service: &'static Service, found: Found) -> impl IntoView {
    let nothing = move || {
        found.with(|found| !service.methods.iter().any(|method| found.contains(&method.anchor)))
    };
    let methods = service.methods.iter().map(|method| {
        view! {
            <Entry method=method hidden=Signal::derive(move || {
                found.with(|found| !found.contains(&method.anchor))
            }) />
        }
    });
    view! {
        <section class="card api" id=service.name.clone() hidden=nothing>
            <h2>{service.name.clone()}<code class="faint">{service.full_name.clone()}</code></h2>
            <p class="about">{service.about.clone()}</p>
            {methods.collect_view()}
        </section>
    }
}

#[component]
fn TypeEntry(it: &'static Type, found: Found) -> impl IntoView {
    let name = it.full_name();
    let hidden = Signal::derive(move || found.with(|found| !found.contains(name)));
    let (package, short) = name.rsplit_once('.').unwrap_or(("", name));
    let what = match it {
        Type::Message(_) => "message",
        Type::Enum(_) => "enum",
    };
    let shape = Callback::new(move |()| {
        view! {
            <p class="about">{it.about()}</p>
            <Shape name=name.to_owned() />
        }
        .into_any()
    });
    view! {
        <Fold anchor=name.to_owned() hidden=hidden inside=shape>
            <b>{short}</b>
            <span class="faint">{what}</span>
            <code class="faint package">{package}</code>
        </Fold>
    }
}

/// An entry that is folded until somebody opens it, or the address names it.
#[component]
fn Fold(
    anchor: String,
    hidden: Signal<bool>,
    /// Made when it is opened first: there are hundreds of entries.
    inside: Callback<(), AnyView>,
    children: Children,
) -> impl IntoView {
    let hash = use_location().hash;
    let place = NodeRef::<leptos::html::Details>::new();
    let opened = RwSignal::new(false);
    let id = anchor.clone();
    Effect::new(move || {
        let named = hash.get();
        if let Some(place) = place.get()
            && named.strip_prefix('#') == Some(anchor.as_str())
        {
            place.set_open(true);
            opened.set(true);
            request_animation_frame(move || place.scroll_into_view());
        }
    });
    let toggled = move |event: leptos::ev::Event| {
        let details: leptos::web_sys::HtmlDetailsElement = event_target(&event);
        if details.open() {
            opened.set(true);
        }
    };
    view! {
        <details class="entry" id=id node_ref=place hidden=hidden on:toggle=toggled>
            <summary>{children()}</summary>
            {move || opened.get().then(|| view! { <div class="body">{inside.run(())}</div> })}
        </details>
    }
}
