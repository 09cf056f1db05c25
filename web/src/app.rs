//! The frame around all pages, and which page is at which address.

use leptos::prelude::*;
use leptos_router::components::{A, Route, Router, Routes};
use leptos_router::path;

use crate::clock::Clock;
use crate::mesh::Link;
use crate::pages;

/// The pages of the menu: address, name and symbol.
const MENU: &[(&str, &str, &str)] = &[
    ("/", "Overview", "◉"),
    ("/healing", "Healing", "✚"),
    ("/workers", "Workers", "⚙"),
    ("/events", "Events", "≋"),
    ("/docs", "API", "{}"),
    ("/settings", "Settings", "☰"),
];

/// The whole application.
#[component]
pub(crate) fn App() -> impl IntoView {
    Clock::provide();
    provide_context(RwSignal::new(Link::None));
    view! {
        <Router>
            <a class="skip" href="#page">"Skip to the page"</a>
            <Menu />
            <main id="page" tabindex="-1">
                <Routes fallback=pages::Lost>
                    <Route path=path!("/") view=pages::Overview />
                    <Route path=path!("/healing") view=pages::Healing />
                    <Route path=path!("/workers") view=pages::Workers />
                    <Route path=path!("/events") view=pages::Events />
                    <Route path=path!("/docs") view=pages::Docs />
                    <Route path=path!("/settings") view=pages::Settings />
                </Routes>
            </main>
        </Router>
    }
}

#[component]
fn Menu() -> impl IntoView {
    let entries = MENU.iter().map(|&(href, name, symbol)| {
        view! {
            <li>
                <A href=href exact=href == "/">
                    <span class="symbol" aria-hidden="true">{symbol}</span>
                    <span class="name">{name}</span>
                </A>
            </li>
        }
    });
    view! {
        <nav class="menu" aria-label="Pages">
            <a class="brand" href="/" aria-label="Planaria">
                <Mark />
                <span class="name">"Planaria"</span>
            </a>
            <ul>{entries.collect_view()}</ul>
            <LinkState />
            <Theme />
        </nav>
    }
}

/// A flatworm.
#[component]
fn Mark() -> impl IntoView {
    view! {
        <svg viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="8" fill="#0f766e" />
            <path d="M7 21c3-9 6 1 9-5s6-9 9-5" fill="none" stroke="#fff" stroke-width="3.4"
                stroke-linecap="round" />
            <circle cx="24.4" cy="10.6" r="1.5" fill="#fff" />
        </svg>
    }
}

/// Whether what is on the screen is live.
#[component]
fn LinkState() -> impl IntoView {
    let link = expect_context::<RwSignal<Link>>();
    let shown = move || match link.get() {
        Link::None => ("plain", "on request", String::new()),
        Link::Connecting => ("wait", "connecting", String::new()),
        Link::Live => ("good", "live", "Changes appear as they happen.".to_owned()),
        Link::Paused => ("plain", "paused", "The page was hidden.".to_owned()),
        Link::Lost(failure) => ("bad", "reconnecting", failure.message),
    };
    view! {
        <p class="link" role="status">
            <span class=move || format!("badge {}", shown().0) title=move || shown().2>
                {move || shown().1}
            </span>
        </p>
    }
}

/// Light or dark; as the system is until somebody chooses.
#[component]
fn Theme() -> impl IntoView {
    let dark = || {
        let root = document().document_element();
        let chosen = root.as_ref().and_then(|root| root.get_attribute("data-theme"));
        let system = || window().match_media("(prefers-color-scheme: dark)").ok().flatten();
        chosen.map_or_else(|| system().is_some_and(|query| query.matches()), |it| it == "dark")
    };
    let change = move |_| {
        let theme = if dark() { "light" } else { "dark" };
        if let Some(root) = document().document_element() {
            // It cannot fail: the name of the attribute is a name.
            let _ = root.set_attribute("data-theme", theme);
        }
        if let Ok(Some(storage)) = window().local_storage() {
            let _ = storage.set_item("planaria-theme", theme);
        }
    };
    view! {
        <button class="theme" type="button" on:click=change
            aria-label="Change between light and dark">
            "◐"
        </button>
    }
}
