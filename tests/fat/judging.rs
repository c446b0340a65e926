//! Plans that would do more than they may, and volumes changed at random: what the checks let
//! through, both readers agree about.

use crate::fat_victim::Victim;
use crate::fat_volume::{FORMATS, Format, Made, open, pattern};
use crate::{Lie, crash};
use bootbank::commit::{Phase, Planner, WriteSet};
use bootbank::fat::{
    Action, FileChange, Method, Restored, Volume, judge, judge_marks, judge_undo, mark_clean,
    replace, replace_in_place,
};

/// Ways a plan can go wrong, as changes to the bytes the last of its steps leaves.
const WRONG_PLANS: [Lie; 12] = [
    (
        "boot-sector-changed",
        |v| v.put(3, b"OTHER"),
        "boot sector or the identity",
    ),
    (
        "identity-changed",
        |v| v.put(v.format.sector_size as usize + 20, b"X"),
        "the identity",
    ),
    (
        "time-changed",
        |v| v.flip(v.state + 22),
        "root directory would change",
    ),
    (
        "other-entry-changed",
        |v| v.put(v.local + 28, &[1, 0, 0, 0]),
        "local.tgz would change",
    ),
    (
        "left-allocated",
        |v| v.link(v.free + 40, 0xffff),
        "leftovers would stay",
    ),
    (
        "dirty-mark-changed",
        |v| v.link(1, 0x7ffe),
        "FAT entry of cluster 1 would change",
    ),
    (
        "wrong-length",
        |v| v.put(v.state + 28, &[1, 0, 0, 0]),
        "would get the wrong length",
    ),
    (
        "wrong-content",
        |v| v.put(v.at(v.first()) + 100, b"?"),
        "would get the wrong content",
    ),
    (
        "points-at-another-file",
        |v| v.put(v.state + 26, &v.other[0].to_le_bytes()),
        "state.tgz",
    ),
    (
        "folder-changed",
        |v| v.flip(v.folder_at + 32 * 4 + 22),
        "~1.TXT would change",
    ),
    (
        "other-content-changed",
        |v| v.put(v.at(v.other[0]), b"?"),
        "sector would change that must not",
    ),
    (
        "free-cluster-written",
        |v| v.put(v.at(v.free + 40), b"?"),
        "sector would change that must not",
    ),
];

#[test]
fn an_entry_is_where_it_says_in_folders_of_any_length() {
    for format in FORMATS {
        let mut made = Made::bank(format, 2000);
        // More names than a small cluster holds.
        for number in 0..14 {
            made.put(&format!("System Volume Information/{number}.TXT"), b"x");
        }
        let bytes = made.bytes();
        let volume = open(&bytes, format);
        let reach = volume.check().unwrap();
        for node in reach.nodes() {
            let (entry, at) = (node.entry(), node.entry().offset() as usize);
            assert_eq!(
                bytes[at..at + 32],
                *entry.bytes(),
                "{} {}",
                format.name,
                entry.name()
            );
        }
        let inside = reach
            .nodes()
            .iter()
            .filter(|node| node.entry().name().ends_with(".TXT"));
        assert!(inside.count() >= 14, "{}", format.name);
    }
}

/// What is in a directory is found by the short names on the way to it, as firmware does, and where the walk through
/// the whole volume finds it.
#[test]
fn a_directory_is_listed_by_its_path() {
    for format in FORMATS {
        let mut made = Made::bank(format, 2000);
        made.make_directory("EFI");
        made.make_directory("EFI/BOOT");
        for number in 0..20 {
            made.put(&format!("EFI/BOOT/{number}.EFI"), b"x");
        }
        let bytes = made.bytes();
        let volume = open(&bytes, format);
        let list = |path: &[&str]| {
            let found = volume.directory(path).unwrap();
            found.map(|entries| {
                let named = entries.iter().map(|it| (it.name(), it.offset()));
                let own = named.filter(|(name, _)| !name.starts_with('.'));
                own.collect()
            })
        };
        let reach = volume.check().unwrap();
        let nodes = reach.nodes().iter().enumerate();
        let files = nodes.filter(|(_, node)| node.entry().name().ends_with(".EFI"));
        let expected: Vec<_> = files
            .map(|(index, node)| {
                assert!(reach.path(index).starts_with("EFI/BOOT/"));
                (node.entry().name(), node.entry().offset())
            })
            .collect();
        assert_eq!(expected.len(), 20, "{}", format.name);
        assert_eq!(list(&["EFI", "BOOT"]), Some(expected), "{}", format.name);
        let inner: Vec<(String, u64)> = list(&["efi"]).unwrap();
        let names: Vec<&str> = inner.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["BOOT"], "{}", format.name);
        for none in [
            &["EFI", "NONE"][..],
            &["STATE.TGZ"],
            &["EFI", "BOOT", "1.EFI"],
        ] {
            assert_eq!(list(none), None, "{} {none:?}", format.name);
        }
    }
}

