//! New content on real volumes: made by mkfs.fat and mtools, judged by them and fsck.fat.

use crate::fat_volume::{FORMATS, Made, UUID, open, pattern};
use crate::{LIMIT, cluster, done, phases, plan};
use bootbank::commit::{Phase, Planner};
use bootbank::error::ErrorKind;
use bootbank::fat::{Action, FatError, FatKind, FileChange, Method, judge, replace};

#[test]
fn files_read_as_mtools_wrote_them() {
    for format in FORMATS {
        let made = Made::bank(format, cluster(format) * 4 + 77);
        let bytes = made.bytes();
        let volume = open(&bytes, format);
        let kind = if format.fat_bits == 12 {
            FatKind::Fat12
        } else {
            FatKind::Fat16
        };
        assert_eq!(volume.geometry().kind(), kind, "{}", format.name);
        assert_eq!(volume.geometry().cluster_bytes(), cluster(format) as u64);
        let uuid = volume.vmware_uuid().expect("the magic is there");
        assert_eq!(uuid.0, UUID);
        assert_eq!(uuid.to_string(), "af077473-28ef3c13-7bf7-82e508441f1d");
        assert_eq!(volume.label().as_deref(), Some("BANK"));
        for (path, content) in made.files.iter().filter(|(path, _)| !path.contains('/')) {
            let entry = volume.find(path).unwrap().expect(path);
            assert_eq!(entry.name(), *path);
            assert!(
                volume.read_file(&entry, LIMIT).unwrap() == *content,
                "{path}"
            );
        }
        assert!(volume.find("absent.tgz").unwrap().is_none());
        let reach = volume.check().unwrap();
        let paths: Vec<_> = (0..reach.nodes().len())
            .map(|node| reach.path(node))
            .collect();
        assert!(
            paths.contains(&"SYSTEM~1/ALONGN~1.TXT".to_owned()),
            "{paths:?}"
        );
        assert!(reach.leftovers().is_empty());
        assert!(reach.bad().is_empty());
    }
}

#[test]
fn new_content_of_any_length_takes_the_place_of_the_old_and_nothing_else_changes() {
    for format in FORMATS {
        let size = cluster(format) * 3 + 10;
        let made = Made::bank(format, size);
        let bytes = made.bytes();
        for len in [
            1,
            size - 1,
            size,
            size + 1,
            cluster(format),
            cluster(format) * 9 + 1,
        ] {
            let new = pattern(len, 99);
            let set = plan(&bytes, format, Method::SecondCopy, &[("state.tgz", &new)]).unwrap();
            let expected = [Phase::Data, Phase::Allocate, Phase::Switch, Phase::Release];
            assert_eq!(phases(&set), expected, "{}", format.name);
            let sector = format.sector_size as usize;
            assert_eq!(
                set.steps()[0].sectors.len(),
                len.div_ceil(sector),
                "whole sectors only"
            );
            assert_eq!(set.steps()[2].sectors.len(), 1);
            let kept: usize = set.preserved().values().map(|kept| kept.len()).sum();
            assert_eq!(kept, size.div_ceil(sector));

            let after = done(&bytes, &set);
            let judged = made.judge(&after);
            judged.is_clean();
            assert!(
                judged.content("state.tgz") == new,
                "{} of {len}",
                format.name
            );
            judged.others_are_untouched(&["state.tgz"]);
            let volume = open(&after, format);
            let (old, new) = (
                open(&bytes, format),
                volume.find("state.tgz").unwrap().unwrap(),
            );
            let old = old.find("state.tgz").unwrap().unwrap();
            assert_eq!(
                old.bytes()[..26],
                new.bytes()[..26],
                "only cluster and size change"
            );
            assert_eq!(old.offset(), new.offset());
        }
    }
}

#[test]
fn the_old_content_is_in_the_plan() {
    let format = FORMATS[0];
    let made = Made::bank(format, 5000);
    let bytes = made.bytes();
    let set = plan(&bytes, format, Method::SecondCopy, &[("state.tgz", b"x")]).unwrap();
    let kept = &set.preserved()[&5];
    for (&lba, sector) in kept {
        let at = lba.0 as usize * 512;
        assert_eq!(&bytes[at..at + 512], &**sector);
    }
    let old = &made.files["state.tgz"];
    for part in old.chunks(512) {
        assert!(kept.values().any(|sector| sector.starts_with(part)));
    }
}

