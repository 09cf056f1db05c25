//! What the dashboard is made of, as one number: while it is the same, so is the dashboard.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::MANIFEST;

/// Files and folders that are all inputs.
const WHOLE: &[&str] = &["web", "xtask/src/web.rs", "xtask/src/web", "Cargo.toml"];

/// Those of a package of ours that the dashboard depends on.
const OF_PACKAGE: &[&str] = &["Cargo.toml", "build.rs", "proto", "src"];

/// Folders that hold what was made.
const SKIPPED: &[&str] = &["target", "node_modules"];

pub(crate) fn fingerprint(root: &Path, compiler: &str) -> Result<String, String> {
    let manifest = fs::read_to_string(root.join(MANIFEST));
    let manifest = manifest.map_err(|error| format!("{MANIFEST}: {error}"))?;
    let mut places: Vec<PathBuf> = WHOLE.iter().map(|place| root.join(place)).collect();
    for package in packages(&manifest) {
        let package = root.join("web").join(package);
        places.extend(OF_PACKAGE.iter().map(|place| package.join(place)));
    }
    let mut files = Vec::new();
    for place in &places {
        collect(place, &mut files);
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    compiler.hash(&mut hasher);
    for file in &files {
        let content = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        file.strip_prefix(root).unwrap_or(file).hash(&mut hasher);
        content.hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// The folders of packages that a manifest names, as it names them.
fn packages(manifest: &str) -> impl Iterator<Item = &str> {
    let rests = manifest.lines().filter_map(|line| line.split_once("path = \""));
    rests.filter_map(|(_, rest)| Some(rest.split_once('"')?.0))
}

/// The file, or those of the folder; what is not there is no input.
fn collect(place: &Path, files: &mut Vec<PathBuf>) {
    if place.is_file() {
        files.push(place.to_owned());
        return;
    }
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.filter_map(Result::ok) {
        if !SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
            collect(&entry.path(), files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small repository below the temporary folder, gone at the end.
    struct Sandbox(PathBuf);

    impl Sandbox {
        fn new(name: &str) -> Self {
            let name = format!("planaria-xtask-{name}-{}", std::process::id());
            let sandbox = Self(std::env::temp_dir().join(name));
            sandbox.write(MANIFEST, "view = { path = \"../crates/view\" }\n");
            sandbox
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.0.join(path);
            path.parent().map(fs::create_dir_all).transpose().expect("a folder");
            fs::write(path, content).expect("a file");
        }

        fn fingerprint(&self) -> String {
            fingerprint(&self.0, "rustc 1.95.0").expect("all can be read")
        }
    }

    impl Drop for Sandbox {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn each_input_counts_and_nothing_else() {
        let sandbox = Sandbox::new("inputs");
        let mut before = sandbox.fingerprint();
        for (path, counts) in [
            ("web/src/main.rs", true),
            ("web/static/style.css", true),
            ("web/target/release/x", false),
            ("crates/view/src/lib.rs", true),
            ("crates/view/tests/lib.rs", false),
            ("crates/sdk/src/lib.rs", false),
            ("Cargo.toml", true),
        ] {
            sandbox.write(path, "content");
            let after = sandbox.fingerprint();
            assert_eq!(after != before, counts, "{path}");
            before = after;
        }
        assert_ne!(fingerprint(&sandbox.0, "rustc 1.96.0"), Ok(before));
    }

    #[test]
    fn packages_are_those_of_the_manifest() {
        let manifest = "a = { path = \"..\" }\nb = \"1\"\nc = { path = \"../crates/c\", x = 1 }\n";
        assert_eq!(packages(manifest).collect::<Vec<_>>(), ["..", "../crates/c"]);
    }
}
