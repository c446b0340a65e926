//! Archives that lie, each named by its lie.

use super::*;

#[test]
fn each_lie_an_archive_tells_has_its_own_error() {
    use ArchiveError::*;
    let good = files(&[("a", b"12345")]);
    let bytes = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let text = |text: &str| text.to_owned();
    let one = |header: Vec<u8>| archive(&[header]);
    let field = |field, value: &str| Field {
        offset: 0,
        field,
        value: text(value),
    };
    let sum = scan::checksum(block(&good.clone().into(), 0).unwrap());
    let stored = format!("{:06o}", sum - 1);
    let number = |range: std::ops::Range<usize>, value: &'static [u8]| {
        one(altered("a", b'0', 0, |header| {
            header[range.clone()].copy_from_slice(value)
        }))
    };
    let ext = |kind, data: &[u8]| member("ext", kind, data);
    let empty = || file("a", b"");
    let ambiguous = |offset, key: &str, fault| PaxAmbiguous {
        offset,
        key: text(key),
        fault,
    };
    let stray = |offset, fault| StrayExtension { offset, fault };
    let huge = ExtensionTooLarge {
        offset: 0,
        size: 1_048_577,
        limit: 1_048_576,
    };
    let cases: Vec<(&str, Vec<u8>, ArchiveError)> = vec![
        ("empty", vec![], NoEnd { offset: 0 }),
        ("half-a-block", vec![0; 511], NoEnd { offset: 0 }),
        ("no-end", good[..1024].to_vec(), NoEnd { offset: 1024 }),
        (
            "cut-in-header",
            good[..1030].to_vec(),
            NoEnd { offset: 1024 },
        ),
        (
            "cut-in-data",
            good[..514].to_vec(),
            PastEnd {
                offset: 0,
                size: 5,
                len: 514,
            },
        ),
        (
            "cut-in-padding",
            good[..600].to_vec(),
            PastEnd {
                offset: 0,
                size: 5,
                len: 600,
            },
        ),
        (
            "lone-zero-block",
            [&good[..1536], &good].concat(),
            LoneZeroBlock { offset: 1024 },
        ),
        (
            "lone-zero-then-crumb",
            [&good[..1536], b"x"].concat(),
            LoneZeroBlock { offset: 1024 },
        ),
        (
            "checksum-wrong",
            bytes(&|b| b[148..154].copy_from_slice(stored.as_bytes())),
            Checksum {
                offset: 0,
                stored: stored.clone(),
                computed: sum,
            },
        ),
        (
            "checksum-blank",
            bytes(&|b| b[148..156].fill(0)),
            Checksum {
                offset: 0,
                stored: text(""),
                computed: sum,
            },
        ),
        (
            "name-altered",
            bytes(&|b| b[0] += 1),
            Checksum {
                offset: 0,
                stored: format!("{sum:06o}"),
                computed: sum + 1,
            },
        ),
        (
            "not-tar",
            vec![b'x'; 2048],
            Checksum {
                offset: 0,
                stored: text("xxxxxxxx"),
                computed: 504 * 120 + 256,
            },
        ),
        (
            "size-not-octal",
            number(124..136, b"00000000009\0"),
            field("size", "00000000009"),
        ),
        ("size-blank", number(124..136, &[0; 12]), field("size", "")),
        (
            "size-negative",
            number(124..136, &[0xff; 12]),
            field("size", "\u{fffd}".repeat(12).as_str()),
        ),
        (
            "size-past-end",
            one(header("a", b'0', 4096).to_vec()),
            PastEnd {
                offset: 0,
                size: 4096,
                len: 1536,
            },
        ),
        (
            "size-2^63",
            number(124..136, b"\x80\0\0\0\x80\0\0\0\0\0\0\0"),
            PastEnd {
                offset: 0,
                size: 1 << 63,
                len: 1536,
            },
        ),
        (
            "mode-not-octal",
            number(100..108, b"rw-r--r-"),
            field("mode", "rw-r--r-"),
        ),
        (
            "mtime-not-octal",
            number(136..148, b"yesterday   "),
            field("mtime", "yesterday   "),
        ),
        (
            "symlink-with-data",
            archive(&[member("a", b'2', b"x")]),
            SizedSpecial {
                offset: 0,
                kind: MemberKind::Symlink,
                size: 1,
            },
        ),
        (
            "directory-with-data",
            archive(&[member("a/", b'5', b"x")]),
            SizedSpecial {
                offset: 0,
                kind: MemberKind::Directory,
                size: 1,
            },
        ),
        (
            "long-name-of-nothing",
            archive(&[ext(b'L', b"b\0")]),
            stray(0, "belongs to no member"),
        ),
        (
            "two-long-names",
            archive(&[ext(b'L', b"b\0"), ext(b'L', b"c\0"), empty()]),
            stray(1024, "is the second of its kind for one member"),
        ),
        (
            "two-pax-headers",
            archive(&[pax(b'x', &[]), pax(b'x', &[]), empty()]),
            stray(512, "is the second of its kind for one member"),
        ),
        (
            "global-between",
            archive(&[pax(b'x', &[]), pax(b'g', &[]), empty()]),
            stray(512, "stands between a member and its own extension header"),
        ),
        (
            "long-name-huge",
            archive(&[ext(b'L', &vec![b'n'; 1_048_577]), empty()]),
            huge,
        ),
        (
            "pax-no-length",
            archive(&[ext(b'x', b"path=b\n"), empty()]),
            PaxRecord { offset: 0 },
        ),
        (
            "pax-length-wrong",
            archive(&[ext(b'x', b"99 path=b\n"), empty()]),
            PaxRecord { offset: 0 },
        ),
        (
            "pax-length-0",
            archive(&[ext(b'x', b"0 path=b\n"), empty()]),
            PaxRecord { offset: 0 },
        ),
        (
            "pax-no-newline",
            archive(&[ext(b'x', b"9 path=bb"), empty()]),
            PaxRecord { offset: 0 },
        ),
        (
            "pax-no-equals",
            archive(&[ext(b'x', b"7 path\n"), empty()]),
            PaxRecord { offset: 0 },
        ),
        (
            "pax-size-signed",
            archive(&[pax(b'x', &[("size", "+0")]), empty()]),
            PaxRecord { offset: 0 },
        ),
        (
            "pax-size-past-end",
            archive(&[pax(b'x', &[("size", "9999")]), empty()]),
            PastEnd {
                offset: 1024,
                size: 9999,
                len: 2560,
            },
        ),
        (
            "pax-path-twice",
            archive(&[pax(b'x', &[("path", "b"), ("path", "c")]), empty()]),
            ambiguous(0, "path", "twice"),
        ),
        (
            "pax-and-long-name",
            archive(&[pax(b'x', &[("path", "b")]), ext(b'L', b"c\0"), empty()]),
            ambiguous(2048, "path", "beside a GNU long name"),
        ),
        (
            "global-size",
            archive(&[pax(b'g', &[("size", "1")]), empty()]),
            ambiguous(0, "size", "for all members at once"),
        ),
        (
            "too-many",
            archive(&vec![empty(); 65_537]),
            TooManyMembers { limit: 65_536 },
        ),
    ];
    for (lie, bytes, want) in cases {
        let got = Archive::parse(bytes).map(|archive| archive.members().len());
        assert_eq!(got, Err(want), "{lie}");
    }
}

