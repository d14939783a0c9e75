//! CSV as a table: the separator, the header, and the rows with their lines.

use super::error::ImportError;
use super::format::Input;
use super::source_place::SourcePosition;

/// Separators between columns, the usual one first.
const SEPARATORS: [u8; 4] = *b",;\t|";
/// First line by which some programs name the separator: `sep=;`.
const NAMED: &str = "sep=";

/// The rows of a CSV file.
pub(super) struct CsvTable {
    /// Name of the file.
    name: String,
    /// Names of the columns; may repeat.
    pub header: Vec<String>,
    pub rows: Vec<CsvRow>,
}

/// A row and its line, counted from 1.
pub(super) struct CsvRow {
    pub line: usize,
    cells: csv::StringRecord,
}

impl CsvRow {
    /// The text of a cell; empty if the row is too short.
    pub fn cell(&self, column: usize) -> &str {
        self.cells.get(column).unwrap_or_default().trim()
    }

    /// The first text among cells.
    pub fn first(&self, columns: &[usize]) -> &str {
        columns.iter().map(|at| self.cell(*at)).find(|cell| !cell.is_empty()).unwrap_or_default()
    }

    /// All texts among cells.
    pub fn all(&self, columns: &[usize]) -> impl Iterator<Item = &str> {
        columns.iter().map(|at| self.cell(*at)).filter(|cell| !cell.is_empty())
    }

    /// Whether all cells are empty.
    pub fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.cells.len()
    }
}

impl CsvTable {
    /// Reads the header and all rows. Blank rows are left out.
    ///
    /// # Errors
    /// The file has no header, or a quote is never closed.
    pub fn of(input: &Input) -> Result<Self, ImportError> {
        let text = input.text()?;
        let mut reader = reader(text);
        let mut lines = LineCounter { rest: body(text), offset: 0, line: 1 + skipped_lines(text) };
        let mut rows = Vec::new();
        for record in reader.records() {
            let cells =
                record.map_err(|error| ImportError::malformed(input.name(), error.to_string()))?;
            let start = cells.position().map_or(0, csv::Position::byte);
            let line = lines.line_at(usize::try_from(start).unwrap_or(usize::MAX));
            rows.push(CsvRow { line, cells });
        }
        rows.retain(|row| !row.is_blank());
        // An open quote takes in the rest of the file.
        if let Some(last) = rows.last()
            && text.matches('"').count() % 2 == 1
            && last.cells.iter().any(|cell| cell.contains('\n'))
        {
            let place = input.at_line(last.line);
            let why =
                "a quote opens in this row and is never closed; write a quote inside a field twice";
            return Err(ImportError::malformed(place, why));
        }
        if rows.is_empty() {
            let why = "has no header; the first row of a CSV file names its columns";
            return Err(ImportError::malformed(input.name(), why));
        }
        let header = rows.remove(0);
        let header = (0..header.len()).map(|at| header.cell(at).to_owned()).collect();
        Ok(Self { name: input.name().to_owned(), header, rows })
    }

    /// Name of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns with a name, ignoring case; names may repeat.
    pub fn columns(&self, name: &str) -> Vec<usize> {
        let is_named = |(_, column): &(usize, &String)| column.eq_ignore_ascii_case(name);
        self.header.iter().enumerate().filter(is_named).map(|(at, _)| at).collect()
    }

    /// The columns with one of several names, in the order of the names.
    pub fn columns_of(&self, names: &[&str]) -> Vec<usize> {
        names.iter().flat_map(|name| self.columns(name)).collect()
    }

    /// Position of a row.
    pub fn place(&self, row: &CsvRow) -> SourcePosition {
        SourcePosition::Line(self.name.as_str().into(), row.line)
    }
}

/// Returns the names of the columns, without reading the rows.
pub(super) fn header(text: &str) -> Vec<String> {
    let first = reader(text).into_records().next();
    let Some(Ok(record)) = first else { return Vec::new() };
    record.iter().map(|cell| cell.trim().to_owned()).collect()
}

fn reader(text: &str) -> csv::Reader<&[u8]> {
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(separator(text));
    builder.from_reader(body(text).as_bytes())
}

