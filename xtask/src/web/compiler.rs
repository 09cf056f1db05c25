//! What compiles the dashboard: Rust's own target where it is, or can be had from rustup. Elsewhere
//! Debian's compiler, which builds the standard library from its source.

use std::path::{Path, PathBuf};

use super::{BUILD, MANIFEST};
use crate::debian;
use crate::process::Program;

const TARGET: &str = "wasm32-unknown-unknown";
const MODULE: &str = "planaria-web.wasm";

/// Debian's compiler for such targets, and the first version that is new enough.
const DEBIAN: &str = "/usr/bin/rustc";
const DEBIAN_MINOR_MIN: u32 = 95;
const DEBIAN_SOURCE: &str = "lib/rustlib/src/rust/library";

/// Of Leptos: views of one type each, instead of one type per page; much less code.
const FLAGS: &str = "--cfg=erase_components";

/// Links for wasm32, and comes with Rust's own toolchain, not with Debian's.
const LINKER: &str = "rust-lld";
/// That of Debian's package `lld`.
const DEBIAN_LINKER: &str = "/usr/bin/wasm-ld";

pub(crate) struct Compiler {
    /// As it says itself.
    pub(crate) version: String,
    /// Of Debian's, which has none.
    linker: Option<PathBuf>,
}

/// How a compiler may be had.
type Way = fn(&Path) -> Result<Compiler, String>;

impl Compiler {
    /// One that is there, or that rustup's toolchain becomes with the target.
    pub(crate) fn find(root: &Path) -> Result<Self, String> {
        let ways: [Way; 3] = [own, debians, add_own];
        let mut problems = String::new();
        for way in ways {
            match way(root) {
                Ok(compiler) => return Ok(compiler),
                Err(problem) => problems.extend([problem.as_str(), "\n"]),
            }
        }
        Err(format!(
            "{problems}the dashboard needs {TARGET}: rustup target add {TARGET}, or Debian's \
             rustc-web and rust-web-src beside rustup's toolchain"
        ))
    }

    /// Debian's, from its packages.
    pub(crate) fn install(root: &Path) -> Result<Self, String> {
        debian::install(root, &["rustc-web", "rust-web-src"])?;
        debians(root)
    }

    /// The dashboard as a module, without what a browser needs around it.
    pub(crate) fn build(&self, root: &Path) -> Result<PathBuf, String> {
        let arguments = ["build", "--release", "--manifest-path", MANIFEST, "--target", TARGET];
        let mut cargo = Program::new("cargo")
            .arguments(&arguments)
            .arguments(&["--target-dir", BUILD])
            .minutes_max(60);
        let mut flags = FLAGS.to_owned();
        if let Some(linker) = &self.linker {
            flags += " -Clinker-flavor=wasm-ld";
            cargo = cargo
                .arguments(&["-Zbuild-std=std,panic_abort"])
                .variable("RUSTC", DEBIAN)
                .variable("RUSTC_BOOTSTRAP", "1")
                .variable("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        cargo.variable("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags).show(root)?;
        Ok(root.join(BUILD).join(TARGET).join("release").join(MODULE))
    }
}

/// The compiler that builds all else, if it has the target.
fn own(root: &Path) -> Result<Compiler, String> {
    let arguments = ["--print", "target-libdir", "--target", TARGET];
    let folder = Program::new("rustc").arguments(&arguments).quiet(root)?;
    if !Path::new(&folder).is_dir() {
        return Err(format!("rustc has no {TARGET}"));
    }
    let version = Program::new("rustc").arguments(&["--version"]).quiet(root)?;
    Ok(Compiler { version, linker: None })
}

fn add_own(root: &Path) -> Result<Compiler, String> {
    println!("installing {TARGET} with rustup");
    let add = Program::new("rustup").arguments(&["target", "add", TARGET]).minutes_max(5);
    add.quiet(root)?;
    own(root)
}

/// Debian's compiler, if it is new enough.
fn debians(root: &Path) -> Result<Compiler, String> {
    let version = Program::new(DEBIAN).arguments(&["--version"]).quiet(root)?;
    let folder = Program::new(DEBIAN).arguments(&["--print", "sysroot"]).quiet(root)?;
    let source = PathBuf::from(folder).join(DEBIAN_SOURCE);
    if !source.is_dir() {
        return Err(format!("{DEBIAN} has no source of the standard library"));
    }
    if minor(&version).is_none_or(|minor| minor < DEBIAN_MINOR_MIN) {
        return Err(format!("{version} is too old: 1.{DEBIAN_MINOR_MIN} or later"));
    }
    Ok(Compiler { version, linker: Some(linker(root)?) })
}

/// That of the toolchain that builds all else, or Debian's.
fn linker(root: &Path) -> Result<PathBuf, String> {
    let ask = |what| Program::new("rustc").arguments(&["--print", what]).quiet(root);
    let folder = PathBuf::from(ask("sysroot")?).join("lib/rustlib").join(ask("host-tuple")?);
    let places = [folder.join("bin").join(LINKER), PathBuf::from(DEBIAN_LINKER)];
    let found = places.into_iter().find(|place| place.is_file());
    found.ok_or(format!("{LINKER} is neither in rustc's folder nor as {DEBIAN_LINKER} (lld)"))
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
