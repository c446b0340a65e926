//! A host map: values for each of many media, as CSV with a heading. The separator is the comma, the
//! semicolon or the tab: the first by which the heading names a column that rows are matched by.
//!
//! The columns `image`, `serial`, `bank-uuid` and `system-uuid` say which medium a row is for;
//! all other columns are values. A row is for a medium where each of its filled-in cells of
//! those four columns fits it.

mod quotes;

use crate::bytes::without_mark;
use crate::error::ErrorKind;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// Columns that say which medium a row is for.
pub const MATCHED_BY: [&str; 4] = ["image", "serial", "bank-uuid", "system-uuid"];

/// What may stand between cells: spreadsheets write the semicolon where the comma is the decimal
/// point.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Rows at the most.
const MOST_ROWS: usize = 100_000;

/// What is known of a medium, to find its row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The absolute path of an image. A cell fits that is the end of it: `a.img`, `lab/a.img`;
    /// `./` and `../` in front of a cell mean nothing.
    pub image: Option<String>,
    /// The serial number of a disk.
    pub serial: Option<String>,
    /// The UUIDs of the banks.
    pub bank_uuids: BTreeSet<String>,
    /// The values of `/system/uuid` in the states.
    pub system_uuids: BTreeSet<String>,
}

/// A host map that was read and checked.
#[derive(Clone, Debug)]
pub struct HostMap {
    columns: BTreeSet<String>,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    line: u64,
    cells: BTreeMap<String, String>,
}

/// Why a host map cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostMapError {
    /// No CSV, or a row with more or fewer cells than the heading.
    #[error("{0}")]
    Csv(String),
    /// A quote that nothing closes: all that follows would be in its cell.
    #[error("line {0} opens a quote that is not closed")]
    OpenQuote(u64),
    /// Text behind a quote that is closed.
    #[error("line {0} has text behind a closing quote; a quote in a cell is written twice")]
    BehindQuote(u64),
    /// Two columns of one name.
    #[error("the column `{0}` is there twice")]
    DuplicateColumn(String),
    /// A column without a name.
    #[error("column {0} has no name")]
    Unnamed(usize),
    /// None of the columns that say which medium a row is for.
    #[error(
        "no column says which medium a row is for: it needs image, serial, bank-uuid or system-uuid"
    )]
    NoMatch,
    /// A row that says of no medium that it is for it.
    #[error("line {0} names no medium: image, serial, bank-uuid and system-uuid are all empty")]
    Nobody(u64),
    /// A column the plan uses.
    #[error("there is no column `{0}`, which the plan file uses")]
    MissingColumn(String),
    /// A cell that the plan uses, without a value.
    #[error("line {line} has no value in the column `{column}`, which the plan file uses")]
    EmptyCell {
        /// The row's line.
        line: u64,
        /// The column.
        column: String,
    },
    /// Too many rows.
    #[error("there are more than {MOST_ROWS} rows")]
    TooLong,
    /// No row for a medium.
    #[error("no row matches this medium ({0})")]
    NoRow(String),
    /// More than one row for a medium.
    #[error("lines {0} and {1} both match this medium")]
    TwoRows(u64, u64),
}

impl HostMapError {
    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            HostMapError::NoRow(_) | HostMapError::TwoRows(..) => ErrorKind::Refused,
            _ => ErrorKind::Usage,
        }
    }
}

