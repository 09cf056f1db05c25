//! Rules about crates: their names, what they may depend on, and whether the map shows them.

use std::path::Path;

use super::File;

/// Names that say nothing.
const JUNK: &[&str] = &["common", "util", "utils", "types", "helpers", "misc"];

/// What the pure crate may depend on; anything else would let the world in.
const KERNEL: &[&str] = &["bytes", "libm", "serde", "serde_json", "thiserror"];

/// Crates of ours that a crate of ours may depend on; services and the binary may use all.
const INSIDE: &[(&str, &[&str])] = &[
    ("crates/kernel", &[]),
    ("crates/runtime", &["planaria-telemetry"]),
    ("crates/telemetry", &[]),
    ("crates/bus", &["planaria-runtime"]),
    // It judges the engine, so it may know nothing but the contract.
    ("crates/checker", &["planaria-proto"]),
    ("crates/dsl", &["planaria-kernel"]),
    ("crates/store", &["planaria-test-servers"]),
    ("crates/test-servers", &[]),
    // `cargo xtask web` looks at what the dashboard depends on, and no further.
    ("crates/view", &["planaria-proto"]),
];

const MAP: &str = "docs/ARCHITECTURE.md";

/// No crate and no module has a junk-drawer name.
pub(crate) fn names(files: &[File], findings: &mut Vec<String>) {
    for file in files {
        let path = Path::new(&file.path);
        let rust = path.extension().is_some_and(|extension| extension == "rs");
        let package = path.file_name().is_some_and(|name| name == "Cargo.toml");
        let folder = path.parent().and_then(Path::file_name);
        let name = if package { folder } else { path.file_stem() };
        let named = name.and_then(|name| name.to_str()).is_some_and(|name| JUNK.contains(&name));
        if (rust || package) && named {
            findings.push(format!("{}:1: a name that says nothing", file.path));
        }
    }
}

/// The pure crate has its few dependencies, and ours point one way.
pub(crate) fn dependencies(files: &[File], findings: &mut Vec<String>) {
    for file in files {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else { continue };
        for (line, name) in listed(&file.text) {
            let place = format!("{}:{line}", file.path);
            if folder == "crates/kernel" && !KERNEL.contains(&name) {
                findings.push(format!("{place}: the kernel may not depend on {name}"));
            }
            let inside = INSIDE.iter().find(|(owner, _)| *owner == folder);
            let ours = name.starts_with("planaria-");
            if ours && inside.is_some_and(|(_, allowed)| !allowed.contains(&name)) {
                findings.push(format!("{place}: {folder} may not depend on {name}"));
            }
        }
    }
}

/// Line and name of each entry of `[dependencies]`.
fn listed(manifest: &str) -> Vec<(usize, &str)> {
    let mut inside = false;
    let mut found = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[dependencies]";
        } else if inside && line.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            found.push((index + 1, &line[..end]));
        }
    }
    found
}

/// The code map names every crate, once there is a map.
pub(crate) fn code_map(files: &[File], findings: &mut Vec<String>) {
    let Some(map) = files.iter().find(|file| file.path == MAP) else { return };
    for file in files {
        let Some(folder) = file.path.strip_suffix("/Cargo.toml") else { continue };
        let ours = folder.starts_with("crates/") || folder.starts_with("services/");
        if (ours || folder == "xtask") && !map.text.contains(folder) {
            findings.push(format!("{MAP}:1: the map does not name {folder}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn dependencies_point_one_way() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\nbytes.workspace = true\n\
                        tokio = { workspace = true }\nplanaria-store.workspace = true\n\
                        [dev-dependencies]\nproptest.workspace = true\n";
        let mut findings = Vec::new();
        dependencies(&[file("crates/kernel/Cargo.toml", manifest)], &mut findings);
        assert_eq!(
            findings,
            [
                "crates/kernel/Cargo.toml:5: the kernel may not depend on tokio",
                "crates/kernel/Cargo.toml:6: the kernel may not depend on planaria-store",
                "crates/kernel/Cargo.toml:6: crates/kernel may not depend on planaria-store",
            ]
        );
        findings.clear();
        dependencies(&[file("services/worker/Cargo.toml", manifest)], &mut findings);
        assert!(findings.is_empty());
    }

    #[test]
    fn names_and_map_are_checked() {
        let files = [
            file("crates/common/Cargo.toml", ""),
            file("crates/sdk/Cargo.toml", ""),
            file("crates/sdk/src/util.rs", ""),
            file("proto/planaria/types/v1/types.proto", ""),
            file(MAP, "`crates/sdk` is for workers"),
        ];
        let mut findings = Vec::new();
        names(&files, &mut findings);
        code_map(&files, &mut findings);
        assert_eq!(
            findings,
            [
                "crates/common/Cargo.toml:1: a name that says nothing",
                "crates/sdk/src/util.rs:1: a name that says nothing",
                "docs/ARCHITECTURE.md:1: the map does not name crates/common",
            ]
        );
    }
}
