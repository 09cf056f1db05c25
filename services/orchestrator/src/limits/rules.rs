//! The limits as an engine needs them: by function, with the values that tasks count by.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::store::limits::{LimitRow, LimitUse};

/// A longer value is counted by its hash.
const VALUE_BYTES_MAX: usize = 64;

/// What limits count a task by: pointer into its arguments to the value there.
pub(crate) type Values = BTreeMap<String, String>;

/// All limits.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Rules {
    /// By namespace and function.
    namespaces: HashMap<String, HashMap<String, Vec<Rule>>>,
}

/// A limit of a function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rule {
    /// The limit.
    pub(crate) limit: i64,
    /// JSON pointer into the arguments; empty = all tasks of the function together.
    pub(crate) per: String,
    /// How many may run at once.
    pub(crate) concurrency: Option<u32>,
    /// How many may start at once after a pause, where starts are limited.
    pub(crate) burst: Option<u32>,
}

impl Rules {
    /// What the store has.
    pub(crate) fn of_rows(rows: &[LimitRow]) -> Self {
        let mut rules = Self::default();
        for row in rows {
            let functions = rules.namespaces.entry(row.key.namespace.clone()).or_default();
            functions.entry(row.key.function.clone()).or_default().push(Rule {
                limit: row.id,
                per: row.key.per.clone(),
                concurrency: row.concurrency,
                burst: row.rate.map(|rate| rate.burst),
            });
        }
        rules
    }

    /// Whether there is no limit at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// The limits of a function.
    pub(crate) fn of(&self, namespace: &str, function: &str) -> &[Rule] {
        let functions = self.namespaces.get(namespace);
        functions.and_then(|functions| functions.get(function)).map_or(&[], Vec::as_slice)
    }

    /// Every function with limits, and its namespace.
    pub(crate) fn functions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.namespaces.iter().flat_map(|(namespace, functions)| {
            functions.keys().map(move |function| (&**namespace, &**function))
        })
    }

    /// Every limit.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Rule> {
        self.namespaces.values().flat_map(HashMap::values).flatten()
    }

    /// What the limits of a function count a task by; nothing if none looks into arguments.
    pub(crate) fn values(
        &self,
        namespace: &str,
        function: &str,
        arguments: &[u8],
    ) -> Option<Arc<Values>> {
        let rules = self.of(namespace, function);
        if rules.iter().all(|rule| rule.per.is_empty()) {
            return None;
        }
        let arguments: Value = serde_json::from_slice(arguments).unwrap_or_default();
        let pointers = rules.iter().map(|rule| &rule.per).filter(|per| !per.is_empty());
        let values = pointers.map(|per| (per.clone(), value_at(&arguments, per)));
        Some(Arc::new(values.collect()))
    }
}

impl Rule {
    /// What a task uses of the limit; nothing if it is not known what it counts by.
    pub(crate) fn used_by(&self, values: Option<&Values>) -> Option<LimitUse> {
        let value = match self.per.as_str() {
            "" => "",
            per => values?.get(per)?,
        };
        Some(LimitUse { limit: self.limit, value: Arc::from(value) })
    }
}

/// What a pointer leads to, as limits count it: a string as it is, other values in JSON, nothing
/// and null as the empty one.
fn value_at(arguments: &Value, pointer: &str) -> String {
    let text = match arguments.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    if text.len() <= VALUE_BYTES_MAX && !text.contains('\0') {
        return text;
    }
    let hash = Sha256::digest(text.as_bytes());
    let digits: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

#[cfg(test)]
mod tests {
    use planaria_kernel::flow::Rate;

    use super::*;
    use crate::store::limits::LimitKey;

    fn row(id: i64, per: &str) -> LimitRow {
        let key = LimitKey {
            namespace: "shop".to_owned(),
            function: "charge".to_owned(),
            per: per.to_owned(),
        };
        let rate = Some(Rate { per_second: 1.0, burst: 2 });
        LimitRow { id, key, concurrency: Some(4), rate, created_at_ms: 0, changed_at_ms: 0 }
    }

    #[test]
    fn a_task_is_under_every_limit_of_its_function() {
        let rules = Rules::of_rows(&[row(1, ""), row(2, "/customer"), row(3, "/card/number")]);
        let arguments = br#"{"customer":"ann","card":{"number":17}}"#;
        let values = rules.values("shop", "charge", arguments).expect("some count by value");
        let uses: Vec<LimitUse> = rules
            .of("shop", "charge")
            .iter()
            .filter_map(|rule| rule.used_by(Some(&values)))
            .collect();
        let used = |limit, value: &str| LimitUse { limit, value: value.into() };
        assert_eq!(uses, [used(1, ""), used(2, "ann"), used(3, "17")]);
        assert_eq!(rules.of("shop", "refund"), []);
        assert_eq!(rules.of("bank", "charge"), []);
    }

    #[test]
    fn arguments_are_not_looked_at_without_need() {
        let rules = Rules::of_rows(&[row(1, "")]);
        assert_eq!(rules.values("shop", "charge", b"{}"), None);
    }

    #[test]
    fn what_is_missing_is_empty_and_what_is_long_is_hashed() {
        let long = "x".repeat(65);
        let arguments = serde_json::json!({ "a": null, "b": "", "c": long, "d": [1, "x"] });
        assert_eq!(value_at(&arguments, "/nothing"), "");
        assert_eq!(value_at(&arguments, "/a"), "");
        assert_eq!(value_at(&arguments, "/b"), "");
        assert_eq!(value_at(&arguments, "/d"), r#"[1,"x"]"#);
        let hashed = value_at(&arguments, "/c");
        assert!(hashed.starts_with("sha256:") && hashed.len() <= VALUE_BYTES_MAX, "{hashed}");
    }

    #[test]
    fn a_limit_whose_value_is_not_known_yet_is_not_used() {
        let rules = Rules::of_rows(&[row(2, "/customer")]);
        assert_eq!(rules.of("shop", "charge")[0].used_by(None), None);
    }
}
