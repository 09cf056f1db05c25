//! The jq language as expressions may use it: jaq without the filters that look outside.
//!
//! What is left out is what would make an expression depend on the machine or act on it:
//! environment, further inputs, the clock, the local time zone, messages, ending the process.

use jaq_core::load::{self, Arena, File, Loader, lex, parse};
use jaq_core::{Ctx, Vars, compile, data, native, unwrap_valr};
use jaq_json::Val;

/// Values and functions that compiled programs work with.
type Data = data::JustLut<Val>;

/// A compiled program.
pub(crate) type Filter = jaq_core::Filter<Data>;

/// Native filters that expressions may not use.
const NATIVES_LEFT_OUT: [&str; 7] =
    ["env", "halt", "now", "debug_empty", "stderr_empty", "localtime", "strflocaltime"];

/// Definitions that rest on those.
const DEFINITIONS_LEFT_OUT: [&str; 4] = ["stderr", "debug", "halt", "halt_error"];

/// Names of jq that an author may try, all of which look outside the expression.
const FORBIDDEN: [&str; 19] = [
    "$ENV",
    "$__loc__",
    "$__prog_args",
    "debug",
    "env",
    "get_search_list",
    "halt",
    "halt_error",
    "import",
    "include",
    "input",
    "input_filename",
    "input_line_number",
    "inputs",
    "localtime",
    "modulemeta",
    "now",
    "stderr",
    "strflocaltime",
];

/// Why a text is not a program that may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    /// Whether it uses what expressions may not use, rather than being no program at all.
    pub(crate) forbidden: bool,
    /// What is wrong, for people.
    pub(crate) message: String,
}

impl Invalid {
    fn syntax(message: String) -> Self {
        Self { forbidden: false, message }
    }

    fn forbidden(name: &str) -> Self {
        Self { forbidden: true, message: format!("an expression may not use {name}") }
    }
}

/// Compiles programs; holds the parsed standard library.
pub(crate) struct Engine {
    definitions: Vec<parse::Def<&'static str>>,
}

impl Engine {
    /// An engine with the standard library, less what expressions may not use.
    pub(crate) fn new() -> Self {
        let all = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let definitions = all.filter(|def| !DEFINITIONS_LEFT_OUT.contains(&def.name)).collect();
        Self { definitions }
    }

    /// Compiles a program that may use the given variables (with their dollar sign), in the
    /// order in which [`run`] will be given their values.
    ///
    /// # Errors
    /// If the text is not a program, or uses what it may not or what does not exist.
    pub(crate) fn compile(&self, text: &str, variables: &[&str]) -> Result<Filter, Invalid> {
        let arena = Arena::default();
        let loader = Loader::new(self.definitions.iter().cloned());
        let modules = loader
            .load(&arena, File { code: text, path: () })
            .map_err(|errors| explain_load(text, errors))?;
        compile::Compiler::default()
            .with_funs(functions())
            .with_global_vars(variables.iter().copied())
            .compile(modules)
            .map_err(|errors| explain_compile(&errors))
    }
}

fn functions() -> impl Iterator<Item = native::Fun<Data>> {
    let all = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    all.filter(|(name, ..)| !NATIVES_LEFT_OUT.contains(name))
}

/// Runs a program and answers the one value that it yields.
///
/// Neither bounded in time nor in space: only for a process that may die.
///
/// # Errors
/// What the program raised, or that it yielded no value or more than one.
pub(crate) fn run(filter: &Filter, variables: Vec<Val>, input: Val) -> Result<Val, String> {
    let context = Ctx::<Data>::new(&filter.lut, Vars::new(variables));
    let mut values = filter.id.run((context, input)).map(unwrap_valr);
    let first = match values.next() {
        None => return Err(NO_VALUE.to_owned()),
        Some(Err(error)) => return Err(super::value::display(&error)),
        Some(Ok(value)) => value,
    };
    match values.next() {
        None => Ok(first),
        Some(Err(error)) => Err(super::value::display(&error)),
        Some(Ok(_)) => Err(MANY_VALUES.to_owned()),
    }
}

