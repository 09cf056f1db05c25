//! Places in a text, as people and browsers count them.

/// Where a line and a column (both from 1 on, counted in characters) are in a text, in the UTF-16
/// units by which browsers count. What lies outside is moved to the end of its line or of the text.
#[must_use]
pub fn offset(text: &str, line: u32, column: u32) -> u32 {
    let line = line.max(1) as usize;
    let column = column.max(1) as usize;
    let mut units = 0;
    for (index, part) in text.split_inclusive('\n').enumerate() {
        if index + 1 < line {
            units += part.encode_utf16().count();
            continue;
        }
        let part = part.trim_end_matches(['\n', '\r']);
        units += part.chars().take(column - 1).map(char::len_utf16).sum::<usize>();
        break;
    }
    u32::try_from(units).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_as_browsers_do() {
        let text = "ab\nc𝄞d\n\nend";
        for (line, column, units) in [
            (1, 1, 0),
            (1, 3, 2),
            (1, 9, 2),
            (2, 1, 3),
            (2, 3, 6),
            (3, 1, 8),
            (4, 4, 12),
            (9, 1, 12),
            (0, 0, 0),
        ] {
            assert_eq!(offset(text, line, column), units, "{line}:{column}");
        }
    }
}
