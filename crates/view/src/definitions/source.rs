//! Documents as they were published, YAML or JSON, as values: read by the parser that the engine
//! has, and scalars as it takes them.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Deeper is nothing that the engine takes.
const DEPTH_MAX: usize = 128;
/// Values in all, aliases expanded: a form of more would be of no use.
const NODES_MAX: usize = 200_000;

/// A collection that is not finished.
enum Open {
    List(Vec<Value>),
    /// What is there, and the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

#[derive(Default)]
struct Reader {
    /// Each with the anchor by which it is called; 0 = none.
    stack: Vec<(Open, usize)>,
    anchors: HashMap<usize, Value>,
    root: Option<Value>,
    nodes: usize,
}

/// Reads a document.
///
/// # Errors
/// Why it cannot be read, in words.
pub fn parse(source: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(source).map_err(|_| "the text is not UTF-8".to_owned())?;
    let options = granit_parser::options! {
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, _) = event.map_err(|error| error.to_string())?;
        reader.take(event)?;
    }
    reader.root.ok_or_else(|| "the document is empty".to_owned())
}

impl Reader {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_key = matches!(self.stack.last(), Some((Open::Map(_, None), _)));
                let is_text = tag.as_deref().is_some_and(|tag| tag.core_suffix() == Some("str"));
                let value = if is_key || is_text || !matches!(style, ScalarStyle::Plain) {
                    Value::String(text.into_owned())
                } else {
                    scalar(&text)
                };
                self.add(value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Open::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.open(Open::Map(Map::new(), None), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some((Open::List(items), anchor)) => self.add(Value::Array(items), anchor),
                Some((Open::Map(members, _), anchor)) => self.add(Value::Object(members), anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned().ok_or("an alias of itself")?;
                self.nodes += size(&value);
                self.add(value, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, open: Open, anchor: usize) -> Result<(), String> {
        if self.stack.len() >= DEPTH_MAX {
            return Err(format!("nested deeper than {DEPTH_MAX} levels"));
        }
        self.stack.push((open, anchor));
        Ok(())
    }

    fn add(&mut self, value: Value, anchor: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(format!("more than {NODES_MAX} values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some((Open::List(items), _)) => items.push(value),
            Some((Open::Map(members, key), _)) => match (key.take(), value) {
                (Some(name), value) => {
                    members.insert(name, value);
                }
                (None, Value::String(name)) => *key = Some(name),
                (None, _) => return Err("a key must be a string".into()),
            },
        }
        Ok(())
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// A scalar without quotes, by the core schema of YAML 1.2: `no` is a text.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        let digits = text.strip_prefix(prefix).map(|digits| u64::from_str_radix(digits, radix));
        if let Some(Ok(number)) = digits {
            return Some(number.into());
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    if !unsigned.starts_with(|it: char| it.is_ascii_digit() || it == '.')
        || !unsigned.bytes().all(is_digit)
    {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    let whole = text.parse::<i64>().ok().map(Number::from);
    let large = || text.parse::<u64>().ok().map(Number::from);
    whole.or_else(large).or_else(|| Number::from_f64(text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_and_json_are_read() {
        let yaml = b"document: { dsl: '1.0.3', name: a }
do:
  - say: { set: { n: 1.5, no: [no, -3, ~] } }
";
        let read = json!({
            "document": {"dsl": "1.0.3", "name": "a"},
            "do": [{"say": {"set": {"n": 1.5, "no": ["no", -3, null]}}}],
        });
        assert_eq!(parse(yaml), Ok(read.clone()));
        assert_eq!(parse(read.to_string().as_bytes()), Ok(read));
    }

    #[test]
    fn scalars_are_what_yaml_1_2_says() {
        let yaml = b"[1.0.0, .5, 0x, 0x1f, 1e3, 'true', TRUE, !!str 5, no, inf]";
        let read = json!(["1.0.0", 0.5, "0x", 31, 1000.0, "true", true, "5", "no", "inf"]);
        assert_eq!(parse(yaml), Ok(read));
    }

    #[test]
    fn aliases_are_what_they_name() {
        let read = json!({"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]});
        assert_eq!(parse(b"a: &x { b: 1 }\nc: [*x, *x]\n"), Ok(read));
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let of = format!("*a{},", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{of}]\n");
        }
        assert!(parse(bomb.as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_document_is_told() {
        assert!(parse(b"do: [").is_err());
        assert!(parse(b"").is_err());
        assert!(parse(&"[".repeat(5000).into_bytes()).is_err());
        assert!(parse(&[0xff, 0xfe, 0x00, 0xc3]).is_err());
    }
}
