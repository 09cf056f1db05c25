//! The binary itself: built, driven from another language, shown healing, measured.

use std::path::{Path, PathBuf};

use crate::process::{Outcome, Program};

/// With everything that the tests need: alone it would have other features of the same crates, and
/// all of them would be built twice.
pub(crate) fn build(root: &Path) -> Outcome {
    Program::new("cargo")
        .arguments(&["build", "--release", "--workspace", "--all-targets"])
        .minutes_max(60)
        .show(root)
}

/// The binary as the source is now: one that was left from another day would prove nothing.
pub(crate) fn binary(root: &Path) -> Result<PathBuf, String> {
    build(root)?;
    Ok(root.join("target/release/planaria"))
}

pub(crate) fn python(root: &Path) -> Outcome {
    let script = root.join("examples/python/run_tests.sh");
    let planaria = binary(root)?;
    Program::new(script).variable("PLANARIA_BIN", planaria).minutes_max(15).show(root)
}

pub(crate) fn demo(root: &Path) -> Outcome {
    Program::new(binary(root)?).arguments(&["demo", "--exit"]).minutes_max(3).show(root)
}

/// Figures depend on the machine: it fails only if nothing could be measured.
pub(crate) fn bench(root: &Path) -> Outcome {
    Program::new(binary(root)?)
        .arguments(&["bench", "throughput", "--duration", "5s"])
        .minutes_max(3)
        .show(root)
}