/// The largest that is taken, next to what is refused above.
#[test]
fn what_is_just_within_a_limit_is_read() {
    let empty = || member("x", b'0', b"");
    let most = Archive::parse(archive(&vec![empty(); 65_536])).unwrap();
    assert_eq!(most.members().len(), 65_536);
    // A comment that fills its record up to the limit for what an extension may hold.
    let rest = " comment=\n".len() + "1048576".len();
    let comment = "c".repeat((1 << 20) - rest);
    let largest = pax(b'x', &[("comment", &comment)]);
    assert!(Archive::parse(archive(&[largest, empty()])).is_ok());
}

#[test]
fn what_two_readers_understand_differently_is_refused() {
    // An extension type with a magic that only one of them takes for GNU's.
    let odd = altered("x", b'L', 0, |header| {
        header[257..265].copy_from_slice(b"ustar!!!")
    });
    let got = Archive::parse(archive(&[odd, file("a", b"")])).map(|_| ());
    assert!(
        matches!(got, Err(ArchiveError::ReadersDisagree { .. })),
        "{got:?}"
    );
    // A sparse map that does not add up.
    let sparse = altered("s", b'S', 0, |header| {
        header[483..495].copy_from_slice(b"00000001000\0")
    });
    let got = Archive::parse(archive(&[sparse])).map(|_| ());
    assert!(
        matches!(got, Err(ArchiveError::ReadersDisagree { .. })),
        "{got:?}"
    );
}
