//! Records of pax and long names of GNU tar: what they say of the member behind them.

use super::*;

/// Readers differ on which of the two wins; one alone is fine.
#[test]
fn a_name_that_a_pax_record_and_a_long_name_give_is_refused_and_one_alone_is_read() {
    let long = format!("{}\0", "n".repeat(120));
    let kinds = [("path", b'L', b'0'), ("linkpath", b'K', b'2')];
    for (key, by_gnu, kind) in kinds {
        let record = || pax(b'x', &[(key, "etc/by-pax")]);
        let long_name = || member("././@LongLink", by_gnu, long.as_bytes());
        let named = || member("etc/a", kind, b"");
        let found = |parts: &[Vec<u8>]| Archive::parse(archive(parts));
        assert!(found(&[record(), named()]).is_ok(), "{key}");
        assert!(found(&[long_name(), named()]).is_ok(), "{key}");
        let both = found(&[record(), long_name(), named()]);
        let refused = matches!(&both, Err(ArchiveError::PaxAmbiguous { key: it, .. }) if it == key);
        assert!(refused, "{key}: {both:?}");
    }
}

#[test]
fn long_names_and_pax_records_are_read_and_kept() {
    let long = format!("etc/{}/file", "d".repeat(140));
    let longer = format!("etc/{}/file", "e".repeat(200));
    let parts = [
        member("././@LongLink", b'L', format!("{long}\0").as_bytes()),
        file(&long[..100], b"gnu"),
        pax(b'x', &[("path", &longer), ("comment", "kept")]),
        file("etc/short", b"pax"),
    ];
    let archive = parse(&parts);
    assert_eq!(archive.content(&long), Ok(Some(b"gnu".as_slice())));
    assert_eq!(archive.content(&longer), Ok(Some(b"pax".as_slice())));
    let edited = archive
        .edit(&[replace(&long, b"changed"), replace(&longer, &[1; 513])])
        .unwrap();
    assert_eq!(edited.content(&long), Ok(Some(b"changed".as_slice())));
    assert_eq!(edited.bytes().to_vec()[..1024], parts[0]);
    assert_eq!(edited.bytes().to_vec()[2048..3072], parts[2]);
    let removed = archive.edit(&[remove(&long)]).unwrap();
    assert_eq!(
        removed.bytes().to_vec(),
        crate::state::fixtures::archive(&parts[2..])
    );
}

/// The header holds the beginning of a long name, which may end in a slash where the name does not.
#[test]
fn what_a_member_is_goes_by_its_whole_name() {
    let kind = |parts: &[Vec<u8>]| parse(parts).members()[0].kind;
    for cut in 97..103 {
        let long = format!("etc/{}/file", "d".repeat(cut - 5));
        let start = &long[..long.len().min(100)];
        let gnu = member("././@LongLink", b'L', format!("{long}\0").as_bytes());
        for (before, content) in [
            (&gnu, "full"),
            (&gnu, ""),
            (&pax(b'x', &[("path", &long)]), ""),
        ] {
            let found = kind(&[before.clone(), file(start, content.as_bytes())]);
            assert_eq!(found, MemberKind::Regular, "{cut}");
        }
    }
    let old = member(
        "././@LongLink",
        b'L',
        format!("etc/{}/\0", "d".repeat(120)).as_bytes(),
    );
    let beginning = format!("etc/{}", "d".repeat(96));
    assert_eq!(kind(&[old, file(&beginning, b"")]), MemberKind::Directory);
    assert_eq!(kind(&[file("etc/old/", b"")]), MemberKind::Directory);
}

#[test]
fn records_that_contradict_a_change_refuse_it() {
    let refused = |parts: &[Vec<u8>], edit: MemberEdit| {
        let archive = parse(parts);
        assert!(archive.content("a").is_ok());
        let err = archive.edit(&[edit]).map(|_| ()).unwrap_err();
        assert_eq!(err.kind(), ErrorKind::Unsupported, "{err}");
        err.to_string()
    };
    let base256 = altered("a", b'0', 0, |header| {
        header[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\0");
    });
    let narrow = altered("a", b'0', 0, |header| {
        header[124..136].copy_from_slice(b"0\0\0\0\0\0\0\0\0\0\0\0");
    });
    let cases: [(&[Vec<u8>], MemberEdit, &str); 6] = [
        (
            &[pax(b'x', &[("size", "1")]), file("a", b"1")],
            replace("a", b"2"),
            "a cannot be changed: a pax record sets its size",
        ),
        (
            &[pax(b'x', &[("mtime", "1.5")]), file("a", b"1")],
            replace("a", b"2"),
            "a cannot be changed: a pax record sets its mtime",
        ),
        (
            &[pax(b'g', &[("mtime", "1.5")]), file("a", b"1")],
            replace("a", b"2"),
            "a cannot be changed: a pax record sets its mtime",
        ),
        (
            &[pax(b'g', &[("comment", "x")]), file("a", b"1")],
            add("b", b"2"),
            "b cannot be added: the archive holds a global pax header",
        ),
        (
            &[base256],
            replace("a", b"2"),
            "a: the size field is in base-256 form, which bootbank does not write",
        ),
        (
            &[narrow],
            replace("a", &[1; 8]),
            "a: 8 does not fit the size field of 1 octal digits",
        ),
    ];
    for (parts, edit, want) in cases {
        assert_eq!(refused(parts, edit), want);
    }
    let sparse = parse(&[
        pax(
            b'x',
            &[("GNU.sparse.name", "real"), ("GNU.sparse.size", "9")],
        ),
        file("fake", b"1"),
    ]);
    assert_eq!(sparse.find("real").unwrap().kind, MemberKind::Sparse);
    assert!(sparse.edit(&[replace("real", b"2")]).is_err());
    assert!(sparse.content("real").is_err());
}

/// Records are about the member they precede, unless they are global.
#[test]
fn what_a_record_says_of_one_member_keeps_no_other_from_being_changed() {
    let one = parse(&[
        pax(b'x', &[("mtime", "1.5")]),
        file("etc/a", b"1"),
        file("etc/b", b"2"),
    ]);
    assert!(one.edit(&[replace("etc/b", b"3")]).is_ok());
    assert!(one.check_editable("etc/b").is_ok());
    assert!(one.check_editable("etc/none").is_ok());
    let refused = one.check_editable("etc/a");
    assert!(
        matches!(refused, Err(ArchiveError::PaxOverride { .. })),
        "{refused:?}"
    );
    let member = one.find("etc/a").unwrap();
    assert!(member.is_at("./etc//a") && !member.is_at("etc/b"));
}
