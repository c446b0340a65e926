//! Which bank is taken, where a checker would have its doubts.

use super::*;
use std::io;

/// What of bank 6 is taken or not, where bank 5 is sound and has the lower `updated`.
fn chosen_beside_a_sound_bank(bank: Bank) -> (Choice, Boot) {
    let (bytes, table) = medium(&[Bank::sound(1), bank]);
    let loader = Loader::new(&bytes, &table);
    (loader.choice(), loader.boot(6, Depth::Content))
}

#[test]
fn a_bank_is_taken_that_a_checker_would_refuse() {
    let sound = || Bank::sound(2);
    let cluster = sound().first("BOOT    CFG");
    let linked = |next| sound().change(|bank| bank.link(cluster, next));
    let slot = sound().slot("BOOT    CFG");
    let long = u32::try_from(VOLUME / SECTOR).unwrap();
    let cases = [
        ("boot.cfg's only cluster is free", linked(0)),
        ("boot.cfg's only cluster is bad", linked(0xfff7)),
        ("boot.cfg's only cluster loops", linked(cluster)),
        ("boot.cfg's chain leads past the end", linked(0x7000)),
        ("boot.cfg is a label", sound().set(slot + 11, &[0x08])),
        ("boot.cfg is a directory", sound().set(slot + 11, &[0x10])),
        ("boot.cfg is a long name", sound().set(slot + 11, &[0x0f])),
        ("both totals", sound().set(32, &long.to_le_bytes())),
        ("totals that differ", sound().set(32, &[9, 0, 0, 0])),
        ("media byte 00", sound().set(21, &[0])),
        ("dirty bit", sound().set(37, &[1])),
        ("marks in the FAT", sound().set(FAT_AT, &[0, 0, 0, 0])),
        ("hidden sectors", sound().set(28, &[1, 2, 3, 4])),
        ("no 55AA", sound().set(510, &[0, 0])),
        (
            "a second slot of that name",
            sound().change(|bank| bank.add_slot("BOOT    CFG", 0, 0)),
        ),
        (
            "a damaged second copy of the FAT",
            sound().change(|bank| {
                let at = FAT_AT + FAT_SECTORS * SECTOR;
                bank.bytes[at..at + FAT_SECTORS * SECTOR].fill(0);
            }),
        ),
    ];
    for (what, bank) in cases {
        let (choice, boot) = chosen_beside_a_sound_bank(bank);
        assert_eq!(choice.chosen, Chosen::Bank(6), "{what}");
        assert_eq!(stops(&boot), [""; 0], "{what}");
        assert_eq!(boot.boots(), Some(true), "{what}");
    }
}

#[test]
fn a_bank_is_passed_over_and_the_loader_says_nothing() {
    let sound = || Bank::sound(2);
    let slot = sound().slot("BOOT    CFG");
    let cases = [
        ("no mark", sound().set(SECTOR, b"vmware")),
        ("one reserved sector", sound().set(14, &[1])),
        ("no FAT", sound().set(16, &[0])),
        ("one FAT", sound().set(16, &[1])),
        ("three FATs", sound().set(16, &[3])),
        (
            "another sector size",
            sound().set(11, &4096_u16.to_le_bytes()),
        ),
        ("three sectors a cluster", sound().set(13, &[3])),
        ("a FAT too small", sound().set(22, &[1])),
        ("no room for data", sound().set(19, &[60, 0])),
        ("boot.cfg in lower case", sound().set(slot, b"boot    cfg")),
        ("boot.cfg deleted", sound().set(slot, &[0xe5])),
        ("an empty slot first", sound().set(ROOT_AT, &[0])),
        ("first cluster 1", sound().set(slot + 26, &[1, 0])),
        (
            "first cluster past the end",
            sound().set(slot + 26, &[0, 0x70]),
        ),
        ("bytes 20 and 21", sound().set(slot + 20, &[1, 0])),
        (
            "no such file, by number",
            sound()
                .set(slot + 20, &[0xff; 2])
                .set(slot + 26, &[0xfe, 0xff]),
        ),
        (
            "a boot.cfg longer than its chain",
            sound().change(|bank| bank.set_size("BOOT    CFG", 4000)),
        ),
        (
            "a number that is none",
            Bank::with_boot_cfg("updated=x\nbuild=7\nkernel=b.b00\n"),
        ),
        ("no updated", Bank::with_boot_cfg("build=7\nkernel=b.b00\n")),
        ("no build", Bank::with_boot_cfg("updated=9\nkernel=b.b00\n")),
        ("rubbish", Bank::with_boot_cfg("\u{1f}\u{8b}\0\0\n\0\n=\n")),
        (
            "a byte order mark",
            Bank::with_boot_cfg("\u{feff}updated=9\nbuild=7\n"),
        ),
        (
            "lines that end in CR alone",
            Bank::with_boot_cfg("build=7\rupdated=9\r"),
        ),
    ];
    for (what, bank) in cases {
        let (choice, _) = chosen_beside_a_sound_bank(bank);
        assert_eq!(choice.chosen, Chosen::Bank(5), "{what}");
    }
}