impl HostMap {
    /// Reads a host map.
    ///
    /// # Errors
    /// [`HostMapError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HostMapError> {
        let bytes = without_mark(bytes);
        let separator = separator_of(bytes);
        quotes::check(bytes, separator)?;
        let mut reader = reader(bytes, separator);
        let mut lines = Lines::of(bytes);
        let heading = reader.headers();
        let heading = heading.map_err(|error| lines.error(&error))?.clone();
        let mut columns = BTreeSet::new();
        for (index, name) in heading.iter().enumerate() {
            if name.is_empty() {
                return Err(HostMapError::Unnamed(index + 1));
            }
            if !columns.insert(name.to_owned()) {
                return Err(HostMapError::DuplicateColumn(name.to_owned()));
            }
        }
        if !MATCHED_BY.iter().any(|column| columns.contains(*column)) {
            return Err(HostMapError::NoMatch);
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| lines.error(&error))?;
            // Spreadsheets leave such rows behind.
            if record.iter().all(str::is_empty) {
                continue;
            }
            let line = record.position().map_or(0, |at| lines.line_from(at));
            let cells: BTreeMap<String, String> = heading
                .iter()
                .zip(&record)
                .map(|(name, cell)| (name.to_owned(), cell.to_owned()))
                .collect();
            let names = |column: &&str| cells.get(*column).is_some_and(|cell| !cell.is_empty());
            if !MATCHED_BY.iter().any(names) {
                return Err(HostMapError::Nobody(line));
            }
            if rows.len() >= MOST_ROWS {
                return Err(HostMapError::TooLong);
            }
            rows.push(Row { line, cells });
        }
        Ok(HostMap { columns, rows })
    }

    /// Checks that it has the columns a plan uses.
    ///
    /// # Errors
    /// [`HostMapError::MissingColumn`].
    pub fn check_columns(&self, used: &BTreeSet<String>) -> Result<(), HostMapError> {
        match used.difference(&self.columns).next() {
            Some(missing) => Err(HostMapError::MissingColumn(missing.clone())),
            None => Ok(()),
        }
    }

    /// Checks that a row has a value in each column a plan uses.
    ///
    /// # Errors
    /// [`HostMapError::EmptyCell`].
    pub fn check_filled(&self, line: u64, used: &BTreeSet<String>) -> Result<(), HostMapError> {
        let row = self.rows.iter().find(|row| row.line == line);
        let is_empty = |column: &&String| {
            let cell = row.and_then(|row| row.cells.get(*column));
            cell.is_none_or(String::is_empty)
        };
        match used.iter().find(is_empty) {
            Some(column) => Err(HostMapError::EmptyCell {
                line,
                column: column.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The rows whose lines are not among `used`: the line of each, and the medium it is for.
    pub fn unused(&self, used: &BTreeSet<u64>) -> impl Iterator<Item = (u64, String)> {
        let rows = self.rows.iter().filter(|row| !used.contains(&row.line));
        rows.map(|row| (row.line, row.medium()))
    }

    /// The row for a medium: its line, and its cells by column.
    ///
    /// # Errors
    /// [`HostMapError::NoRow`], [`HostMapError::TwoRows`].
    pub fn row_for(&self, names: &Names) -> Result<(u64, &BTreeMap<String, String>), HostMapError> {
        let mut fitting = self.rows.iter().filter(|row| names.fit(&row.cells));
        match (fitting.next(), fitting.next()) {
            (Some(row), None) => Ok((row.line, &row.cells)),
            (Some(one), Some(two)) => Err(HostMapError::TwoRows(one.line, two.line)),
            (None, _) => Err(HostMapError::NoRow(names.in_words())),
        }
    }
}

fn reader(bytes: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(separator)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(bytes)
}

/// Where records begin, in lines as an editor counts them. The reader's own count is of line feeds, and up
/// to the end of the record before: it is one too low after a carriage return, and where comments or
/// empty lines come first.
struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
    line: u64,
}

impl<'b> Lines<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        Lines {
            bytes,
            at: 0,
            line: 1,
        }
    }

    /// The line of the record that was read from there on; records come in their order.
    fn line_from(&mut self, position: &csv::Position) -> u64 {
        let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        let mut comment = false;
        while let Some(&byte) = self.bytes.get(self.at) {
            let ends_line = matches!(byte, b'\r' | b'\n');
            if self.at >= from {
                comment = !ends_line && (comment || byte == b'#');
                if !ends_line && !comment {
                    break;
                }
            }
            let after_return = self.at > 0 && self.bytes[self.at - 1] == b'\r';
            self.line += u64::from(byte == b'\r' || byte == b'\n' && !after_return);
            self.at += 1;
        }
        self.line
    }

    fn error(&mut self, error: &csv::Error) -> HostMapError {
        let line = error.position().map(|at| self.line_from(at));
        HostMapError::Csv(match (error.kind(), line) {
            (
                csv::ErrorKind::UnequalLengths {
                    expected_len, len, ..
                },
                Some(line),
            ) => {
                format!(
                    "line {line} has another number of cells than the heading: {len}, not {expected_len}"
                )
            }
            (csv::ErrorKind::Utf8 { .. }, Some(line)) => format!("line {line} is not UTF-8"),
            _ => error.to_string(),
        })
    }
}

