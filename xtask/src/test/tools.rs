//! What the other steps need from the machine. Everything that is missing is told at once.

use std::path::Path;

use super::servers;
use crate::debian;
use crate::process::{Outcome, Program};

/// What comes with the toolchain: how it is asked whether it is there, and its component.
const COMPONENTS: &[(&str, &str)] = &[("fmt", "rustfmt"), ("clippy", "clippy")];

/// A program, how it is asked whether it is there, and its packages in Debian.
const PROGRAMS: &[(&str, &[&str], &[&str])] = &[
    // SQLite is compiled from its source.
    ("cc", &["--version"], &["gcc", "libc6-dev"]),
    ("python3", &["-c", "import venv, ensurepip"], &["python3", "python3-venv"]),
    ("node", &["--version"], &["nodejs"]),
    ("npm", &["--version"], &["npm"]),
    // A browser without a font has no text to show.
    ("chromium", &["--version"], &["chromium", "fonts-dejavu-core"]),
];

pub(crate) fn check(root: &Path) -> Outcome {
    let version = Program::new("cargo").arguments(&["--version"]).quiet(root)?;
    println!("{version}");
    let mut missing = String::new();
    for (command, component) in COMPONENTS {
        if Program::new("cargo").arguments(&[command, "--version"]).quiet(root).is_err() {
            missing += &format!("cargo {command}: rustup component add {component}\n");
        }
    }
    for (program, question, packages) in PROGRAMS {
        if Program::new(*program).arguments(question).quiet(root).is_err()
            && let Err(problem) = debian::install(root, packages)
        {
            missing += &format!("{program} {}: {problem}\n", question.join(" "));
        }
    }
    if let Err(problem) = servers::check(root) {
        missing += &problem;
    }
    if missing.is_empty() {
        Ok(version)
    } else {
        Err(format!("missing on this machine:\n{}", missing.trim_end()))
    }
}
