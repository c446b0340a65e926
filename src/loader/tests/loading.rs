//! What mboot finds and follows.

use super::*;

/// The kernel's name in its slot, and in what is said of it.
const KERNEL: &str = "B       B00";

#[test]
fn a_sound_bank_boots() {
    let boot = boot(&Bank::sound(1));
    assert_eq!((stops(&boot).len(), boot.boots()), (0, Some(true)));
    assert_eq!(boot.notes(), []);
    let kernel = boot.kernel().unwrap();
    assert_eq!(kernel.content, Some(ContentVerdict::Unpacked { len: 2500 }));
    let modules: Vec<_> = boot.modules().map(|file| file.name.as_str()).collect();
    assert_eq!(modules, ["A.b00", "useropts.gz", "state.tgz"]);
    let file = kernel.file.as_ref().unwrap();
    assert_eq!(file.name, "b.b00");
    let at = at_cluster(Bank::sound(1).first(KERNEL)) as u64;
    let runs: Vec<_> = file.runs().iter().map(|run| (run.start, run.end)).collect();
    assert_eq!(runs, [(at, at + 5 * SECTOR as u64)]);
    assert_eq!(boot.why_not(), [""; 0]);
}

/// A root directory without a free slot ends where its sectors do; the file behind it is no part of it.
#[test]
fn a_full_root_directory_ends_with_its_sectors() {
    let text = "build=7.0\nupdated=1\nkernel=b.b00\nmodules=fake.v00\n";
    let mut slot = [0; 32];
    slot[..11].copy_from_slice(b"FAKE    V00");
    let bank = Bank::empty().change(|bank| {
        bank.put("FIRST   BIN", &slot);
        bank.put("BOOT    CFG", text.as_bytes());
        bank.put(KERNEL, &gzip(b"kernel"));
        for _ in 3..512 {
            bank.add_slot("OTHER   TXT", 0, 0);
        }
    });
    let why = boot(&bank).why_not();
    assert_eq!(why.len(), 1, "{why:?}");
    assert!(
        why[0].starts_with("module fake.v00 is not in the bank"),
        "{why:?}"
    );
}

/// An empty file is loaded empty, whatever its slot says of a first cluster.
#[test]
fn an_empty_file_needs_no_cluster() {
    let text = "build=7.0\nupdated=1\nkernel=b.b00\nmodules=none.v00\n";
    let bank = Bank::with_boot_cfg(text).change(|bank| bank.add_slot("NONE    V00", 0x7000, 0));
    let boot = boot(&bank);
    assert_eq!((stops(&boot).len(), boot.boots()), (0, Some(true)));
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let bank = Bank::with_boot_cfg(
        "build=7.0\nupdated=1\nkernel=c.b00\nmodules=a.b00 --- x.v00 --- STATE.tgz --- y.v00 opt\n",
    )
    .change(|bank| {
        let at = bank.slot("STATE   TGZ");
        bank.bytes[at] = 0xe5;
    });
    let boot = boot(&bank);
    assert_eq!(boot.boots(), Some(false));
    let not_found = "is not in the bank: the loader stops with \"Fatal error: 15 (Not found)\"";
    let expected = [
        "kernel c.b00",
        "module x.v00",
        "module STATE.tgz",
        "module y.v00",
    ];
    assert_eq!(
        stops(&boot),
        expected.map(|file| format!("{file} {not_found}"))
    );
}

#[test]
fn a_boot_cfg_can_stop_the_loader_by_itself() {
    let good = "kernel=b.b00\nmodules=a.b00\n";
    let cases = [
        (
            "build=v7\nupdated=1\n",
            "build \"v7\" does not begin with a digit: the loader stops with \"ESX version is unknown\"",
        ),
        (
            "updated=1\n",
            "boot.cfg has no build, so the loader does not take the bank",
        ),
        (
            "build=7.0\nupdated=x\n",
            "boot.cfg is rejected: line 4: updated is \"x\", not a number, so the loader skips the bank",
        ),
        (
            "build=7.0\nupdated=1\ntimeout=5s\n",
            "boot.cfg line 5: timeout is \"5s\", not a number, so the boot stops",
        ),
        (
            "build=7.0\nupdated=1\nkernel=\n",
            "boot.cfg names no kernel: the loader stops with \"kernel=<FILEPATH> must be set\"",
        ),
        (
            "build=8.0.1\nupdated=1\nskip=1\n",
            "boot.cfg sets skip: the loader stops with \"Skipping boot from this configuration\"",
        ),
    ];
    for (lines, expected) in cases {
        let boot = boot(&Bank::with_boot_cfg(&format!("{good}{lines}")));
        assert_eq!(stops(&boot), [expected], "{lines:?}");
        assert_eq!(boot.boots(), Some(false));
    }
    // Releases before 8.0 U1 know neither skip nor what came with it.
    let old = format!("{good}build=6.7.0-1\nupdated=1\nskip=1\nruntimewd=x\n");
    assert_eq!(boot(&Bank::with_boot_cfg(&old)).boots(), Some(true));
}

