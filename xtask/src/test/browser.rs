//! The dashboard in a real browser, on a real mesh.

use std::fs;
use std::path::Path;

use super::mesh;
use crate::process::{Outcome, Program};

const FOLDER: &str = "web/tests";
/// What npm installed there, as it was asked for.
const INSTALLED: &str = "web/tests/node_modules/.package.json";
const MANIFEST: &str = "web/tests/package.json";

pub(crate) fn tests(root: &Path) -> Outcome {
    let planaria = mesh::binary(root)?;
    dependencies(root)?;
    Program::new("node")
        .arguments(&["--test", "--test-concurrency=1", "--test-reporter=spec"])
        .variable("PLANARIA_BIN", planaria)
        .minutes_max(20)
        .show(&root.join(FOLDER))
}

/// From the registry that npm is set up for, unless they are there.
fn dependencies(root: &Path) -> Outcome {
    let wanted = fs::read_to_string(root.join(MANIFEST));
    let wanted = wanted.map_err(|error| format!("{MANIFEST}: {error}"))?;
    if fs::read_to_string(root.join(INSTALLED)).is_ok_and(|installed| installed == wanted) {
        return Ok(String::new());
    }
    Program::new("npm")
        .arguments(&["install", "--no-package-lock", "--no-audit", "--no-fund"])
        .minutes_max(5)
        .show(&root.join(FOLDER))?;
    fs::write(root.join(INSTALLED), wanted).map_err(|error| format!("{INSTALLED}: {error}"))?;
    Ok(String::new())
}
