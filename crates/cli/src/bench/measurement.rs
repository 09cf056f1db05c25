//! One measurement from start to result.

use tokio::time::Instant;

use super::figures::{self, Counters};
use super::load::{self, Outcome, Plan};
use super::mesh::Mesh;
use super::{Arguments, STEPS, process};
use crate::Error;
use crate::client::{Client, Gateway};
use crate::error::FAILED;
use crate::output::Output;
use crate::output::document::Document;
use crate::output::style::Style;

/// What was read from outside at one moment.
struct Reading {
    /// Processor ticks of each process, then of this one.
    ticks: Vec<u64>,
    counters: Counters,
    stored_bytes: u64,
}

/// Starts, loads, measures, ends, prints.
pub(super) async fn run(
    arguments: Arguments,
    plan: Plan,
    gateway: Gateway,
    output: Output,
) -> Result<(), Error> {
    let mesh = Mesh::start(&arguments, gateway, output).await?;
    load::publish(&Client::open(&mesh.gateway, output)?).await?;
    output.note(&format!(
        "{} open at a time over {} connections, {:?} after {:?} of warm-up",
        plan.in_flight, plan.connections, plan.duration, plan.warmup
    ));
    let start = Instant::now();
    let observe = async {
        tokio::time::sleep_until(start + plan.warmup).await;
        let before = read(&mesh).await;
        tokio::time::sleep_until(start + plan.warmup + plan.duration).await;
        (before, read(&mesh).await)
    };
    let (outcome, (before, after)) =
        tokio::join!(load::run(&mesh.gateway, &plan, start, output), observe);
    let result = Report { plan, outcome: outcome?, before, after, names: names(&mesh) };
    mesh.end().await;
    result.print(output)
}

fn names(mesh: &Mesh) -> Vec<String> {
    let names = mesh.processes.iter().map(|process| process.name.clone());
    names.chain(["client".to_owned()]).collect()
}

async fn read(mesh: &Mesh) -> Reading {
    let processes = mesh.processes.iter().map(process::Process::ticks);
    let ticks = processes.chain([process::own_ticks()]).collect();
    let counters = match &mesh.metrics {
        Some(uri) => figures::read(uri).await,
        None => Counters::new(),
    };
    Reading { ticks, counters, stored_bytes: mesh.stored_bytes() }
}

/// Everything that is printed.
struct Report {
    plan: Plan,
    outcome: Outcome,
    before: Reading,
    after: Reading,
    names: Vec<String>,
}

impl Report {
    fn print(mut self, output: Output) -> Result<(), Error> {
        self.outcome.latencies_us.sort_unstable();
        if output.is_json() {
            output.document(&self.document())?;
        } else {
            self.show(output)?;
        }
        let none = self.outcome.latencies_us.is_empty();
        if none || !self.outcome.failures.is_empty() { Err(Error::Ended(FAILED)) } else { Ok(()) }
    }

    fn workflows(&self) -> usize {
        self.outcome.latencies_us.len()
    }

    fn workflows_per_second(&self) -> f64 {
        self.workflows() as f64 / self.plan.duration.as_secs_f64()
    }

    /// Never 0, because it divides.
    fn steps(&self) -> f64 {
        (self.workflows() as f64 * f64::from(STEPS)).max(1.0)
    }

    /// The latency that so many of a thousand workflows do not exceed.
    fn latency_ms(&self, permille: usize) -> f64 {
        let latencies = &self.outcome.latencies_us;
        let index = (latencies.len() * permille).div_ceil(1_000).saturating_sub(1);
        latencies.get(index).map_or(0.0, |us| *us as f64 / 1_000.0)
    }

    /// Processor seconds per 1000 steps of each process.
    fn processor(&self) -> Vec<(&str, f64)> {
        let ticks = self.before.ticks.iter().zip(&self.after.ticks);
        let seconds = ticks.map(|(before, after)| process::seconds(after.saturating_sub(*before)));
        let names = self.names.iter().map(String::as_str);
        names.zip(seconds.map(|seconds| seconds * 1_000.0 / self.steps())).collect()
    }

    fn stored_bytes_per_step(&self) -> f64 {
        let grown = self.after.stored_bytes.saturating_sub(self.before.stored_bytes);
        grown as f64 / self.steps()
    }

    fn per_step(&self) -> Counters {
        figures::per_step(&self.before.counters, &self.after.counters, self.steps())
    }

    fn document(&self) -> Document {
        let integer = |number: usize| Document::Integer(i128::try_from(number).unwrap_or_default());
        let numbers = |pairs: Vec<(String, f64)>| {
            let pairs = pairs.into_iter().map(|(name, value)| (name, rounded(value).into()));
            Document::Object(pairs.collect())
        };
        let processor = self.processor().into_iter().map(|(name, s)| (name.to_owned(), s));
        let failures = self.outcome.failures.iter();
        let failures = failures.map(|(why, count)| (why.clone(), (*count).into()));
        Document::object([
            ("workflowsPerSecond", rounded(self.workflows_per_second()).into()),
            ("stepsPerSecond", rounded(self.workflows_per_second() * f64::from(STEPS)).into()),
            (
                "latencyMs",
                Document::object([
                    ("p50", self.latency_ms(500).into()),
                    ("p99", self.latency_ms(990).into()),
                    ("p999", self.latency_ms(999).into()),
                    ("max", self.latency_ms(1_000).into()),
                ]),
            ),
            ("workflows", integer(self.workflows())),
            ("failures", Document::Object(failures.collect())),
            ("inFlight", u64::from(self.plan.in_flight).into()),
            ("connections", u64::from(self.plan.connections).into()),
            ("payloadBytes", integer(self.plan.payload_bytes)),
            ("durationSeconds", self.plan.duration.as_secs_f64().into()),
            ("cpuSecondsPer1000Steps", numbers(processor.collect())),
            ("storedBytesPerStep", rounded(self.stored_bytes_per_step()).into()),
            ("perStep", numbers(self.per_step().into_iter().collect())),
        ])
    }

    fn show(&self, output: Output) -> Result<(), Error> {
        let line = |label: &str, text: &str| {
            output.line(&format!("{} {text}", output.paint(Style::Dim, &format!("{label:<22}"))))
        };
        let speed = self.workflows_per_second();
        line("workflows per second", &output.paint(Style::Strong, &format!("{speed:.1}")))?;
        line("steps per second", &format!("{:.1}", speed * f64::from(STEPS)))?;
        let [p50, p99, p999] = [500, 990, 999].map(|permille| self.latency_ms(permille));
        line("latency", &format!("p50 {p50:.2} ms, p99 {p99:.2} ms, p99.9 {p999:.2} ms"))?;
        for (name, seconds) in self.processor() {
            line(&format!("CPU of {name}"), &format!("{seconds:.3} s per 1000 steps"))?;
        }
        line("stored", &format!("{:.0} bytes per step", self.stored_bytes_per_step()))?;
        for (name, value) in self.per_step() {
            line("per step", &format!("{value:.4} {name}"))?;
        }
        for (why, count) in &self.outcome.failures {
            line("failed", &output.paint(Style::Bad, &format!("{count} x {why}")))?;
        }
        Ok(())
    }
}

/// Four digits behind the point: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}