#[test]
fn files_are_found_as_the_loader_finds_them() {
    let sound = || Bank::sound(1);
    let slot = sound().slot(KERNEL);
    let kernel = sound().first(KERNEL);
    let label = |bank: &mut Bank| {
        bank.bytes[slot..slot + 11].copy_from_slice(b"OLD     B00");
        bank.add_slot(KERNEL, kernel, 3000);
        let at = bank.slot(KERNEL);
        bank.bytes[at + 11] = 0x08;
    };
    // What, the bank, the stop without what the loader says.
    let cases = [
        (
            "a hidden directory of that name",
            sound().set(slot + 11, &[0x12]),
            None,
        ),
        (
            "an archive under a deleted name",
            sound().set(slot, &[0xe5]),
            Some("kernel b.b00 is not in the bank"),
        ),
        (
            "lower-case bytes",
            sound().set(slot, b"b       b00"),
            Some("kernel b.b00 is not in the bank"),
        ),
        ("a label that comes first", sound().change(label), None),
        (
            "bytes 20 and 21",
            sound().set(slot + 20, &[2, 0]),
            Some("kernel b.b00 cannot be read, its first cluster 131075 does not exist"),
        ),
        (
            "first cluster 0",
            sound().set(slot + 26, &[0, 0]),
            Some("kernel b.b00 leads into free clusters"),
        ),
        (
            "first cluster 1",
            sound().set(slot + 26, &[1, 0]),
            Some("kernel b.b00 cannot be read, its first cluster 1 does not exist"),
        ),
        (
            "first cluster past the end",
            sound().set(slot + 26, &[0x6a, 0x10]),
            Some("kernel b.b00 cannot be read, its first cluster 4202 does not exist"),
        ),
    ];
    for (what, bank, expected) in cases {
        let boot = boot(&bank);
        let said = stops(&boot);
        let begins = said.first().map(|stop| stop.split(": ").next().unwrap());
        // A kernel of another size is cut, which is another fault than the one looked for.
        if what != "a label that comes first" {
            assert_eq!(begins, expected, "{what}");
        } else {
            assert!(
                said.iter().all(|stop| !stop.contains("not in the bank")),
                "{said:?}"
            );
        }
    }
}

/// Into the root directory a chain leads, and from its end nowhere.
#[test]
fn a_file_that_needs_more_than_the_root_directory_has_cannot_be_read() {
    let root = DATA_AT - ROOT_AT;
    let with_size = |size: usize| {
        let bank = Bank::sound(1).change(|bank| {
            bank.link(bank.first(KERNEL), 0);
            bank.set_size(KERNEL, u32::try_from(size).unwrap());
        });
        stops(&boot(&bank))
    };
    let through = with_size(CLUSTER + root);
    assert!(
        through[0].contains("takes part of the root directory"),
        "{through:?}"
    );
    let past = with_size(CLUSTER + root + 1);
    assert!(
        past[0].contains("its chain leads into free clusters"),
        "{past:?}"
    );
}

#[test]
fn a_kernel_whose_name_is_broken_off_is_named_as_far_as_it_goes() {
    let bank = Bank::with_boot_cfg("build=7\nupdated=1\nkernel=none.b\u{1}0\n");
    let stop = boot(&bank).kernel().unwrap().stop.clone();
    let (role, name) = (Role::Kernel, "none.b".to_owned());
    assert_eq!(stop, Some(Stop::BrokenOff { role, name }));
}

/// The table of ACPI is a file as a module is, for the releases that know it.
#[test]
fn tables_of_acpi_are_loaded_from_8_0_u1_on() {
    let bank = Bank::with_boot_cfg("build=7\nupdated=1\nkernel=b.b00\nacpitables=none.aml\n");
    let (bytes, table) = medium(&[bank]);
    let loader = Loader::new(&bytes, &table);
    let boots = |generation| loader.boot_as(5, Depth::Presence, generation).boots();
    assert_eq!(boots(Generation::From70), Some(true));
    assert_eq!(boots(Generation::From80U1), Some(false));
}

