mod hostile;
mod pax;
mod verifying;

use super::scan::at;
use super::*;
use crate::error::ErrorKind;
use crate::state::fixtures::{archive, files, header, member, with_checksum};
use bytes::Bytes;
use proptest::prelude::*;

const CONF: &str = "etc/vmware/esx.conf";

fn replace(path: &str, content: &[u8]) -> MemberEdit {
    MemberEdit::Replace {
        path: path.to_owned(),
        content: content.to_vec().into(),
    }
}

fn add(path: &str, content: &[u8]) -> MemberEdit {
    MemberEdit::Add {
        path: path.to_owned(),
        content: content.to_vec().into(),
        mode: 0o644,
        mtime: 0o14104745010,
    }
}

fn remove(path: &str) -> MemberEdit {
    MemberEdit::Remove {
        path: path.to_owned(),
    }
}

fn parse(parts: &[Vec<u8>]) -> Archive {
    Archive::parse(archive(parts)).unwrap()
}

fn file(name: &str, data: &[u8]) -> Vec<u8> {
    member(name, b'0', data)
}

/// A pax header with these records.
fn pax(kind: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let record = |(key, value): &(&str, &str)| {
        let rest = format!(" {key}={value}\n");
        let mut len = rest.len() + 1;
        while len != rest.len() + len.to_string().len() {
            len += 1;
        }
        format!("{len}{rest}")
    };
    let records: String = records.iter().map(record).collect();
    member("PaxHeaders/x", kind, records.as_bytes())
}

/// A header changed and given a right checksum again.
fn altered(name: &str, kind: u8, size: usize, change: impl Fn(&mut [u8; 512])) -> Vec<u8> {
    let mut bytes = header(name, kind, size);
    change(&mut bytes);
    with_checksum(bytes).to_vec()
}

#[test]
fn members_are_found_under_every_spelling_of_their_path() {
    let archive = parse(&[
        member("./", b'5', b""),
        member("./etc//vmware/", b'5', b""),
        file("./etc/vmware//esx.conf", b"one"),
        file("/etc/hosts", b"two"),
    ]);
    for path in [CONF, "/etc/vmware/esx.conf", "./etc/./vmware//esx.conf"] {
        assert_eq!(archive.content(path), Ok(Some(b"one".as_slice())), "{path}");
    }
    assert_eq!(archive.content("etc/hosts"), Ok(Some(b"two".as_slice())));
    assert_eq!(archive.content("etc/hostname"), Ok(None));
    assert_eq!(archive.content("etc/../etc/hosts"), Ok(None));
    let found = archive.find(CONF).unwrap();
    assert_eq!(found.path(), CONF);
    assert!(found.is_at("/etc/vmware/esx.conf"));
    assert_eq!(found.name, b"./etc/vmware//esx.conf");
    assert_eq!((found.mode, found.mtime), (0o644, 0o14104745010));
    assert_eq!(
        (found.uname.as_str(), found.gname.as_str()),
        ("root", "root")
    );
    assert_eq!(found.kind, MemberKind::Regular);
}

#[test]
fn a_name_that_is_not_utf_8_is_kept_byte_for_byte() {
    let odd = altered("etc/x", b'0', 0, |header| {
        header[..6].copy_from_slice(b"./etc\xff");
    });
    let archive = parse(&[odd]);
    let member = &archive.members()[0];
    assert_eq!(member.path_bytes(), b"etc\xff");
    assert_eq!(member.path(), "etc\u{fffd}");
}

#[test]
fn the_last_of_several_members_counts_and_is_the_one_edited() {
    let parts = [
        file(CONF, b"old"),
        file("a", b"a"),
        file("./etc/vmware/esx.conf", b"new"),
    ];
    let archive = parse(&parts);
    assert_eq!(archive.content(CONF), Ok(Some(b"new".as_slice())));
    assert_eq!(
        archive.warnings(),
        [ArchiveWarning::Repeated {
            path: CONF.to_owned()
        }]
    );
    let edited = archive.edit(&[replace(CONF, b"newest")]).unwrap();
    let want = [
        &parts[0],
        &parts[1],
        &file("./etc/vmware/esx.conf", b"newest"),
    ];
    assert_eq!(
        edited.bytes().to_vec(),
        crate::state::fixtures::archive(&want)
    );
    let removed = archive.edit(&[remove(CONF)]).unwrap();
    assert_eq!(removed.bytes().to_vec(), files(&[("a", b"a")]));
}