/// An expression that yields nothing has no result.
pub(crate) const NO_VALUE: &str = "the expression yielded no value";
/// An expression that yields several values has no one result.
pub(crate) const MANY_VALUES: &str =
    "the expression yielded more than one value; put it in [ ] to make them an array";

fn explain_load(text: &str, errors: load::Errors<&str, ()>) -> Invalid {
    let Some((_, error)) = errors.into_iter().next() else {
        return Invalid::syntax("not a jq program".to_owned());
    };
    match error {
        load::Error::Io(_) => Invalid::forbidden("import or include"),
        load::Error::Lex(errors) => Invalid::syntax(errors.into_iter().next().map_or_else(
            || "not a jq program".to_owned(),
            |(expected, found): lex::Error<&str>| {
                format!("expected {}{}", expected.as_str(), place(text, found))
            },
        )),
        load::Error::Parse(errors) => Invalid::syntax(errors.into_iter().next().map_or_else(
            || "not a jq program".to_owned(),
            |(expected, found): parse::Error<&str>| {
                format!("expected {}{}", expected.as_str(), place(text, found))
            },
        )),
    }
}

/// Where in the program, as `at character N, before "…"`.
fn place(text: &str, found: &str) -> String {
    if found.is_empty() {
        return " at the end of the expression".to_owned();
    }
    let before = &text[..load::span(text, found).start];
    let shown: String = found.chars().take(20).collect();
    format!(" at character {}, before {shown:?}", before.chars().count() + 1)
}

fn explain_compile(errors: &compile::Errors<&str, ()>) -> Invalid {
    let Some((name, undefined)) = errors.iter().flat_map(|(_, errors)| errors).next() else {
        return Invalid::syntax("not a jq program".to_owned());
    };
    if FORBIDDEN.contains(name) {
        return Invalid::forbidden(name);
    }
    let kind = undefined.as_str();
    Invalid::syntax(match undefined {
        compile::Undefined::Filter(arity) => format!("there is no {kind} {name}/{arity}"),
        _ => format!("there is no {kind} {name} here"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let engine = Engine::new();
        let outcome = engine.compile(text, &["$x"]).map_err(|invalid| invalid.message);
        let outcome = outcome.and_then(|filter| run(&filter, vec![Val::from(7_isize)], Val::Null));
        let outcome = outcome.map(|value| value.to_string());
        assert_eq!(outcome.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn programs_run() {
        check("$x + 1", Ok("8"));
        check("[.a, (null | .b)]", Ok("[null,null]"));
        check("empty", Err(NO_VALUE));
        check("1, 2", Err(MANY_VALUES));
        check("1 | .a", Err("cannot index 1 with \"a\""));
        check("error(\"no\")", Err("no"));
        check("@base64 \"\\(\"ab\")\"", Ok("\"YWI=\""));
    }

    #[test]
    fn what_is_no_program_is_explained() {
        check("1 +", Err("expected term at the end of the expression"));
        check(". | ]", Err("expected token at character 5, before \"]\""));
        check("$y", Err("there is no variable $y here"));
        check("foo(1)", Err("there is no filter foo/1"));
    }

    #[test]
    fn nothing_looks_outside() {
        for name in FORBIDDEN {
            if ["import", "include"].contains(&name) {
                continue;
            }
            check(name, Err(&format!("an expression may not use {name}")));
        }
        check("import \"a\" as a; 1", Err("an expression may not use import or include"));
        check("include \"a\"; 1", Err("an expression may not use import or include"));
        check("debug(1)", Err("an expression may not use debug"));
        check("halt_error(1)", Err("an expression may not use halt_error"));
        check("input as $i | 1", Err("an expression may not use input"));
    }
}
