//! The chores of this repository: `cargo xtask <chore>`. No dependencies, so that they build in
//! a second.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to its terminal")]

mod tidy;

use std::path::Path;
use std::process::{Command, ExitCode};

const USAGE: &str = "cargo xtask <chore>

  tidy       rules of the house that no other tool checks
  fmt-check  formatting, changes nothing";

fn main() -> ExitCode {
    // The manifest's folder is fixed at build time, so a chore works from any folder.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chore = arguments.first().map(String::as_str);
    let good = match chore {
        Some("tidy") => report(&tidy::run(root)),
        Some("fmt-check") => run(root, "cargo", &["fmt", "--all", "--check"]),
        _ => {
            eprintln!("{USAGE}");
            false
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report(findings: &[String]) -> bool {
    for finding in findings {
        println!("{finding}");
    }
    println!("tidy: {} findings", findings.len());
    findings.is_empty()
}

fn run(root: &Path, program: &str, arguments: &[&str]) -> bool {
    match Command::new(program).args(arguments).current_dir(root).status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("{program} cannot be started: {error}");
            false
        }
    }
}
