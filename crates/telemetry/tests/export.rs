//! Spans as a collector gets them, read by OpenTelemetry's own messages.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span as WireSpan;
use planaria_telemetry::collector::{self, Collector};
use planaria_telemetry::{
    Kind, OtlpSettings, Span, SpanId, TraceLayer, TraceParent, Tracer, current,
};
use tokio::time::timeout;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

const PATIENCE: Duration = Duration::from_secs(20);

fn settings(url: &str) -> OtlpSettings {
    OtlpSettings { url: url.to_owned(), sampling_ratio: 1.0, spans_max: 100 }
}

fn by_name(spans: Vec<WireSpan>) -> BTreeMap<String, WireSpan> {
    spans.into_iter().map(|span| (span.name.clone(), span)).collect()
}

#[tokio::test]
async fn a_span_arrives_with_all_that_is_known_of_it() {
    let collector = Collector::start().await;
    let tracer = Tracer::open(&settings(&collector.url), "first").unwrap();
    let place = TraceParent::root(true);
    let (parent, linked) = (SpanId::random(), SpanId::random());
    let mut span = Span::new(place, Some(parent), "work", (1_000, 2_000))
        .with("text", "value".to_owned())
        .with("number", 7_u32)
        .with("truth", true);
    span.kind = Kind::Server;
    span.links.push(linked);
    span.error = Some("broke".into());
    tracer.for_service("second").tell(span);
    tracer.flush().await;
    let told = collector.told();
    let [(service, span)] = &told[..] else { panic!("{told:?}") };
    assert_eq!(service, "second");
    assert_eq!(span.trace_id, place.trace.to_bytes());
    assert_eq!(span.span_id, place.span.to_bytes());
    assert_eq!(span.parent_span_id, parent.to_bytes());
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1_000, 2_000));
    assert_eq!((span.name.as_str(), span.kind), ("work", 2));
    assert_eq!(span.links[0].span_id, linked.to_bytes());
    let status = span.status.as_ref().expect("it failed");
    assert_eq!((status.code, status.message.as_str()), (2, "broke"));
    assert_eq!(collector::attribute(span, "text"), "value");
    assert_eq!(collector::attribute(span, "number"), "7");
    assert_eq!(collector::attribute(span, "truth"), "true");
    assert_eq!((tracer.exported(), tracer.dropped()), (1, 0));
}

#[tokio::test]
async fn spans_are_dropped_while_the_collector_is_away_and_nobody_waits() {
    let mut collector = Collector::start().await;
    let tracer = Tracer::open(&settings(&collector.url), "service").unwrap();
    let span = || Span::new(TraceParent::root(true), None, "work", (1, 2));
    collector.stop().await;
    for _ in 0..10_000 {
        tracer.tell(span());
    }
    tracer.flush().await;
    assert_eq!((tracer.exported(), tracer.dropped()), (0, 10_000));
    collector.restart().await;
    let arrived = async {
        while tracer.exported() == 0 {
            tracer.tell(span());
            tracer.flush().await;
        }
    };
    timeout(PATIENCE, arrived).await.expect("the collector is back");
}

#[tokio::test]
async fn what_is_not_sampled_is_not_told() {
    let collector = Collector::start().await;
    let none = OtlpSettings { sampling_ratio: 0.0, ..settings(&collector.url) };
    let tracer = Tracer::open(&none, "service").unwrap();
    assert!(tracer.begin(None, "call", Kind::Client).is_none());
    let unsampled = TraceParent::root(false);
    assert!(tracer.begin(Some(unsampled), "call", Kind::Server).is_none());
    tracer.tell(Span::new(unsampled, None, "work", (1, 2)));
    // Somebody else decided that it is.
    drop(tracer.begin(Some(TraceParent::root(true)), "call", Kind::Server));
    tracer.flush().await;
    assert_eq!(collector.told().len(), 1);
    assert!(Tracer::default().begin(None, "call", Kind::Client).is_none());
}

#[tokio::test]
async fn spans_inside_of_an_attempt_leave_with_it_as_its_children() {
    let collector = Collector::start().await;
    let tracer = Tracer::open(&settings(&collector.url), "worker").unwrap();
    let layer = TraceLayer::new(tracer.clone());
    let _installed = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let (place, parent) = (TraceParent::root(true), SpanId::random());
    let attempt = tracing::info_span!(
        "attempt",
        trace_id = %place.trace,
        span_id = %place.span,
        parent_span_id = %parent,
        workflow = "w1",
    );
    let outer_current = current();
    async {
        let step = tracing::info_span!("step", number = 1, error = tracing::field::Empty);
        async {
            tokio::task::yield_now().await;
            tracing::info!(rows = 3, "half done");
            tracing::debug_span!("inner").in_scope(|| ());
            let here = current().expect("it is recorded");
            assert_eq!(here.trace, place.trace);
            assert_ne!(here.span, place.span);
        }
        .instrument(step.clone())
        .await;
        step.record("error", "broke");
    }
    .instrument(attempt.clone())
    .await;
    tracing::info_span!("elsewhere").in_scope(|| ());
    tracer.flush().await;
    assert!(collector.told().is_empty(), "a killed process leaves no orphans");
    drop(attempt);
    tracer.flush().await;
    let spans = by_name(collector.told().into_iter().map(|(_, span)| span).collect());
    assert_eq!(outer_current, None);
    assert_eq!(spans.keys().collect::<Vec<_>>(), ["attempt", "inner", "step"]);
    let (attempt, step) = (&spans["attempt"], &spans["step"]);
    assert_eq!(attempt.parent_span_id, parent.to_bytes());
    assert_eq!(collector::attribute(attempt, "workflow"), "w1");
    assert_eq!(step.parent_span_id, attempt.span_id);
    assert_eq!(spans["inner"].parent_span_id, step.span_id);
    assert_eq!(step.status.as_ref().expect("it failed").message, "broke");
    assert_eq!((step.events.len(), step.events[0].name.as_str()), (1, "half done"));
    assert!(spans.values().all(|span| span.trace_id == place.trace.to_bytes()));
}

#[test]
fn an_address_that_cannot_be_a_collector_is_refused() {
    for url in ["", "collector:4317", "https://collector:4317", "not an address"] {
        let error = Tracer::open(&settings(url), "service").unwrap_err().to_string();
        assert!(error.contains("telemetry.otlp_url"), "{url}: {error}");
    }
}
