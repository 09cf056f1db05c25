//! Variables in a compose file: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
//! `${NAME:?what is missing}`, and `$$` for a dollar.

use serde_json::Value;

/// Looks up a variable.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Every text of a document with its variables replaced.
pub(super) fn document(value: Value, lookup: Lookup<'_>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(self::text(&text, lookup)?),
        Value::Array(items) => {
            let items = items.into_iter().map(|item| document(item, lookup));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(members) => {
            let replaced = |(key, value)| Ok::<_, String>((key, document(value, lookup)?));
            Value::Object(members.into_iter().map(replaced).collect::<Result<_, _>>()?)
        }
        other => other,
    })
}

fn text(mut rest: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut whole = String::new();
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            whole.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let (inside, after) =
                after.split_once('}').ok_or_else(|| format!("`${{{after}` is not closed"))?;
            whole.push_str(&braced(inside, lookup)?);
            rest = after;
        } else {
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = after.find(|c| !is_name(c)).unwrap_or(after.len());
            let (name, after) = after.split_at(end);
            if name.is_empty() {
                return Err("a lone `$`: write `$$`".into());
            }
            whole.push_str(&lookup(name).unwrap_or_default());
            rest = after;
        }
    }
    whole.push_str(rest);
    Ok(whole)
}

fn braced(inside: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, operation) = inside.split_at(inside.find(|c| !is_name(c)).unwrap_or(inside.len()));
    let value = lookup(name);
    let full = value.clone().filter(|value| !value.is_empty());
    if operation.is_empty() {
        Ok(value.unwrap_or_default())
    } else if let Some(default) = operation.strip_prefix(":-") {
        full.map_or_else(|| text(default, lookup), Ok)
    } else if let Some(default) = operation.strip_prefix('-') {
        value.map_or_else(|| text(default, lookup), Ok)
    } else if let Some(missing) = operation.strip_prefix(":?") {
        full.ok_or_else(|| format!("{name} must be set: {missing}"))
    } else {
        Err(format!("`${{{inside}}}` is not understood"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_compose_does() {
        let lookup = |name: &str| match name {
            "USER" => Some("ada".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("plain", Ok("plain")),
            ("$USER, ${USER}!", Ok("ada, ada!")),
            ("${NONE:-x}${EMPTY:-y}${EMPTY-z}${NONE-$USER}", Ok("xyada")),
            ("cost: $$5", Ok("cost: $5")),
            ("${NONE:?say who}", Err("NONE must be set: say who")),
            ("${USER", Err("`${USER` is not closed")),
            ("${USER^}", Err("`${USER^}` is not understood")),
            ("5 $", Err("a lone `$`: write `$$`")),
        ];
        for (before, after) in cases {
            let after = after.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(text(before, &lookup), after, "{before}");
        }
    }
}
