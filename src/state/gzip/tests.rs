use super::*;
use crate::error::ErrorKind;
use crate::state::fixtures;
use proptest::prelude::*;

const TEXT: &[u8] = b"/system/uuid = \"5fb27665-83f4-b1f5-3e9f-000c29801686\"\n";

/// A member with optional header fields, announced by `flags`.
fn with_header(flags: u8, fields: &[u8]) -> Vec<u8> {
    let plain = fixtures::gzip(TEXT);
    let mut bytes = vec![0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 4, 3];
    bytes.extend_from_slice(fields);
    if flags & FHCRC != 0 {
        let crc = crc32fast::hash(&bytes).to_le_bytes();
        bytes.extend_from_slice(&crc[..2]);
    }
    bytes.extend_from_slice(&plain[10..]);
    bytes
}

#[test]
fn every_optional_header_field_is_read_and_kept() {
    let cases: [(u8, &[u8], usize); 6] = [
        (0, b"", 10),
        (0x01, b"", 10),
        (FEXTRA, b"\x05\0abcde", 17),
        (FNAME, b"local.tgz\0", 20),
        (FCOMMENT, b"by hand\0", 18),
        (0x1f, b"\x02\0xyname\0comment\0", 29),
    ];
    for (flags, fields, len) in cases {
        let file = with_header(flags, fields);
        let gzip = unpack(&file, 1000).unwrap();
        assert_eq!(gzip.data, TEXT, "flags {flags:#x}");
        assert_eq!(gzip.header.as_bytes(), &file[..len], "flags {flags:#x}");
        let packed = pack(&gzip.header, b"other", Effort::Usual).unwrap();
        assert_eq!(packed[..len], file[..len], "flags {flags:#x}");
        assert_eq!(unpack(&packed, 1000).unwrap().data, b"other");
    }
}

#[test]
fn each_lie_a_gzip_file_tells_has_its_own_error() {
    let good = fixtures::gzip(TEXT);
    let len = good.len();
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let then = |more: &[u8]| [good.as_slice(), more].concat();
    let cut = |part, len| GzipError::Truncated { part, len };
    let crc = crc32fast::hash(TEXT);
    let size = u32::try_from(TEXT.len()).unwrap();
    let mut header_crc = with_header(FHCRC, b"");
    header_crc[10] ^= 1;
    let cases: Vec<(&str, Vec<u8>, GzipError)> = vec![
        ("empty", vec![], GzipError::Empty),
        (
            "not-gzip",
            b"BZh9".to_vec(),
            GzipError::NotGzip {
                found: b"BZ".to_vec(),
            },
        ),
        (
            "one-byte",
            vec![0x1f],
            GzipError::NotGzip { found: vec![0x1f] },
        ),
        ("magic-only", good[..2].to_vec(), cut("header", 2)),
        ("header-cut", good[..9].to_vec(), cut("header", 9)),
        (
            "name-without-end",
            [&[0x1f, 0x8b, 8, FNAME, 0, 0, 0, 0, 0, 3], &b"abc"[..]].concat(),
            cut("header", 13),
        ),
        (
            "extra-past-end",
            vec![0x1f, 0x8b, 8, FEXTRA, 0, 0, 0, 0, 0, 3, 0xff, 0xff],
            cut("header", 12),
        ),
        ("no-data", good[..10].to_vec(), cut("data", 10)),
        ("data-cut", good[..len - 9].to_vec(), cut("data", len - 9)),
        (
            "no-trailer",
            good[..len - 8].to_vec(),
            cut("trailer", len - 8),
        ),
        (
            "trailer-cut",
            good[..len - 1].to_vec(),
            cut("trailer", len - 1),
        ),
        (
            "method-unknown",
            changed(2, 7),
            GzipError::Method { method: 7 },
        ),
        (
            "reserved-flag",
            changed(3, 0x20),
            GzipError::ReservedFlags { flags: 0x20 },
        ),
        (
            "reserved-flags",
            changed(3, 0xc0),
            GzipError::ReservedFlags { flags: 0xc0 },
        ),
        (
            "block-type-3",
            changed(10, 7),
            GzipError::Deflate { offset: 10 },
        ),
        (
            "crc-wrong",
            changed(len - 8, crc.to_le_bytes()[0] ^ 1),
            GzipError::BadCrc {
                stored: crc ^ 1,
                computed: crc,
            },
        ),
        (
            "size-wrong",
            changed(len - 4, size.to_le_bytes()[0] ^ 1),
            GzipError::BadSize {
                stored: size ^ 1,
                actual: size,
            },
        ),
        (
            "second-member",
            then(&good),
            GzipError::SecondMember { offset: len },
        ),
        (
            "trailing-zero",
            then(b"\0"),
            GzipError::TrailingBytes {
                offset: len,
                count: 1,
            },
        ),
        (
            "trailing-newline",
            then(b"\n"),
            GzipError::TrailingBytes {
                offset: len,
                count: 1,
            },
        ),
        (
            "trailing-sector",
            then(&[0; 512]),
            GzipError::TrailingBytes {
                offset: len,
                count: 512,
            },
        ),
    ];
    for (lie, bytes, want) in cases {
        assert_eq!(unpack(&bytes, 1 << 20), Err(want), "{lie}");
    }
    let got = unpack(&header_crc, 1 << 20);
    assert!(matches!(got, Err(GzipError::HeaderCrc { .. })), "{got:?}");
}

