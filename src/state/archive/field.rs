//! Numbers in tar header fields: octal text, or GNU's base-256 form.

/// The number in a header field. Octal text may be led by spaces and must be followed by nothing
/// but spaces and NULs; a field with the top bit set holds a big-endian number. `None` for
/// anything else, a blank field included.
pub(super) fn number(field: &[u8]) -> Option<u64> {
    let first = *field.first()?;
    if first & 0x80 != 0 {
        return base256(field);
    }
    let (_, digits) = split(field)?;
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        value
            .checked_mul(8)?
            .checked_add(u64::from(digit.checked_sub(b'0')?))
    })
}

/// Whether a field holds a number below zero, as GNU tar writes times before 1970.
pub(super) fn is_negative(field: &[u8]) -> bool {
    field.first() == Some(&0xff)
}

/// Like [`number`], a blank field being 0, as many writers leave fields that do not apply.
pub(super) fn number_or_blank(field: &[u8]) -> Option<u64> {
    if field.iter().all(|&byte| byte == 0 || byte == b' ') {
        return Some(0);
    }
    number(field)
}

fn base256(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    // 0xff leads a negative number: no size, checksum or mode.
    let start = match first {
        0x80 => 0,
        _ => return None,
    };
    rest.iter().try_fold(start, |value: u64, &byte| {
        value.checked_mul(256)?.checked_add(u64::from(byte))
    })
}

/// Leading spaces and the octal digits after them; `None` if the rest is not blank.
fn split(field: &[u8]) -> Option<(usize, &[u8])> {
    let spaces = field.iter().take_while(|&&byte| byte == b' ').count();
    let rest = field.get(spaces..)?;
    let count = rest
        .iter()
        .take_while(|byte| (b'0'..=b'7').contains(byte))
        .count();
    let (digits, tail) = rest.split_at_checked(count)?;
    tail.iter()
        .all(|&byte| byte == 0 || byte == b' ')
        .then_some((spaces, digits))
}

/// Why a number cannot be written into a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PutError {
    /// The field is in base-256 form.
    Base256,
    /// The number has more octal digits than this, the field's width without its terminator.
    TooWide(usize),
}

/// Writes `value` over the number in `field`, in the field's own width, fill and terminator.
pub(super) fn put(field: &mut [u8], value: u64) -> Result<(), PutError> {
    let Some((spaces, digits)) = split(field) else {
        return Err(PutError::Base256);
    };
    let width = spaces.saturating_add(digits.len());
    let fill = if spaces > 0 { b' ' } else { b'0' };
    let text = format!("{value:o}");
    let Some(lead) = width.checked_sub(text.len()) else {
        return Err(PutError::TooWide(width));
    };
    let new = std::iter::repeat_n(fill, lead).chain(text.bytes());
    for (slot, byte) in field.iter_mut().zip(new) {
        *slot = byte;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_every_style_writers_use() {
        let cases: [(&[u8], Option<u64>); 12] = [
            (b"00000031067\0", Some(0o31067)),
            (b"      31067 ", Some(0o31067)),
            (b"000000031067", Some(0o31067)),
            (b"31067\0\0\0\0\0\0\0", Some(0o31067)),
            (b"001234\0 ", Some(0o1234)),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", Some(256)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\0\0\0\0\0\0\0\0", None),
            (b"00000031069\0", None),
            (b"12\0x45678", None),
            (b"", None),
        ];
        for (field, want) in cases {
            assert_eq!(number(field), want, "{field:?}");
        }
        assert!(is_negative(
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"
        ));
        assert!(!is_negative(b"00000031067\0"));
        assert_eq!(number_or_blank(b"\0\0\0\0"), Some(0));
        assert_eq!(number_or_blank(b"   \0"), Some(0));
    }

    #[test]
    fn a_number_is_written_in_the_width_and_terminator_it_replaces() {
        type Case = (&'static [u8], u64, Result<&'static [u8], PutError>);
        let cases: [Case; 8] = [
            (b"00000031067\0", 0o7, Ok(b"00000000007\0")),
            (b"      31067 ", 0o1234567, Ok(b"    1234567 ")),
            (b"000000031067", 0, Ok(b"000000000000")),
            (b"001234\0 ", 0o17777, Ok(b"017777\0 ")),
            (b"31067\0\0\0", 0o7, Ok(b"00007\0\0\0")),
            (b"31067\0\0\0", 0o100000, Err(PutError::TooWide(5))),
            (b"00000031067\0", 1 << 33, Err(PutError::TooWide(11))),
            (b"\x80\0\0\0\0\0\0\0", 1, Err(PutError::Base256)),
        ];
        for (field, value, want) in cases {
            let mut new = field.to_vec();
            let got = put(&mut new, value).map(|()| new.as_slice());
            assert_eq!(got, want, "{value:o} over {field:?}");
        }
    }
}
