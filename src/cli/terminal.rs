//! What a command writes to and reads from: standard output, standard error and standard input, or buffers in a test.
//!
//! Text that came from a peer or a device goes through [`printable`] before it reaches a terminal, so that nobody
//! can send escape sequences to an operator's screen.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write};

/// The three streams of a command.
pub struct Terminal<'a> {
    /// Results go here.
    pub out: &'a mut (dyn Write + Send),
    /// Explanations and errors go here.
    pub err: &'a mut (dyn Write + Send),
    /// Passwords from scripts are read here.
    pub input: &'a mut (dyn BufRead + Send),
}

impl Terminal<'_> {
    /// Writes one line to standard output.
    ///
    /// # Errors
    /// The stream is closed or its disk is full.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// Writes one line to standard error.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.err, "{text}")
    }

    /// Writes a value as indented JSON to standard output.
    ///
    /// # Errors
    /// The stream is closed or its disk is full.
    pub fn json<T: serde::Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, value).map_err(io::Error::from)?;
        writeln!(self.out)
    }

    /// Writes a value as one line of JSON to standard output, for streams of values.
    ///
    /// # Errors
    /// The stream is closed or its disk is full.
    pub fn json_line<T: serde::Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value).map_err(io::Error::from)?;
        writeln!(self.out)?;
        self.out.flush()
    }
}

/// A table for people: columns as wide as their widest cell, two spaces between them.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

/// Cells, of which the last may reach over all columns to its right.
#[derive(Clone, Debug)]
struct Row {
    cells: Vec<String>,
    open: bool,
}

/// A column's title and side.
#[derive(Clone, Copy, Debug)]
struct Column {
    title: &'static str,
    right: bool,
}

impl Table {
    /// A table with these titles. A title that begins with `>` makes its column right-aligned, for numbers.
    #[must_use]
    pub fn new(titles: &[&'static str]) -> Self {
        let column = |title: &&'static str| match title.strip_prefix('>') {
            Some(title) => Column { title, right: true },
            None => Column { title, right: false },
        };
        Self { columns: titles.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row; missing cells stay empty, cells beyond the last column are dropped.
    pub fn row<I: IntoIterator<Item = S>, S: AsRef<str>>(&mut self, cells: I) {
        self.push(cells, false);
    }

    /// Adds a row whose last cell is a sentence that may reach over the columns to its right.
    pub fn sentence<I: IntoIterator<Item = S>, S: AsRef<str>>(&mut self, cells: I) {
        self.push(cells, true);
    }

    fn push<I: IntoIterator<Item = S>, S: AsRef<str>>(&mut self, cells: I, open: bool) {
        let cells = cells.into_iter().map(|cell| printable(cell.as_ref())).take(self.columns.len()).collect();
        self.rows.push(Row { cells, open });
    }

    /// True if the table has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, with titles, each line without trailing spaces.
    #[must_use]
    pub fn render(&self) -> String {
        let titles = Row { cells: self.columns.iter().map(|column| column.title.to_owned()).collect(), open: false };
        let mut widths = vec![0; self.columns.len()];
        for row in std::iter::once(&titles).chain(&self.rows) {
            let measured = row.cells.len() - usize::from(row.open && !row.cells.is_empty());
            for (widest, cell) in widths.iter_mut().zip(row.cells.iter().take(measured)) {
                *widest = (*widest).max(width(cell));
            }
        }
        let mut text = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, column), widest) in row.cells.iter().zip(&self.columns).zip(&widths) {
                let padding = " ".repeat(widest.saturating_sub(width(cell)));
                let (before, after) = if column.right { (padding.as_str(), "") } else { ("", padding.as_str()) };
                let _ = write!(line, "{before}{cell}{after}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// Columns a text takes on a terminal, counted as one for each character.
fn width(text: &str) -> usize {
    text.chars().count()
}

/// The text with every control character and every character that turns the writing direction made visible, so
/// that it can be shown on a terminal whoever it came from.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
            }
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_text_left_and_numbers_right() {
        let mut table = Table::new(&["field", ">value", "unit"]);
        table.row(["Voltage L1", "230.1", "V"]);
        table.row(["Energy", "12345.679", "kWh"]);
        assert_eq!(
            table.render(),
            "field           value  unit\n\
             Voltage L1      230.1  V\n\
             Energy      12345.679  kWh\n"
        );
    }

    #[test]
    fn a_table_row_may_be_short_or_long() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["1"]);
        table.row(["1", "2", "3"]);
        assert_eq!(table.render(), "a  b\n1\n1  2\n");
    }

    #[test]
    fn escape_sequences_of_a_peer_are_shown_and_not_obeyed() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\n");
    }

    #[test]
    fn ordinary_text_of_any_language_is_printed_as_it_is() {
        assert_eq!(printable("Trefasmätare 三相 °C"), "Trefasmätare 三相 °C");
    }
}
