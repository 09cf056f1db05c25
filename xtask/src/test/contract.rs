//! `buf lint`, with a buf of a fixed version below `target/tools`: its releases come as packages
//! for Python and for Node.js.

use std::path::{Path, PathBuf};

use crate::process::{Outcome, Program};

const VERSION: &str = "1.75.0";

pub(crate) fn lint(root: &Path) -> Outcome {
    let buf = find(root).map_or_else(|| install(root), Ok)?;
    Program::new(buf).arguments(&["lint"]).minutes_max(5).show(root)?;
    Ok(format!("buf {VERSION}"))
}

fn folder(root: &Path) -> PathBuf {
    root.join(format!("target/tools/buf-{VERSION}"))
}

fn find(root: &Path) -> Option<PathBuf> {
    let places = ["bin/buf", "node_modules/.bin/buf"];
    let found = places.iter().map(|place| folder(root).join(place)).find(|path| path.exists())?;
    let works = Program::new(&found).arguments(&["--version"]).quiet(root).is_ok();
    works.then_some(found)
}

fn install(root: &Path) -> Result<PathBuf, String> {
    let folder = folder(root).display().to_string();
    let pip = format!("buf-bin=={VERSION}");
    let npm = format!("@bufbuild/buf@{VERSION}");
    let ways: [(&str, &[&str]); 2] = [
        ("python3", &["-m", "pip", "install", "--quiet", "--upgrade", "--target", &folder, &pip]),
        ("npm", &["install", "--silent", "--no-save", "--prefix", &folder, &npm]),
    ];
    let mut problems = String::new();
    for (program, arguments) in ways {
        println!("installing buf {VERSION} with {program}");
        let installed = Program::new(program).arguments(arguments).minutes_max(5).quiet(root);
        match (installed, find(root)) {
            (_, Some(buf)) => return Ok(buf),
            (Err(problem), None) => problems.extend([problem.as_str(), "\n"]),
            (Ok(_), None) => problems.extend([program, " installed a buf that does not run\n"]),
        }
    }
    Err(format!(
        "{problems}buf {VERSION} is missing: pip (python3-pip) or npm must be able to install it"
    ))
}