/// The text from the header on.
fn body(text: &str) -> &str {
    text.splitn(skipped_lines(text) + 1, '\n').last().unwrap_or_default()
}

/// Finds the lines of offsets that grow.
struct LineCounter<'a> {
    rest: &'a str,
    offset: usize,
    line: usize,
}

impl LineCounter<'_> {
    /// Returns the line of the first text at or after an offset: records begin with the end of the line before.
    fn line_at(&mut self, offset: usize) -> usize {
        let step = |rest: &str, end: usize| {
            let end = end.min(rest.len());
            rest.as_bytes()[..end].iter().filter(|byte| **byte == b'\n').count()
        };
        let skipped = offset.saturating_sub(self.offset);
        self.line += step(self.rest, skipped);
        self.rest = self.rest.get(skipped..).unwrap_or_default();
        let blank = self.rest.len() - self.rest.trim_start_matches(['\r', '\n']).len();
        self.line += step(self.rest, blank);
        self.rest = &self.rest[blank..];
        self.offset = offset + blank;
        self.line
    }
}

/// Lines before the header.
fn skipped_lines(text: &str) -> usize {
    usize::from(text.get(..NAMED.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAMED)))
}

/// The most frequent separator of the first line, outside of quotes.
fn separator(text: &str) -> u8 {
    if skipped_lines(text) > 0 {
        return text.as_bytes().get(NAMED.len()).copied().unwrap_or(SEPARATORS[0]);
    }
    let mut counts = [0; SEPARATORS.len()];
    let mut is_quoted = false;
    for byte in text.bytes() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            byte if !is_quoted => {
                if let Some(at) = SEPARATORS.iter().position(|separator| *separator == byte) {
                    counts[at] += 1;
                }
            }
            _ => {}
        }
    }
    let most = (0..SEPARATORS.len()).rev().max_by_key(|at| counts[*at]).unwrap_or(0);
    SEPARATORS[most]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn table(text: &str) -> Result<CsvTable, String> {
        let input = Input::of_bytes(Path::new("a.csv"), text.as_bytes());
        CsvTable::of(&input).map_err(|error| error.to_string())
    }

    #[test]
    fn separators_quotes_and_lines_are_read() {
        for (text, lines) in [
            ("A,B\r\n1,\"x\r\ny\"\r\n\r\n2,z\r\n", [2, 5]),
            ("A;B\n1;\"x\ny\"\n;\n2;z", [2, 5]),
            ("A\tB\n1\t\"x\ny\"\n\n2\tz\n", [2, 5]),
            ("sep=;\nA;B\n1;\"x\ny\"\n2;z\n", [3, 5]),
        ] {
            let table = table(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(table.header, ["A", "B"], "{text:?}");
            let rows: Vec<_> = table.rows.iter().map(|row| (row.line, row.cell(0))).collect();
            assert_eq!(rows, [(lines[0], "1"), (lines[1], "2")], "{text:?}");
            assert_eq!(table.rows[0].cell(1).replace('\r', ""), "x\ny");
        }
    }

    #[test]
    fn repeated_and_missing_columns_are_found() {
        let table = table("Key,Labels,labels,\"a,b\"\n1,x,,c\n2\n").unwrap();
        assert_eq!(table.columns("LABELS"), [1, 2]);
        assert_eq!(table.columns("a,b"), [3]);
        assert_eq!(table.rows[0].all(&[1, 2, 3]).collect::<Vec<_>>(), ["x", "c"]);
        assert_eq!((table.rows[1].first(&[1, 0]), table.rows[1].cell(3)), ("2", ""));
    }

    #[test]
    fn unclosed_quotes_and_empty_files_are_refused() {
        let error = table("A,B\n1,\"x\n2,y\n3,z\n").err().unwrap();
        assert!(error.starts_with("a.csv:2: a quote opens in this row"), "{error}");
        assert_eq!(table("A,B\n1,5\" disk\n2,y\n").unwrap().rows.len(), 2);
        assert!(table("\n\n").err().unwrap().contains("has no header"));
    }
}