#[test]
fn a_first_cluster_of_0_means_the_root_directory_which_is_no_boot_cfg() {
    let bank = Bank::sound(2);
    let slot = bank.slot("BOOT    CFG");
    let (choice, _) = chosen_beside_a_sound_bank(bank.set(slot + 26, &[0, 0]));
    assert_eq!(choice.chosen, Chosen::Bank(5));
    assert_eq!(choice.banks[1].why_not, Some(WhyNot::BuildMissing));
}

#[test]
fn a_fat_copy_1_of_zeros_is_fatal_and_the_other_bank_is_not_tried() {
    let bank = Bank::sound(2).change(|bank| {
        bank.bytes[FAT_AT..FAT_AT + FAT_SECTORS * SECTOR].fill(0);
    });
    let (choice, boot) = chosen_beside_a_sound_bank(bank);
    assert_eq!(choice.chosen, Chosen::Bank(6));
    assert_eq!(boot.boots(), Some(false));
    // What fits one cluster is loaded all the same.
    let stopped: Vec<_> = boot.stops().filter_map(Stop::file).collect();
    assert_eq!(stopped, ["b.b00", "A.b00", "state.tgz"]);
}

#[test]
fn fat12_is_read_too_and_fat32_is_not() {
    // 4085 clusters are the most that 12 bits number for this loader: 0xff4 and no more.
    let cut = |clusters: usize| {
        let sectors = (DATA_AT + clusters * CLUSTER) / SECTOR;
        let sectors = u16::try_from(sectors).unwrap();
        Bank::sound(2).set(19, &sectors.to_le_bytes())
    };
    let (choice, boot) = chosen_beside_a_sound_bank(cut(4085));
    assert_eq!((choice.chosen, boot.boots()), (Chosen::Bank(6), Some(true)));
    // One less, and the entries are read as 12 bits: boot.cfg needs none, the kernel does.
    let (choice, boot) = chosen_beside_a_sound_bank(cut(4084));
    assert_eq!(
        (choice.chosen, boot.boots()),
        (Chosen::Bank(6), Some(false))
    );
    let many = Bank::sound(2)
        .set(19, &[0; 2])
        .set(32, &0x20_0000_u32.to_le_bytes());
    let (choice, _) = chosen_beside_a_sound_bank(many);
    assert_eq!(choice.chosen, Chosen::Bank(5));
}

/// A medium of which some bytes cannot be read.
struct Bad {
    bytes: Vec<u8>,
    bad: std::ops::Range<usize>,
}

impl ReadAt for Bad {
    fn size(&self) -> u64 {
        self.bytes.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        if start < self.bad.end && self.bad.start < start + buf.len() {
            return Err(io::Error::other("bad sector"));
        }
        self.bytes.read_at(buf, offset)
    }
}

#[test]
fn what_cannot_be_read_leaves_open_only_what_hangs_on_it() {
    let (bytes, table) = medium(&[Bank::sound(1), Bank::sound(2)]);
    let of_bank_6 = |at: usize| VOLUME + at..VOLUME + at + SECTOR;
    let kernel = Bank::sound(2).first("B       B00");
    // What is bad, whether the choice is known, whether it boots as far as that is known.
    let cases = [
        ("the boot sector", of_bank_6(0), false, None),
        ("the mark", of_bank_6(SECTOR), false, None),
        ("the root directory", of_bank_6(ROOT_AT), false, None),
        (
            "a part of the root directory that is not in use",
            of_bank_6(DATA_AT - SECTOR),
            true,
            Some(true),
        ),
        ("boot.cfg", of_bank_6(at_cluster(2)), false, None),
        ("the FAT", of_bank_6(FAT_AT), true, None),
        (
            "a part of the FAT without files",
            of_bank_6(FAT_AT + 9 * SECTOR),
            true,
            Some(true),
        ),
        (
            "the second FAT",
            of_bank_6(FAT_AT + FAT_SECTORS * SECTOR),
            true,
            Some(true),
        ),
        ("the kernel", of_bank_6(at_cluster(kernel)), true, None),
        (
            "a free cluster",
            of_bank_6(at_cluster(4000)),
            true,
            Some(true),
        ),
    ];
    for (what, bad, known, boots) in cases {
        let bytes = bytes.clone();
        let medium = Bad { bytes, bad };
        let loader = Loader::new(&medium, &table);
        let judgement = loader.judge(Depth::Content);
        let chosen = judgement.choice.chosen.bank();
        assert_eq!(chosen, known.then_some(6), "{what}");
        let verdict = judgement.boot.and_then(|boot| boot.boots());
        assert_eq!(verdict, boots, "{what}");
    }
}

/// The loader reads a boot.cfg of any length; of one that no host has it is not told what it says.
#[test]
fn a_boot_cfg_of_a_mebibyte_is_read_and_a_longer_one_leaves_the_choice_open() {
    for (size, chosen) in [(1 << 20, Some(6)), ((1 << 20) + 1, None)] {
        let bank = Bank::sound(2).change(|bank| {
            let at = bank.slot("BOOT    CFG");
            bank.bytes[at] = 0xe5;
            let mut text = boot_cfg(2).into_bytes();
            text.resize(size, b'\n');
            bank.put("BOOT    CFG", &text);
        });
        let (choice, _) = chosen_beside_a_sound_bank(bank);
        assert_eq!(choice.chosen.bank(), chosen, "{size}");
    }
}

