//! Aligned columns for people.

use super::style::Style;

/// Spaces between two columns.
const GAP: usize = 2;

/// Rows under a head.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Column {
    title: &'static str,
    right: bool,
}

/// One field of a row.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, style: Style::Plain }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        number.to_string().into()
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        number.to_string().into()
    }
}

/// A field with a style.
pub(crate) fn cell(style: Style, text: impl Into<String>) -> Cell {
    Cell { text: text.into(), style }
}

impl Table {
    /// A table with these titles; those that start with `>` stand over numbers, to the right.
    pub(crate) fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_prefix('>') {
            Some(title) => Column { title, right: true },
            None => Column { title, right: false },
        };
        Self { head: titles.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row with a field for each title.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The lines of the table.
    pub(crate) fn render(&self, colours: bool) -> String {
        let width = |index: usize, title: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let texts = cells.map(|cell| cell.text.as_str()).chain([title]);
            texts.map(|text| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> =
            self.head.iter().enumerate().map(|(i, column)| width(i, column.title)).collect();
        let titles = self.head.iter().map(|column| (column.title, Style::Dim)).collect::<Vec<_>>();
        let mut text = self.line(&titles, &widths, colours);
        for row in &self.rows {
            let fields: Vec<_> = row.iter().map(|c| (c.text.as_str(), c.style)).collect();
            text.push_str(&self.line(&fields, &widths, colours));
        }
        text
    }

    fn line(&self, fields: &[(&str, Style)], widths: &[usize], colours: bool) -> String {
        let mut line = String::new();
        for (index, (text, style)) in fields.iter().enumerate() {
            let missing = widths[index].saturating_sub(text.chars().count());
            let (before, after) = if self.head[index].right { (missing, 0) } else { (0, missing) };
            line.push_str(&" ".repeat(before));
            line.push_str(&style.paint(text, colours));
            if index + 1 < fields.len() {
                line.push_str(&" ".repeat(after + GAP));
            }
        }
        format!("{}\n", line.trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_with_their_text() {
        let mut table = Table::new(&["ID", ">RUNNING", "CAUSE"]);
        table.row(["worker-1".into(), 3_u32.into(), "".into()]);
        table.row([cell(Style::Bad, "ö"), 20_u32.into(), "gone".into()]);
        let expected = "ID        RUNNING  CAUSE\nworker-1        3\nö              20  gone\n";
        assert_eq!(table.render(false), expected);
        assert!(table.render(true).contains("\u{1b}[31mö\u{1b}[0m              20"));
    }
}