#[test]
fn members_that_are_there_again_are_named_up_to_a_number() {
    let warnings = |again: usize| {
        let parts: Vec<Vec<u8>> = (0..=again).map(|_| file("etc/hosts", b"x")).collect();
        parse(&parts).warnings().to_vec()
    };
    let named = |warnings: &[ArchiveWarning]| {
        let hosts = "etc/hosts is in the archive more than once; the last copy counts";
        let is_named = |it: &&ArchiveWarning| it.to_string() == hosts;
        warnings.iter().filter(is_named).count()
    };
    assert_eq!(warnings(0).len(), 0);
    let up_to_it = warnings(MAX_REPEATED);
    assert_eq!(
        (up_to_it.len(), named(&up_to_it)),
        (MAX_REPEATED, MAX_REPEATED)
    );
    let beyond = warnings(MAX_REPEATED + 2);
    assert_eq!(
        (beyond.len(), named(&beyond)),
        (MAX_REPEATED + 1, MAX_REPEATED)
    );
    let more = ArchiveWarning::MoreRepeated { count: 2 };
    assert_eq!(beyond[MAX_REPEATED], more);
}

#[test]
fn owners_and_times_below_zero_are_read_as_0_and_kept() {
    let below = altered("etc/hosts", b'0', 1, |header| {
        for field in [at::UID, at::GID, at::MTIME] {
            header[field].fill(0xff);
        }
    });
    let archive = parse(&[[below.clone(), vec![b'x'; 512]].concat()]);
    let found = archive.find("etc/hosts").unwrap();
    assert_eq!((found.uid, found.gid, found.mtime), (0, 0, 0));
    let edited = archive.edit(&[replace("etc/hosts", b"y")]).unwrap();
    assert_eq!(edited.bytes().to_vec()[at::UID], below[at::UID]);
    assert_eq!(edited.bytes().to_vec()[at::MTIME], below[at::MTIME]);
    // The mode has no such reading.
    let mode = altered("etc/hosts", b'0', 0, |header| header[at::MODE].fill(0xff));
    assert!(Archive::parse(super::super::fixtures::archive(&[mode])).is_err());
}

#[test]
fn what_is_left_of_an_archive_that_is_cut_off_is_told_from_what_is_not() {
    let whole = archive(&[
        file("etc/hosts", &[b'x'; 600]),
        file("etc/motd", &[b'y'; 700]),
    ]);
    let salvage = |len: usize| Archive::salvage(whole[..len].to_vec(), 1 << 20).unwrap();
    let complete = salvage(whole.len());
    assert_eq!(complete.fault(), None);
    let (member, content) = complete.content("etc/motd").unwrap().unwrap();
    assert_eq!((complete.present(member), content), (700, &[b'y'; 700][..]));
    // The second member's data begin behind a header, two blocks and a header.
    let cut = salvage(4 * 512 + 300);
    assert!(matches!(cut.fault(), Some(ArchiveError::PastEnd { .. })));
    let (member, content) = cut.content("etc/motd").unwrap().unwrap();
    assert_eq!((member.size, cut.present(member)), (700, 300));
    assert_eq!(content, [b'y'; 300]);
    let (member, _) = cut.content("etc/hosts").unwrap().unwrap();
    assert_eq!(cut.present(member), 600);
    // Of a member whose header is cut nothing is left.
    let cut = salvage(3 * 512 + 100);
    assert!(cut.fault().is_some());
    assert!(cut.content("etc/motd").unwrap().is_none());
    // More than may be unpacked is not made up.
    let short = Archive::salvage(whole[..4 * 512 + 300].to_vec(), 4 * 512).unwrap();
    assert!(short.content("etc/motd").unwrap().is_none());
}

#[test]
fn of_what_is_no_archive_at_all_nothing_is_left() {
    assert!(Archive::salvage(vec![b'x'; 2048], 1 << 20).is_err());
    // An archive without members is whole.
    let empty = Archive::salvage(vec![0; 1024], 1 << 20).unwrap();
    assert!(empty.fault().is_none() && empty.archive().members().is_empty());
}

