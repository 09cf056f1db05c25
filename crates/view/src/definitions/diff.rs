//! What differs between two texts, line by line.

use similar::{ChangeTag, TextDiff};

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is in both.
    Same,
    /// Only in the later text.
    Added,
    /// Only in the earlier text.
    Removed,
}

/// A line of either text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What became of it.
    pub change: Change,
    /// Its number in the earlier text, from 1 on.
    pub before: Option<usize>,
    /// Its number in the later text, from 1 on.
    pub after: Option<usize>,
    /// Without its end.
    pub text: String,
}

/// Both texts in one, line by line.
#[must_use]
pub fn diff(before: &str, after: &str) -> Vec<Line> {
    let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
    let (before, after) = (lines(before), lines(after));
    let before: Vec<&str> = before.iter().map(String::as_str).collect();
    let after: Vec<&str> = after.iter().map(String::as_str).collect();
    let diff = TextDiff::from_slices(&before, &after);
    let line = |change: similar::Change<&str>| Line {
        change: match change.tag() {
            ChangeTag::Equal => Change::Same,
            ChangeTag::Insert => Change::Added,
            ChangeTag::Delete => Change::Removed,
        },
        before: change.old_index().map(|index| index + 1),
        after: change.new_index().map(|index| index + 1),
        text: change.value().to_owned(),
    };
    diff.iter_all_changes().map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_changed_line_is_removed_and_added() {
        let found = diff("a\nb\nc\n", "a\nx\nc");
        let told: Vec<_> = found.iter().map(|line| (line.change, line.text.as_str())).collect();
        let wanted = [
            (Change::Same, "a"),
            (Change::Removed, "b"),
            (Change::Added, "x"),
            (Change::Same, "c"),
        ];
        assert_eq!(told, wanted);
        assert_eq!((found[1].before, found[1].after), (Some(2), None));
        assert_eq!((found[3].before, found[3].after), (Some(3), Some(3)));
        assert_eq!(diff("", ""), []);
    }

    proptest! {
        #[test]
        fn both_texts_are_in_it(
            before in proptest::collection::vec("[ab]{0,2}", 0..12),
            after in proptest::collection::vec("[ab]{0,2}", 0..12),
        ) {
            let text = |lines: &[String]| {
                lines.iter().map(|line| format!("{line}\n")).collect::<String>()
            };
            let found = diff(&text(&before), &text(&after));
            let without = |change: Change| -> Vec<_> {
                let kept = found.iter().filter(|line| line.change != change);
                kept.map(|line| line.text.clone()).collect()
            };
            prop_assert_eq!(without(Change::Added), before);
            prop_assert_eq!(without(Change::Removed), after);
        }
    }
}
