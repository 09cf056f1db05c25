//! From the results of programs to the result of an expression: the same here and for the pool.

use planaria_kernel::Json;
use serde_json::Value;

use super::Skeleton;
use super::table::{Attribute, Finish};
use crate::duration;

/// What one program yielded: JSON text, or why not.
pub(crate) type ProgramResult = Result<Vec<u8>, String>;

/// The result of an expression, or the detail of its error.
pub type Answer = Result<Json, String>;

/// Puts results together.
pub(crate) fn finish(
    finish: &Finish,
    results: Vec<ProgramResult>,
    input: &Json,
    bytes_max: usize,
) -> Answer {
    match finish {
        Finish::Constant(value) => Ok(value.clone()),
        Finish::Value(Skeleton::Program(0)) if results.len() == 1 => {
            let text = results.into_iter().next().unwrap_or_else(|| Ok(b"null".to_vec()))?;
            Ok(Json::from_valid(text.into()))
        }
        Finish::Value(skeleton) => {
            let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
            let input = if skeleton.needs_input() { input.to_value() } else { Value::Null };
            let mut text = Vec::new();
            skeleton.fill(&results, &input, &mut text)?;
            if text.len() > bytes_max {
                return Err(format!("the template yielded more than {bytes_max} bytes"));
            }
            let document = Json::from_valid(text.into());
            // The template stands around what its expressions yielded.
            if document.is_deeper_than(Json::DEPTH_MAX) {
                return Err(super::value::too_deep());
            }
            Ok(document)
        }
        Finish::Duration => {
            let text = results.into_iter().next().unwrap_or_else(|| Ok(b"null".to_vec()))?;
            let milliseconds = duration::from_json(&parse(&text))?;
            Ok(Json::from_valid(milliseconds.to_string().into()))
        }
        Finish::Filter(attributes) => {
            let event = input.to_value();
            let matches = attributes.iter().all(|attribute| holds(attribute, &results, &event));
            Ok(Json::from_value(&Value::Bool(matches)))
        }
    }
}

/// Whether an attribute of an event is as expected. An expression that fails on an event does
/// not match it: a stranger's event must not fault the workflow that listens.
fn holds(attribute: &Attribute, results: &[ProgramResult], event: &Value) -> bool {
    let actual = event.get(&attribute.name).unwrap_or(&Value::Null);
    if let Skeleton::Program(position) = &attribute.expected {
        return match results.get(*position) {
            Some(Ok(text)) => match parse(text) {
                Value::Bool(decision) => decision,
                expected => !expected.is_null() && expected == *actual,
            },
            _ => false,
        };
    }
    let texts: Vec<&[u8]> =
        results.iter().map(|result| result.as_deref().unwrap_or(b"null")).collect();
    let mut text = Vec::new();
    attribute.expected.fill(&texts, &Value::Null, &mut text).is_ok() && parse(&text) == *actual
}

fn parse(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or(Value::Null)
}

/// The elements of a document that is an array.
///
/// # Errors
/// If it is none.
pub(crate) fn items(value: &Json) -> Result<Vec<Json>, String> {
    let parsed: Result<Vec<&serde_json::value::RawValue>, _> =
        serde_json::from_slice(value.as_bytes());
    let items = parsed.map_err(|_| "the `in` of a for must yield an array".to_owned())?;
    Ok(items
        .into_iter()
        .map(|item| {
            let text = item.get().as_bytes();
            Json::from_valid(value.as_bytes().slice_ref(text))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_around_a_deep_value_is_refused() {
        let around = Finish::Value(Skeleton::array(vec![Skeleton::Program(0)]));
        for (levels, fits) in [(Json::DEPTH_MAX - 1, true), (Json::DEPTH_MAX, false)] {
            let nested = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
            let answer = finish(&around, vec![Ok(nested.into())], &Json::NULL, 10_000);
            assert_eq!(answer.is_ok(), fits, "{answer:?}");
            let told = answer.map_or_else(|message| message, |value| value.to_value().to_string());
            assert_eq!(told.contains("deeper than 127 levels"), !fits, "{told}");
        }
    }
}
