//! `cargo xtask web`: the dashboard as a browser loads it, in `target/web/dist`. The build of the
//! gateway takes it from there into the binary.

mod compiler;
mod inputs;

use std::fs;
use std::path::Path;

use crate::process::{Outcome, Program};
use compiler::Compiler;

const MANIFEST: &str = "web/Cargo.toml";
/// Of its own: another compiler, or another profile, would make the others build everything anew.
const BUILD: &str = "target/web/build";
const DIST: &str = "target/web/dist";
/// Of what the finished dashboard was made.
const INPUTS: &str = "target/web/inputs";

/// Builds it; a compiler that is missing is installed.
pub(crate) fn run(root: &Path) -> Outcome {
    let compiler = Compiler::find(root).or_else(|missing| {
        Compiler::install(root).map_err(|problem| format!("{missing}\n{problem}"))
    });
    build(root, compiler?)
}

/// Builds it, if that takes no package of the system that is missing.
pub(crate) fn run_if_able(root: &Path) -> Outcome {
    build(root, Compiler::find(root)?)
}

/// Builds it, and tests the tool that does.
pub(crate) fn check(root: &Path) -> Outcome {
    let version = run(root)?;
    tool("test").show(root)?;
    Ok(version)
}

/// Unless what is there is of this source.
fn build(root: &Path, compiler: Compiler) -> Outcome {
    let inputs = inputs::fingerprint(root, &compiler.version)?;
    let page = root.join(DIST).join("index.html");
    if page.is_file() && fs::read_to_string(root.join(INPUTS)).is_ok_and(|made| made == inputs) {
        println!("{DIST} is of this source");
        return Ok(compiler.version);
    }
    println!("the dashboard, with {}", compiler.version);
    let module = compiler.build(root)?;
    let module = module.display().to_string();
    tool("run").arguments(&["--", &module, "web/static", DIST]).show(root)?;
    fs::write(root.join(INPUTS), inputs).map_err(|error| format!("{INPUTS}: {error}"))?;
    Ok(compiler.version)
}

/// wasm-bindgen and the compression, as a program of ours.
fn tool(command: &str) -> Program {
    let package = ["--manifest-path", MANIFEST, "--package", "planaria-web-bundle"];
    Program::new("cargo")
        .arguments(&[command, "--profile", "tool", "--target-dir", BUILD])
        .arguments(&package)
}