#[test]
fn unpacking_stops_at_the_limit_and_not_before() {
    let bomb = pack(&Header::host(), &vec![0; 1 << 20], Effort::Tightest).unwrap();
    assert!(bomb.len() < 2000);
    let limit = (1 << 20) - 1;
    assert_eq!(unpack(&bomb, limit), Err(GzipError::OverLimit { limit }));
    assert_eq!(unpack(&bomb, 1 << 20).unwrap().data.len(), 1 << 20);
    assert_eq!(GzipError::OverLimit { limit }.kind(), ErrorKind::Refused);
}

#[test]
fn a_fast_header_stays_fast_unless_the_tightest_is_asked_for() {
    let data: Vec<u8> = (0..60_000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
    let header = |xfl| Header(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, xfl, 3]);
    let len = |xfl, effort| pack(&header(xfl), &data, effort).unwrap().len();
    let [fast, normal, hosts] = [4, 0, 2].map(|xfl| len(xfl, Effort::Usual));
    assert!(fast > normal && normal == hosts, "{fast} {normal} {hosts}");
    let tightest = len(4, Effort::Tightest);
    assert!(tightest <= normal, "{tightest}");
}

/// The compressor must not take its way by the machine's instructions or the allocator's whims.
/// A new version of it may change this number.
#[test]
fn the_same_data_pack_to_the_same_bytes_everywhere() {
    let mut seed = 1u32;
    let data: Vec<u8> = (0..300_000)
        .map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed.to_be_bytes()[0] & 0x1f
        })
        .collect();
    let crcs = [0, 2, 4].map(|xfl| {
        let header = Header(vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, xfl, 3]);
        crc32fast::hash(&pack(&header, &data, Effort::Usual).unwrap())
    });
    assert_eq!(crcs, PACKED_CRCS);
}

const PACKED_CRCS: [u32; 3] = [122_152_776, 1_779_018_655, 2_522_296_243];

/// The compressor's output depends on where its input is cut; ours must not depend on who cuts it.
#[test]
fn wherever_the_pieces_end_they_pack_to_the_same_bytes() {
    let data: Vec<u8> = (0u32..200_000)
        .map(|at| (at / 7 * (at % 331)).to_le_bytes()[0] & 0x3f)
        .collect();
    let whole = pack(&Header::host(), &data, Effort::Usual).unwrap();
    for len in [1, 511, 4096, CHUNK, CHUNK + 1, 150_000] {
        let mut pieces = Pieces::default();
        data.chunks(len)
            .for_each(|piece| pieces.push(piece.to_vec()));
        let packed = pack_pieces(&Header::host(), &pieces, Effort::Usual, &mut |_| Ok(())).unwrap();
        assert_eq!(packed, whole, "{len}");
        assert_eq!(holds(&packed, &pieces), Ok(true));
    }
    for (other, what) in [
        (data[1..].to_vec(), "its beginning is missing"),
        (data[..199_999].to_vec(), "its end is missing"),
        ([data.as_slice(), b"x"].concat(), "it is longer"),
    ] {
        assert_eq!(holds(&whole, &other.into()), Ok(false), "{what}");
    }
}

proptest! {
    #[test]
    fn what_is_packed_unpacks_to_the_same(data: Vec<u8>, tight: bool) {
        let effort = if tight { Effort::Tightest } else { Effort::Usual };
        let file = pack(&Header::host(), &data, effort).unwrap();
        let gzip = unpack(&file, data.len() as u64).unwrap();
        prop_assert_eq!(gzip.data, data);
        prop_assert_eq!(gzip.header, Header::host());
    }

    #[test]
    fn any_bytes_are_an_error_or_one_member(bytes: Vec<u8>, flip in 0usize..90) {
        let _ = unpack(&bytes, 1000);
        let mut file = fixtures::gzip(TEXT);
        if let Some(byte) = file.get_mut(flip) {
            *byte ^= 0x41;
        }
        let _ = unpack(&file, 1000);
    }
}

/// Other tools read a file of several members as one, so what is left of it is all of them: up to the one that
/// is damaged, and never more than the limit.
#[test]
fn what_is_salvaged_is_every_member_up_to_the_damage() {
    let (first, second) = (fixtures::gzip(TEXT), fixtures::gzip(b"the rest"));
    let both = [first.as_slice(), &second].concat();
    let all = [TEXT, b"the rest"].concat();
    let salvaged = salvage(&both, 1000).unwrap();
    assert_eq!(salvaged.data, all);
    let offset = first.len();
    assert_eq!(salvaged.fault, Some(GzipError::SecondMember { offset }));
    let cut = salvage(&both[..both.len() - 9], 1000).unwrap();
    assert_eq!(cut.data[..TEXT.len()], *TEXT);
    let followed = [both.as_slice(), b"\x1f\x8bnone", &second].concat();
    assert_eq!(salvage(&followed, 1000).unwrap().data, all);
    let limit = all.len() as u64 - 1;
    assert_eq!(salvage(&both, limit), Err(GzipError::OverLimit { limit }));
    let empty = fixtures::gzip(b"").repeat(MOST_MEMBERS + 1);
    let behind = [empty.as_slice(), &second].concat();
    assert_eq!(salvage(&behind, 1000).unwrap().data, b"");
}
