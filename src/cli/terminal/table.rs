//! Rows as aligned columns.

use anstream::adapter::strip_str;

/// The widest a column gets, in characters. A longer cell is shown whole and pushes what follows it
/// out of line: what a medium says must not decide how much is padded.
const WIDEST: usize = 60;

/// Rows as aligned columns, two blanks apart, without trailing blanks.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    // A style takes no room.
    let len = |cell: &String| {
        strip_str(cell)
            .map(|part| part.chars().count())
            .sum::<usize>()
    };
    let width = |column: usize| {
        let lens = rows.iter().filter_map(|row| row.get(column)).map(len);
        lens.filter(|len| *len <= WIDEST).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let start = text.len();
        for (cell, width) in row.iter().zip(&widths) {
            if text.len() > start {
                text.push_str("  ");
            }
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(len(cell))));
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::style::{WARNING, styled};
    use super::table;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned_and_end_with_their_last_character() {
        let rows = [row(&["a", "bb", ""]), row(&["ccc", "d", "e"])];
        assert_eq!(table(&rows), "a    bb\nccc  d   e\n");
    }

    #[test]
    fn a_style_takes_no_room() {
        let plain = table(&[row(&["a", "b"]), row(&["ccc", "d"])]);
        let coloured = table(&[row(&[&styled("a", WARNING), "b"]), row(&["ccc", "d"])]);
        assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
    }

    /// What is in a cell comes from the medium: 70,000 characters once made the program panic,
    /// and one long name among thousands of devices took gigabytes to pad the others.
    #[test]
    fn a_cell_of_any_length_is_shown_whole_and_widens_no_column() {
        let long = "x".repeat(70_000);
        let rows = [row(&[&long, "b"]), row(&["a", "b"])];
        assert_eq!(table(&rows), format!("{long}  b\na  b\n"));
    }
}
