//! How a store is while it is used, told once per change and not once per statement.
//!
//! A statement that failed may have met a single broken connection, or a whole database that is
//! away. So it only gives cause to look: a probe of its own connection says what is wrong and when
//! it is over. Nothing looks while all is well.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::failure::Failure;

/// Between two looks at a store that is not well.
const PAUSE: Duration = Duration::from_millis(500);

/// A disk that is full still takes a little now and then: it has room again when nobody was
/// refused for so long.
const QUIET: Duration = Duration::from_secs(2);

/// A look at the store itself: connects, and writes.
pub(crate) type Probe =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> + Send + Sync>;

/// What is known of a store's condition; cheap to clone, all clones are one.
#[derive(Clone)]
pub(crate) struct Condition {
    inner: Arc<Inner>,
}

struct Inner {
    /// The store, as errors name it.
    place: String,
    probe: Probe,
    /// What is wrong, in words with what to do.
    trouble: watch::Sender<Option<String>>,
    state: Mutex<State>,
}

struct State {
    /// What was told last.
    told: Option<Kind>,
    since: Instant,
    /// When a statement was refused last.
    met: Instant,
    /// Whether somebody looks again and again.
    looking: bool,
}

/// Troubles that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Away,
    Refused,
    NoConnection,
    ReadOnly,
    Full,
    Broken,
}

impl Condition {
    pub(crate) fn new(place: String, probe: Probe) -> Self {
        let now = Instant::now();
        let state = State { told: None, since: now, met: now, looking: false };
        let (trouble, state) = (watch::Sender::new(None), Mutex::new(state));
        Self { inner: Arc::new(Inner { place, probe, trouble, state }) }
    }

    /// What is wrong with the store, and every change of it; nothing if it works.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.inner.trouble.subscribe()
    }

    /// A statement failed. If the store may be at fault, somebody looks until it is well.
    pub(crate) fn met(&self, failure: Failure, what: impl FnOnce() -> Error) {
        let Some(kind) = kind(failure) else { return };
        let mut state = self.inner.state();
        state.met = Instant::now();
        if kind == Kind::Full {
            self.inner.tell(&mut state, kind, &what());
        }
        if !std::mem::replace(&mut state.looking, true) {
            tokio::spawn(look(Arc::downgrade(&self.inner), Arc::clone(&self.inner.probe)));
        }
    }
}

