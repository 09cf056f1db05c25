//! The runtime arguments of an expression, built from what the workflow machine shows.

use bytes::Bytes;
use planaria_kernel::Json;
use planaria_kernel::definition::Scope;

use super::program::Argument;
use super::table::ExpressionTable;

/// The value of an argument; null for what is not known (yet).
pub(super) fn value(table: &ExpressionTable, scope: &Scope<'_>, argument: &Argument) -> Json {
    let name = argument.name.strip_prefix('$').unwrap_or(&argument.name);
    // A variable of an enclosing task; its name is never one of the runtime arguments'.
    let variable = scope.variables.iter().rev().find(|(known, _)| &**known == name);
    if let Some((_, value)) = variable {
        return value.clone();
    }
    let known = |value: Option<&Json>| value.cloned().unwrap_or(Json::NULL);
    match name {
        "context" => scope.context.clone(),
        "input" => known(scope.input),
        "output" => known(scope.output),
        "secrets" => Json::EMPTY_OBJECT,
        "task" => task(table, scope, argument),
        "workflow" => workflow(table, scope, argument),
        "runtime" => Json::from_valid(Bytes::from_static(
            concat!(
                r#"{"name":"Planaria","version":""#,
                env!("CARGO_PKG_VERSION"),
                r#"","metadata":{}}"#
            )
            .as_bytes(),
        )),
        _ => Json::NULL,
    }
}

fn task(table: &ExpressionTable, scope: &Scope<'_>, argument: &Argument) -> Json {
    let node = scope.graph.node(scope.node);
    let mut object = Object::new(argument);
    object.add("name", || quoted(&node.name));
    object.add("reference", || quoted(&node.reference));
    object.add("definition", || table.definition(scope.node).to_string().into());
    object.add("input", || scope.task_input.as_bytes().clone());
    object.add("output", || scope.task_output.unwrap_or(&Json::NULL).as_bytes().clone());
    object.add("startedAt", || instant(scope.task_started_at_ms).into());
    object.finish()
}

fn workflow(table: &ExpressionTable, scope: &Scope<'_>, argument: &Argument) -> Json {
    let mut object = Object::new(argument);
    object.add("id", || quoted(scope.workflow_id));
    object.add("definition", || table.document.to_string().into());
    object.add("input", || scope.workflow_input.as_bytes().clone());
    object.add("startedAt", || instant(scope.workflow_started_at_ms).into());
    object.finish()
}

/// An object of the members that a program can see.
struct Object<'a> {
    argument: &'a Argument,
    text: Vec<u8>,
}

impl<'a> Object<'a> {
    fn new(argument: &'a Argument) -> Self {
        Self { argument, text: vec![b'{'] }
    }

    fn add(&mut self, key: &str, value: impl FnOnce() -> Bytes) {
        if self.argument.members.as_ref().is_some_and(|members| !members.contains(key)) {
            return;
        }
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        self.text.extend_from_slice(b"\"");
        self.text.extend_from_slice(key.as_bytes());
        self.text.extend_from_slice(b"\":");
        self.text.extend_from_slice(&value());
    }

    fn finish(mut self) -> Json {
        self.text.push(b'}');
        Json::from_valid(self.text.into())
    }
}

fn quoted(text: &str) -> Bytes {
    serde_json::Value::from(text).to_string().into()
}

/// A point in time as the language describes it.
fn instant(unix_ms: u64) -> String {
    let (seconds, milliseconds) = (unix_ms / 1000, unix_ms % 1000);
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = format!("{hour:02}:{minute:02}:{second:02}.{milliseconds:03}");
    let epoch = format!(r#"{{"seconds":{seconds},"milliseconds":{unix_ms}}}"#);
    format!(r#"{{"iso8601":"{date}T{time}Z","epoch":{epoch}}}"#)
}

/// Year, month and day of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
const fn civil(day: u64) -> (u64, u64, u64) {
    let shifted = day + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let january_or_february = if month <= 2 { 1 } else { 0 };
    (year_of_era + era * 400 + january_or_february, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        let check = |unix_ms, expected: &str| {
            let value: serde_json::Value = serde_json::from_str(&instant(unix_ms)).expect("json");
            assert_eq!(value["iso8601"], expected);
            assert_eq!(value["epoch"]["milliseconds"], unix_ms);
        };
        check(0, "1970-01-01T00:00:00.000Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_767_225_599_999, "2025-12-31T23:59:59.999Z");
        check(1_795_303_505_123, "2026-11-21T23:25:05.123Z");
    }
}