/// Of a table of ACPI the content is not looked at, nor of any file twice.
#[test]
fn what_is_left_to_check_of_a_file_is_its_content() {
    let bank = Bank::with_boot_cfg(
        "build=8.0.3\nupdated=1\nkernel=b.b00\nacpitables=t.aml --- none.aml\n",
    )
    .change(|bank| bank.put("T       AML", b"table"));
    let (bytes, table) = medium(&[bank]);
    let loader = Loader::new(&bytes, &table);
    let of = |depth| loader.boot_as(5, depth, Generation::From80U1).files;
    let by_presence = of(Depth::Presence);
    let to_check: Vec<_> = by_presence
        .iter()
        .map(|file| file.to_check().is_some())
        .collect();
    assert_eq!(to_check, [true, false, false]);
    assert!(
        of(Depth::Content)
            .iter()
            .all(|file| file.to_check().is_none())
    );
    let why: Vec<_> = by_presence.iter().map(ModuleVerdict::why_not).collect();
    assert_eq!(why[..2], [None, None]);
    assert!(why[2].as_ref().is_some_and(|why| why.contains("none.aml")));
}

#[test]
fn a_chain_must_be_long_enough_and_may_be_longer() {
    let sound = || Bank::sound(1);
    let first = sound().first(KERNEL);
    let linked = |cluster, next| sound().change(|bank| bank.link(cluster, next));
    let size = le16(&sound().bytes, sound().slot(KERNEL) + 28).unwrap();
    assert_eq!(usize::from(size).div_ceil(CLUSTER), 3);
    let short = format!(
        "kernel b.b00 cannot be read, it is {size} bytes long, and its clusters hold 2048: the loader stops with \"Fatal error: 11 (Volume corrupted)\""
    );
    let cases: [(&str, Bank, Option<&str>); 7] = [
        ("ends early", linked(first + 1, 0xffff), Some(&short)),
        (
            "a bad cluster in it",
            linked(first + 1, 0xfff7),
            Some(
                "kernel b.b00 cannot be read, its chain leads from cluster 4 to 65527, which does not exist: the loader stops with \"Fatal error: 11 (Volume corrupted)\"",
            ),
        ),
        (
            "a free cluster in it",
            linked(first + 1, 0),
            Some(
                "kernel b.b00 leads into free clusters: the loader takes part of the root directory for its content",
            ),
        ),
        ("longer", linked(first + 2, 2), None),
        ("its last cluster free", linked(first + 2, 0), None),
        ("its last cluster bad", linked(first + 2, 0xfff7), None),
        (
            "only in copy 1",
            sound().change(|bank| bank.link_in(1, first, 0)),
            None,
        ),
    ];
    for (what, bank, expected) in cases {
        let boot = boot(&bank);
        assert_eq!(stops(&boot).first().map(String::as_str), expected, "{what}");
    }
}

#[test]
fn behind_a_last_cluster_that_is_full_the_fat_is_asked() {
    let full = |next: u16| {
        Bank::sound(1).change(|bank| {
            bank.put("FULL    V00", &noise(2048));
            let first = bank.first("FULL    V00");
            bank.link(first + 1, next);
            let at = bank.slot("BOOT    CFG");
            bank.bytes[at] = 0xe5;
            bank.put(
                "BOOT    CFG",
                b"build=7\nupdated=1\nkernel=b.b00\nmodules=full.v00\n",
            );
        })
    };
    for (next, loads) in [
        (0xffff, true),
        (0xfff8, true),
        (0, true),
        (2, true),
        (1, false),
        (0xfff7, false),
    ] {
        let boot = boot(&full(next));
        assert_eq!(boot.boots(), Some(loads), "{next:#x}");
        // All of the file was read by then, and the loader calls it by another number.
        let named = |stop: &String| stop.contains("34 (Unexpected EOF)");
        assert_eq!(stops(&boot).iter().any(named), !loads, "{next:#x}");
    }
}

