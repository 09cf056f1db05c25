//! The chores of this repository: `cargo xtask <chore>`. No dependencies, so that they build in
//! a second.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to its terminal")]

mod process;
mod rig;
mod test;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

use process::Program;

const USAGE: &str = "cargo xtask <chore>

  test [--only STEP]...  every check there is, from a clean clone; `test --list` names the steps
  demo [--exit]          builds Planaria and shows it healing; --exit: does not stay up afterwards
  compose-local [--exit] [--scale SERVICE=N]...
                         docker-compose.yml as local processes, shown healing
  chaos [--duration 120s] [--seed S] [--tier ci|long|false-death] [--output json]
                         breaks a mesh of real processes, and checks what it promised
  tidy                   the rules of the house that no other tool checks
  deny                   licences, advisories and origins of the dependencies (needs cargo-deny)";

fn main() -> ExitCode {
    // The manifest's folder is fixed at build time, so a chore works from any folder.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.split_first() {
        Some((&"test", options)) => test::run(root, options),
        Some((&"demo", options)) => demo(root, options),
        Some((&"compose-local", options)) => rig::compose_local(root, options),
        Some((&"chaos", options)) => rig::chaos(root, options),
        Some((&"tidy", [])) => tidy(root),
        Some((&"deny", [])) => deny(root),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn tidy(root: &Path) -> process::Outcome {
    let findings = tidy::run(root);
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok("no findings".into()),
        count => Err(format!("{count} findings")),
    }
}

/// The demo keeps the terminal: colours, and Ctrl-C ends it.
fn demo(root: &Path, options: &[&str]) -> process::Outcome {
    Program::new("cargo")
        .arguments(&["build", "--release", "-p", "planaria-cli"])
        .hand_over(root)?;
    let planaria = root.join("target/release/planaria");
    Program::new(planaria).arguments(&["demo"]).arguments(options).hand_over(root)
}

fn deny(root: &Path) -> process::Outcome {
    Program::new("cargo").arguments(&["deny", "--version"]).quiet(root).map_err(|problem| {
        format!("{problem}\ncargo-deny is missing: cargo install --locked cargo-deny")
    })?;
    Program::new("cargo").arguments(&["deny", "--workspace", "check"]).hand_over(root)
}
