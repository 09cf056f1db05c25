//! Rules about one file.

use super::File;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

/// Words of a workplace. They are written in two halves here, so that this file is no finding.
const FORBIDDEN: &[(&str, &str)] = &[
    ("/work", "/"),
    (".lib", "rary"),
    ("sha", "red/"),
    ("/root", "/"),
    ("index.crates", ".io"),
    ("Co-authored", "-by"),
    ("FIX", "ME"),
    ("TO", "DO"),
];

/// The functions in which a test may let time pass, whatever the crate. A test that waits for
/// something looks at its state.
const SLEEPERS: &[&str] = &[
    // Between two looks at a state.
    "look_again",
    // The length of a fault, or what is left of it.
    "outage_of",
    "outage_since",
    // Until something has happened at a time of its own.
    "pause_of",
    // Over which something is measured.
    "window_of",
];

/// Lengths of the file, its lines and its functions.
pub(crate) fn sizes(file: &File, findings: &mut Vec<String>) {
    let path = &file.path;
    let lines: Vec<&str> = file.text.lines().collect();
    if lines.len() > FILE_LINES_MAX {
        findings.push(format!("{path}:1: {} lines, at most {FILE_LINES_MAX}", lines.len()));
    }
    for (index, line) in lines.iter().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            let number = index + 1;
            findings
                .push(format!("{path}:{number}: {columns} columns, at most {LINE_COLUMNS_MAX}"));
        }
        if let Some(length) = function_length(&lines[index..])
            && length > FUNCTION_LINES_MAX
        {
            let number = index + 1;
            findings.push(format!("{path}:{number}: {length} lines, at most {FUNCTION_LINES_MAX}"));
        }
    }
}

/// The lines of the function that starts on the first line: rustfmt closes it at its own indent.
fn function_length(lines: &[&str]) -> Option<usize> {
    let first = lines.first()?;
    let code = first.trim_start();
    let indent = first.len() - code.len();
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async"];
    let mut rest = code;
    while let Some(shorter) = words.iter().find_map(|word| rest.strip_prefix(word)) {
        rest = shorter.trim_start();
    }
    if !rest.starts_with("fn ") || first.trim_end().ends_with([';', '}']) {
        return None;
    }
    let same = |line: &&str| line.len() - line.trim_start().len() == indent;
    let ends = |line: &&str| same(line) && line.trim_start().starts_with('}');
    let declared = |line: &&str| same(line) && line.trim_end().ends_with(';');
    let last = lines.iter().skip(1).position(|line| ends(line) || declared(line))?;
    Some(last + 2)
}

/// No test sleeps, but in the functions whose names say for what.
pub(crate) fn sleeps(file: &File, findings: &mut Vec<String>) {
    let all = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    let lines: Vec<&str> = file.text.lines().collect();
    let tests = lines.iter().position(|line| line.trim() == "mod tests {");
    let first = if all { 0 } else { tests.unwrap_or(lines.len()) };
    let mut function = "";
    for (index, line) in lines.iter().enumerate().skip(first) {
        function = function_name(line).unwrap_or(function);
        if calls_sleep(line) && !SLEEPERS.contains(&function) {
            let names = SLEEPERS.join(", ");
            findings.push(format!("{}:{}: a test that sleeps: {names}", file.path, index + 1));
        }
    }
}

fn function_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let (before, rest) = code.split_once("fn ")?;
    let declares = before.chars().all(|char| char.is_ascii_alphabetic() || "() ".contains(char));
    let end = rest.find(['(', '<']).filter(|_| declares)?;
    Some(&rest[..end])
}

fn calls_sleep(line: &str) -> bool {
    ["sleep(", "sleep_until("].iter().any(|call| {
        line.match_indices(call).any(|(position, _)| {
            let before = line[..position].chars().next_back();
            !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
        })
    })
}

/// No word of a workplace and no promise of later work.
pub(crate) fn words(file: &File, findings: &mut Vec<String>) {
    for (index, line) in file.text.lines().enumerate() {
        for (first, second) in FORBIDDEN {
            if line.contains(&format!("{first}{second}")) {
                findings.push(format!("{}:{}: `{first}{second}`", file.path, index + 1));
            }
        }
    }
}

