//! What mboot makes of a module's bytes.

use super::*;

/// A medium that is one file, and where that is.
fn file(content: &[u8]) -> FileAt {
    let size = u32::try_from(content.len()).unwrap();
    FileAt {
        name: "m.v00".to_owned(),
        size,
        runs: std::iter::once(0..u64::from(size)).collect(),
    }
}

fn check(content: &[u8], generation: Generation) -> ContentVerdict {
    let medium = content.to_vec();
    check_content(&medium, &file(content), generation, &UnpackLimit::default())
}

/// Header flags and what belongs to them, put before the data of a gzip file.
fn with_header(flags: u8, fields: &[u8]) -> Vec<u8> {
    let packed = gzip(b"content");
    let mut bytes = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 2, 3];
    bytes.extend(fields);
    bytes.extend(&packed[10..]);
    bytes
}

fn changed(mut bytes: Vec<u8>, at: usize, to: u8) -> Vec<u8> {
    bytes[at] = to;
    bytes
}

fn with(mut bytes: Vec<u8>, more: &[u8]) -> Vec<u8> {
    bytes.extend(more);
    bytes
}

#[test]
fn a_module_must_unpack_to_its_trailer() {
    use Generation::{From67U2, From80U1, UpTo67U1};
    let good = || gzip(&noise(9000));
    let len = good().len();
    let cut = |left: usize| good()[..left].to_vec();
    let empty = gzip(b"");
    // Content, what it is for 6.7 U3 and later, for 6.7 U1 where that differs.
    let as_it_is = "loaded as it is";
    let cases: Vec<(&str, Vec<u8>, &str, Option<&str>)> = vec![
        ("sound", good(), "9000", None),
        (
            "one zero behind it",
            with(good(), &[0]),
            "6 (Buffer too small)",
            None,
        ),
        (
            "a newline behind it",
            with(good(), b"\n"),
            "28 (CRC error)",
            None,
        ),
        (
            "a second member",
            with(good(), &gzip(b"x")),
            "6 (Buffer too small)",
            None,
        ),
        ("a byte less", cut(len - 1), "28 (CRC error)", None),
        ("half of it", cut(len / 2), "6 (Buffer too small)", None),
        (
            "its CRC changed",
            changed(good(), len - 8, 0x55),
            "28 (CRC error)",
            None,
        ),
        (
            "its length one less",
            changed(good(), len - 4, 0x27),
            "6 (Buffer too small)",
            None,
        ),
        // The length only makes room; the CRC is over what came out.
        (
            "its length more",
            changed(good(), len - 3, 0x77),
            "9000",
            None,
        ),
        (
            "junk before its trailer",
            {
                let mut bytes = good();
                let trailer = bytes.split_off(len - 8);
                with(with(bytes, b"junk"), &trailer)
            },
            "9000",
            None,
        ),
        ("not gzip", b"ustar".to_vec(), as_it_is, None),
        ("no byte", Vec::new(), as_it_is, None),
        ("one byte", vec![0x1f], as_it_is, None),
        (
            "two bytes",
            vec![0x1f, 0x8b],
            "37 (Bad header)",
            Some(as_it_is),
        ),
        ("FTEXT", with_header(1, b""), "7", None),
        ("FHCRC", with_header(2, b"\0\0"), "7", None),
        ("FEXTRA", with_header(4, b"\x02\0ab"), "7", None),
        ("FNAME", with_header(8, b"name\0"), "7", None),
        ("FCOMMENT", with_header(16, b"words\0"), "7", None),
        (
            "all of them",
            with_header(31, b"\x01\0anme\0co\0\0\0"),
            "7",
            None,
        ),
        (
            "reserved flags",
            with_header(0x20, b""),
            "37 (Bad header)",
            Some(as_it_is),
        ),
        (
            "another method",
            changed(good(), 2, 7),
            "4 (Unsupported)",
            Some(as_it_is),
        ),
        (
            "a name without end",
            vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 2, 3, b'a'],
            "37 (Bad header)",
            Some(as_it_is),
        ),
        ("nothing, packed", empty, "empty", None),
        (
            "said to be nothing",
            changed(changed(good(), len - 4, 0), len - 3, 0),
            "28 (CRC error)",
            Some("empty"),
        ),
        (
            "a header and a trailer",
            [&gzip(b"x")[..10], &[0, 0, 0, 0, 1, 0, 0, 0]].concat(),
            "33 (Inconsistent data)",
            None,
        ),
    ];
    for (what, bytes, late, early) in cases {
        for (generation, expected) in [
            (From67U2, late),
            (From80U1, late),
            (UpTo67U1, early.unwrap_or(late)),
        ] {
            let content = check(&bytes, generation);
            let shown = match &content {
                ContentVerdict::Unpacked { len } => len.to_string(),
                ContentVerdict::AsItIs => as_it_is.to_owned(),
                ContentVerdict::Empty => "empty".to_owned(),
                ContentVerdict::Damaged(fault) => fault.loader_error().to_owned(),
                ContentVerdict::Undecided(why) => why.to_string(),
            };
            assert_eq!(shown, expected, "{what} {generation:?} {content:?}");
        }
    }
}

