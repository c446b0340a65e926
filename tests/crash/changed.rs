//! Undo of a medium that somebody wrote to in the meantime, in the ways that are hardest to
//! notice: the clusters of the old file given to another one.

use crate::judges::{Scratch, run};
use crate::replay::Cow;
use crate::sticks::{FIX, Image};
use bootbank::commit::{IfDifferent, Undo, UndoError};
use bootbank::medium::ReadAt;
use std::collections::BTreeMap;
use std::process::Command;

/// A stick whose root directory has no room left in the sector of the state's entry, fixed;
/// then `content` was copied to it under another name.
fn reused(content: impl Fn(&[u8]) -> Vec<u8>) -> (Image, Undo) {
    let stick = Image::bundled("esxi67-fresh");
    let range = stick.layout().volumes[&5].clone();
    let mut scratch = Scratch::new(&stick, range.clone());
    for index in 0..40 {
        copy_in(&scratch, &format!("empty{index}.txt"), b"");
    }
    let full = Cow::new(&stick.bytes, stick.sector);
    scratch.take(&full);
    let full = stick.with(full.bytes(0..full.size()));

    let set = full.fix(&full.bytes, FIX).unwrap();
    let undo = full.undo_file(&set);
    let fixed = Cow::new(&full.bytes, full.sector);
    assert!(
        bootbank::commit::run(&fixed, &set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    scratch.set(&fixed);
    let old = &full.states(&full.bytes).unwrap()[&(5, "state.tgz")];
    copy_in(&scratch, "other.tgz", &content(old));
    scratch.take(&fixed);
    let reused = full.with(fixed.bytes(0..fixed.size()));

    // The case is the one meant: every word that undo compares looks like one of the run's.
    let stick = reused.open(&reused.bytes).unwrap();
    let reach = stick.slots()[0].opened().unwrap().volume().check().unwrap();
    let before = full.open(&full.bytes).unwrap();
    let before = before.slots()[0]
        .opened()
        .unwrap()
        .volume()
        .check()
        .unwrap();
    let chain = |reach: &bootbank::fat::Reach, name: &str| {
        let node = reach.nodes().iter().find(|it| it.entry().name() == name);
        node.unwrap().chain().to_vec()
    };
    assert_eq!(chain(&reach, "other.tgz"), chain(&before, "state.tgz"));
    drop(stick);
    (reused, undo)
}

fn copy_in(scratch: &Scratch, name: &str, content: &[u8]) {
    let source = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(source.path(), content).unwrap();
    let mut mcopy = Command::new("mcopy");
    let mcopy = mcopy.args(["-i"]).arg(scratch.path()).arg(source.path());
    let output = run(mcopy.arg(format!("::{name}")));
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn clusters_given_to_another_file_are_not_taken_back_from_it() {
    let (reused, undo) = reused(|old| vec![7; old.len()]);
    let refused = undo.plan(&reused.bytes, IfDifferent::Refuse);
    assert!(
        matches!(refused, Err(UndoError::Mismatch { .. })),
        "{refused:?}"
    );
    let old = reused.undo(&reused.bytes, &undo).unwrap();
    assert!(old.files_only.is_some());
    let medium = Cow::new(&reused.bytes, reused.sector);
    assert!(
        bootbank::commit::run(&medium, &old.set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    let mut scratch = Scratch::new(&reused, reused.layout().volumes[&5].clone());
    let other = scratch.content("other.tgz").unwrap();
    scratch.set(&medium);
    assert!(scratch.content("other.tgz").unwrap() == other);
    assert!(scratch.is_clean());
}

/// A backup of the old state, copied back to the stick: its content gives nothing away either. To
/// put every byte back would give two files the same clusters, so the state gets others, and the
/// backup stays.
#[test]
fn an_undo_that_would_cross_two_files_gives_the_state_clusters_of_its_own() {
    let (reused, undo) = reused(<[u8]>::to_vec);
    let directory = tempfile::tempdir().unwrap();
    let (image, file) = (
        directory.path().join("a.img"),
        directory.path().join("a.undo"),
    );
    std::fs::write(&image, &reused.bytes).unwrap();
    std::fs::write(&file, undo.to_bytes().unwrap()).unwrap();
    let mut bootbank = Command::new(env!("CARGO_BIN_EXE_bootbank"));
    let output = run(bootbank.arg("undo").arg(&file).arg(&image));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("would damage the medium"), "{said}");
    let undone = reused.with(std::fs::read(&image).unwrap());
    let range = undone.layout().volumes[&5].clone();
    let scratch = Scratch::new(&undone, range);
    let old = scratch.content("other.tgz").unwrap();
    assert!(scratch.content("state.tgz").unwrap() == old);
    assert!(undone.states(&undone.bytes).unwrap()[&(5, "state.tgz")] == old);
    assert!(scratch.is_clean());
}

#[test]
fn undo_files_of_two_runs_take_them_back_one_by_one() {
    let stick = Image::bundled("esxi67-fresh");
    let medium = Cow::new(&stick.bytes, stick.sector);
    let first = stick.fix(&medium, FIX).unwrap();
    let first_undo = stick.undo_file(&first);
    assert!(
        bootbank::commit::run(&medium, &first, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    let between = medium.kept();
    let second = stick.pci_set(&medium, "0000:03:00.0", true).unwrap();
    let second_undo = stick.undo_file(&second);
    assert!(
        bootbank::commit::run(&medium, &second, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );

    let refused = first_undo.plan(&medium, IfDifferent::Refuse);
    assert!(
        matches!(refused, Err(UndoError::Mismatch { .. })),
        "{refused:?}"
    );
    let back = second_undo.plan(&medium, IfDifferent::Refuse).unwrap();
    assert!(
        bootbank::commit::run(&medium, &back, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    assert_eq!(medium.differences(&between), [0u64; 0]);
    let back = first_undo.plan(&medium, IfDifferent::Refuse).unwrap();
    assert!(
        bootbank::commit::run(&medium, &back, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    assert_eq!(medium.differences(&BTreeMap::new()), [0u64; 0]);
}
