//! Logs: one subscriber for the process, on standard error, so that output stays for programs.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

use crate::Error;

/// How a process logs; the section `telemetry` of the settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// A filter such as `info` or `planaria=debug,h2=warn`. `RUST_LOG` goes before it.
    pub level: String,
    /// Text for people or JSON for programs.
    pub format: Format,
}

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
        Self { level: "info".into(), format: Format::Auto }
    }
}

/// Installs the subscriber of this process. Called once, by the binary.
///
/// # Errors
/// The filter does not parse, or a subscriber is already installed.
pub fn init(telemetry: &Telemetry) -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "a variable of the ecosystem, not a setting")]
    let chosen = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(chosen.as_deref().unwrap_or(&telemetry.level))
        .map_err(|error| Error::Telemetry(error.to_string()))?;
    let terminal = std::io::stderr().is_terminal();
    let json = match telemetry.format {
        Format::Auto => !terminal,
        Format::Text => false,
        Format::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_ansi(terminal).try_init()
    };
    installed.map_err(|error| Error::Telemetry(error.to_string()))
}
