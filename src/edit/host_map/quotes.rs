//! Whether every quote of a CSV file is closed where it should be. The reader takes what follows an open one for
//! a part of its cell, other rows included, and what stands behind a closed one too.

use super::HostMapError;

/// Where a byte stands.
#[derive(Clone, Copy)]
enum At {
    /// At the beginning of a line, which may be a comment.
    Line,
    /// At the beginning of a cell.
    Cell,
    /// In a cell without quotes, or behind its comment mark.
    Text,
    /// In a quoted cell that begins in this line.
    Quoted(u64),
    /// Behind a quote in such a cell: it ends, or is one quote of two.
    Behind(u64),
    /// Behind its end, where only blanks may come.
    Ended,
}

/// Looks at the quotes of a file with this separator.
///
/// # Errors
/// [`HostMapError::OpenQuote`], [`HostMapError::BehindQuote`].
pub(super) fn check(bytes: &[u8], separator: u8) -> Result<(), HostMapError> {
    let (mut at, mut line, mut after_return) = (At::Line, 1_u64, false);
    let mut comment = false;
    for &byte in bytes {
        let ends_line = matches!(byte, b'\r' | b'\n');
        let ends_cell = ends_line || byte == separator;
        at = match at {
            At::Quoted(from) if byte == b'"' => At::Behind(from),
            At::Quoted(_) => at,
            At::Behind(from) if byte == b'"' => At::Quoted(from),
            _ if ends_line => At::Line,
            At::Text if comment => At::Text,
            _ if ends_cell => At::Cell,
            At::Line | At::Cell if byte == b'"' => At::Quoted(line),
            At::Behind(_) | At::Ended if byte.is_ascii_whitespace() => At::Ended,
            At::Behind(_) | At::Ended => return Err(HostMapError::BehindQuote(line)),
            At::Line => {
                comment = byte == b'#';
                At::Text
            }
            At::Cell | At::Text => At::Text,
        };
        if matches!(at, At::Line) {
            comment = false;
        }
        line += u64::from(byte == b'\r' || byte == b'\n' && !after_return);
        after_return = byte == b'\r';
    }
    match at {
        At::Quoted(from) => Err(HostMapError::OpenQuote(from)),
        _ => Ok(()),
    }
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
