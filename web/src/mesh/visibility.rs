//! Whether somebody can see the page.

use std::future::Future;

use futures_channel::oneshot;
use leptos::prelude::document;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

/// Ends as soon as the page is seen (`true`) or hidden (`false`); at once if it is so already.
pub(super) async fn until(visible: bool) {
    while document().hidden() == visible {
        changed().await;
    }
}

/// Ends when the page is shown or hidden the next time.
fn changed() -> impl Future<Output = ()> {
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    let listener = Closure::<dyn FnMut()>::new(move || {
        if let Some(tell) = tell.take() {
            // Nobody waits any more: the page was left.
            let _ = tell.send(());
        }
    });
    let listening = Listening { listener };
    let target = document();
    let function = listening.listener.as_ref().unchecked_ref();
    let added = target.add_event_listener_with_callback("visibilitychange", function);
    async move {
        if added.is_ok() {
            let _ = told.await;
        }
        drop(listening);
    }
}

/// Stops listening when it is dropped.
struct Listening {
    listener: Closure<dyn FnMut()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let function = self.listener.as_ref().unchecked_ref();
        let _ = document().remove_event_listener_with_callback("visibilitychange", function);
    }
}