/// The separator by which the heading has a column that rows are matched by; where none has, the
/// comma.
fn separator_of(bytes: &[u8]) -> u8 {
    let names_a_medium = |separator: &u8| {
        let mut reader = reader(bytes, *separator);
        let heading = reader.headers();
        heading.is_ok_and(|heading| heading.iter().any(|name| MATCHED_BY.contains(&name)))
    };
    let mut separators = SEPARATORS.into_iter();
    separators.find(names_a_medium).unwrap_or(b',')
}

impl Row {
    /// What the row says of its medium: `image a.img`.
    fn medium(&self) -> String {
        let filled = MATCHED_BY.iter().filter_map(|column| {
            let cell = self.cells.get(*column).filter(|cell| !cell.is_empty())?;
            Some(format!("{column} {cell}"))
        });
        filled.collect::<Vec<_>>().join(", ")
    }
}

/// Whether a cell is the path of an image, or the end of it.
fn is_path_of(image: &str, cell: &str) -> bool {
    let parts = Path::new(cell).components();
    let means_nothing =
        |part: &Component<'_>| matches!(part, Component::CurDir | Component::ParentDir);
    let cell: PathBuf = parts.skip_while(means_nothing).collect();
    cell.file_name().is_some() && Path::new(image).ends_with(cell)
}

impl Names {
    fn fit(&self, cells: &BTreeMap<String, String>) -> bool {
        MATCHED_BY.iter().all(|column| {
            let Some(cell) = cells.get(*column).filter(|cell| !cell.is_empty()) else {
                return true;
            };
            let is_among =
                |names: &BTreeSet<String>| names.iter().any(|name| name.eq_ignore_ascii_case(cell));
            match *column {
                "image" => self
                    .image
                    .as_ref()
                    .is_some_and(|image| is_path_of(image, cell)),
                "serial" => self.serial.as_ref() == Some(cell),
                "bank-uuid" => is_among(&self.bank_uuids),
                _ => is_among(&self.system_uuids),
            }
        })
    }

