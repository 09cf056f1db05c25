//! The evaluator of expressions as a program of its own, for tests and for hosts that are not the
//! `planaria` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    planaria_dsl::evaluator_child::main()
}
