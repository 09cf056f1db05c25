//! The time, for everything that shows how long ago something was.

use std::time::Duration;

use gloo_timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// How often relative times are written anew.
const TICK: Duration = Duration::from_secs(1);

/// Milliseconds since 1970, a new value each second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(ReadSignal<i64>);

impl Clock {
    /// Starts the one clock of the application.
    pub(crate) fn provide() {
        let (now, set_now) = signal(now_ms());
        provide_context(Self(now));
        spawn_local(async move {
            loop {
                TimeoutFuture::new(TICK.as_millis() as u32).await;
                set_now.set(now_ms());
            }
        });
    }

    /// The application's clock; follows it where it is read in a reactive place.
    pub(crate) fn now() -> i64 {
        expect_context::<Self>().0.get()
    }
}

/// Milliseconds since 1970, now.
pub(crate) fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}