#[test]
fn links_are_followed_for_reading_and_refused_for_writing() {
    let link = |name, kind, to: &str| {
        altered(name, kind, 0, |header| {
            header[157..157 + to.len()].copy_from_slice(to.as_bytes())
        })
    };
    let archive = parse(&[
        file("etc/a", b"content"),
        link("etc/hard", b'1', "./etc/a"),
        link("etc/soft", b'2', "a"),
        link("etc/lost", b'1', "etc/none"),
        link("etc/loop", b'1', "etc/loop"),
        member("etc/dir/", b'5', b""),
        member("etc/old-dir/", b'0', b""),
    ]);
    assert_eq!(archive.content("etc/hard"), Ok(Some(b"content".as_slice())));
    let not_a_file = |path: &str, kind| ArchiveError::NotAFile {
        path: path.to_owned(),
        kind,
    };
    let lost = ArchiveError::LinkToNothing {
        path: "etc/lost".to_owned(),
        target: "etc/none".to_owned(),
    };
    assert_eq!(archive.content("etc/lost"), Err(lost));
    for (path, kind) in [
        ("etc/soft", MemberKind::Symlink),
        ("etc/loop", MemberKind::HardLink),
        ("etc/dir", MemberKind::Directory),
        ("etc/old-dir", MemberKind::Directory),
    ] {
        assert_eq!(archive.content(path), Err(not_a_file(path, kind)));
        let got = archive.edit(&[replace(path, b"x")]).map(|_| ());
        assert_eq!(got, Err(not_a_file(path, kind)));
    }
    let linked = archive.edit(&[remove("etc/a")]).map(|_| ()).unwrap_err();
    assert_eq!(linked.kind(), ErrorKind::Refused);
    assert_eq!(
        linked.to_string(),
        "etc/a cannot be removed: etc/hard is a hard link to it"
    );
    let edited = archive.edit(&[replace("etc/a", b"changed")]).unwrap();
    assert_eq!(edited.content("etc/hard"), Ok(Some(b"changed".as_slice())));
}

#[test]
fn every_field_but_size_and_checksum_of_an_edited_member_stays() {
    let old = altered("etc/x", b'0', 5, |header| {
        header[100..108].copy_from_slice(b" 101644 ");
        header[108..124].copy_from_slice(b"   765   24 \0\0\0\0");
        header[124..136].copy_from_slice(b"          5 ");
        header[136..148].copy_from_slice(b"\0\0\0\0\0\0\0\0\0\0\0\0");
        header[257..265].fill(0);
        header[500..512].copy_from_slice(b"star archive");
    });
    // Checksums of the seventh edition end in space, NUL.
    let mut old = old;
    let sum: u32 = old.iter().map(|&b| u32::from(b)).sum::<u32>()
        - old[148..156].iter().map(|&b| u32::from(b)).sum::<u32>()
        + 256;
    old[148..156].copy_from_slice(format!("{sum:6o} \0").as_bytes());
    let mut part = old.clone();
    part.extend_from_slice(b"12345");
    part.resize(1024, 0);
    let tail = b"left by another program";
    let bytes = [archive(&[part]), tail.to_vec()].concat();
    let archive = Archive::parse(bytes).unwrap();
    assert_eq!(archive.find("etc/x").unwrap().mode, 0o1644);
    assert_eq!(
        archive.warnings(),
        [ArchiveWarning::BehindEnd { count: 23 }]
    );
    let edited = archive.edit(&[replace("etc/x", &[7; 600])]).unwrap();
    let new = edited.bytes().to_vec();
    assert_eq!(new[..124], old[..124]);
    assert_eq!(&new[124..136], b"       1130 ");
    assert_eq!(new[136..148], old[136..148]);
    assert_eq!(&new[154..156], b" \0");
    assert_eq!(new[156..512], old[156..512]);
    assert_eq!(new[512..1112], [7; 600]);
    assert_eq!(new[1112..1536 + 1024], [0; 424 + 1024]);
    assert_eq!(&new[2560..], tail);
}

