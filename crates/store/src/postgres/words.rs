//! The words behind the `?` of a URL. The driver passes over those that it does not know; here they
//! are errors, because a `sslmod=verify-full` that means nothing must not look as if it did.

use std::fs::File;
use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::Error;

/// What may stand there.
const KNOWN: [&str; 10] = [
    "application_name",
    "dbname",
    "host",
    "options",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
];
const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

/// Names closer than this, on a scale from 0 to 1, are offered as what was meant.
const SIMILARITY_MIN: f64 = 0.6;

/// Word and value, as they stand in the URL.
pub(super) fn words(url: &str) -> Result<Vec<(&str, String)>, Error> {
    let Some((_, query)) = url.split_once('?') else { return Ok(Vec::new()) };
    let query = query.split('#').next().unwrap_or_default();
    let mut words = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (word, value) = pair.split_once('=').unwrap_or((pair, ""));
        if word != "user" && !word.starts_with("options[") && !KNOWN.contains(&word) {
            let what = format!("the unknown word `{word}`{}", nearest(word, &KNOWN));
            return Err(Error::UrlOption { what });
        }
        let value = decoded(value);
        if word == "sslmode" && !MODES.contains(&value.to_ascii_lowercase().as_str()) {
            let near = nearest(&value, &MODES);
            return Err(Error::UrlOption {
                what: format!("`sslmode={value}`, which is no mode{near}"),
            });
        }
        words.push((word, value));
    }
    Ok(words)
}

/// Looks at the files now: a certificate that is absent is not a server that is away. A named
/// authority is one to be asked, also by `require`, as `libpq` has it.
pub(super) fn encrypted(
    options: PgConnectOptions,
    words: &[(&str, String)],
) -> Result<PgConnectOptions, Error> {
    let value = |name: &str| words.iter().find(|(word, _)| *word == name).map(|(_, value)| value);
    for option in FILES {
        let Some(path) = value(option).filter(|text| !text.starts_with("-----BEGIN")) else {
            continue;
        };
        let path = PathBuf::from(path);
        // Read as a whole: a folder can be opened, and says so only then.
        File::open(&path)
            .and_then(|mut file| std::io::copy(&mut file, &mut std::io::sink()))
            .map_err(|source| Error::Certificate { option, path, source })?;
    }
    if value("sslcert").is_some() != value("sslkey").is_some() {
        let what = "`sslcert` or `sslkey` alone: they go together".to_owned();
        return Err(Error::UrlOption { what });
    }
    let is_required = matches!(options.get_ssl_mode(), PgSslMode::Require);
    if is_required && value("sslrootcert").is_some() {
        return Ok(options.ssl_mode(PgSslMode::VerifyCa));
    }
    Ok(options)
}

fn nearest(name: &str, known: &[&str]) -> String {
    let score = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    let best = known.iter().max_by(|one, other| score(one).total_cmp(&score(other)));
    match best.filter(|best| score(best) >= SIMILARITY_MIN) {
        Some(best) => format!("; did you mean `{best}`?"),
        None => format!("; known are {}", known.join(", ")),
    }
}

/// `%2F` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|_| *first == b'%');
        let byte =
            digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        (bytes, rest) = match byte {
            Some(byte) => ([bytes, vec![byte]].concat(), &behind[2..]),
            None => ([bytes, vec![*first]].concat(), behind),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_mean_nothing_are_refused_and_the_nearest_named() {
        for (query, said) in [
            ("sslmod=require", "`sslmod`; did you mean `sslmode`?"),
            ("colour=blue", "`colour`; known are application_name"),
            ("sslmode=verify_full", "did you mean `verify-full`?"),
            ("sslmode=on", "which is no mode; known are disable"),
        ] {
            let error = words(&format!("postgres://a:secret@b/c?{query}")).unwrap_err().to_string();
            assert!(error.contains(said) && !error.contains("secret"), "{error}");
        }
        let found = words("postgres://b/c?sslmode=verify-full&sslrootcert=%2Fa%20b").unwrap();
        assert_eq!(found, [("sslmode", "verify-full".into()), ("sslrootcert", "/a b".into())]);
    }

    #[test]
    fn certificates_that_are_absent_are_named_at_once() {
        let check = |url: &str| {
            let words = words(url).unwrap();
            encrypted(url.parse().unwrap(), &words)
        };
        let error = check("postgres://b/c?sslrootcert=/nowhere/ca.pem").unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem") && error.contains("`sslrootcert`"), "{error}");
        assert!(check("postgres://b/c?sslcert=/dev/null").is_err());
        assert!(check("postgres://b/c?sslrootcert=/").is_err(), "a folder is no certificate");
        let options = check("postgres://b/c?sslmode=require&sslrootcert=/dev/null").unwrap();
        assert!(matches!(options.get_ssl_mode(), PgSslMode::VerifyCa));
    }
}