/// Where the root directory cannot be read as a whole it is read sector by sector, up to the one that is bad.
#[test]
fn the_part_of_a_root_directory_before_a_bad_sector_counts() {
    let bank = Bank::empty().change(|bank| {
        for _ in 0..2 * SECTOR / 32 {
            bank.add_slot("\u{5}OTHER  TXT", 0, 0);
        }
        bank.put("BOOT    CFG", boot_cfg(1).as_bytes());
        bank.put("B       B00", &gzip(&noise(2500)));
    });
    let (bytes, table) = medium(&[bank]);
    let bad = ROOT_AT + 3 * SECTOR..ROOT_AT + 4 * SECTOR;
    let loader_of = |bad| Bad {
        bytes: bytes.clone(),
        bad,
    };
    let medium = loader_of(bad);
    let boot = Loader::new(&medium, &table).boot(5, Depth::Content);
    let kernel = boot.kernel().unwrap();
    assert_eq!(kernel.content, Some(ContentVerdict::Unpacked { len: 2500 }));
    let medium = loader_of(ROOT_AT + 2 * SECTOR..ROOT_AT + 3 * SECTOR);
    let boot = Loader::new(&medium, &table).boot(5, Depth::Content);
    assert!(boot.kernel().is_none());
}

/// 6.7 keeps what it read in the bank before, where the bank it takes has no `build` of its own.
#[test]
fn a_bank_without_a_build_has_that_of_the_bank_before_where_it_is_chosen() {
    let without = |updated: u32| {
        let text = boot_cfg(updated).replace("build=7.0.3-1\n", "");
        let mut bank = Bank::with_boot_cfg(&text);
        bank.next += 1;
        bank
    };
    let build_of = |banks: &[Bank], partition| {
        let (bytes, table) = medium(banks);
        let loader = Loader::new(&bytes, &table);
        [Generation::UpTo67U1, Generation::From70].map(|it| loader.known_of(partition, it).0)
    };
    let own = Some("7.0.3-1".to_owned());
    let chosen = [Bank::sound(1), without(2)];
    assert_eq!(build_of(&chosen, 6), [own.clone(), None]);
    assert_eq!(build_of(&chosen, 5), [own.clone(), own.clone()]);
    // The first bank has none before it.
    assert_eq!(build_of(&[without(2), Bank::sound(1)], 5), [None, None]);
    let passed_over = [Bank::sound(2), without(1)];
    assert_eq!(build_of(&passed_over, 6), [None, None]);
}

/// The same of `updated`, which is a reason not to take a bank.
#[test]
fn a_bank_without_an_updated_has_that_of_the_bank_before_up_to_6_7() {
    let text = |updated: &str| format!("bootstate=0\nbuild=6.7.0-1\n{updated}kernel=b.b00\n");
    let not_updated = |first: &str, second: &str| {
        let mut banks = [first, second].map(|it| Bank::with_boot_cfg(&text(it)));
        banks[1].next += 1;
        let (bytes, table) = medium(&banks);
        let loader = Loader::new(&bytes, &table);
        let note = |it| loader.boot_as(6, Depth::Presence, it).not_updated;
        [Generation::UpTo67U1, Generation::From70].map(note)
    };
    assert_eq!(not_updated("updated=3\n", ""), [false, true]);
    assert_eq!(not_updated("updated=3\n", "updated=0\n"), [true, true]);
    assert_eq!(not_updated("", ""), [true, true]);
    assert_eq!(not_updated("", "updated=1\n"), [false, false]);
}

#[test]
fn a_state_that_is_listed_or_there_but_not_both_is_warned_of() {
    let listed = "build=7\nupdated=1\nkernel=b.b00\nmodules=state.tgz\n";
    let not_listed = "build=7\nupdated=1\nkernel=b.b00\n";
    let warned = |text: &str, is_there: bool| {
        let mut bank = Bank::with_boot_cfg(text);
        if !is_there {
            let at = bank.slot("STATE   TGZ");
            bank.bytes[at] = 0xe5;
        }
        let (bytes, table) = medium(&[bank]);
        Loader::new(&bytes, &table).warnings()
    };
    let partition = 5;
    let missing = ChoiceWarning::StateMissing { partition };
    let idle = ChoiceWarning::StateNotListed { partition };
    for (text, is_there, missed, unlisted) in [
        (listed, false, true, false),
        (listed, true, false, false),
        (not_listed, true, false, true),
        (not_listed, false, false, false),
    ] {
        let warnings = warned(text, is_there);
        let told = (warnings.contains(&missing), warnings.contains(&idle));
        assert_eq!(
            told,
            (missed, unlisted),
            "{text:?}, {is_there}: {warnings:?}"
        );
    }
}
