//! `chaos-check FOLDER`: reads the journals of a run, the public histories and the database, and
//! says which promises held. Its report is JSON on standard output.
//!
//! It shares no code with the engine. What it knows of a workflow it knows from the clients and
//! workers, who wrote it down, and from the contract.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its report goes there")]

mod database;
mod evidence;
mod figures;
mod invariants;
mod journal;
mod public;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use evidence::Evidence;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("chaos-check FOLDER");
        return ExitCode::FAILURE;
    };
    let checked = tokio::runtime::Runtime::new()
        .map_err(Error::from)
        .and_then(|runtime| runtime.block_on(Evidence::gather(&folder)));
    match checked {
        Ok(evidence) => {
            println!("{}", report::of(&evidence));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