/// Every source file is named by a `mod` of the file above it.
pub(crate) fn referenced(file: &File, files: &[File], findings: &mut Vec<String>) {
    let Some((folder, name)) = file.path.rsplit_once("/src/") else {
        return;
    };
    let name = name.strip_suffix("/mod.rs").or_else(|| name.strip_suffix(".rs")).unwrap_or(name);
    if matches!(name, "lib" | "main") || name.starts_with("bin/") {
        return;
    }
    let (parents, module) = match name.rsplit_once('/') {
        None => (vec![format!("{folder}/src/lib.rs"), format!("{folder}/src/main.rs")], name),
        Some((above, module)) => {
            let above = format!("{folder}/src/{above}");
            (vec![format!("{above}.rs"), format!("{above}/mod.rs")], module)
        }
    };
    let declares = |text: &str| {
        text.lines().any(|line| {
            let line = line.trim();
            line == format!("mod {module};") || line.ends_with(&format!(" mod {module};"))
        })
    };
    let found = files.iter().any(|file| parents.contains(&file.path) && declares(&file.text));
    // What is compiled for several modules is named by its path in each.
    let crate_files =
        files.iter().filter(|other| other.path.starts_with(&format!("{folder}/src/")));
    let mut paths = crate_files.flat_map(|other| other.text.lines().filter_map(path_attribute));
    let by_path = paths.any(|path| file.path.ends_with(&format!("/{path}")));
    if !found && !by_path {
        findings.push(format!("{}:1: no `mod {module};` names this file", file.path));
    }
}

/// `store/rows.rs` of `#[path = "../store/rows.rs"]`.
fn path_attribute(line: &str) -> Option<&str> {
    let path = line.trim().strip_prefix("#[path = \"")?.strip_suffix("\"]")?;
    Some(path.trim_start_matches("../"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), text: text.into() }
    }

    #[test]
    fn lengths_are_measured() {
        let long =
            format!("    pub async fn long(\n    ) {{\n{}    }}\n", "        x;\n".repeat(68));
        let short = "fn short() {}\nfn other();\nfn brief() {\n    x;\n}\n";
        let mut findings = Vec::new();
        sizes(&file("a.rs", &format!("{short}{long}{}", "é".repeat(101))), &mut findings);
        assert_eq!(findings, ["a.rs:6: 71 lines, at most 70", "a.rs:77: 101 columns, at most 100"]);
        findings.clear();
        sizes(&file("a.rs", &"\n".repeat(501)), &mut findings);
        assert_eq!(findings, ["a.rs:1: 501 lines, at most 500"]);
    }

    #[test]
    fn files_without_a_mod_line_are_found() {
        let files = [
            file("a/src/lib.rs", "pub mod used;\nmod both;\n// mod lost is a comment"),
            file("a/src/used.rs", "mod inner;"),
            file("a/src/used/inner.rs", ""),
            file("a/src/both.rs", "#[path = \"twice/words.rs\"]\nmod words;"),
            file("a/src/twice/words.rs", ""),
            file("a/src/lost.rs", ""),
        ];
        let mut findings = Vec::new();
        for file in &files {
            referenced(file, &files, &mut findings);
        }
        assert_eq!(findings, ["a/src/lost.rs:1: no `mod lost;` names this file"]);
    }

    #[test]
    fn tests_sleep_only_where_it_is_said_for_what() {
        // The word stands for the call, so that this file is no finding.
        let source = "fn work() { NAP(PAUSE) }\n#[cfg(test)]\nmod tests {\n\
                      async fn outage_of(length: Duration) {\n    time::NAP(length).await;\n}\n\
                      pub(crate) async fn waits<T>() {\n    tokio::time::NAP_until(then)\n\
                      let sql = \"pg_NAP(1)\";\n}\n}\n";
        let source = source.replace("NAP", "sleep");
        for (path, lines) in [("a/src/a.rs", &[8][..]), ("a/tests/a.rs", &[1, 8])] {
            let mut findings = Vec::new();
            sleeps(&file(path, &source), &mut findings);
            let expected: Vec<_> = lines.iter().map(|line| format!("{path}:{line}: ")).collect();
            assert_eq!(findings.len(), expected.len(), "{findings:?}");
            for (finding, place) in findings.iter().zip(&expected) {
                assert!(finding.starts_with(place), "{finding}");
            }
        }
    }

    #[test]
    fn words_of_a_workplace_are_found() {
        let mut findings = Vec::new();
        let text = ["fine: workers work", &["see /root", "/x"].concat()].join("\n");
        words(&file("a.md", &text), &mut findings);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].starts_with("a.md:2: "));
    }
}