#[test]
fn entries_in_one_directory_sector_are_switched_in_one_write() {
    let format = FORMATS[4];
    let made = Made::bank(format, 2000);
    let bytes = made.bytes();
    let (state, local) = (pattern(3000, 8), pattern(4000, 9));
    let contents: [(&str, &[u8]); 2] = [("local.tgz", &local), ("state.tgz", &state)];
    let set = plan(&bytes, format, Method::SecondCopy, &contents).unwrap();
    let switches: Vec<_> = set
        .steps()
        .iter()
        .filter(|it| it.phase == Phase::Switch)
        .collect();
    assert_eq!(switches.len(), 1);
    assert_eq!(switches[0].sectors.len(), 1);
    let both = "new content of local.tgz, new content of state.tgz";
    assert_eq!(switches[0].why, both);
    assert_eq!(
        (set.steps()[0].phase, set.steps()[0].why.as_str()),
        (Phase::Data, both)
    );
    let judged_bytes = done(&bytes, &set);
    let judged = made.judge(&judged_bytes);
    judged.is_clean();
    assert!(judged.content("local.tgz") == local && judged.content("state.tgz") == state);
    judged.others_are_untouched(&["state.tgz", "local.tgz"]);
}

#[test]
fn entries_in_different_sectors_are_switched_in_the_order_asked_for() {
    let format = FORMATS[4];
    let mut made = Made::bank(format, 2000);
    for index in 0..20 {
        made.put(&format!("fill{index}.v00"), b"x");
    }
    made.put("late.tgz", &pattern(600, 6));
    let bytes = made.bytes();
    for order in [["state.tgz", "late.tgz"], ["late.tgz", "state.tgz"]] {
        let contents = order.map(|name| (name, name.as_bytes()));
        let set = plan(&bytes, format, Method::SecondCopy, &contents).unwrap();
        let switches = set.steps().iter().filter(|it| it.phase == Phase::Switch);
        let whys: Vec<_> = switches.map(|step| step.why.clone()).collect();
        assert_eq!(whys, order.map(|name| format!("new content of {name}")));
    }
}

#[test]
fn a_single_free_run_is_preferred_to_the_gaps_before_it() {
    let format = FORMATS[0];
    let made = Made::bank(format, 700);
    let bytes = made.bytes();
    let new = pattern(512 * 12, 1);
    let after = done(
        &bytes,
        &plan(&bytes, format, Method::SecondCopy, &[("state.tgz", &new)]).unwrap(),
    );
    let volume = open(&after, format);
    let chain = volume
        .chain(&volume.find("state.tgz").unwrap().unwrap())
        .unwrap();
    assert!(
        chain
            .windows(2)
            .all(|pair| pair[0].get() + 1 == pair[1].get()),
        "{chain:?}"
    );
}

