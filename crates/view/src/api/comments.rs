//! Comments, which descriptors keep beside what they are about: by its path in the file.

use std::collections::HashMap;

use prost_types::FileDescriptorProto;

/// The comments of one file.
#[derive(Debug)]
pub(super) struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    pub(super) fn of(file: &FileDescriptorProto) -> Self {
        let places = file.source_code_info.iter().flat_map(|info| &info.location);
        let told = places.filter_map(|place| {
            let before = place.leading_comments();
            let text = if before.is_empty() { place.trailing_comments() } else { before };
            (!text.is_empty()).then(|| (place.path.clone(), paragraphs(text)))
        });
        Self(told.collect())
    }

    /// Empty if there is none.
    pub(super) fn at(&self, path: &[i32]) -> String {
        self.0.get(path).cloned().unwrap_or_default()
    }
}

/// Lines that were only broken to fit a column are joined; an empty line parts paragraphs.
fn paragraphs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines().map(str::trim) {
        match line {
            "" if out.is_empty() => {}
            "" => out.push('\n'),
            line => {
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push(' ');
                }
                out.push_str(line);
            }
        }
    }
    out.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_lines_are_joined_and_paragraphs_stay_apart() {
        assert_eq!(paragraphs(" One\n line.\n\n Another.\n"), "One line.\nAnother.");
        assert_eq!(paragraphs("\n"), "");
    }
}
