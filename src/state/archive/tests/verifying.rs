//! The check of a changed archive, given results that are wrong.

use super::super::scan::at;
use super::super::verify::verify;
use super::{add, altered, file, parse, remove, replace};
use crate::state::archive::Archive;
use crate::state::fixtures::{archive, with_checksum};

/// What checks the splice is checked itself: each way in which a result can be another than was asked
/// for is one it names.
#[test]
fn a_result_that_is_not_what_was_asked_for_is_refused() {
    let old = [file("a", b"old"), file("b", b"stays"), file("c", b"goes")];
    let edits = [replace("a", b"new"), remove("c"), add("d", b"more")];
    let added = |mode: u32, mtime: u64| {
        let mut bytes = [0; 512];
        bytes.copy_from_slice(&file("d", b"more")[..512]);
        bytes[at::MODE].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        bytes[at::MTIME].copy_from_slice(format!("{mtime:011o}\0").as_bytes());
        [
            with_checksum(bytes).to_vec(),
            file("d", b"more")[512..].to_vec(),
        ]
        .concat()
    };
    let new = || {
        [
            file("a", b"new"),
            file("b", b"stays"),
            added(0o644, 0o14104745010),
        ]
    };
    let refused = |parts: &[Vec<u8>]| {
        let checked = verify(&parse(&old), &edits, &parse(parts));
        checked.err().map(|error| error.to_string())
    };
    assert_eq!(refused(&new()), None);
    let with = |index: usize, part: Vec<u8>| {
        let mut parts = new().to_vec();
        parts[index] = part;
        parts
    };
    let other_owner = altered("a", b'0', 3, |header| header[at::UID][6] = b'1');
    let other_owner = [other_owner, file("a", b"new")[512..].to_vec()].concat();
    for (parts, what) in [
        (
            with(0, file("a", b"old")),
            "a: it does not have its new content",
        ),
        (
            with(0, other_owner),
            "a: more than size and checksum changed",
        ),
        (
            with(1, file("b", b"other")),
            "b: it changed, but should not",
        ),
        (with(2, file("e", b"more")), "e: nothing added it"),
        (
            with(2, added(0o600, 0o14104745010)),
            "d: it was not added as planned",
        ),
        (with(2, added(0o644, 1)), "d: it was not added as planned"),
        (new()[..2].to_vec(), "members added: 0 instead of 1"),
        (new()[..1].to_vec(), "b: it is no longer there"),
        (
            [&new()[..2], &old[2..], &new()[2..]].concat(),
            "c: nothing added it",
        ),
    ] {
        let said = refused(&parts).unwrap_or_default();
        assert!(said.contains(what), "{what}: {said}");
    }
    let mut tail = archive(&new());
    tail.extend([1; 512]);
    let tail = Archive::parse(tail).unwrap();
    let checked = verify(&parse(&old), &edits, &tail);
    assert!(
        checked
            .unwrap_err()
            .to_string()
            .contains("after the last member")
    );
}