#[test]
fn without_room_for_a_second_copy_the_change_is_refused_with_the_figures() {
    let format = FORMATS[1];
    let made = Made::bank(format, 20_000);
    let bytes = made.bytes();
    let free = open(&bytes, format).check().unwrap().free().len();
    let fits = pattern(free * cluster(format), 1);
    let set = plan(&bytes, format, Method::SecondCopy, &[("state.tgz", &fits)]).unwrap();
    made.judge(&done(&bytes, &set)).is_clean();
    let half = pattern(free / 2 * cluster(format) + 1, 2);
    let contents: [(&str, &[u8]); 2] = [("state.tgz", &half), ("local.tgz", &half)];
    let error = plan(&bytes, format, Method::SecondCopy, &contents).expect_err("both do not fit");
    assert_eq!(error.kind(), ErrorKind::Refused);
    let FatError::NoRoom {
        needed, free: met, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((needed, met), ((free / 2 * 2 + 2) as u64, free as u64));
}

#[test]
fn in_place_content_stays_in_the_clusters_the_file_has() {
    for format in FORMATS {
        let size = cluster(format) * 3 + 10;
        let made = Made::bank(format, size);
        let bytes = made.bytes();
        for len in [1, cluster(format), cluster(format) * 4] {
            let new = pattern(len, 42);
            let set = plan(&bytes, format, Method::InPlace, &[("state.tgz", &new)]).unwrap();
            let mut expected = vec![Phase::Overwrite, Phase::Resize];
            expected.extend((len <= cluster(format) * 3).then_some(Phase::Release));
            assert_eq!(phases(&set), expected);
            let after = done(&bytes, &set);
            let judged = made.judge(&after);
            judged.is_clean();
            assert!(judged.content("state.tgz") == new);
            judged.others_are_untouched(&["state.tgz"]);
        }
        let long = pattern(cluster(format) * 4 + 1, 42);
        let error = plan(&bytes, format, Method::InPlace, &[("state.tgz", &long)]);
        assert!(
            matches!(
                error,
                Err(FatError::NoFit {
                    needed: 5,
                    have: 4,
                    ..
                })
            ),
            "{error:?}"
        );
    }
}

#[test]
fn empty_content_and_a_file_named_twice_are_refused() {
    let format = FORMATS[0];
    let bytes = Made::bank(format, 600).bytes();
    for method in [Method::SecondCopy, Method::InPlace] {
        let error = plan(&bytes, format, method, &[("state.tgz", b"")]).expect_err("empty");
        assert!(
            matches!(error, FatError::ContentSize { size: 0, .. }),
            "{error}"
        );
        let twice: [(&str, &[u8]); 2] = [("state.tgz", b"a"), ("state.tgz", b"b")];
        let error = plan(&bytes, format, method, &twice).expect_err("twice");
        assert!(matches!(error, FatError::NotInRoot { .. }), "{error}");
    }
}

#[test]
fn an_overlong_chain_is_released_whole() {
    for format in FORMATS {
        let made = Made::bank(format, cluster(format) * 4);
        let mut bytes = made.bytes();
        let offset = open(&bytes, format)
            .find("state.tgz")
            .unwrap()
            .unwrap()
            .offset() as usize;
        bytes[offset + 28..offset + 32].copy_from_slice(&10u32.to_le_bytes());
        let set = plan(&bytes, format, Method::SecondCopy, &[("state.tgz", b"new")]).unwrap();
        let after = done(&bytes, &set);
        let judged = made.judge(&after);
        judged.is_clean();
        assert_eq!(judged.content("state.tgz"), b"new");
    }
}

/// The root directory of a bank cannot grow.
#[test]
fn as_many_files_are_made_as_there_are_free_entries() {
    for format in FORMATS {
        let bytes = Made::bank(format, 1000).bytes();
        let volume = open(&bytes, format);
        let like = volume.find("boot.cfg").unwrap().unwrap();
        let names: Vec<String> = (0..1000).map(|number| format!("NEW{number}.V00")).collect();
        let entries = |count: usize| {
            let wanted: Vec<_> = names[..count]
                .iter()
                .map(|name| (name.as_str(), &like))
                .collect();
            volume.new_entries(&wanted)
        };
        let Err(FatError::NoSlot { needed, free }) = entries(names.len()) else {
            panic!("{}: there is room for a thousand more", format.name);
        };
        assert_eq!((needed, free > 0), (names.len(), true), "{}", format.name);
        assert_eq!(entries(free).unwrap().len(), free, "{}", format.name);
        assert!(
            matches!(entries(free + 1), Err(FatError::NoSlot { .. })),
            "{}",
            format.name
        );
    }
}

/// What lies behind the boot sector is VMware's mark only where that sector is kept for it.
#[test]
fn a_volume_without_a_second_reserved_sector_has_no_identity() {
    let format = FORMATS[4];
    let mut bytes = Made::bank(format, 1000).bytes();
    assert_eq!(
        open(&bytes, format).vmware_uuid().map(|it| it.0),
        Some(UUID)
    );
    bytes[512] ^= 1;
    assert!(open(&bytes, format).vmware_uuid().is_none());
    // As mkfs.fat leaves it: one reserved sector.
    let mut bytes = Made::bank(format, 1000).bytes();
    bytes[14] = 1;
    let range = 0..bytes.len() as u64;
    let volume = bootbank::fat::Volume::open(&bytes, range, format.sector_size).unwrap();
    assert!(volume.vmware_uuid().is_none());
}

/// With a file go the entries of its long name, and those of no other file.
#[test]
fn a_file_that_is_removed_takes_its_long_name_with_it() {
    let names = [
        "a first name that is long.txt",
        "the name of the second, which takes three entries or more.txt",
        "a third name, behind it.txt",
    ];
    for format in FORMATS {
        let mut made = Made::bank(format, 1000);
        for name in names {
            made.put(name, name.as_bytes());
        }
        let bytes = made.bytes();
        let volume = open(&bytes, format);
        let reach = volume.check().unwrap();
        let mut found = volume
            .files()
            .filter(|entry| entry.name().starts_with("THENAM"));
        let files = [FileChange {
            entry: found.next().expect("the second file"),
            action: Action::Remove,
            why: "test".into(),
        }];
        let mut planner = Planner::new(&bytes, format.sector_size);
        replace(&volume, &reach, &mut planner, 5, &files).unwrap();
        let set = planner.finish();
        judge(&volume, &reach, &set, &files, Method::SecondCopy).unwrap();
        let after = done(&bytes, &set);
        let judged = made.judge(&after);
        judged.is_clean();
        judged.others_are_untouched(&[names[1]]);
        let mut list = std::process::Command::new("mdir");
        let listed = list
            .arg("-b")
            .arg("-i")
            .arg(judged.image())
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        for (name, is_there) in names.into_iter().zip([true, false, true]) {
            assert_eq!(listed.contains(name), is_there, "{}: {listed}", format.name);
        }
        // Without the entries of the long name the plan would leave fsck.fat something to say.
        let slots = |bytes: &[u8]| {
            let root = open(&bytes, format).geometry().root_range();
            let root = &bytes[usize::try_from(root.start).unwrap()..];
            root.chunks(32)
                .take_while(|slot| slot[0] != 0)
                .filter(|slot| slot[0] != 0xe5 && slot[11] == 0x0f)
                .count()
        };
        assert_eq!(
            slots(&bytes) - slots(&after),
            names[1].len().div_ceil(13),
            "{}",
            format.name
        );
    }
}
