//! Logs: one subscriber for the process, on standard error, so that output stays for programs. And
//! traces, which go to a collector if there is one.

use std::io::IsTerminal;

use planaria_telemetry::{OtlpSettings, TraceLayer, Tracer};
use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::Error;

/// How a process logs and whether it traces; the section `telemetry` of the settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// A filter such as `info` or `planaria=debug,h2=warn`. `RUST_LOG` goes before it.
    pub level: String,
    /// Text for people or JSON for programs.
    pub format: Format,
    /// `http://host:port` of a collector that takes OTLP over gRPC. Empty: no traces.
    pub otlp_url: String,
    /// The share of workflows whose trace is recorded where the caller did not decide; 1 = all.
    pub sampling_ratio: f64,
    /// Spans that wait for the collector; more are dropped.
    pub spans_max: usize,
}

/// What is not logged unless somebody asks for it: what befalls each connection of a database. Its
/// store says once what is wrong.
const QUIET: [&str; 3] =
    ["sqlx::pool=error", "sqlx::postgres::notice=error", "sqlx_core::pool=error"];

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            level: "info".into(),
            format: Format::Auto,
            otlp_url: String::new(),
            sampling_ratio: 1.0,
            spans_max: 8_192,
        }
    }
}

impl Telemetry {
    /// Where the spans of this process go, which are a service's unless others say whose they are.
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The address cannot be one of a collector, or the ratio is none.
    pub fn tracer(&self, service: &str) -> Result<Tracer, Error> {
        if !(0.0..=1.0).contains(&self.sampling_ratio) {
            let ratio = self.sampling_ratio;
            let text = format!("telemetry.sampling_ratio is {ratio}: it is between 0 and 1");
            return Err(Error::Telemetry(text));
        }
        if self.otlp_url.is_empty() {
            return Ok(Tracer::default());
        }
        let settings = OtlpSettings {
            url: self.otlp_url.clone(),
            sampling_ratio: self.sampling_ratio,
            spans_max: self.spans_max,
        };
        let tracer = Tracer::open(&settings, &format!("planaria-{service}"));
        tracer.map_err(|error| Error::Telemetry(error.to_string()))
    }
}

/// Installs the subscriber of this process, whose spans go to the tracer. Called once, by the
/// binary.
///
/// # Errors
/// The filter does not parse, or a subscriber is already installed.
pub fn init(telemetry: &Telemetry, tracer: &Tracer) -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "a variable of the ecosystem, not a setting")]
    let chosen = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(chosen.as_deref().unwrap_or(&telemetry.level))
        .map_err(|error| Error::Telemetry(error.to_string()))?;
    let quiet = QUIET.iter().filter(|_| chosen.is_none()).filter_map(|quiet| quiet.parse().ok());
    let filter = quiet.fold(filter, EnvFilter::add_directive);
    let terminal = std::io::stderr().is_terminal();
    let json = match telemetry.format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.with_ansi(terminal).boxed()
    };
    // What is traced does not depend on what is logged.
    let traces = tracer.is_on().then(|| TraceLayer::new(tracer.clone()));
    let installed = tracing_subscriber::registry()
        .with(traces.map(|traces| traces.with_filter(LevelFilter::INFO)))
        .with(lines.with_filter(filter))
        .try_init();
    installed.map_err(|error| Error::Telemetry(error.to_string()))
}
