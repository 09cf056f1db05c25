//! `cargo xtask test`: every check there is, step by step, from a clean clone.
//!
//! A step that lacks something installs it where that is harmless (a tool below `target/tools`,
//! a target of the toolchain) or fails and says what to install: no step is left out silently.

mod browser;
mod contract;
mod mesh;
mod runner;
mod servers;
mod tools;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::process::{Outcome, Program};

/// One check.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&Path) -> Outcome,
}

/// In this order: what is quick to fail comes first, and what needs the binary after its build.
const STEPS: &[Step] = &[
    Step { name: "tools", what: "what the other steps need", run: tools::check },
    Step { name: "tidy", what: "the rules of the house", run: crate::tidy },
    Step { name: "format", what: "cargo fmt --check", run: format },
    Step { name: "contract", what: "buf lint", run: contract::lint },
    Step { name: "web", what: "the dashboard, built for browsers", run: crate::web::check },
    Step { name: "clippy", what: "the lints, warnings are errors", run: clippy },
    Step { name: "build", what: "the binary", run: mesh::build },
    Step { name: "tests", what: "the tests of the workspace", run: runner::tests },
    Step { name: "examples", what: "the examples in documentation", run: examples },
    Step { name: "python", what: "a worker and a client in Python", run: mesh::python },
    Step { name: "demo", what: "planaria demo --exit", run: mesh::demo },
    Step { name: "browser", what: "the dashboard in Chromium", run: browser::tests },
    Step { name: "bench", what: "a report, no gate", run: mesh::bench },
];

/// How a step went.
struct Report {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

pub(crate) fn run(root: &Path, options: &[&str]) -> Outcome {
    if options == ["--list"] {
        for step in STEPS {
            println!("{:10} {}", step.name, step.what);
        }
        return Ok(String::new());
    }
    let reports: Vec<Report> =
        chosen(options)?.into_iter().map(|step| try_it(step, root)).collect();
    summarise(&reports)
}

/// The steps that are asked for, in their order; all of them if none is named.
fn chosen(options: &[&str]) -> Result<Vec<&'static Step>, String> {
    let mut names = Vec::new();
    for pair in options.chunks(2) {
        match pair {
            ["--only", name] if STEPS.iter().any(|step| step.name == *name) => names.push(*name),
            ["--only", name] => {
                return Err(format!("no step is called `{name}`; `cargo xtask test --list`"));
            }
            _ => return Err("cargo xtask test [--list | --only STEP]...".into()),
        }
    }
    let wanted = |step: &&Step| names.is_empty() || names.contains(&step.name);
    Ok(STEPS.iter().filter(wanted).collect())
}

fn try_it(step: &'static Step, root: &Path) -> Report {
    println!("\n== {}: {}", step.name, step.what);
    let start = Instant::now();
    let outcome = (step.run)(root);
    let took = start.elapsed();
    match &outcome {
        Ok(_) => println!("== {}: ok, {:.1} s", step.name, took.as_secs_f64()),
        Err(problem) => println!("{problem}\n== {}: FAILED", step.name),
    }
    Report { name: step.name, outcome, took }
}

/// The table; after it, as the last line, how many tests ran.
fn summarise(reports: &[Report]) -> Outcome {
    println!("\n{:10} {:8} {:>8}", "step", "", "seconds");
    for Report { name, outcome, took } in reports {
        let (word, remark) = match outcome {
            Ok(remark) => ("ok", remark.lines().last()),
            Err(problem) => ("FAILED", problem.lines().last()),
        };
        let remark = remark.unwrap_or_default();
        println!("{name:10} {word:8} {:8.1}  {remark}", took.as_secs_f64());
    }
    println!();
    let tests = reports.iter().find(|report| report.name == "tests");
    if let Some(Report { outcome: Ok(summary), .. }) = tests {
        println!("{summary}");
    }
    let failed: Vec<_> = reports.iter().filter(|report| report.outcome.is_err()).collect();
    match failed.as_slice() {
        [] => Ok(String::new()),
        [first, ..] => Err(format!(
            "{} of {} steps failed; one alone: cargo xtask test --only {}",
            failed.len(),
            reports.len(),
            first.name
        )),
    }
}

fn format(root: &Path) -> Outcome {
    let check = || Program::new("cargo").arguments(&["fmt", "--all", "--check"]);
    check().show(root)?;
    check().arguments(&["--manifest-path", "web/Cargo.toml"]).show(root)
}

/// In the release profile, whose build scripts and macros the tests need as well.
fn clippy(root: &Path) -> Outcome {
    let arguments = ["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"];
    Program::new("cargo").arguments(&arguments).show(root)
}

/// Of all crates at once: for one alone, cargo would build its dependencies with other features.
fn examples(root: &Path) -> Outcome {
    Program::new("cargo").arguments(&["test", "--release", "--doc", "--workspace"]).show(root)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &[&str]) -> Result<Vec<&'static str>, String> {
        chosen(options).map(|steps| steps.iter().map(|step| step.name).collect())
    }

    #[test]
    fn steps_are_chosen_by_name_and_keep_their_order() {
        assert_eq!(names(&["--only", "web", "--only", "tidy"]), Ok(vec!["tidy", "web"]));
        assert_eq!(names(&[]).map(|all| all.len()), Ok(STEPS.len()));
        assert!(names(&["--only", "nothing"]).is_err_and(|problem| problem.contains("`nothing`")));
        assert!(names(&["--only"]).is_err() && names(&["tidy"]).is_err());
    }

    #[test]
    fn one_failure_fails_all() {
        let report = |name, outcome| Report { name, outcome, took: Duration::ZERO };
        let good = || report("tidy", Ok(String::new()));
        assert!(summarise(&[good(), good()]).is_ok());
        let failed = summarise(&[good(), report("demo", Err("why".into()))]);
        let text = "1 of 2 steps failed; one alone: cargo xtask test --only demo";
        assert_eq!(failed, Err(text.into()));
    }
}
