//! A host map: values for each of many media, as CSV with a heading.
//!
//! The columns `image`, `serial`, `bank-uuid` and `system-uuid` say which medium a row is for;
//! all other columns are values. A row is for a medium where each of its filled-in cells of
//! those four columns fits it.

use crate::error::ErrorKind;
use std::collections::{BTreeMap, BTreeSet};

/// Columns that say which medium a row is for.
pub const MATCHED_BY: [&str; 4] = ["image", "serial", "bank-uuid", "system-uuid"];

/// Rows at the most.
const MOST_ROWS: usize = 100_000;

/// What is known of a medium, to find its row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The file name of an image.
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
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(bytes);
        let bad = |error: csv::Error| HostMapError::Csv(error.to_string());
        let heading = reader.headers().map_err(bad)?.clone();
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
            let record = record.map_err(bad)?;
            let line = record.position().map_or(0, csv::Position::line);
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

impl Names {
    fn fit(&self, cells: &BTreeMap<String, String>) -> bool {
        MATCHED_BY.iter().all(|column| {
            let Some(cell) = cells.get(*column).filter(|cell| !cell.is_empty()) else {
                return true;
            };
            let is_among =
                |names: &BTreeSet<String>| names.iter().any(|name| name.eq_ignore_ascii_case(cell));
            match *column {
                "image" => self.image.as_ref() == Some(cell),
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
        let parts = [
            ("image", self.image.clone()),
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
            matches!(&uneven, Err(HostMapError::Csv(text)) if text.contains("line: 2")),
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
