//! Asking again for what a stream does not carry: soon after it said that something changed, and
//! once for many changes.

use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// Whoever tracks it asks again whenever it says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again {
    turn: RwSignal<u32>,
    waiting: StoredValue<bool>,
    pause: Duration,
}

impl Again {
    /// Changes that come within `pause` are asked for together.
    pub(crate) fn new(pause: Duration) -> Self {
        Self { turn: RwSignal::new(0), waiting: StoredValue::new(false), pause }
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

    /// After so long, or when the change before this one is asked for.
    pub(crate) fn after(&self, pause: Duration) {
        let this = *self;
        // Gone with its page, or on its way already.
        if this.waiting.try_get_value().unwrap_or(true) {
            return;
        }
        this.waiting.set_value(true);
        spawn_local(async move {
            TimeoutFuture::new(pause.as_millis() as u32).await;
            this.waiting.try_set_value(false);
            this.now();
        });
    }
}