#[test]
fn a_plan_that_does_more_than_it_may_is_rejected_before_anything_is_written() {
    for format in FORMATS {
        for (lie, tamper, words) in WRONG_PLANS {
            let victim = Victim::of(format);
            let bytes = victim.bytes.clone();
            let volume = open(&bytes, format);
            let reach = volume.check().unwrap();
            let entry = volume.find("state.tgz").unwrap().unwrap();
            let content = pattern(2000, 77);
            let files = [FileChange {
                entry,
                action: Action::Replace(content.clone().into()),
                why: "test".into(),
            }];
            let mut planner = Planner::new(&bytes, format.sector_size);
            replace(&volume, &reach, &mut planner, 5, &files).unwrap();
            let mut after = victim;
            crash::apply_all(&mut after.bytes, &planner.finish());
            tamper(&mut after);
            let set = difference(&bytes, &after.bytes, format);
            let error = judge(&volume, &reach, &set, &files, Method::SecondCopy);
            let error = error.expect_err(lie);
            assert!(
                error.to_string().contains(words),
                "{lie} in {}: {error}",
                format.name
            );
            if words == "FAT entry of cluster 1 would change" {
                let bootbank::fat::FatError::Rejected { offset, .. } = error else {
                    panic!("{error}")
                };
                let bits = u64::from(volume.geometry().kind().bits());
                let fats = volume.geometry().fat_ranges();
                assert!(
                    fats.iter().any(|fat| fat.start + bits / 8 == offset),
                    "{offset}"
                );
            }
        }
    }
}

/// New content over the old is what a cut spoils, so a plan may put it there only where that was asked for; and
/// where it was, nowhere else.
#[test]
fn a_plan_of_the_other_method_is_rejected() {
    for format in FORMATS {
        let victim = Victim::of(format);
        let volume = open(&victim.bytes, format);
        let reach = volume.check().unwrap();
        let files = [FileChange {
            entry: volume.find("state.tgz").unwrap().unwrap(),
            action: Action::Replace(pattern(2000, 77).into()),
            why: "test".into(),
        }];
        let planned = |method| {
            let mut planner = Planner::new(&victim.bytes, format.sector_size);
            match method {
                Method::InPlace => replace_in_place(&volume, &reach, &mut planner, 5, &files),
                Method::SecondCopy => replace(&volume, &reach, &mut planner, 5, &files),
            }
            .unwrap();
            planner.finish()
        };
        let both = [Method::InPlace, Method::SecondCopy];
        for (made, other) in [(both[0], both[1]), (both[1], both[0])] {
            let set = planned(made);
            judge(&volume, &reach, &set, &files, made).unwrap();
            let error = judge(&volume, &reach, &set, &files, other).unwrap_err();
            let says = "new content goes into clusters in use";
            assert!(error.to_string().contains(says), "{}: {error}", format.name);
        }
    }
}

/// ESXi's loader looks neither for 55 aa in a boot sector nor at the one of two totals it does not need: a volume
/// without the one and with both of the others is changed as any other.
#[test]
fn a_boot_sector_that_only_other_systems_refuse_is_no_reason_to_reject_a_plan() {
    const TOTAL_16: usize = 19;
    const TOTAL_32: usize = 32;
    for format in FORMATS {
        let mut bytes = Victim::of(format).bytes;
        let short = [bytes[TOTAL_16], bytes[TOTAL_16 + 1]];
        assert_ne!(short, [0, 0], "{}", format.name);
        bytes[TOTAL_32..TOTAL_32 + 2].copy_from_slice(&short);
        bytes[510..512].fill(0);
        let volume = open(&bytes, format);
        let reach = volume.check().unwrap();
        let files = [FileChange {
            entry: volume.find("state.tgz").unwrap().unwrap(),
            action: Action::Replace(pattern(2000, 77).into()),
            why: "test".into(),
        }];
        let mut planner = Planner::new(&bytes, format.sector_size);
        replace(&volume, &reach, &mut planner, 5, &files).unwrap();
        judge(
            &volume,
            &reach,
            &planner.finish(),
            &files,
            Method::SecondCopy,
        )
        .unwrap();
        // Two totals that differ are damage.
        bytes[TOTAL_32] ^= 1;
        let end = bytes.len() as u64;
        assert!(Volume::open(&&bytes[..], 0..end, format.sector_size).is_err());
    }
}