#[test]
fn equal_content_changes_nothing_even_around_odd_padding() {
    let mut bytes = files(&[("a", b"1"), ("b", b"2")]);
    bytes[700] = 0xee;
    let archive = Archive::parse(bytes.clone()).unwrap();
    let edited = archive.edit(&[replace("a", b"1")]).unwrap();
    assert_eq!(edited.bytes().to_vec(), bytes);
    let edited = archive.edit(&[replace("b", b"3")]).unwrap();
    assert_eq!(edited.bytes().to_vec()[700], 0xee);
    assert_eq!(archive.edit(&[]).unwrap().bytes().to_vec(), bytes);
}

#[test]
fn a_path_may_be_as_long_as_a_path_can_be() {
    let long = |len: usize| add(&"p/".repeat(len)[..len], b"");
    let archive = parse(&[file("a", b"")]);
    let most = edit::MAX_PATH;
    assert!(archive.edit(&[long(most)]).is_ok());
    assert!(archive.edit(&[long(most + 2)]).is_err());
}

#[test]
fn one_zero_block_at_the_very_end_is_enough_but_said() {
    let bytes = files(&[("a", b"1")]);
    let archive = Archive::parse(bytes[..1536].to_vec()).unwrap();
    assert_eq!(
        archive.warnings(),
        [ArchiveWarning::OneZeroBlock { offset: 1024 }]
    );
    let edited = archive.edit(&[replace("a", b"2")]).unwrap();
    assert_eq!(edited.bytes().to_vec().len(), 1536);
}

/// A piece that ends within a header or a member's data hides it: that is refused, and never read as empty.
#[test]
fn an_archive_in_pieces_is_read_as_a_whole_or_refused() {
    let bytes = files(&[("a", &[7; 1000]), ("b", b"content")]);
    let whole = Archive::parse(bytes.clone()).unwrap();
    let mut refused = 0;
    for cut in (0..=bytes.len()).step_by(4) {
        let (first, second) = bytes.split_at(cut);
        let mut pieces = Pieces::from(first.to_vec());
        pieces.push(second.to_vec());
        match Archive::parse_pieces(pieces) {
            Ok(archive) => {
                assert_eq!(archive.warnings(), whole.warnings(), "{cut}");
                for path in ["a", "b"] {
                    assert_eq!(archive.content(path), whole.content(path), "{cut}");
                }
            }
            Err(_) => refused += 1,
        }
    }
    // Within the three headers, of which the last is the end, and the data of both members.
    assert_eq!(refused, 3 * 127 + 249 + 1);
}

#[test]
fn an_added_member_comes_last_in_the_style_of_the_host() {
    let old = parse(&[file("a", b"1")]);
    let new = old
        .edit(&[add("/etc//vmware/new", b"content"), add("b", b"")])
        .unwrap();
    let want = files(&[("a", b"1"), ("etc/vmware/new", b"content"), ("b", b"")]);
    assert_eq!(new.bytes().to_vec(), want);
    // What was edited is in pieces, and can be edited again.
    let longer = new
        .edit(&[replace("a", b"22"), replace("b", &[7; 600])])
        .unwrap();
    let want = files(&[
        ("a", b"22"),
        ("etc/vmware/new", b"content"),
        ("b", &[7; 600]),
    ]);
    assert_eq!(longer.bytes().to_vec(), want);
    let back = new.edit(&[remove("b"), remove("etc/vmware/new")]).unwrap();
    assert_eq!(back.bytes().to_vec(), old.bytes().to_vec());
    let empty = Archive::parse(vec![0; 1024]).unwrap();
    assert_eq!(
        empty.edit(&[add("a", b"1")]).unwrap().bytes().to_vec(),
        old.bytes().to_vec()
    );
}

