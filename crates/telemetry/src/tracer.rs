//! Takes spans from anywhere in a process and exports them in the background.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::export::{Collector, Told};
use crate::{Error, Kind, Span, SpanId, TraceId, TraceParent, clock};

/// Spans of one call of the collector.
const BATCH_MAX: usize = 512;
/// A batch that is not full leaves after this.
const BATCH_AFTER: Duration = Duration::from_millis(500);
/// After a failed call; what comes meanwhile waits, and is dropped when the queue is full.
const PAUSE: Duration = Duration::from_secs(1);

/// Where spans go.
#[derive(Debug, Clone, PartialEq)]
pub struct OtlpSettings {
    /// `http://host:port`, where a collector takes OTLP over gRPC.
    pub url: String,
    /// The share of workflows whose trace is recorded, of those that nobody else decided about.
    pub sampling_ratio: f64,
    /// Spans that wait for the collector; more are dropped.
    pub spans_max: usize,
}

/// Takes spans of one service; cheap to clone, off by default.
#[derive(Debug, Clone, Default)]
pub struct Tracer {
    shared: Option<Shared>,
}

#[derive(Debug, Clone)]
struct Shared {
    service: Arc<str>,
    sampling_ratio: f64,
    queue: mpsc::Sender<Item>,
    collector: Collector,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    exported: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Item {
    Span(Box<Told>),
    /// Answered when everything before it left.
    Flush(oneshot::Sender<()>),
}

impl Tracer {
    /// A tracer of a service that exports for as long as it, or a clone of it, lives. Must be
    /// called inside a tokio runtime. A collector that is away is no error.
    ///
    /// # Errors
    /// The address cannot be one of a collector.
    pub fn open(settings: &OtlpSettings, service: &str) -> Result<Self, Error> {
        let collector = Collector::new(&settings.url)?;
        let (queue, items) = mpsc::channel(settings.spans_max.max(1));
        let counters = Arc::new(Counters::default());
        tokio::spawn(export(items, collector.clone(), Arc::clone(&counters)));
        let (service, sampling_ratio) = (service.into(), settings.sampling_ratio);
        let shared = Shared { service, sampling_ratio, queue, collector, counters };
        Ok(Self { shared: Some(shared) })
    }

    /// The same tracer for the spans of another service of this process.
    #[must_use]
    pub fn for_service(&self, service: &str) -> Self {
        let shared = self.shared.clone();
        Self { shared: shared.map(|shared| Shared { service: service.into(), ..shared }) }
    }

    /// Whether spans go anywhere.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Whether a trace that nobody decided about is to be recorded. Everybody with the same ratio
    /// decides the same.
    #[must_use]
    pub fn samples(&self, trace: TraceId) -> bool {
        self.shared.as_ref().is_some_and(|shared| trace.is_in(shared.sampling_ratio))
    }

    /// Exports a span some time later. Never waits: without room it is dropped and counted.
    pub fn tell(&self, span: Span) {
        let Some(shared) = self.shared.as_ref().filter(|_| span.place.sampled) else { return };
        let told = Box::new((Arc::clone(&shared.service), span));
        if shared.queue.try_send(Item::Span(told)).is_err() {
            shared.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Exports spans now, with one call of the collector.
    ///
    /// # Errors
    /// The collector did not take them.
    pub async fn export(&self, spans: Vec<Span>) -> Result<(), Error> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let count = spans.len() as u64;
        let told = spans.into_iter().map(|span| (Arc::clone(&shared.service), span)).collect();
        let outcome = shared.collector.export(told).await;
        shared.counters.count(outcome.is_ok(), count);
        outcome
    }

    /// Begins a span of this service that ends when it is dropped: below `parent`, or as the root
    /// of a trace if that is to be recorded. None: it is not recorded.
    #[must_use]
    pub fn begin(
        &self,
        parent: Option<TraceParent>,
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
    ) -> Option<OpenSpan> {
        self.shared.as_ref()?;
        let place = match parent {
            Some(parent) => parent.with_span(SpanId::random()),
            None => {
                let root = TraceParent::root(true);
                TraceParent { sampled: self.samples(root.trace), ..root }
            }
        };
        if !place.sampled {
            return None;
        }
        let now_ns = clock::now_ns();
        let parent = parent.map(|parent| parent.span);
        let span = Span { kind, ..Span::new(place, parent, name, (now_ns, now_ns)) };
        Some(OpenSpan { span: Some(span), tracer: self.clone() })
    }

    /// Waits until everything told so far left, or was dropped; at most as long as a call and a
    /// pause take.
    pub async fn flush(&self) {
        let Some(shared) = &self.shared else { return };
        let (done, flushed) = oneshot::channel();
        if shared.queue.send(Item::Flush(done)).await.is_ok() {
            let _ended = timeout(PAUSE * 5, flushed).await;
        }
    }

    /// Spans that the collector took.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.shared.as_ref().map_or(0, |it| it.counters.exported.load(Ordering::Relaxed))
    }

    /// Spans that were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.as_ref().map_or(0, |it| it.counters.dropped.load(Ordering::Relaxed))
    }
}

impl Counters {
    fn count(&self, exported: bool, spans: u64) {
        let counter = if exported { &self.exported } else { &self.dropped };
        counter.fetch_add(spans, Ordering::Relaxed);
    }
}

/// A span that ends, and is told, when this is dropped.
#[derive(Debug)]
pub struct OpenSpan {
    span: Option<Span>,
    tracer: Tracer,
}

impl OpenSpan {
    /// The place of its children.
    #[must_use]
    pub fn place(&self) -> TraceParent {
        self.span.as_ref().expect("it is taken only when it is dropped").place
    }

    /// Adds to it.
    pub fn change(&mut self, change: impl FnOnce(&mut Span)) {
        if let Some(span) = &mut self.span {
            change(span);
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        if let Some(mut span) = self.span.take() {
            span.end_ns = clock::now_ns();
            self.tracer.tell(span);
        }
    }
}

/// Exports until all tracers are gone.
async fn export(mut items: mpsc::Receiver<Item>, collector: Collector, counters: Arc<Counters>) {
    let mut batch = Vec::new();
    let mut works = true;
    loop {
        let (ended, flush) = gather(&mut items, &mut batch).await;
        if !batch.is_empty() {
            let count = batch.len() as u64;
            let outcome = collector.export(std::mem::take(&mut batch)).await;
            counters.count(outcome.is_ok(), count);
            match (&outcome, works) {
                (Ok(()), false) => tracing::info!("the collector takes spans again"),
                (Err(error), true) => tracing::warn!(%error, "spans are lost until it does"),
                _ => {}
            }
            works = outcome.is_ok();
        }
        if let Some(flush) = flush {
            let _gone = flush.send(());
        } else if !works && !ended {
            tokio::time::sleep(PAUSE).await;
        }
        if ended {
            return;
        }
    }
}

/// Fills a batch. Tells whether there is nothing more to come, and who waits for this batch.
async fn gather(
    items: &mut mpsc::Receiver<Item>,
    batch: &mut Vec<Told>,
) -> (bool, Option<oneshot::Sender<()>>) {
    let mut until = None;
    while batch.len() < BATCH_MAX {
        let item = match until {
            None => items.recv().await,
            Some(until) => match timeout_at(until, items.recv()).await {
                Ok(item) => item,
                Err(_) => break,
            },
        };
        match item {
            None => return (true, None),
            Some(Item::Flush(done)) => return (false, Some(done)),
            Some(Item::Span(told)) => batch.push(*told),
        }
        until.get_or_insert_with(|| Instant::now() + BATCH_AFTER);
    }
    (false, None)
}
