//! Whole meshes of real processes: `compose-local` and `chaos` of `crates/rig`, which have
//! dependencies and are therefore programs of their own.

use std::path::Path;

use crate::process::{Outcome, Program};

const RIG: &[&str] =
    &["build", "--release", "-p", "planaria-cli", "-p", "planaria-rig", "-p", "planaria-checker"];

/// Builds what they need, as the source is now.
fn build(root: &Path) -> Outcome {
    Program::new("cargo").arguments(RIG).minutes_max(60).hand_over(root)
}

/// The compose file as local processes, on this terminal.
pub(crate) fn compose_local(root: &Path, options: &[&str]) -> Outcome {
    build(root)?;
    local(root, options).hand_over(root)
}

/// Breaks a mesh and checks what it promised, on this terminal.
pub(crate) fn chaos(root: &Path, options: &[&str]) -> Outcome {
    build(root)?;
    let bin = root.join("target/release");
    Program::new(bin.join("chaos"))
        .arguments(&["--bin", &bin.display().to_string()])
        .arguments(options)
        .hand_over(root)
}

fn local(root: &Path, options: &[&str]) -> Program {
    let planaria = root.join("target/release/planaria").display().to_string();
    let file = root.join("docker-compose.yml").display().to_string();
    Program::new(root.join("target/release/compose-local"))
        .arguments(&["--planaria", &planaria, "--file", &file])
        .arguments(options)
}
