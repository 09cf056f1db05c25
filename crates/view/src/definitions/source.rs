//! Documents as they are published, YAML or JSON, as values.

use serde_json::Value;

/// Reads a document; what is wrong with it, in words, if it cannot be read.
///
/// # Errors
/// If it is neither YAML nor JSON.
pub fn parse(source: &[u8]) -> Result<Value, String> {
    serde_saphyr::from_slice(source).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_and_json_are_read() {
        let yaml = b"document: { dsl: '1.0.3', name: a }\ndo:\n  - say: { set: { n: 1.5 } }\n";
        let read = json!({
            "document": {"dsl": "1.0.3", "name": "a"},
            "do": [{"say": {"set": {"n": 1.5}}}],
        });
        assert_eq!(parse(yaml), Ok(read.clone()));
        assert_eq!(parse(read.to_string().as_bytes()), Ok(read));
    }

    #[test]
    fn what_is_no_document_is_told() {
        assert!(parse(b"do: [").is_err());
        assert!(parse(&[0xff, 0xfe, 0x00, 0xc3]).is_err());
    }
}