/// What an undo could put back beside a file, and words of the error.
const WRONG_UNDOS: [Lie; 7] = [
    (
        "boot-sector-changed",
        |v| v.put(3, b"OTHER"),
        "the head of the volume would change",
    ),
    (
        "first-entry-changed",
        |v| v.link(0, 0xfff0),
        "the head of the volume would change",
    ),
    (
        "folder-changed",
        |v| v.flip(v.folder_at + 32 * 4 + 22),
        "not a file of the root directory",
    ),
    (
        "content-of-a-folder-changed",
        |v| v.put(v.folder_at + 1, b"?"),
        "",
    ),
    (
        "shared-clusters",
        |v| v.put(v.state + 26, &v.other[0].to_le_bytes()),
        "",
    ),
    ("chain-cut", |v| v.link(v.chain[1], 0), ""),
    (
        "label-added",
        |v| {
            let label = [&b"A LABEL    \x08"[..], &[0; 20]].concat();
            let free = (v.local..)
                .step_by(32)
                .find(|at| v.bytes[*at] == 0)
                .unwrap();
            v.put(free, &label);
        },
        "another slot of the root directory would change",
    ),
];

#[test]
fn an_undo_gives_back_files_of_the_root_directory_and_nothing_else() {
    for format in FORMATS {
        let before = Victim::of(format);
        let volume = open(&before.bytes, format);
        let content = pattern(2000, 77);
        let files = [FileChange {
            entry: volume.find("state.tgz").unwrap().unwrap(),
            action: Action::Replace(content.clone().into()),
            why: "test".into(),
        }];
        let mut planner = Planner::new(&before.bytes, format.sector_size);
        replace(&volume, &volume.check().unwrap(), &mut planner, 5, &files).unwrap();
        let mut changed = before.clone();
        crash::apply_all(&mut changed.bytes, &planner.finish());
        let now = open(&changed.bytes, format);
        let judged = |undone: &Victim| {
            let set = difference(&changed.bytes, &undone.bytes, format);
            judge_undo(&now, &now, &set)
        };
        let restored = judged(&before).unwrap();
        assert_eq!(restored.len(), 1, "{}", format.name);
        assert_eq!(restored[0].name(), "state.tgz");
        let size = |entry: &Option<bootbank::fat::Entry>| entry.as_ref().unwrap().size();
        assert_eq!(size(&restored[0].now), 2000);
        assert_eq!(
            size(&restored[0].afterwards),
            before.chain.len() as u32 * cluster_of(format)
        );
        // Another file whose chain alone comes back, no byte of its clusters.
        let free = volume.check().unwrap().free().iter().last().unwrap();
        let mut longer = before.clone();
        longer.link(*before.other.last().unwrap(), free.get());
        longer.link(free.get(), 0xffff);
        let names: Vec<String> = judged(&longer)
            .unwrap()
            .iter()
            .map(Restored::name)
            .collect();
        assert_eq!(names.len(), 2, "{}: {names:?}", format.name);
        for (lie, tamper, words) in WRONG_UNDOS {
            let mut undone = before.clone();
            tamper(&mut undone);
            let error = judged(&undone).expect_err(lie).to_string();
            assert!(error.contains(words), "{lie} in {}: {error}", format.name);
        }
    }
}

fn cluster_of(format: Format) -> u32 {
    format.sector_size * format.sectors_per_cluster
}

