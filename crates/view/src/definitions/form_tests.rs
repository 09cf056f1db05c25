use serde_json::json;

use super::*;

fn document() -> Value {
    json!({"input": {"schema": {"format": "json", "document": {
        "type": "object",
        "required": ["order", "card"],
        "properties": {
            "order": {"type": "integer", "title": "Order", "description": "its number"},
            "total": {"type": "number", "default": 1.5},
            "express": {"type": "boolean"},
            "colour": {"enum": ["red", 5, null], "default": 5},
            "card": {"type": "object", "required": ["no"], "properties": {
                "no": {"type": "string"},
                "valid/until": {"type": "string"}
            }},
            "gift": {"type": "object", "required": ["to"], "properties": {
                "to": {"type": "string"}
            }},
            "lines": {"type": "array", "items": {"type": "string"}},
            "either": {"oneOf": [{"type": "string"}, {"type": "number"}]}
        }
    }}}})
}

fn texts(filled: &[(&str, &str)]) -> BTreeMap<String, String> {
    filled.iter().map(|(pointer, text)| ((*pointer).into(), (*text).into())).collect()
}

#[test]
fn a_schema_becomes_fields() {
    let fields = fields(&document()).unwrap();
    let of = |name: &str| fields.iter().find(|field| field.name == name).unwrap();
    assert_eq!(of("order").kind, Kind::Integer);
    assert_eq!(of("order").description, "Order: its number");
    assert!(of("order").required && !of("total").required);
    assert_eq!(of("total").initial, "1.5");
    assert_eq!(of("colour").initial, "1");
    assert_eq!((&of("lines").kind, &of("either").kind), (&Kind::Json, &Kind::Json));
    let Kind::Object(card) = &of("card").kind else { panic!("no object") };
    assert!(card.iter().any(|field| field.pointer == "/card/valid~1until"));
}

#[test]
fn without_a_schema_there_is_no_form() {
    assert_eq!(fields(&json!({"do": []})), None);
    assert_eq!(fields(&json!({"input": {"schema": {"document": {"type": "string"}}}})), None);
    assert_eq!(fields(&json!({"input": {"schema": {"document": {"type": "object"}}}})), None);
}

#[test]
fn what_is_filled_in_becomes_the_input() {
    let fields = fields(&document()).unwrap();
    let filled = texts(&[
        ("/order", "12"),
        ("/total", "3"),
        ("/express", "false"),
        ("/colour", "2"),
        ("/card/no", "77"),
        ("/lines", "[\"a\"]"),
    ]);
    let wanted = json!({
        "order": 12, "total": 3, "express": false, "colour": null,
        "card": {"no": "77"}, "lines": ["a"],
    });
    assert_eq!(read(&fields, &filled), Ok(wanted));
}

#[test]
fn what_is_wrong_is_told_at_its_field() {
    let fields = fields(&document()).unwrap();
    let filled = texts(&[("/order", "x"), ("/lines", "["), ("/colour", "9")]);
    let problems = read(&fields, &filled).unwrap_err();
    assert_eq!(problems["/order"], "is not a whole number");
    // The card is required, and so is its number.
    assert_eq!(problems["/card/no"], "is required");
    assert!(problems["/lines"].starts_with("is not JSON") && problems.contains_key("/colour"));
    // The gift is not, so that its name is not either.
    assert!(!problems.contains_key("/gift/to"));
}