#[test]
fn a_header_that_ends_behind_the_file_is_none() {
    // Two bytes of FHCRC, of which the file has two, one or none.
    let header = [0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 2, 3];
    let fault = |more: &[u8]| check(&with(header.to_vec(), more), Generation::NEWEST);
    assert_eq!(
        fault(&[0, 0]),
        ContentVerdict::Damaged(ContentFault::NoData)
    );
    assert_eq!(fault(&[0]), ContentVerdict::Damaged(ContentFault::Header));
    assert_eq!(fault(&[]), ContentVerdict::Damaged(ContentFault::Header));
}

/// Ten bytes are the least of a header, be all that they say sound.
#[test]
fn a_header_of_nine_bytes_is_none() {
    let fault = |len: usize| check(&gzip(b"x")[..len], Generation::NEWEST);
    for len in 4..10 {
        assert_eq!(fault(len), ContentVerdict::Damaged(ContentFault::Header));
    }
    assert_eq!(fault(10), ContentVerdict::Damaged(ContentFault::NoData));
}

/// The loader hands one byte of the trailer to what unpacks, so data that end there are whole to it.
#[test]
fn data_may_end_with_the_first_byte_of_the_trailer_and_no_later() {
    for (borrowed, whole) in [(1, true), (2, false)] {
        let packed = ending_in_the_trailer(borrowed);
        let content = check(&packed, Generation::NEWEST);
        let unpacked = matches!(content, ContentVerdict::Unpacked { len: 40 });
        assert_eq!(unpacked, whole, "{borrowed} {content:?}");
    }
}

/// A file of one stored block whose last bytes are the first ones of its CRC.
fn ending_in_the_trailer(borrowed: usize) -> Vec<u8> {
    const LEN: u16 = 40;
    for attempt in 0_u32.. {
        let mut data = vec![0; usize::from(LEN)];
        data[..4].copy_from_slice(&attempt.to_le_bytes());
        let at = data.len() - borrowed;
        data[at..].fill(0x55);
        let crc = crc32fast::hash(&data).to_le_bytes();
        if crc[..borrowed] == data[at..] {
            let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 1];
            file.extend(LEN.to_le_bytes());
            file.extend((!LEN).to_le_bytes());
            file.extend(&data[..at]);
            file.extend(crc);
            file.extend(u32::from(LEN).to_le_bytes());
            return file;
        }
    }
    unreachable!("one attempt in 65,536 fits")
}

/// The loader asks for a byte behind the length of an extra field, be the field empty.
#[test]
fn behind_the_length_of_an_extra_field_there_must_be_something() {
    let header = [0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 2, 3, 0, 0];
    let fault = check(&header, Generation::NEWEST);
    assert_eq!(fault, ContentVerdict::Damaged(ContentFault::Header));
    let sound = check(&with_header(4, &[0, 0]), Generation::NEWEST);
    assert_eq!(sound, ContentVerdict::Unpacked { len: 7 });
}

