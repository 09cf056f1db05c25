//! Names the files of the dashboard, if it was built, for `src/dashboard.rs` to take them into the
//! binary: those of `PLANARIA_WEB_DIST`, or of the folder where `cargo xtask web` leaves them.

#![expect(clippy::disallowed_methods, reason = "cargo talks to build scripts by variables")]

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

const DIST: &str = "PLANARIA_WEB_DIST";
const DEFAULT: &str = "../../target/web/dist";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed={DIST}");
    let dist = match env::var_os(DIST) {
        Some(dist) => PathBuf::from(dist),
        None => default(&PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join(DEFAULT))?,
    };
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files = Vec::new();
    collect(&dist, &mut files).map_err(|error| format!("{}: {error}", dist.display()))?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let path = file.strip_prefix(&dist)?.with_extension("");
        writeln!(table, "    ({path:?}, include_bytes!({file:?})),")?;
    }
    table.push(']');
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("dashboard.rs"), table)?;
    Ok(())
}

/// The folder, made if it is missing: Cargo takes what is missing for changed, and would build the
/// gateway at each build. For the same reason what is made here is old.
fn default(dist: &Path) -> io::Result<PathBuf> {
    if !dist.is_dir() {
        fs::create_dir_all(dist)?;
        fs::File::open(dist)?.set_modified(SystemTime::UNIX_EPOCH)?;
    }
    dist.canonicalize()
}

/// The compressed files.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "br") {
            files.push(path);
        }
    }
    Ok(())
}
