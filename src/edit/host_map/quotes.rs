//! Whether every quote of a CSV file is closed where it should be. The reader takes what follows an open one for
//! a part of its cell, other rows included, and what stands behind a closed one too.

use super::HostMapError;

/// Where a byte stands.
#[derive(Clone, Copy)]
enum At {
    /// At the beginning of a line.
    Line,
    /// At the beginning of another cell.
    Cell,
    /// In a cell without quotes.
    Text,
    /// In a comment.
    Comment,
    /// In a quoted cell that begins here.
    Quoted(usize),
    /// Behind a quote in such a cell: it ends, or is one quote of two.
    Behind(usize),
    /// Behind its end, where only blanks may come.
    Ended,
}

/// Looks at the quotes of a file with this separator.
///
/// # Errors
/// [`HostMapError::OpenQuote`], [`HostMapError::BehindQuote`].
pub(super) fn check(bytes: &[u8], separator: u8) -> Result<(), HostMapError> {
    let mut at = At::Line;
    for (index, &byte) in bytes.iter().enumerate() {
        let ends_line = matches!(byte, b'\r' | b'\n');
        at = match at {
            At::Quoted(from) if byte == b'"' => At::Behind(from),
            At::Quoted(_) => at,
            At::Behind(from) if byte == b'"' => At::Quoted(from),
            _ if ends_line => At::Line,
            At::Comment => At::Comment,
            At::Line if byte == b'#' => At::Comment,
            _ if byte == separator => At::Cell,
            At::Line | At::Cell if byte == b'"' => At::Quoted(index),
            At::Behind(_) | At::Ended if byte.is_ascii_whitespace() => At::Ended,
            At::Behind(_) | At::Ended => {
                return Err(HostMapError::BehindQuote(line_of(bytes, index)));
            }
            At::Line | At::Cell | At::Text => At::Text,
        };
    }
    match at {
        At::Quoted(from) => Err(HostMapError::OpenQuote(line_of(bytes, from))),
        _ => Ok(()),
    }
}

/// The line of a byte, as an editor counts: a carriage return and the line feed behind it are one end.
fn line_of(bytes: &[u8], index: usize) -> u64 {
    let before = bytes.get(..index).unwrap_or_default();
    let feeds_behind = before.windows(2).filter(|pair| pair == b"\r\n").count();
    let ends = before.iter().filter(|byte| matches!(byte, b'\r' | b'\n'));
    ends.count().saturating_sub(feeds_behind) as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_that_close_where_a_cell_ends_are_sound() {
        for sound in [
            "",
            "a,b\n1,2\n",
            "a,\"b\"\r\n\"1\"\"2\",\"3,\n4\"",
            "a,b\"c\n5\" disk,\"x\" \n",
            "# \"a remark\na,b\n# it's \"\n\"\",\"\"\n",
            " \"a,b\n",
        ] {
            assert_eq!(check(sound.as_bytes(), b','), Ok(()), "{sound:?}");
        }
        assert_eq!(check(b"a;\"b;c\" ;d", b';'), Ok(()));
        assert_eq!(check(b"a\t\"b\"\td", b'\t'), Ok(()));
    }

    #[test]
    fn an_open_quote_is_told_by_the_line_in_which_it_begins() {
        use HostMapError::{BehindQuote, OpenQuote};
        for (broken, error) in [
            ("image,note\na.img,\"rack 1\nb.img,rack 2\n", OpenQuote(2)),
            ("image,note\r\n\r\na.img,\"rack 1", OpenQuote(3)),
            ("a\rb\r\"", OpenQuote(3)),
            ("a,b\n1,\"2\n3,\"4\n", BehindQuote(3)),
            ("a,b\n1,\"2\"3\n", BehindQuote(2)),
            ("a,b\n1,\"2\" 3\n", BehindQuote(2)),
        ] {
            assert_eq!(check(broken.as_bytes(), b','), Err(error), "{broken:?}");
        }
    }
}