#[test]
fn a_length_of_up_to_a_gibibyte_too_much_finds_its_memory() {
    let with_length = |length: u32| {
        let mut bytes = gzip(b"content");
        let at = bytes.len() - 4;
        bytes[at..].copy_from_slice(&length.to_le_bytes());
        check(&bytes, Generation::NEWEST)
    };
    assert_eq!(with_length(1 << 30), ContentVerdict::Unpacked { len: 7 });
    let more = with_length((1 << 30) + 1);
    assert!(
        matches!(more, ContentVerdict::Undecided(Undecided::Room { .. })),
        "{more:?}"
    );
    let asks_too_much = super::super::content::asks_too_much;
    assert!(!asks_too_much((1 << 30) + 1, (1 << 30) + 1));
    assert!(asks_too_much((1 << 30) + 1, 1 << 30));
}

#[test]
fn a_flipped_bit_anywhere_in_the_data_stops_the_loader() {
    let good = gzip(&noise(700));
    for at in 10..good.len() - 8 {
        let bytes = changed(good.clone(), at, good[at] ^ 4);
        let content = check(&bytes, Generation::NEWEST);
        assert!(
            matches!(content, ContentVerdict::Damaged(_)),
            "{at} {content:?}"
        );
        // Where it goes wrong is told as a place in the file, behind the header.
        if let ContentVerdict::Damaged(ContentFault::Deflate { at: place }) = content {
            assert!((10..good.len() as u64).contains(&place), "{at} {place}");
        }
    }
}

#[test]
fn stored_blocks_and_large_files_are_read_in_pieces() {
    for level in [0, 1, 9] {
        let plain = noise(3_000_001);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(level));
        packed.write_all(&plain).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(
            check(&packed, Generation::NEWEST),
            ContentVerdict::Unpacked { len: 3_000_001 }
        );
    }
}

#[test]
fn what_a_bank_unpacks_to_is_bounded() {
    let packed = gzip(&vec![0; 1 << 20]);
    let limit = UnpackLimit::new(3 << 19);
    let file = file(&packed);
    let of = |limit| check_content(&packed, &file, Generation::NEWEST, limit);
    assert_eq!(of(&limit), ContentVerdict::Unpacked { len: 1 << 20 });
    let why = Undecided::Unpacked {
        name: "m.v00".to_owned(),
        limit: 3 << 19,
    };
    assert_eq!(of(&limit), ContentVerdict::Undecided(why));
}

#[test]
fn files_are_checked_on_threads_and_put_down_afterwards() {
    let (bytes, table) = medium(&[Bank::sound(1)]);
    let loader = Loader::new(&bytes, &table);
    let mut boot = loader.boot(5, Depth::Presence);
    assert!(boot.files.iter().all(|file| file.content.is_none()));
    let limit = UnpackLimit::default();
    let checked: Vec<(usize, ContentVerdict)> = std::thread::scope(|scope| {
        let files = boot.files.iter().enumerate();
        let threads = files.filter_map(|(index, file)| {
            let (file, bytes, limit) = (file.to_check()?, &bytes, &limit);
            Some(
                scope.spawn(move || (index, check_content(bytes, file, Generation::NEWEST, limit))),
            )
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|it| it.join().unwrap()).collect()
    });
    for (index, content) in checked {
        boot.record(index, content);
    }
    assert_eq!(boot, loader.boot(5, Depth::Content));
}

#[test]
fn what_is_not_compressed_or_empty_is_noted() {
    let bank = Bank::with_boot_cfg(
        "build=7\nupdated=1\nkernel=b.b00\nmodules=plain.v00 --- none.v00 --- zip.v00\n",
    )
    .change(|bank| {
        bank.put("PLAIN   V00", b"plain text");
        bank.put("NONE    V00", b"");
        bank.put("ZIP     V00", &gzip(b""));
    });
    let boot = boot(&bank);
    assert_eq!(boot.boots(), Some(true));
    let notes: Vec<_> = boot.notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "module plain.v00 is not compressed: the loader warns and loads it as it is",
            "module none.v00 is loaded empty",
            "module zip.v00 is loaded empty",
        ]
    );
    let rubbish = Bank::with_boot_cfg("build=7\nupdated=1\nkernel=b.b00\n\u{8}");
    assert_eq!(super::boot(&rubbish).notes(), [Note::Binary { at: 31 }]);
    let filled = Bank::with_boot_cfg("build=7\nupdated=1\nkernel=b.b00\n\0\0\0");
    assert_eq!(super::boot(&filled).notes(), []);
}
