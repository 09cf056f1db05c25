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

fn main() -> ExitCode {
    arguments::run()
}
