//! `chaos`: breaks a mesh of real processes, and has its promises checked by a program that shares
//! no code with it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to its terminal")]

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use planaria_rig::Error;
use planaria_rig::chaos::{self, Settings, Store};
use serde_json::Value;

const USAGE: &str =
    "chaos --bin FOLDER [--duration 120s] [--seed S] [--tier ci|long|false-death] [--rate N]
      [--store postgres|sqlite] [--keep FOLDER] [--output json]

  --bin    where planaria, chaos-worker and chaos-check are
  --tier   ci: 5 minutes; long: 10 minutes, 20 000 workflows; false-death: 5 minutes in which
           nothing is broken, with 20 workers and 32 programs that keep the processors busy
  --keep   keep journals and logs in this folder";

struct Arguments {
    bin: PathBuf,
    keep: Option<PathBuf>,
    json: bool,
    settings: Settings,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let outcome = runtime
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::Failed(error.to_string()))
        .and_then(|runtime| runtime.block_on(run(&arguments)));
    match outcome {
        Ok(report) if report["holds"] == true && report["valid"] == true => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let (mut bin, mut keep, mut json) = (PathBuf::new(), None, false);
    let (mut duration, mut rate) = (Duration::from_secs(120), 25.0);
    let (mut seed, mut store) = (fastrand::u64(..1 << 32), Store::Postgres);
    let (mut workers, mut burners) = (4, 0);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        let wrong = || format!("{word} {value}");
        match word.as_str() {
            "--bin" => bin = value.into(),
            "--keep" => keep = Some(value.into()),
            "--output" if value == "json" => json = true,
            "--seed" => seed = value.parse().map_err(|_| wrong())?,
            "--rate" => rate = value.parse().ok().filter(|rate| *rate > 0.0).ok_or_else(wrong)?,
            "--duration" => {
                let seconds = value.trim_end_matches('s').parse().map_err(|_| wrong())?;
                duration = Duration::from_secs(seconds);
            }
            "--tier" if value == "ci" => duration = Duration::from_secs(300),
            "--tier" if value == "long" => {
                (duration, rate) = (Duration::from_secs(600), 34.0);
            }
            "--tier" if value == "false-death" => {
                (duration, rate) = (Duration::from_secs(300), 5.0);
                (workers, burners) = (20, 32);
            }
            "--store" if value == "postgres" => store = Store::Postgres,
            "--store" if value == "sqlite" => store = Store::Sqlite,
            _ => return Err(format!("`{word} {value}` is not understood")),
        }
    }
    if bin.as_os_str().is_empty() {
        return Err("--bin is missing".into());
    }
    let (planaria, worker) = (bin.join("planaria"), bin.join("chaos-worker"));
    let settings = Settings { planaria, worker, store, duration, seed, rate, workers, burners };
    Ok(Arguments { bin, keep, json, settings })
}

async fn run(arguments: &Arguments) -> Result<Value, Error> {
    let temporary = tempfile::Builder::new().prefix("planaria-chaos-").tempdir();
    let temporary = temporary.map_err(Error::file(std::env::temp_dir()))?;
    let folder = arguments.keep.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    let Settings { seed, duration, rate, store, burners, .. } = &arguments.settings;
    let tier = if *burners > 0 { " --tier false-death" } else { "" };
    let again = format!(
        "cargo xtask chaos{tier} --seed {seed} --duration {}s --rate {rate} --store {}",
        duration.as_secs(),
        if *store == Store::Postgres { "postgres" } else { "sqlite" },
    );
    eprintln!("{again}");
    let check = async || check(&arguments.bin.join("chaos-check"), &folder).await;
    let mut report = chaos::run(&arguments.settings, &folder, check).await?;
    report["replay"] = again.into();
    if arguments.json {
        println!("{report}");
    } else {
        tell(&report);
    }
    Ok(report)
}

/// The checker prints its report as JSON.
async fn check(program: &Path, folder: &Path) -> Result<Value, Error> {
    let mut command = tokio::process::Command::new(program);
    let command = command.arg(folder).stdout(Stdio::piped()).kill_on_drop(true);
    let output = command.spawn().map_err(Error::file(program))?.wait_with_output().await;
    let output = output.map_err(Error::file(program))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::Failed(format!("the checker ({}): {error}", output.status)))
}

fn tell(report: &Value) {
    let items = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    for invariant in items("invariants") {
        let text = |key: &str| invariant[key].as_str().unwrap_or_default().to_owned();
        let word = match (&invariant["holds"], &invariant["checked"]) {
            (Value::Bool(false), _) => "BROKEN",
            (Value::Bool(true), _) => "holds",
            _ => "not checked",
        };
        let checked = &invariant["checked"];
        println!("{:>4} {word:<12} {checked:>8}  {}", text("number"), text("name"));
        if word == "not checked" {
            println!("                             {}", text("why"));
        }
        for violation in invariant["violations"].as_array().into_iter().flatten() {
            println!("       {}", violation.as_str().unwrap_or_default());
        }
    }
    for (name, value) in report["figures"].as_object().into_iter().flatten() {
        println!("{name:<44} {value}");
    }
    for target in items("targets") {
        let word = match &target["met"] {
            Value::Bool(true) => "met",
            Value::Bool(false) => "MISSED",
            _ => "not measured",
        };
        let name = target["name"].as_str().unwrap_or_default();
        println!("{word:<12} {name}: {} (aim {})", target["measured"], target["limit"]);
    }
    let word = match (&report["valid"], &report["holds"]) {
        (Value::Bool(true), Value::Bool(true)) => "PASSED",
        (Value::Bool(true), _) => "FAILED",
        _ => "INVALID",
    };
    println!("{word}  {}", report["why"].as_str().unwrap_or_default());
    println!("again: {}", report["replay"].as_str().unwrap_or_default());
}
