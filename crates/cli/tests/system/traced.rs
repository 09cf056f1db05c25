//! Traces, as a collector gets them: one tree for each workflow, whatever died.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::Span;
use planaria_proto::types::v1::Phase;
use planaria_sdk::Start;
use planaria_sdk::telemetry::{OtlpSettings, TraceLayer, Tracer};
use planaria_telemetry::collector::{Collector, attribute};
use rustix::process::Signal;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::ask;
use crate::hands::{self, Hands};
use crate::processes::Processes;

const VICTIM: &str = "victim";

/// The spans of this process go where those of the mesh go.
fn tracer(collector: &Collector) -> Tracer {
    let settings =
        OtlpSettings { url: collector.url.clone(), sampling_ratio: 1.0, spans_max: 1_000 };
    let tracer = Tracer::open(&settings, "test-client").unwrap();
    let layer = TraceLayer::new(tracer.for_service("test-worker"));
    // Every test has a process of its own; where it has not, the first one's subscriber stays.
    let _installed = tracing_subscriber::registry().with(layer).try_init();
    tracer
}

/// The spans of one trace by name, in the order of their start.
struct Tree {
    spans: BTreeMap<String, Vec<(String, Span)>>,
}

impl Tree {
    /// Waits until spans of these names were told, then checks that it is one tree.
    async fn of(collector: &Collector, workflow: &str, names: &[&str]) -> Self {
        ask::until(&format!("{names:?} were told"), async || {
            let all = collector.told();
            let is_its = |span: &Span| {
                let mut attributes = span.attributes.iter();
                attributes.any(|it| it.key == "planaria.workflow")
                    && attribute(span, "planaria.workflow") == workflow
            };
            let trace = all.iter().find(|(_, span)| is_its(span))?.1.trace_id.clone();
            let mut told: Vec<_> =
                all.into_iter().filter(|(_, span)| span.trace_id == trace).collect();
            told.sort_by_key(|(_, span)| span.start_time_unix_nano);
            let has = |name: &&str| told.iter().any(|(_, span)| span.name == **name);
            names.iter().all(has).then(|| Self::check(told))
        })
        .await
    }

    fn check(told: Vec<(String, Span)>) -> Self {
        let ids: BTreeSet<&[u8]> = told.iter().map(|(_, span)| &span.span_id[..]).collect();
        assert_eq!(ids.len(), told.len(), "each span is told once: {told:#?}");
        let roots = told.iter().filter(|(_, span)| span.parent_span_id.is_empty()).count();
        assert_eq!(roots, 1, "{told:#?}");
        for (service, span) in &told {
            let known = span.parent_span_id.is_empty() || ids.contains(&span.parent_span_id[..]);
            assert!(known, "{service} tells of an orphan: {span:#?}");
        }
        let mut spans: BTreeMap<String, Vec<(String, Span)>> = BTreeMap::new();
        for (service, span) in told {
            spans.entry(span.name.clone()).or_default().push((service, span));
        }
        Self { spans }
    }

    /// The only span of a name, which must be a service's.
    fn one(&self, name: &str, service: &str) -> &Span {
        let [(told_by, span)] = &self.spans[name][..] else { panic!("{:#?}", self.spans[name]) };
        assert_eq!(told_by, service, "{name}");
        span
    }
}

fn is_inside(inner: &Span, outer: &Span) {
    assert_eq!(inner.parent_span_id, outer.span_id, "{} in {}", inner.name, outer.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healed_workflow_is_one_tree_from_its_client_to_the_spans_of_its_worker() {
    let collector = Collector::start().await;
    let mut processes = Processes::start_telling(&[VICTIM], &collector.url).await;
    let tracer = tracer(&collector);
    let client = processes.client.clone().tracer(tracer.clone());
    ask::put(&client, &hands::held("PT60S")).await;
    processes.alive(&[VICTIM]).await;
    let workflow = client.start(Start::new("system", "held")).await.unwrap().workflow_id;
    ask::worker(&client, VICTIM, "runs it", |worker| worker.attempts.len() == 1).await;
    let mut hands = Hands::start(&processes.uri, "hands", 4).await;
    ask::worker(&client, "hands", "listed", |_| true).await;
    processes.signal(VICTIM, Signal::KILL);
    processes.gone(VICTIM).await;
    hands.begun(1).await;
    hands.release();
    assert_eq!(ask::ended(&client, &workflow).await.phase(), Phase::Completed);
    hands.leave().await;
    tracer.flush().await;

    let names = ["workflow", "attempt", "healing", "execute", "hold", "StartWorkflow"];
    let tree = Tree::of(&collector, &workflow, &names).await;
    let call = tree.one("start workflow", "test-client");
    let passed_on = tree.one("StartWorkflow", "planaria-gateway");
    let run = tree.one("workflow", "planaria-orchestrator");
    let task = tree.one("work", "planaria-orchestrator");
    is_inside(passed_on, call);
    is_inside(run, passed_on);
    let [(_, lost), (_, second)] = &tree.spans["attempt"][..] else { panic!("two attempts") };
    for (attempt, number, worker) in [(lost, "1", VICTIM), (second, "2", "hands")] {
        is_inside(attempt, task);
        assert_eq!(attribute(attempt, "planaria.attempt"), number);
        assert_eq!(attribute(attempt, "planaria.worker"), worker);
    }
    assert_eq!(lost.status.as_ref().map(|status| status.code), Some(2), "{lost:#?}");
    assert_eq!(second.links[0].span_id, lost.span_id);
    let healing = tree.one("healing", "planaria-orchestrator");
    is_inside(healing, task);
    assert_eq!(attribute(healing, "planaria.new_worker"), "hands");
    // The killed worker left no span; the other one's are inside of its attempt.
    let executed = tree.one("execute", "test-worker");
    is_inside(executed, second);
    is_inside(tree.one("hold", "test-worker"), executed);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_services_tell_each_span_once_and_the_mesh_begins_traces_itself() {
    let collector = Collector::start().await;
    let mut processes = Processes::start_telling(&[VICTIM], &collector.url).await;
    let client = processes.client.clone();
    ask::put(&client, &hands::held("PT3S")).await;
    processes.alive(&[VICTIM]).await;
    // This client does not trace.
    let workflow = client.start(Start::new("system", "held")).await.unwrap().workflow_id;
    ask::worker(&client, VICTIM, "runs it", |worker| worker.attempts.len() == 1).await;
    for service in ["orchestrator", "monitoring"] {
        processes.end(service, Signal::KILL).await;
        processes.restart(service).await;
    }
    assert_eq!(ask::ended(&client, &workflow).await.phase(), Phase::Completed);
    let tree = Tree::of(&collector, &workflow, &["workflow", "execute", "StartWorkflow"]).await;
    let root = tree.one("StartWorkflow", "planaria-gateway");
    assert!(root.parent_span_id.is_empty());
    is_inside(tree.one("workflow", "planaria-orchestrator"), root);
    is_inside(tree.one("execute", "planaria-worker"), tree.one("attempt", "planaria-orchestrator"));
}