#[test]
fn edits_that_cannot_be_meant_are_refused_one_by_one() {
    let archive = parse(&[file("etc/a", b"1"), member("dir/", b'5', b"")]);
    let long = "x".repeat(5000);
    let most = MemberEdit::Add {
        path: "b".to_owned(),
        content: Bytes::new(),
        mode: 0o7777,
        mtime: 0,
    };
    let with = parse(&[file("a", b"")]).edit(&[most]).unwrap();
    assert_eq!(with.find("b").unwrap().mode, 0o7777);
    let mode = MemberEdit::Add {
        path: "b".to_owned(),
        content: Bytes::new(),
        mode: 0o10000,
        mtime: 0,
    };
    let mtime = MemberEdit::Add {
        path: "b".to_owned(),
        content: Bytes::new(),
        mode: 0,
        mtime: 1 << 33,
    };
    let cases: [(Vec<MemberEdit>, &str); 15] = [
        (vec![replace("none", b"")], "none is not in the archive"),
        (vec![remove("none")], "none is not in the archive"),
        (
            vec![remove("dir")],
            "dir is a directory, not a regular file",
        ),
        (
            vec![add("./etc/a", b"")],
            "./etc/a is already in the archive",
        ),
        (
            vec![add("b", b""), add("./b", b"")],
            "./b is to be changed twice",
        ),
        (
            vec![remove("etc/a"), replace("etc/a", b"")],
            "etc/a is to be changed twice",
        ),
        (vec![add("", b"")], "\"\" cannot be added: it names no file"),
        (
            vec![add("b/", b"")],
            "\"b/\" cannot be added: it names no file",
        ),
        (
            vec![add("b/../c", b"")],
            "\"b/../c\" cannot be added: it has a .. component or a NUL",
        ),
        (
            vec![add("b\0c", b"")],
            "\"b\\0c\" cannot be added: it has a .. component or a NUL",
        ),
        (
            vec![add("etc/a/b", b"")],
            "\"etc/a/b\" cannot be added: etc/a is not a directory",
        ),
        (
            vec![add("etc", b"")],
            "\"etc\" cannot be added: other members have it as their directory",
        ),
        (
            vec![add("b", b""), add("b/c", b"")],
            "\"b/c\" cannot be added: b is not a directory",
        ),
        (
            vec![mode],
            "b: 4096 does not fit the mode field of 4 octal digits",
        ),
        (
            vec![mtime],
            "b: 8589934592 does not fit the mtime field of 11 octal digits",
        ),
    ];
    for (edits, want) in cases {
        assert_eq!(
            archive.edit(&edits).map(|_| ()).unwrap_err().to_string(),
            want
        );
    }
    assert!(archive.edit(&[add(&long, b"")]).is_err());
    assert!(archive.edit(&[add("dir/c", b"")]).is_ok());
}

fn contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let content = prop::collection::vec(any::<u8>(), 0..1500);
    prop::collection::vec(content, 1..8)
}

proptest! {
    #[test]
    fn any_member_replaced_by_any_content_is_the_archive_written_with_it(
        old in contents(),
        new in contents(),
        first: prop::sample::Index,
        tail in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let names: Vec<String> = (0..old.len()).map(|i| format!("etc/member-{i}")).collect();
        let build = |contents: &[Vec<u8>]| {
            let parts: Vec<_> = names.iter().zip(contents).map(|(n, c)| file(n, c)).collect();
            [archive(&parts), tail.clone()].concat()
        };
        let mut want = old.clone();
        let mut edits = Vec::new();
        // Edits in another order than the members are.
        for (content, index) in new.iter().zip((0..old.len()).rev()) {
            let index = (index + first.index(old.len())) % old.len();
            want[index].clone_from(content);
            edits.push(replace(&names[index], content));
        }
        let edited = Archive::parse(build(&old)).unwrap().edit(&edits).unwrap();
        prop_assert_eq!(edited.bytes().to_vec(), build(&want));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(
        noise in prop::collection::vec((0usize..3072, any::<u8>()), 0..6),
        len in 0usize..3584,
        fix_checksums: bool,
    ) {
        let mut bytes = files(&[("etc/a", b"1"), ("etc/b", &[2; 600])]);
        for (at, value) in noise {
            bytes[at] = value;
        }
        if fix_checksums {
            let fixed = with_checksum(*block(&bytes.clone().into(), 0).unwrap());
            bytes[..512].copy_from_slice(&fixed);
        }
        bytes.truncate(len);
        if let Ok(archive) = Archive::parse(bytes) {
            let _ = archive.edit(&[replace("etc/b", b"3"), add("etc/c", b"4")]);
        }
    }
}