#[test]
fn clearing_the_marks_clears_both_and_changes_nothing_else() {
    const IN_USE: usize = 0x25;
    for format in FORMATS {
        let clean = Victim::of(format);
        let mut marked = clean.clone();
        marked.bytes[IN_USE] |= 1;
        // Not unmounted, and an I/O error; FAT12 has no such bits.
        if format.fat_bits == 16 {
            marked.link(1, 0x3fff);
        }
        let volume = open(&marked.bytes, format);
        let mut planner = Planner::new(&marked.bytes, format.sector_size);
        mark_clean(&volume, &mut planner, 5).unwrap();
        let set = planner.finish();
        judge_marks(&volume, &set).unwrap();
        let mut after = marked.bytes.clone();
        crash::apply_all(&mut after, &set);
        assert!(after == clean.bytes, "{}", format.name);
        let judged =
            |after: &Victim| judge_marks(&volume, &difference(&marked.bytes, &after.bytes, format));
        // One mark that stays.
        let mut left = clean.clone();
        left.bytes[IN_USE] |= 1;
        assert!(judged(&left).is_err(), "{}", format.name);
        for mark in [0x7fff, 0xbfff] {
            let mut left = clean.clone();
            left.link(1, mark);
            assert_eq!(
                judged(&left).is_err(),
                format.fat_bits == 16,
                "{}",
                format.name
            );
        }
        // More than the marks.
        for tamper in [
            |v: &mut Victim| v.put(3, b"OTHER"),
            |v: &mut Victim| v.flip(v.state + 22),
            |v: &mut Victim| v.link(v.free + 40, v.bits),
        ] {
            let mut more = clean.clone();
            tamper(&mut more);
            assert!(judged(&more).is_err(), "{}", format.name);
        }
    }
}

/// A boot sector without a serial number is of an older form, which has no such byte.
#[test]
fn what_is_no_mark_in_an_older_boot_sector_stays() {
    let format = FORMATS[4];
    let mut marked = Victim::of(format);
    marked.bytes[0x25] = 0x31;
    marked.bytes[0x26] = 0;
    marked.link(1, 0x3fff);
    let volume = open(&marked.bytes, format);
    let mut planner = Planner::new(&marked.bytes, format.sector_size);
    mark_clean(&volume, &mut planner, 5).unwrap();
    let set = planner.finish();
    judge_marks(&volume, &set).unwrap();
    let mut after = marked.bytes.clone();
    crash::apply_all(&mut after, &set);
    assert!(after != marked.bytes);
    assert!(after[..512] == marked.bytes[..512]);
    let mut changed = after.clone();
    changed[0x25] = 0x30;
    assert!(judge_marks(&volume, &difference(&marked.bytes, &changed, format)).is_err());
}

/// A write set of one step that makes `before` into `after`.
fn difference(before: &[u8], after: &[u8], format: Format) -> WriteSet {
    let mut planner = Planner::new(&before, format.sector_size);
    planner.allow(0..before.len() as u64).unwrap();
    planner.begin(Phase::Data, 5, "everything");
    planner.put(0, after).unwrap();
    planner.finish()
}

/// Thousands of volumes with bytes of their metadata changed: whatever passes the check is
/// also read by the second reader and can be changed, and nothing panics or hangs.
#[test]
fn no_mutation_of_the_metadata_panics_in_either_reader() {
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    let (mut passed, mut rejected) = (0, 0);
    for format in [FORMATS[0], FORMATS[3], FORMATS[4], FORMATS[2]] {
        let victim = Victim::of(format);
        let volume = open(&victim.bytes, format);
        let root = volume.geometry().root_range();
        let parts = [
            (0, 64),
            (victim.fats[0], 64),
            (*victim.fats.last().unwrap(), 64),
            (root.start as usize, 700),
            (victim.folder_at, 32 * 8),
        ];
        for _ in 0..400 {
            let mut bytes = victim.bytes.clone();
            for _ in 0..=next(4) {
                let (start, len) = parts[next(parts.len())];
                let values = [0, 1, 2, 0x10, 0xe5, 0xff, next(256) as u8];
                bytes[start + next(len)] = values[next(values.len())];
            }
            let opened = Volume::open(&bytes, 0..bytes.len() as u64, format.sector_size);
            let Ok(volume) = opened else {
                rejected += 1;
                continue;
            };
            let found = volume.find("state.tgz");
            let (Ok(reach), Ok(Some(entry))) = (volume.check(), found) else {
                rejected += 1;
                continue;
            };
            let files = [FileChange {
                entry,
                action: Action::Replace(b"new".to_vec().into()),
                why: "test".into(),
            }];
            let mut planner = Planner::new(&bytes, format.sector_size);
            replace(&volume, &reach, &mut planner, 5, &files).unwrap();
            let set = planner.finish();
            judge(&volume, &reach, &set, &files, Method::SecondCopy).unwrap();
            passed += 1;
        }
    }
    assert!(
        passed > 100 && rejected > 100,
        "{passed} passed, {rejected} rejected"
    );
}
