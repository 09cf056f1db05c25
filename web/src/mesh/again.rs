//! Asking again for what a stream does not carry: soon after it said that something changed, and
//! once for many changes.

use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::clock::now_ms;

/// Whoever tracks it asks again whenever it says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    turn: RwSignal<u32>,
    /// When it is asked next, in milliseconds since 1970.
    next: StoredValue<Option<i64>>,
    pause: Duration,
}

impl Again {
    /// Changes that come within `pause` are asked for together.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { turn: RwSignal::new(0), next: StoredValue::new(None), pause }
    }

    pub(crate) fn track(&self) {
        self.turn.track();
    }

    /// At once: somebody did something, or the stream is open again.
    pub(crate) fn now(&self) {
        self.turn.try_update(|turn| *turn = turn.wrapping_add(1));
    }

    /// When the pause is over: something changed.
    pub(crate) fn soon(&self) {
        self.after(self.pause);
    }

    /// After so long at the latest.
    pub(crate) fn after(&self, pause: Duration) {
        let this = *self;
        let at = now_ms().saturating_add(pause.as_millis() as i64);
        // Gone with its page, or asked sooner anyhow.
        let Some(next) = this.next.try_get_value() else { return };
        if next.is_some_and(|next| next <= at) {
            return;
        }
        this.next.set_value(Some(at));
        spawn_local(async move {
            TimeoutFuture::new(pause.as_millis() as u32).await;
            // Somebody who came later may have wanted it sooner.
            if this.next.try_get_value() == Some(Some(at)) {
                this.next.set_value(None);
                this.now();
            }
        });
    }
}
