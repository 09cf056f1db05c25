//! The dashboard: what the mesh does, live, in a browser.
//!
//! It is a client like any other: it speaks gRPC-Web to the gateway with the contract's own types.
//! What it shows is computed by `planaria-view`, which knows no browser; here it is put on the
//! screen (`ui`, `pages`) and fetched (`mesh`).

mod app;
mod clock;
mod mesh;
mod pages;
mod ui;

fn main() {
    if let Some(boot) = leptos::prelude::document().get_element_by_id("boot") {
        boot.remove();
    }
    leptos::mount::mount_to_body(app::App);
}
