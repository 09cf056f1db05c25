//! The rules of the house that neither the compiler nor clippy checks. Each is a function over
//! the tracked files; a rule without a check here does not exist.

mod packages;
mod source;

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold no source of ours.
const SKIPPED: &[&str] = &[".git", "target", "node_modules", "dist", ".venv", "__pycache__"];

/// What is read as text; everything else is left alone.
const TEXT: &[&str] =
    &["rs", "toml", "md", "proto", "sql", "yaml", "yml", "py", "ts", "go", "sh", "json", "css"];

/// A file of the repository, by its path from the root.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every finding, as `path:line: what is wrong`.
pub(crate) fn run(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    collect(root, root, &mut files);
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let mut findings = Vec::new();
    for file in &files {
        source::words(file, &mut findings);
        if has_extension(&file.path, "rs") {
            source::sizes(file, &mut findings);
            source::sleeps(file, &mut findings);
            source::referenced(file, &files, &mut findings);
        }
    }
    packages::names(&files, &mut findings);
    packages::dependencies(&files, &mut findings);
    packages::code_map(&files, &mut findings);
    findings
}

pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !SKIPPED.contains(&name) {
                collect(root, &path, files);
            }
        } else if TEXT.iter().any(|extension| has_extension(name, extension))
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            files.push(File { path, text });
        }
    }
}
