//! URI templates: `{name}` is replaced by a top-level member of the task's input (RFC 6570,
//! simple string expansion, which is all the language has).

/// A piece of a URI template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Text as it is.
    Text(String),
    /// The member of that name, percent-encoded.
    Variable(String),
}

/// Splits a template; `None` if it has no variables.
pub(crate) fn parse(template: &str) -> Result<Option<Vec<Part>>, String> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.find(['{', '}']) {
        let (text, tail) = rest.split_at(open);
        let name = tail.strip_prefix('{').and_then(|tail| tail.split_once('}'));
        let Some((name, tail)) = name else {
            return Err("a brace in a URI template has no partner".to_owned());
        };
        if name.is_empty() || name.contains('{') {
            return Err("a URI template has braces without a name between them".to_owned());
        }
        if let Some(operator) = name.chars().next().filter(|c| "+#./;?&=,!@|".contains(*c)) {
            return Err(format!("URI templates have no operator {operator:?}, only {{name}}"));
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        parts.push(Part::Variable(name.to_owned()));
        rest = tail;
    }
    if parts.is_empty() {
        return Ok(None);
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(Some(parts))
}

/// Expands a template from the members of the input. A missing or null member expands to
/// nothing; an object or array is an error.
pub(crate) fn expand(parts: &[Part], input: &serde_json::Value) -> Result<String, String> {
    let mut uri = String::new();
    for part in parts {
        match part {
            Part::Text(text) => uri.push_str(text),
            Part::Variable(name) => match input.get(name) {
                None | Some(serde_json::Value::Null) => {}
                Some(serde_json::Value::String(text)) => encode(text, &mut uri),
                Some(scalar @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) => {
                    encode(&scalar.to_string(), &mut uri);
                }
                Some(_) => {
                    return Err(format!("{{{name}}} of a URI is an object or an array"));
                }
            },
        }
    }
    Ok(uri)
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encode(text: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(HEX[usize::from(byte >> 4)]));
            into.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, input: &str, expected: Result<&str, ()>) {
        let parts = parse(template).expect("valid").expect("has variables");
        let input = serde_json::from_str(input).expect("json");
        assert_eq!(expand(&parts, &input).as_deref().map_err(|_| ()), expected);
    }

    #[test]
    fn variables_are_top_level_members() {
        check("https://a/{petId}", r#"{"petId": 1}"#, Ok("https://a/1"));
        check(
            "https://a/{x}/b?c={y}",
            r#"{"x": "a/b é", "y": true}"#,
            Ok("https://a/a%2Fb%20%C3%A9/b?c=true"),
        );
        check("https://a/{pet.id}", r#"{"pet": {"id": 1}, "pet.id": 2}"#, Ok("https://a/2"));
        check("https://a/{none}", "{}", Ok("https://a/"));
        check("https://a/{x}", r#"{"x": [1]}"#, Err(()));
    }

    #[test]
    fn only_simple_expansion_exists() {
        assert_eq!(parse("https://a/b"), Ok(None));
        assert!(parse("https://a/{+b}").is_err());
        assert!(parse("https://a/{b").is_err());
        assert!(parse("https://a/b}").is_err());
        assert!(parse("https://a/{}").is_err());
    }
}
