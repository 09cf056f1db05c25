//! What somebody chose, kept in the address.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::query_signal_with_options;

/// A value of the address's query, empty where there is none, and how to change it. A change takes
/// the place of the address before it: going back leads to the former page, not to a former filter.
pub(crate) fn query(name: &'static str) -> (Memo<String>, impl Fn(String) + Copy) {
    let options = NavigateOptions { replace: true, scroll: false, ..Default::default() };
    let (get, set) = query_signal_with_options::<String>(name, options);
    let value = Memo::new(move |_| get.get().unwrap_or_default());
    (value, move |text: String| set.set((!text.is_empty()).then_some(text)))
}
