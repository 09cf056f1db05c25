//! The chores of this repository: `cargo xtask <chore>`. No dependencies, so that they build in
//! a second.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to its terminal")]

mod debian;
mod process;
mod rig;
mod test;
mod tidy;
mod web;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use process::Program;

const USAGE: &str = "cargo xtask <chore>

  test [--only STEP]...  every check there is, from a clean clone; `test --list` names the steps
  demo [--exit]          builds Planaria and shows it healing; --exit: does not stay up afterwards
  web                    the dashboard, into target/web/dist, where the build of Planaria takes it
  compose-local [--exit] [--scale SERVICE=N]...
                         docker-compose.yml as local processes, shown healing
  chaos [--duration 120s] [--seed S] [--tier ci|long|false-death] [--output json]
                         breaks a mesh of real processes, and checks what it promised
  tidy                   the rules of the house that no other tool checks
  deny                   licences, advisories and origins of the dependencies (needs cargo-deny)";

fn main() -> ExitCode {
    let root = match root() {
        Ok(root) => root,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let root = root.as_path();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments.split_first() {
        Some((&"test", options)) => test::run(root, options),
        Some((&"demo", options)) => demo(root, options),
        Some((&"web", [])) => web::run(root),
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

/// The repository that Cargo runs the chore of, from whatever folder. Where it was built says
/// nothing: clones that share a target folder share this program.
fn root() -> Result<PathBuf, String> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR");
    let package = package.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    let root = package.parent().unwrap_or(Path::new("."));
    if root.join("Cargo.toml").is_file() {
        Ok(root.to_owned())
    } else {
        Err(format!("{} is no clone of the repository: run `cargo xtask`", root.display()))
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

/// The demo keeps the terminal: colours, and Ctrl-C ends it. Without the means for the dashboard it
/// is shown all the same.
fn demo(root: &Path, options: &[&str]) -> process::Outcome {
    if let Err(problem) = web::run_if_able(root) {
        println!("{problem}\nthe dashboard is not built; everything else runs without it");
    }
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
