//! The tests of the workspace, by cargo-nextest or, where it is missing, by `cargo test`.

use std::path::Path;

use super::servers::{self, Servers};
use crate::process::{Outcome, Program};

pub(crate) fn tests(root: &Path) -> Outcome {
    let nextest = Program::new("cargo").arguments(&["nextest", "--version"]).quiet(root).is_ok();
    let servers = servers::start()?;
    if nextest { by_nextest(root, &servers) } else { by_cargo(root, &servers) }
}

fn by_nextest(root: &Path, servers: &Servers) -> Outcome {
    let arguments =
        ["nextest", "run", "--release", "--workspace", "--no-fail-fast", "--status-level", "slow"];
    let mut summary = None;
    let program = servers.tell(Program::new("cargo").arguments(&arguments).minutes_max(60));
    let ended = program.watch(root, &mut |line| {
        println!("{line}");
        summary = of_nextest(line).or(summary.take());
    });
    judge(ended, summary)
}

/// One test at a time: some measure processes, and only cargo-nextest can be told which.
fn by_cargo(root: &Path, servers: &Servers) -> Outcome {
    println!("cargo-nextest is not installed: `cargo test`, one test at a time");
    let arguments = ["test", "--release", "--workspace", "--all-targets", "--no-fail-fast"];
    let mut counts = Counts::default();
    let program = Program::new("cargo")
        .arguments(&arguments)
        .arguments(&["--", "--test-threads=1"])
        .minutes_max(60);
    let ended = servers.tell(program).watch(root, &mut |line| {
        println!("{line}");
        counts.add(line);
    });
    judge(ended, counts.summary())
}

/// Good only if the runner is content and tests ran.
fn judge(ended: Outcome, summary: Option<(u64, String)>) -> Outcome {
    match (ended, summary) {
        (Ok(_), Some((1.., line))) => Ok(line),
        (Ok(_), _) => Err("no test ran".into()),
        (Err(problem), Some((_, line))) => Err(format!("{problem}\n{line}")),
        (Err(problem), None) => Err(problem),
    }
}

/// How many tests ran, from `Summary [   0.5s] 12 tests run: 12 passed, 0 skipped`.
fn of_nextest(line: &str) -> Option<(u64, String)> {
    let line = line.trim();
    let (_, counts) = line.strip_prefix("Summary [")?.split_once("] ")?;
    // `11/12 tests run` if not all were begun.
    let run = counts.split([' ', '/']).next()?.parse().ok()?;
    Some((run, line.to_owned()))
}

/// The sums over the test binaries of `cargo test`.
#[derive(Default)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds `test result: ok. 5 passed; 0 failed; 1 ignored; …`.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|l| l.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let Some((number, word)) = count.split_once(' ') else { continue };
            let number: u64 = number.parse().unwrap_or_default();
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => (),
            }
        }
    }

    fn summary(&self) -> Option<(u64, String)> {
        let Self { passed, failed, ignored } = self;
        let run = passed + failed;
        let word = if *failed == 0 { "ok" } else { "FAILED" };
        let line =
            format!("test result: {word}. {passed} passed; {failed} failed; {ignored} ignored");
        Some((run, line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_of_nextest_is_found() {
        let line = "     Summary [   0.5s] 12 tests run: 12 passed, 3 skipped";
        assert_eq!(of_nextest(line).map(|(run, _)| run), Some(12));
        assert_eq!(
            of_nextest("Summary [0s] 3/12 tests run: 2 passed").map(|(run, _)| run),
            Some(3)
        );
        assert_eq!(of_nextest("PASS [ 0.1s] Summary of things"), None);
    }

    #[test]
    fn the_results_of_cargo_are_added_up() {
        let mut counts = Counts::default();
        counts.add("test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; finished in 0.1s");
        counts.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured");
        counts.add("test a::result ... ok");
        let line = "test result: FAILED. 7 passed; 1 failed; 1 ignored";
        assert_eq!(counts.summary(), Some((8, line.to_owned())));
    }

    #[test]
    fn no_tests_are_no_success() {
        assert!(judge(Ok(String::new()), None).is_err());
        assert!(judge(Ok(String::new()), Some((0, "none".into()))).is_err());
        assert!(judge(Ok(String::new()), Some((1, "one".into()))).is_ok());
        assert!(judge(Err("101".into()), Some((1, "one".into()))).is_err());
    }
}
