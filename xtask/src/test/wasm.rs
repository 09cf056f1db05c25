//! The contract without its `server` feature builds for wasm32: pages use the very same types.
//!
//! Rust's own target is used where it is, or can be had from rustup. Elsewhere Debian's compiler
//! does it, which builds the standard library from its source.

use std::path::{Path, PathBuf};

use super::debian;
use crate::process::{Outcome, Program};

const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler for such targets, and the first version that is new enough.
const DEBIAN: &str = "/usr/bin/rustc";
const DEBIAN_MINOR_MIN: u32 = 95;
const DEBIAN_SOURCE: &str = "lib/rustlib/src/rust/library";

pub(crate) fn check(root: &Path) -> Outcome {
    let mut problems = String::new();
    match target(root) {
        Ok(()) => {
            cargo().show(root)?;
            return Ok(format!("target {TARGET}"));
        }
        Err(problem) => problems.extend([problem.as_str(), "\n"]),
    }
    match debian(root) {
        Ok(version) => {
            println!("{problems}with Debian's compiler: {version}");
            with_debian(root)?;
            Ok(version)
        }
        Err(problem) => Err(format!(
            "{problems}{problem}\n{TARGET} is missing: rustup target add {TARGET}, or Debian's \
             rustc-web and rust-web-src"
        )),
    }
}

fn cargo() -> Program {
    let arguments = ["check", "--release", "-p", "planaria-proto", "--target", TARGET];
    Program::new("cargo").arguments(&arguments)
}

/// In a folder of its own: another compiler would make the others build everything anew.
fn with_debian(root: &Path) -> Outcome {
    cargo()
        .arguments(&["-Zbuild-std=std,panic_abort", "--target-dir", "target/wasm"])
        .variable("RUSTC", DEBIAN)
        .variable("RUSTC_BOOTSTRAP", "1")
        .show(root)
}

/// Whether the compiler has the target, or has it now.
fn target(root: &Path) -> Result<(), String> {
    let here = || {
        let arguments = ["--print", "target-libdir", "--target", TARGET];
        let folder = Program::new("rustc").arguments(&arguments).quiet(root);
        folder.is_ok_and(|folder| Path::new(&folder).is_dir())
    };
    if here() {
        return Ok(());
    }
    println!("installing {TARGET} with rustup");
    let add = Program::new("rustup").arguments(&["target", "add", TARGET]).minutes_max(5);
    add.quiet(root)?;
    if here() { Ok(()) } else { Err(format!("rustc has no {TARGET}, though rustup added it")) }
}

/// Debian's compiler, if it is there and new enough, or can be installed.
fn debian(root: &Path) -> Outcome {
    if let Ok(version) = debian_version(root) {
        return Ok(version);
    }
    debian::install(root, &["rustc-web", "rust-web-src"])?;
    debian_version(root)
}

fn debian_version(root: &Path) -> Outcome {
    let version = Program::new(DEBIAN).arguments(&["--version"]).quiet(root)?;
    let folder = Program::new(DEBIAN).arguments(&["--print", "sysroot"]).quiet(root)?;
    let source = PathBuf::from(folder).join(DEBIAN_SOURCE);
    if !source.is_dir() {
        return Err(format!("{DEBIAN} has no source of the standard library"));
    }
    if minor(&version).is_some_and(|minor| minor >= DEBIAN_MINOR_MIN) {
        Ok(version)
    } else {
        Err(format!("{version} is too old: 1.{DEBIAN_MINOR_MIN} or later"))
    }
}

/// 95 of `rustc 1.95.0 (59807616e 2026-04-14)`.
fn minor(version: &str) -> Option<u32> {
    version.strip_prefix("rustc 1.")?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(minor("rustc 1.96.0 (built from a source tarball)"), Some(96));
        assert_eq!(minor("rustc 2.0.0"), None);
    }
}
