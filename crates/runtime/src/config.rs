//! Settings: a TOML file, overridden by `PLANARIA__SECTION__KEY` variables, checked strictly.
//!
//! A section is a plain serde struct with `#[serde(default)]` and a `Default`; nested structs and
//! maps are fine. Do not use `deny_unknown_fields` or `flatten`: unknown keys are found here, so
//! that the error can name the place and the nearest known key.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

use crate::Error;

/// What every override starts with.
pub const PREFIX: &str = "PLANARIA__";

/// Names closer than this, on a scale from 0 to 1, are offered as what was meant.
const SIMILARITY_MIN: f64 = 0.6;

/// Everything the operator said: the file and the overrides, not yet typed.
#[derive(Debug, Clone, Default)]
pub struct Source {
    file: Table,
    file_name: String,
    /// Variable name to value, only those with [`PREFIX`].
    overrides: BTreeMap<String, String>,
}

impl Source {
    /// Reads the file, if there is one, and this process's environment.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML (the text has line and column).
    pub fn read(file: Option<&Path>) -> Result<Self, Error> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
        let variables = std::env::vars();
        let Some(path) = file else { return Self::new("", "", variables) };
        let text = fs::read_to_string(path)
            .map_err(|source| Error::SettingsFile { path: path.to_owned(), source })?;
        Self::new(&path.display().to_string(), &text, variables)
    }

    /// The same from values: `file_name` is only for messages.
    ///
    /// # Errors
    /// The text is not TOML.
    pub fn new(
        file_name: &str,
        text: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Error> {
        let file = toml::from_str(text)
            .map_err(|error| Error::Settings(format!("{file_name} is not valid TOML: {error}")))?;
        let overrides =
            variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
        Ok(Self { file, file_name: file_name.to_owned(), overrides })
    }

    /// The typed section `name`; what nobody set has its default.
    ///
    /// # Errors
    /// An unknown key or a value of the wrong type; the text says which, where, and what is near.
    pub fn section<T>(&self, name: &str) -> Result<T, Error>
    where
        T: DeserializeOwned + Serialize + Default,
    {
        let known = serde_json::to_value(T::default())
            .map_err(|error| Error::Settings(format!("defaults of [{name}]: {error}")))?;
        let mut section = match self.file.get(name) {
            None => Table::new(),
            Some(Value::Table(table)) => table.clone(),
            Some(_) => {
                let text = format!("`{name}` in {} must be a table: [{name}]", self.file_name);
                return Err(Error::Settings(text));
            }
        };
        let mut origins = BTreeMap::new();
        for (variable, text) in &self.overrides {
            let Some(path) = path_in_section(variable, name) else { continue };
            origins.insert(path.join("."), variable.as_str());
            insert(&mut section, &path, typed(text, lookup(&known, &path)))
                .map_err(|key| Error::Settings(format!("{variable}: `{key}` is not a table")))?;
        }
        let mut unknown = Vec::new();
        let result: Result<T, _> =
            serde_ignored::deserialize(section, |path| unknown.push(path.to_string()));
        let place = |path: &str| match origins.get(path) {
            Some(variable) => format!("variable {variable}"),
            None => format!("[{name}] of {}", self.file_name),
        };
        if let Some(path) = unknown.first() {
            return Err(Error::Settings(unknown_key(path, &place(path), &known)));
        }
        result.map_err(|error| {
            let said: Vec<_> = origins.values().copied().collect();
            let from = if said.is_empty() { self.file_name.clone() } else { said.join(", ") };
            let reason = error.to_string();
            Error::Settings(format!("[{name}] ({from}): {}", reason.trim_end()))
        })
    }

    /// Refuses sections that no service of this process knows, in the file and the environment.
    ///
    /// # Errors
    /// The first unknown section, with the nearest known one.
    pub fn check_sections(&self, known: &[&str]) -> Result<(), Error> {
        let in_file = self.file.keys().map(|key| (key.clone(), self.file_name.clone()));
        let in_environment = self.overrides.keys().filter_map(|variable| {
            let section = variable.strip_prefix(PREFIX)?.split("__").next()?;
            Some((section.to_lowercase(), format!("variable {variable}")))
        });
        for (section, place) in in_file.chain(in_environment) {
            let same = |name: &&str| **name == section || plain(name) == section;
            if !known.iter().any(same) {
                let hint = nearest(&section, known.iter().copied());
                return Err(Error::Settings(format!(
                    "unknown section `{section}` in {place}{hint}"
                )));
            }
        }
        Ok(())
    }
}

