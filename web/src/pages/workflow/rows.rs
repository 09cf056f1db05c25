//! A long list, of which only what can be seen is there.

use std::ops::Range;

use leptos::html;
use leptos::prelude::*;

/// Rows above and below what is seen.
const MORE: usize = 8;
/// What is seen before it was measured.
const HEIGHT: f64 = 640.0;

/// Rows of the same height.
#[component]
pub(super) fn Rows(
    #[prop(into)] label: String,
    /// How many there are.
    count: Memo<usize>,
    /// Of one row, in pixels.
    height: f64,
    /// A row that is to be seen.
    #[prop(into)]
    seen: Signal<Option<usize>>,
    /// The rows of a range.
    render: impl Fn(Range<usize>) -> AnyView + Send + Sync + 'static,
) -> impl IntoView {
    let window = NodeRef::<html::Div>::new();
    let (top, set_top) = signal(0.0);
    let (high, set_high) = signal(HEIGHT);
    let measure = move || {
        if let Some(window) = window.get_untracked() {
            set_top.set(f64::from(window.scroll_top()));
            set_high.set(f64::from(window.client_height()).max(height));
        }
    };
    Effect::new(move || {
        let Some(window) = window.get() else { return };
        measure();
        let Some(row) = seen.get() else { return };
        let (from, until) = (row as f64 * height, (row + 1) as f64 * height);
        let (top, high) = (top.get_untracked(), high.get_untracked());
        if from < top || until > top + high {
            window.set_scroll_top((from - high / 2.0).max(0.0) as i32);
        }
    });
    let range = Memo::new(move |_| {
        let first = ((top.get() / height) as usize).saturating_sub(MORE);
        let seen = (high.get() / height) as usize + 2 * MORE + 1;
        let count = count.get();
        let first = first.min(count);
        (first, (first + seen).min(count))
    });
    view! {
        <div class="flow-rows" node_ref=window tabindex="0" role="region" aria-label=label
            on:scroll=move |_| measure()>
            <div class="all" style:height=move || format!("{}px", count.get() as f64 * height)>
                <div class="part"
                    style:transform=move || {
                        format!("translateY({}px)", range.get().0 as f64 * height)
                    }>
                    {move || {
                        let (from, until) = range.get();
                        render(from..until)
                    }}
                </div>
            </div>
        </div>
    }
}
