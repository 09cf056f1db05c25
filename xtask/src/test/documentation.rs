//! The examples in documentation are compiled and run, in the crates that have any: rustdoc takes
//! seconds for each crate, also for one without examples.

use std::fs;
use std::path::Path;

use crate::process::{Outcome, Program};

pub(crate) fn tests(root: &Path) -> Outcome {
    let mut packages = Vec::new();
    for parent in ["crates", "services"] {
        let Ok(entries) = fs::read_dir(root.join(parent)) else { continue };
        for entry in entries.flatten() {
            if has_example(&entry.path().join("src")) {
                packages.extend(package(&entry.path()));
            }
        }
    }
    if packages.is_empty() {
        return Ok("no crate has any".into());
    }
    let mut program = Program::new("cargo").arguments(&["test", "--release", "--doc"]);
    for package in &packages {
        program = program.arguments(&["-p", package]);
    }
    program.show(root)?;
    Ok(packages.join(", "))
}

/// Whether a comment for rustdoc below this folder has a block of Rust.
fn has_example(path: &Path) -> bool {
    if path.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        return entries.into_iter().any(|entry| has_example(&entry.path()));
    }
    let rust = path.extension().is_some_and(|extension| extension == "rs");
    rust && fs::read_to_string(path).is_ok_and(|text| opens_example(&text))
}

fn opens_example(text: &str) -> bool {
    let fences = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let comment = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"))?;
        comment.trim_start().strip_prefix("```")
    });
    // Every second one closes what the one before opened.
    fences.step_by(2).any(|language| {
        let first = language.split(',').next().unwrap_or_default();
        matches!(first, "" | "rust" | "no_run" | "should_panic" | "compile_fail")
    })
}

fn package(folder: &Path) -> Option<String> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = "))?;
    Some(name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_told_from_other_blocks() {
        for fence in ["//! ```no_run", "    /// ```", "///```should_panic,rust"] {
            assert!(opens_example(&format!("//! ```text\n//! ```\n{fence}\n/// ```")), "{fence}");
        }
        for text in ["//! ```text\n//! ```", "// ```", "let x = \"```\";"] {
            assert!(!opens_example(text), "{text}");
        }
    }
}