    fn in_words(&self) -> String {
        let list = |names: &BTreeSet<String>| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            (!names.is_empty()).then(|| names.join(" "))
        };
        let image = self.image.as_ref().and_then(|it| Path::new(it).file_name());
        let parts = [
            (
                "image",
                image.map(|name| name.to_string_lossy().into_owned()),
            ),
            ("serial", self.serial.clone()),
            ("bank-uuid", list(&self.bank_uuids)),
            ("system-uuid", list(&self.system_uuids)),
        ];
        let parts = parts.into_iter();
        let known: Vec<String> = parts
            .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
            .collect();
        known.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str) -> Names {
        Names {
            image: Some(name.to_owned()),
            bank_uuids: BTreeSet::from(["5a1b-22".to_owned()]),
            ..Names::default()
        }
    }

    #[test]
    fn the_row_is_the_one_whose_names_all_fit() {
        let map = HostMap::parse(
            b"image,bank-uuid,name\na.img,,one\nb.img,5A1B-22,two\nc.img,other,three\n",
        )
        .unwrap();
        let name = |image_name: &str| {
            let row = map.row_for(&image(image_name));
            row.map(|(line, cells)| (line, cells["name"].clone()))
        };
        assert_eq!(name("a.img"), Ok((2, "one".to_owned())));
        assert_eq!(name("b.img"), Ok((3, "two".to_owned())));
        assert!(matches!(name("c.img"), Err(HostMapError::NoRow(_))));
    }

    #[test]
    fn an_image_is_named_by_as_much_of_its_path_as_is_needed() {
        let cases = [
            ("a.img", true),
            ("./a.img", true),
            ("lab/a.img", true),
            ("../lab/a.img", true),
            ("/srv/lab/a.img", true),
            ("other/a.img", false),
            ("/lab/a.img", false),
            ("b/a.img", false),
            ("img", false),
            ("..", false),
        ];
        for (cell, fits) in cases {
            assert_eq!(is_path_of("/srv/lab/a.img", cell), fits, "{cell}");
        }
    }

    #[test]
    fn the_separator_is_told_by_the_heading() {
        for text in [
            "image,name\na.img,x;y\n",
            "image;name\na.img;\"x;y\"\n",
            "# made by hand\nname\timage\nx;y\ta.img\n",
        ] {
            let map = HostMap::parse(text.as_bytes()).unwrap();
            let (_, row) = map.row_for(&image("a.img")).unwrap();
            assert_eq!(row["name"], "x;y", "{text}");
        }
    }

    #[test]
    fn a_row_without_a_value_the_plan_uses_and_rows_of_nobody_are_told() {
        let map = HostMap::parse(b"image,serial,name\na.img,,\nb.img,X1,two\n").unwrap();
        let used = BTreeSet::from(["name".to_owned()]);
        assert_eq!(
            map.check_filled(2, &used),
            Err(HostMapError::EmptyCell {
                line: 2,
                column: "name".to_owned()
            })
        );
        assert_eq!(map.check_filled(3, &used), Ok(()));
        assert_eq!(map.check_filled(2, &BTreeSet::new()), Ok(()));
        let unused: Vec<_> = map.unused(&BTreeSet::from([2])).collect();
        assert_eq!(unused, [(3, "image b.img, serial X1".to_owned())]);
    }

    #[test]
    fn lines_are_counted_as_an_editor_counts_them() {
        let cases: [(&[u8], u64); 7] = [
            (b"image,name\na.img,x\n", 2),
            (b"image,name\r\na.img,x\r\n", 2),
            (b"image,name\ra.img,x\r", 2),
            (b"\xef\xbb\xbfimage,name\r\n\r\nb.img,y\r\na.img,x", 4),
            (b"# one\r\nimage,name\n# b.img,y\n\n#\n a.img ,x\n", 6),
            (b"image,name\nb.img,\"a\nb\"\na.img,x\n", 4),
            (b"image,name\na.img,#\n", 2),
        ];
        for (text, expected) in cases {
            let map = HostMap::parse(text).unwrap();
            let (line, _) = map.row_for(&image("a.img")).unwrap();
            assert_eq!(line, expected, "{}", text.escape_ascii());
        }
        // Rows that end in carriage returns alone are told apart by their lines.
        let map = HostMap::parse(b"image,serial\ra.img,\rb.img,X\r").unwrap();
        let unused: Vec<_> = map.unused(&BTreeSet::from([2])).collect();
        assert_eq!(unused, [(3, "image b.img, serial X".to_owned())]);
        for text in [
            &b"image,name\r\na.img,x\r\nb.img\r\n"[..],
            b"image\r\na\r\n\xff\r\n",
        ] {
            let error = HostMap::parse(text).map(drop).unwrap_err().to_string();
            assert!(error.starts_with("line 3 "), "{error}");
        }
    }

    #[test]
    fn rows_without_a_word_are_none() {
        let map = HostMap::parse(b"image;name\r\na.img;x\r\n;\r\nb.img;y\r\n;\r\n").unwrap();
        let line = |name: &str| map.row_for(&image(name)).unwrap().0;
        assert_eq!((line("a.img"), line("b.img")), (2, 4));
    }

    #[test]
    fn two_rows_for_one_medium_are_refused() {
        let map = HostMap::parse(b"image,bank-uuid\na.img,\n,5a1b-22\n").unwrap();
        let found = map.row_for(&image("a.img")).map(drop);
        assert_eq!(found, Err(HostMapError::TwoRows(2, 3)));
    }

    #[test]
    fn a_map_that_cannot_be_meant_is_refused_with_its_line() {
        let cases: [(&[u8], HostMapError); 4] = [
            (
                b"image,name,name\n",
                HostMapError::DuplicateColumn("name".to_owned()),
            ),
            (b"host,name\n", HostMapError::NoMatch),
            (b"image,\n", HostMapError::Unnamed(2)),
            (b"image,name\na.img,x\n,y\n", HostMapError::Nobody(3)),
        ];
        for (text, expected) in cases {
            assert_eq!(HostMap::parse(text).map(drop), Err(expected));
        }
        let uneven = HostMap::parse(b"image,name\na.img\n").map(drop);
        assert!(
            matches!(&uneven, Err(HostMapError::Csv(text)) if text == "line 2 has another number of cells than the heading: 1, not 2"),
            "{uneven:?}"
        );
        let map = HostMap::parse(b"image,name\n").unwrap();
        let used = BTreeSet::from(["vlan".to_owned()]);
        assert_eq!(
            map.check_columns(&used),
            Err(HostMapError::MissingColumn("vlan".to_owned()))
        );
    }
}
