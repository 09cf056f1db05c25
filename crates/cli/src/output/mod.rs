//! The one place that prints: results on standard output, the rest on standard error.

use std::io::{self, IsTerminal, Write};

pub(crate) mod document;
pub(crate) mod message;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod time;

use document::Document;
use style::Style;
use table::Table;

use crate::Error;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: aligned, coloured on a terminal, relative times.
    Table,
    /// For programs: JSON, stable.
    Json,
}

/// Where and how a command prints.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) format: Format,
    /// Whether colours reach somebody, on standard output and on standard error.
    out_colours: bool,
    err_colours: bool,
}

impl Output {
    /// Colours go to terminals only, and not there if `plain`.
    pub(crate) fn new(format: Format, plain: bool) -> Self {
        Self {
            format,
            out_colours: !plain && io::stdout().is_terminal(),
            err_colours: !plain && io::stderr().is_terminal(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether somebody watches standard error.
    pub(crate) fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether somebody reads the result as it comes.
    pub(crate) fn is_conversation(&self) -> bool {
        !self.is_json() && io::stdout().is_terminal()
    }

    /// The text with a style, where styles are shown.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        style.paint(text, self.out_colours)
    }

    /// The same for standard error.
    pub(crate) fn paint_note(&self, style: Style, text: &str) -> String {
        style.paint(text, self.err_colours)
    }

    /// A line of the result.
    pub(crate) fn line(&self, text: &str) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Bytes of the result, as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        Ok(out.flush()?)
    }

    /// A JSON document: laid out for eyes on a terminal, one line elsewhere.
    pub(crate) fn document(&self, document: &Document) -> Result<(), Error> {
        self.line(&if io::stdout().is_terminal() { document.pretty() } else { document.line() })
    }

    /// A JSON document of a stream: always one line.
    pub(crate) fn document_line(&self, document: &Document) -> Result<(), Error> {
        self.line(&document.line())
    }

    /// A table, or `nothing` if it has no rows.
    pub(crate) fn table(&self, table: &Table, nothing: &str) -> Result<(), Error> {
        if table.is_empty() {
            return self.line(&self.paint(Style::Dim, nothing));
        }
        self.bytes(table.render(self.out_colours).as_bytes())
    }

    /// A line beside the result, on standard error; nobody misses it if it cannot be written.
    pub(crate) fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// An error and what to do next, on standard error.
    pub(crate) fn error(&self, error: &Error) {
        let word = self.paint_note(Style::Bad, "error:");
        self.note(&format!("{word} {error}"));
        if let Some(advice) = error.advice() {
            self.note(&format!("{} {advice}", self.paint_note(Style::Dim, "  try:")));
        }
    }
}