/// One section of one file and this process's environment; see [`Source::section`].
///
/// # Errors
/// As [`Source::read`] and [`Source::section`].
pub fn load<T>(file: Option<&Path>, section: &str) -> Result<T, Error>
where
    T: DeserializeOwned + Serialize + Default,
{
    Source::read(file)?.section(section)
}

/// The name as it is written in a variable, in lower case.
fn plain(name: &str) -> String {
    name.replace('-', "_").to_lowercase()
}

fn path_in_section(variable: &str, section: &str) -> Option<Vec<String>> {
    let rest = variable.strip_prefix(PREFIX)?.to_lowercase();
    let path = rest.strip_prefix(&format!("{}__", plain(section)))?;
    Some(path.split("__").map(str::to_owned).collect())
}

fn lookup<'a>(known: &'a serde_json::Value, path: &[String]) -> Option<&'a serde_json::Value> {
    path.iter().try_fold(known, |value, key| value.get(key))
}

/// A variable is text: where the default is text it stays so, elsewhere it is read as TOML
/// (numbers, booleans, lists, quoted text), and what is not TOML is text.
fn typed(text: &str, default: Option<&serde_json::Value>) -> Value {
    if default.is_some_and(serde_json::Value::is_string) {
        return Value::String(text.to_owned());
    }
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    let value = parsed.ok().filter(|table| table.len() == 1).and_then(|mut t| t.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Fails with the key that is in the way.
fn insert(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    let Some((last, parents)) = path.split_last() else { return Ok(()) };
    let mut table = table;
    for key in parents {
        let entry = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else { return Err(key.clone()) };
        table = inner;
    }
    table.insert(last.clone(), value);
    Ok(())
}

fn unknown_key(path: &str, place: &str, known: &serde_json::Value) -> String {
    let mut parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    let key = parts.pop().unwrap_or_default();
    let siblings = lookup(known, &parts).and_then(serde_json::Value::as_object);
    let names = siblings.into_iter().flat_map(|object| object.keys().map(String::as_str));
    format!("unknown key `{path}` in {place}{}", nearest(&key, names))
}

fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let score = |candidate: &str| strsim::normalized_damerau_levenshtein(name, candidate);
    let mut best: Vec<_> = known.map(|candidate| (score(candidate), candidate)).collect();
    best.sort_by(|left, right| right.0.total_cmp(&left.0));
    match best.first() {
        Some((score, candidate)) if *score >= SIMILARITY_MIN => {
            format!("; did you mean `{candidate}`?")
        }
        Some(_) => {
            let names: Vec<_> = best.iter().map(|(_, candidate)| *candidate).collect();
            format!("; known are {}", names.join(", "))
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Sample {
        lease_ms: u64,
        name: String,
        label: Option<String>,
        nested: Nested,
        addresses: BTreeMap<String, String>,
    }

    #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default)]
    struct Nested {
        batch_max: usize,
    }

    impl Default for Sample {
        fn default() -> Self {
            Self {
                lease_ms: 9_000,
                name: "worm".into(),
                label: None,
                nested: Nested::default(),
                addresses: BTreeMap::new(),
            }
        }
    }

    /// File, variables, what is expected.
    type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

    #[test]
    fn the_file_is_read_and_its_absence_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("planaria.toml");
        let error = load::<Sample>(Some(&path), "sample").unwrap_err().to_string();
        assert_eq!(
            error,
            format!("cannot read the settings file {} that --config names", path.display())
        );
        fs::write(&path, "[sample]\nlease_ms = 7").unwrap();
        assert_eq!(load::<Sample>(Some(&path), "sample").unwrap().lease_ms, 7);
        assert_eq!(load::<Sample>(None, "sample").unwrap().lease_ms, 9_000);
    }

    fn load_sample(text: &str, variables: &[(&str, &str)]) -> Result<Sample, String> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let source = Source::new("planaria.toml", text, variables).map_err(|e| e.to_string())?;
        source.section("retry-engine").map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_then_file_then_environment() {
        assert_eq!(load_sample("", &[]).unwrap(), Sample::default());
        let text = "[retry-engine]\nlease_ms = 1\nnested.batch_max = 2\naddresses.a-b = 'x'";
        let variables = [
            ("PLANARIA__RETRY_ENGINE__NESTED__BATCH_MAX", "3"),
            ("PLANARIA__RETRY_ENGINE__NAME", "42"),
            ("PLANARIA__RETRY_ENGINE__LABEL", "two words"),
            ("PLANARIA__RETRY__LEASE_MS", "of another section"),
        ];
        let sample = load_sample(text, &variables).unwrap();
        assert_eq!((sample.lease_ms, sample.nested.batch_max), (1, 3));
        assert_eq!((sample.name.as_str(), sample.label.as_deref()), ("42", Some("two words")));
        assert_eq!(sample.addresses["a-b"], "x");
    }

    #[test]
    fn mistakes_are_named_with_place_and_neighbour() {
        let cases: [Case; 6] = [
            (
                "[retry-engine]\nleas_ms = 1",
                &[],
                "unknown key `leas_ms` in [retry-engine] of planaria.toml; \
                 did you mean `lease_ms`?",
            ),
            (
                "[retry-engine.nested]\nbatchmax = 1",
                &[],
                "unknown key `nested.batchmax` in [retry-engine] of planaria.toml; \
                 did you mean `batch_max`?",
            ),
            (
                "",
                &[("PLANARIA__RETRY_ENGINE__NESTED__ZZZ", "1")],
                "unknown key `nested.zzz` in variable PLANARIA__RETRY_ENGINE__NESTED__ZZZ; \
                 known are batch_max",
            ),
            (
                "",
                &[
                    ("PLANARIA__RETRY_ENGINE__NAME__FIRST", "1"),
                    ("PLANARIA__RETRY_ENGINE__NAME", "x"),
                ],
                "PLANARIA__RETRY_ENGINE__NAME__FIRST: `name` is not a table",
            ),
            (
                "",
                &[("PLANARIA__RETRY_ENGINE__LEASE_MS", "soon")],
                "[retry-engine] (PLANARIA__RETRY_ENGINE__LEASE_MS): invalid type: \
                 string \"soon\", expected u64\nin `lease_ms`",
            ),
            (
                "retry-engine = 1",
                &[],
                "`retry-engine` in planaria.toml must be a table: [retry-engine]",
            ),
        ];
        for (text, variables, expected) in cases {
            assert_eq!(load_sample(text, variables).unwrap_err(), expected, "{text} {variables:?}");
        }
        let error = load_sample("[retry-engine]\nlease_ms = -1", &[]).unwrap_err();
        assert!(error.contains("lease_ms") && error.contains("planaria.toml"), "{error}");
        assert!(load_sample("[", &[]).unwrap_err().contains("line 1"));
    }

    #[test]
    fn unknown_sections_are_refused() {
        let check = |text: &str, variable: &str| {
            let variables = [(variable.to_owned(), "1".to_owned())];
            let source = Source::new("planaria.toml", text, variables).unwrap();
            source.check_sections(&["retry-engine", "server"]).map_err(|error| error.to_string())
        };
        assert_eq!(check("[retry-engine]\n[server]", "PLANARIA__RETRY_ENGINE__LEASE_MS"), Ok(()));
        assert_eq!(
            check("[sever]", "PATH").unwrap_err(),
            "unknown section `sever` in planaria.toml; did you mean `server`?"
        );
        let error = check("", "PLANARIA__ZZZ__A").unwrap_err();
        assert!(error.contains("variable PLANARIA__ZZZ__A; known are"), "{error}");
    }
}
