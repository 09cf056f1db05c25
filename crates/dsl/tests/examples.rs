//! Every example of the specification either compiles or is refused as not supported yet.

use std::fmt::Write as _;
use std::path::Path;

use expect_test::expect_file;
use planaria_dsl::{compile, reason};

/// What becomes of one example: its functions, or the places that are not supported yet.
fn outcome(path: &Path) -> String {
    let source = std::fs::read(path).expect("an example");
    match compile(&source) {
        Ok(compiled) => {
            let functions = compiled.functions.iter().map(|used| used.function.as_str());
            let functions: Vec<&str> = functions.collect();
            format!("compiles to {} nodes; calls {functions:?}", compiled.graph.nodes.len())
        }
        Err(problems) => {
            let mut text = String::from("refused");
            for problem in problems {
                assert_eq!(problem.reason, reason::NOT_SUPPORTED_YET, "{path:?}: {problem}");
                assert!(problem.message.contains("not supported yet"), "{problem}");
                let _ = write!(text, "\n    {problem}");
            }
            text
        }
    }
}

#[test]
fn examples_compile_or_are_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/examples");
    let entries = std::fs::read_dir(&folder).expect("the examples");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    assert_eq!(paths.len(), 68);
    let mut report = String::new();
    for path in paths {
        let name = path.file_name().expect("a name").to_string_lossy();
        let _ = writeln!(report, "{name}: {}", outcome(&path));
    }
    expect_file!["./examples.txt"].assert_eq(&report);
}
