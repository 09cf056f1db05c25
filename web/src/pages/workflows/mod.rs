//! All workflows: which there are, what they wait for, and what is done to many at once.

mod bulk;
mod filters;
mod follow;
mod list;
mod row;
mod run;
mod saved;
mod table;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};
use planaria_view::workflows::WorkflowFilter;

use crate::ui::{Oops, Title};
use filters::{Filters, Phases};
use follow::Follow;
use list::List;
use saved::Saved;
use table::Table;

#[component]
pub(crate) fn Workflows() -> impl IntoView {
    let location = use_location();
    let filter = Memo::new(move |_| WorkflowFilter::from_query(&location.search.get()));
    let navigate = use_navigate();
    // Going back leads to the former page, not to a former filter.
    let set = Callback::new(move |filter: WorkflowFilter| {
        let stay = NavigateOptions { replace: true, scroll: false, ..Default::default() };
        navigate(&format!("/workflows{}", filter.to_query()), stay);
    });
    let list = List::new(filter);
    Effect::new(move || {
        list.asked.track();
        list.begin();
    });
    // Only events of what is listed are followed.
    let of = Memo::new(move |_| {
        let definition = filter.get().definition;
        (definition.namespace, definition.name)
    });
    let follow = move || {
        let (namespace, definition) = of.get();
        view! { <Follow list=list namespace=namespace definition=definition /> }
    };
    let failure = move || list.failure.get().map(|failure| view! { <Oops failure=failure /> });
    view! {
        <Title text="Workflows">
            <a class="button" href="/definitions">"Run a definition"</a>
        </Title>
        <div class="row top">
            <Phases filter=filter set=set />
            <Saved filter=filter />
        </div>
        <Filters filter=filter set=set />
        {failure}
        <Table list=list />
        {follow}
    }
}