#[test]
fn fragments_in_any_order_are_one_file() {
    let bank = Bank::sound(1).change(|bank| {
        let content = gzip(&noise(4000));
        let (head, rest) = content.split_at(CLUSTER);
        for (cluster, part) in [(3000_u16, head)]
            .into_iter()
            .chain((2000..).step_by(7).zip(rest.chunks(CLUSTER)))
        {
            let at = at_cluster(cluster);
            bank.bytes[at..at + part.len()].copy_from_slice(part);
        }
        bank.link(3000, 2000);
        let parts = u16::try_from(rest.len().div_ceil(CLUSTER)).unwrap();
        for index in 0..parts {
            let next = if index + 1 == parts {
                0xffff
            } else {
                2000 + (index + 1) * 7
            };
            bank.link(2000 + index * 7, next);
        }
        let at = bank.slot(KERNEL);
        bank.bytes[at] = 0xe5;
        bank.add_slot(KERNEL, 3000, u32::try_from(content.len()).unwrap());
    });
    let boot = boot(&bank);
    assert_eq!(
        boot.kernel().unwrap().content,
        Some(ContentVerdict::Unpacked { len: 4000 })
    );
}

#[test]
fn a_file_named_many_times_is_read_once_and_too_many_names_are_not_looked_for() {
    let list = |names: &mut dyn Iterator<Item = String>| {
        let names: Vec<String> = names.collect();
        format!(
            "build=7\nupdated=1\nkernel=b.b00\nmodules={}\n",
            names.join(" --- ")
        )
    };
    let same = list(&mut (0..60_000).map(|_| "a.b00".to_owned()));
    let boot_of_same = boot(&Bank::with_boot_cfg(&same));
    assert_eq!(boot_of_same.files.len(), 2);
    assert_eq!(boot_of_same.boots(), Some(true));
    let many = list(&mut (0..9000).map(|index| format!("m{index}.v00")));
    let boot_of_many = boot(&Bank::with_boot_cfg(&many));
    assert_eq!(boot_of_many.files.len(), 4096);
    assert_eq!(
        boot_of_many.undecided().next(),
        Some(&Undecided::ManyFiles { limit: 4096 })
    );
}

#[test]
fn files_that_share_their_clusters_are_not_read_without_end() {
    let bank = Bank::sound(1).change(|bank| {
        let all = u16::try_from(CLUSTERS).unwrap();
        for cluster in 100..all {
            bank.link(cluster, cluster + 1);
        }
        bank.link(all, 100);
        let size = u32::try_from((CLUSTERS - 200) * CLUSTER).unwrap();
        let mut names = Vec::new();
        for index in 0..400 {
            bank.add_slot(&format!("M{index:03}    V00"), 100, size);
            names.push(format!("m{index:03}.v00"));
        }
        bank.add_slot("HUGE    V00", 100, u32::MAX);
        names.push("huge.v00".to_owned());
        let at = bank.slot("BOOT    CFG");
        bank.bytes[at] = 0xe5;
        let text = format!(
            "build=7\nupdated=1\nkernel=b.b00\nmodules={}\n",
            names.join("---")
        );
        bank.put("BOOT    CFG", text.as_bytes());
    });
    let boot = boot(&bank);
    let open = boot
        .undecided()
        .filter(|why| matches!(why, Undecided::Overlap { .. }));
    assert_eq!(open.count(), 399);
    assert_eq!(
        stops(&boot).len(),
        1,
        "the one that is larger than its volume"
    );
}

#[test]
fn a_bank_that_is_none_says_so_and_another_may_have_the_file() {
    let without = Bank::sound(2).change(|bank| {
        let at = bank.slot("A       B00");
        bank.bytes[at] = 0xe5;
    });
    let (bytes, table) = medium(&[Bank::sound(1), without, Bank::empty()]);
    let loader = Loader::new(&bytes, &table);
    let lacking = loader.boot(6, Depth::Presence);
    let missing = lacking.stops().next().and_then(Stop::file);
    assert_eq!(missing, Some("A.b00"));
    assert!(loader.find(5, "A.b00").is_some());
    assert!(loader.find(6, "A.b00").is_none());
    let none = loader.boot(7, Depth::Presence);
    assert_eq!(stops(&none), ["the loader finds no boot.cfg in it"]);
    let nothing = loader.boot(9, Depth::Presence);
    assert_eq!(
        stops(&nothing),
        ["it is no bank: VMware's mark is not there"]
    );
    let judgement = loader.judge(Depth::Presence);
    assert_eq!(judgement.boot.unwrap().partition, 6);
    assert!(
        judgement
            .by_generation
            .iter()
            .all(|(_, chosen)| *chosen == Chosen::Bank(6))
    );
}
