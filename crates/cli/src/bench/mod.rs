//! `bench`: how fast and how quick a mesh is, seen from a client, with every part in a process of
//! its own.

mod figures;
mod load;
mod measurement;
mod mesh;
mod process;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use crate::Error;
use crate::client::Gateway;
use crate::output::Output;

/// The function that every task of the load calls, and how many tasks a workflow has.
const FUNCTION: &str = "bench-step";
const STEPS: u32 = 3;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// How many workflows of three tasks a mesh completes per second
    Throughput {
        #[command(flatten)]
        arguments: Arguments,
        /// Workflows open at the same time
        #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
        in_flight: u32,
        /// HTTP/2 connections to the gateway
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
        connections: u32,
    },
    /// How long one workflow of three tasks takes, one at a time
    Latency {
        #[command(flatten)]
        arguments: Arguments,
    },
    /// A worker process of a benchmark
    #[command(name = "__worker", hide = true)]
    Worker(worker::Arguments),
}

/// What both benchmarks have.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long is measured
    #[arg(long, default_value = "10s", value_parser = duration)]
    duration: Duration,
    /// How long the load runs before
    #[arg(long, default_value = "3s", value_parser = duration)]
    warmup: Duration,
    /// Worker processes that execute the tasks
    #[arg(long, default_value_t = 2)]
    workers: u32,
    /// Attempts that each of them executes at the same time
    #[arg(long, default_value_t = 512)]
    worker_capacity: u32,
    /// The size of each workflow's input
    #[arg(long, default_value_t = 100)]
    payload_bytes: usize,
    /// Where the mesh that is started keeps its files; without it, a temporary folder
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The settings of the mesh that is started, in TOML
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// `10s`, `500ms` or `2m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        _ => return Err("a duration is a number with ms, s or m, such as 10s".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a duration starts with a number".to_owned())?;
    Ok(Duration::from_millis(number.saturating_mul(unit_ms)))
}

/// Measures the mesh at the address, or one that is started for it.
pub(crate) fn execute(command: Command, gateway: Gateway, output: Output) -> Result<(), Error> {
    let runtime = crate::host::runtime()?;
    match command {
        Command::Worker(arguments) => runtime.block_on(worker::run(arguments, gateway.api_key)),
        Command::Throughput { arguments, in_flight, connections } => {
            let load = load::Plan::new(&arguments, in_flight, connections);
            runtime.block_on(measurement::run(arguments, load, gateway, output))
        }
        Command::Latency { arguments } => {
            let load = load::Plan::new(&arguments, 1, 1);
            runtime.block_on(measurement::run(arguments, load, gateway, output))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        for (text, ms) in [("10s", 10_000), ("500ms", 500), ("2m", 120_000), ("7", 7_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        assert!(duration("s").is_err() && duration("1h").is_err());
    }
}
