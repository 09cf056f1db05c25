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
    if !found {
        findings.push(format!("{}:1: no `mod {module};` names this file", file.path));
    }
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
            file("a/src/lib.rs", "pub mod used;\n// mod lost is a comment"),
            file("a/src/used.rs", "mod inner;"),
            file("a/src/used/inner.rs", ""),
            file("a/src/lost.rs", ""),
        ];
        let mut findings = Vec::new();
        for file in &files {
            referenced(file, &files, &mut findings);
        }
        assert_eq!(findings, ["a/src/lost.rs:1: no `mod lost;` names this file"]);
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