/// Looks until the store is well, or is not used any more.
async fn look(inner: Weak<Inner>, probe: Probe) {
    loop {
        let found = probe().await;
        let Some(inner) = inner.upgrade() else { return };
        if inner.looked(found) {
            return;
        }
        drop(inner);
        sleep(PAUSE).await;
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a look found; tells whether the store is well.
    fn looked(&self, found: Result<(), Error>) -> bool {
        let mut state = self.state();
        match found {
            Err(error) => self.tell(&mut state, kind_of(&error), &error),
            Ok(()) if state.told == Some(Kind::Full) && state.met.elapsed() < QUIET => {}
            Ok(()) => {
                state.looking = false;
                self.well(&mut state);
                return true;
            }
        }
        false
    }

    /// Says it if it was not said yet.
    fn tell(&self, state: &mut State, kind: Kind, error: &Error) {
        if state.told == Some(kind) {
            return;
        }
        if state.told.is_none() {
            state.since = Instant::now();
        }
        state.told = Some(kind);
        let text = chain(error);
        tracing::error!(
            "{text}; nothing that was accepted is lost, it is tried again until it works"
        );
        self.trouble.send_replace(Some(text));
    }

    fn well(&self, state: &mut State) {
        if state.told.take().is_none() {
            return;
        }
        let after_ms = u64::try_from(state.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        // As loud as what it ends: who reads the one must find the other.
        tracing::warn!(after_ms, "{} works again", self.place);
        self.trouble.send_replace(None);
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trouble = self.inner.trouble.borrow().clone();
        formatter.debug_struct("Condition").field("trouble", &trouble).finish_non_exhaustive()
    }
}

/// The trouble that a statement shows; none, if the statement itself is at fault.
const fn kind(failure: Failure) -> Option<Kind> {
    match failure {
        Failure::Unreachable | Failure::NotReady => Some(Kind::Away),
        Failure::LogIn | Failure::DatabaseMissing | Failure::Tls => Some(Kind::Refused),
        Failure::TooManyConnections => Some(Kind::NoConnection),
        Failure::ReadOnly => Some(Kind::ReadOnly),
        Failure::Full => Some(Kind::Full),
        Failure::Broken => Some(Kind::Broken),
        Failure::Privilege | Failure::Race | Failure::Other => None,
    }
}

/// The trouble that a look shows.
const fn kind_of(error: &Error) -> Kind {
    match error {
        Error::Unreachable { .. } | Error::NotReady { .. } => Kind::Away,
        Error::TooManyConnections { .. } => Kind::NoConnection,
        Error::ReadOnly { .. } | Error::NotWritable { .. } => Kind::ReadOnly,
        Error::Full { .. } => Kind::Full,
        Error::LogIn { .. }
        | Error::DatabaseMissing { .. }
        | Error::Tls { .. }
        | Error::TooOld { .. }
        | Error::Privilege { .. } => Kind::Refused,
        _ => Kind::Broken,
    }
}

/// Logs what a store answered instead of doing something. What its condition says, for everybody
/// and once, is said here only to those who look closely.
pub fn tell(what: &str, error: &(dyn std::error::Error + 'static)) {
    if is_trouble(error) {
        tracing::debug!(error = chain(error), "{what}");
    } else {
        tracing::error!(error = chain(error), "{what}");
    }
}

/// Whether an error, or what caused it, is a trouble of the store and not of the statement.
#[must_use]
pub fn is_trouble(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<sqlx::Error>() {
            return kind(crate::failure::failure(error)).is_some();
        }
        next = error.source();
    }
    false
}

/// The error with everything that caused it, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some say in their own words what their cause says.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn full() -> Error {
        Error::Full { store: "here".into() }
    }

    fn read_only() -> Error {
        Error::ReadOnly { store: "here".into() }
    }

    /// A condition whose looks find these, one after the other, and then that all is well.
    fn condition(found: Vec<fn() -> Error>) -> (Condition, Arc<AtomicUsize>) {
        let looks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&looks);
        let probe: Probe = Arc::new(move || {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let found = found.get(number).map_or(Ok(()), |error| Err(error()));
            Box::pin(std::future::ready(found))
        });
        (Condition::new("here".into(), probe), looks)
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_is_told_until_a_look_finds_the_store_well() {
        let (condition, looks) = condition(vec![read_only, read_only, full]);
        let mut trouble = condition.watch();
        for _ in 0..100 {
            condition.met(Failure::ReadOnly, read_only);
        }
        trouble
            .wait_for(|told| told.as_ref().is_some_and(|it| it.contains("read-only")))
            .await
            .unwrap();
        trouble
            .wait_for(|told| told.as_ref().is_some_and(|it| it.contains("no space")))
            .await
            .unwrap();
        trouble.wait_for(Option::is_none).await.unwrap();
        assert!(looks.load(Ordering::SeqCst) >= 4, "one looks for all");
    }

    #[tokio::test(start_paused = true)]
    async fn one_broken_connection_is_no_trouble() {
        let (condition, looks) = condition(Vec::new());
        let trouble = condition.watch();
        condition.met(Failure::Unreachable, || unreachable!("only a look says what is wrong"));
        while condition.inner.state().looking {
            tokio::task::yield_now().await;
        }
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        assert!(!trouble.has_changed().unwrap());
        condition.met(Failure::Race, || unreachable!("the statement is at fault"));
        assert!(!condition.inner.state().looking);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_has_room_when_nobody_was_refused_for_a_while() {
        let (condition, _) = condition(Vec::new());
        let mut trouble = condition.watch();
        let begun = Instant::now();
        condition.met(Failure::Full, full);
        assert!(trouble.borrow_and_update().is_some());
        trouble.wait_for(Option::is_none).await.unwrap();
        assert!(begun.elapsed() >= QUIET);
    }
}
