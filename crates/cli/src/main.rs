//! `planaria`: the mesh in one command, each of its services, and the commands of its clients.
//!
//! Standard output is for results, standard error for everything else; the exit status is 0 only
//! on success.

use std::process::ExitCode;

mod arguments;
mod bench;
mod client;
mod demo;
mod error;
mod host;
mod output;

use error::Error;
use planaria_dsl::evaluator_child;

fn main() -> ExitCode {
    // The sandbox of expressions: before anything else, so that it opens and keeps nothing.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == evaluator_child::ARGUMENT) {
        return evaluator_child::main();
    }
    arguments::run()
}
