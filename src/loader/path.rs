//! From a name in boot.cfg to the eleven bytes the loader looks for in the root directory.
//!
//! There are no directories in this: a path loses its leading slashes, and what is left is taken
//! for one name, slashes and all. A name that is too long is cut, not refused.

use super::options::is_space;

/// Bytes of a name in a directory slot.
pub(super) const SHORT: usize = 11;

const BASE: usize = 8;

/// `name` as a path: relative to `prefix` unless it is absolute, without blanks, backslashes
/// turned into slashes and runs of slashes into one.
pub(super) fn join(prefix: &[u8], name: &[u8]) -> Vec<u8> {
    let is_url = |path: &[u8]| path.windows(3).any(|window| window == b"://");
    let absolute = matches!(name.first(), Some(b'/' | b'\\')) || is_url(name);
    let whole = if absolute || prefix.is_empty() {
        name.to_vec()
    } else {
        [prefix, b"/", name].concat()
    };
    let mut path = Vec::with_capacity(whole.len());
    for byte in whole.into_iter().filter(|&byte| !is_space(byte)) {
        let byte = if byte == b'\\' { b'/' } else { byte };
        if byte != b'/' || path.last() != Some(&b'/') {
            path.push(byte);
        }
    }
    path
}

/// The eleven bytes by which a file of that path is looked for: eight of what stands before the
/// first dot, three of what follows it, in upper case, filled up with blanks.
pub(super) fn short_name(path: &[u8]) -> [u8; SHORT] {
    let slashes = path.iter().take_while(|&&byte| byte == b'/').count();
    let name = path.get(slashes..).unwrap_or_default();
    let dot = name.iter().position(|&byte| byte == b'.');
    let (base, suffix) = name.split_at(dot.unwrap_or(name.len()));
    let suffix = suffix.get(1..).unwrap_or_default();
    let mut short = [b' '; SHORT];
    let (short_base, short_suffix) = short.split_at_mut(BASE);
    for (part, source) in [(short_base, base), (short_suffix, suffix)] {
        let letters = source.iter().filter(|&&byte| byte != b' ');
        for (target, byte) in part.iter_mut().zip(letters) {
            *target = byte.to_ascii_uppercase();
        }
    }
    short
}

/// The name in a slot as people write it: `a.b00`.
pub(super) fn shown(short: [u8; SHORT]) -> String {
    let (base, suffix) = short.split_at(BASE);
    let text = |part: &[u8]| {
        let part = part.trim_ascii_end().to_ascii_lowercase();
        part.escape_ascii().to_string()
    };
    let (base, suffix) = (text(base), text(suffix));
    if suffix.is_empty() {
        base
    } else {
        format!("{base}.{suffix}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_upper_case_and_cut_to_eight_and_three() {
        // Prefix, name, what is looked for.
        let cases: [(&str, &str, &[u8; SHORT]); 13] = [
            ("", "b.b00", b"B       B00"),
            ("", "State.TGZ", b"STATE   TGZ"),
            ("", "useropts.gz", b"USEROPTSGZ "),
            ("", "/k.b00", b"K       B00"),
            ("", "\\k.b00", b"K       B00"),
            ("/", "//k.b00", b"K       B00"),
            ("/", "k.b00", b"K       B00"),
            ("", "nosuffix", b"NOSUFFIX   "),
            ("", "overlongname.tgzip", b"OVERLONGTGZ"),
            ("", "a.b.c", b"A       B.C"),
            ("", ".cfg", b"        CFG"),
            ("boot", "k.b00", b"BOOT/K  B00"),
            ("", "dir/k.b00", b"DIR/K   B00"),
        ];
        for (prefix, name, expected) in cases {
            let path = join(prefix.as_bytes(), name.as_bytes());
            assert_eq!(&short_name(&path), expected, "{prefix:?} {name:?}");
        }
    }

    #[test]
    fn bytes_outside_ascii_stay_and_are_shown_as_such() {
        let short = short_name(&join(b"", b"a\xe9.b00"));
        assert_eq!(&short, b"A\xe9      B00");
        assert_eq!(shown(short), "a\\xe9.b00");
        assert_eq!(shown(*b"EFI        "), "efi");
    }
}
