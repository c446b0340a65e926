use super::*;

/// One bank with a kernel and a listed state.
fn cfg(lines: &str) -> BootCfg {
    let text = format!("{lines}\nkernel=b.b00\nmodules=k.b00 --- state.tgz\n");
    BootCfg::parse(text.as_bytes())
}

fn inputs(parsed: &[(u32, BootCfg)]) -> Vec<BankInput<'_>> {
    parsed
        .iter()
        .map(|(partition, cfg)| BankInput {
            partition: *partition,
            met: BankContent::BootCfg(cfg),
            has_state: true,
        })
        .collect()
}

fn parsed(banks: &[(u32, &str)]) -> Vec<(u32, BootCfg)> {
    banks.iter().map(|&(n, lines)| (n, cfg(lines))).collect()
}

/// As the latest loader chooses.
fn choice_of(banks: &[(u32, &str)]) -> Choice {
    choose(Generation::NEWEST, &inputs(&parsed(banks)))
}

/// As the loader that came with the newest bank chooses, and what is to be said of it.
fn usual_choice_of(banks: &[(u32, &str)]) -> (Choice, Vec<String>) {
    let parsed = parsed(banks);
    let inputs = inputs(&parsed);
    let choice = choose(generation_of(&inputs), &inputs);
    let warnings = warnings_about(&choice, &inputs);
    (choice, warnings.iter().map(ToString::to_string).collect())
}

fn why_not(choice: &Choice, partition: u32) -> String {
    let verdict = choice.banks.iter().find(|bank| bank.partition == partition);
    let why_not = verdict.unwrap().why_not.as_ref();
    why_not.map(ToString::to_string).unwrap_or_default()
}

const GOOD: &str = "bootstate=0\nbuild=6.7.0-8169922\nupdated=2";

#[test]
fn the_empty_bank_of_a_fresh_stick_loses_although_its_updated_is_higher() {
    let choice = choice_of(&[(5, GOOD), (6, "bootstate=3\nbuild=\nupdated=9")]);
    assert_eq!(choice.chosen.bank(), Some(5));
    assert!(choice.banks[0].boots_next && choice.banks[0].bootable);
    assert!(!choice.banks[1].bootable);
    assert_eq!(why_not(&choice, 6), "bootstate 3 (invalid)");
    assert_eq!(choice.banks[1].state_after, Some(3));
    let (usual, warnings) = usual_choice_of(&[(5, GOOD), (6, "bootstate=3\nbuild=\nupdated=9")]);
    assert_eq!(usual.chosen, Chosen::Bank(5));
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn the_highest_updated_wins_and_the_first_on_a_tie() {
    let choice = choice_of(&[(5, "build=6.0\nupdated=1"), (6, "build=6.0\nupdated=2")]);
    assert_eq!(choice.chosen.bank(), Some(6));
    assert_eq!(why_not(&choice, 5), "updated 1 is lower than 2 of bank 6");
    assert!(choice.banks[0].bootable);
    let choice = choice_of(&[(5, "build=6.0\nupdated=2"), (6, "build=6.0\nupdated=2")]);
    assert_eq!(choice.chosen.bank(), Some(5));
    let tie = "updated 2 is the same as that of bank 5, which comes first";
    assert_eq!(why_not(&choice, 6), tie);
}

#[test]
fn a_bank_that_cannot_boot_says_why() {
    let far = format!("title={}\nbootstate=1\nbuild=6\nupdated=3", "x".repeat(600));
    // boot.cfg of bank 6, why it is not chosen, its state after, rollback.
    let cases: [(&str, &str, Option<i32>, bool); 12] = [
        (
            "bootstate=2\nbuild=6\nupdated=3",
            "bootstate 2 (dirty): the first boot after an upgrade did not finish, and the loader does not try it again",
            Some(3),
            false,
        ),
        (
            "bootstate=1\nbuild=\nupdated=3",
            "build is missing",
            Some(3),
            true,
        ),
        (
            "bootstate=1\nbuild=6\nupdated=0",
            "updated is missing or 0",
            Some(3),
            true,
        ),
        ("build=6", "updated is missing or 0", Some(0), false),
        ("updated=3", "build is missing", Some(0), false),
        (
            "bootstate=4\nbuild=6\nupdated=3",
            "bootstate 4 (unknown)",
            None,
            false,
        ),
        (
            "bootstate=-1\nbuild=6\nupdated=3",
            "bootstate -1 (unknown)",
            None,
            false,
        ),
        (
            "bootstate=0\nbootstate=5\nbuild=6\nupdated=3",
            "bootstate 5 (unknown)",
            Some(3),
            false,
        ),
        (
            "boot=1\nbuild=6\nupdated=3",
            "the loader has to rewrite bootstate 1, but the first 512 bytes of boot.cfg have no bootstate line \
             with a digit from 0 to 3",
            None,
            false,
        ),
        (
            &far,
            "the loader has to rewrite bootstate 1, but the first 512 bytes of boot.cfg have no bootstate line \
             with a digit from 0 to 3",
            None,
            false,
        ),
        (
            "bootstate=0\nquickboot=1\nbuild=7\nupdated=3",
            "quickboot is set: the bank was for one boot only",
            Some(3),
            false,
        ),
        (
            "updated=x\nbuild=6",
            "boot.cfg is rejected: line 1: updated is \"x\", not a number, so the loader skips the bank",
            None,
            false,
        ),
    ];
    for (lines, why, state_after, rollback) in cases {
        let choice = choice_of(&[(5, GOOD), (6, lines)]);
        assert_eq!(choice.chosen.bank(), Some(5), "{lines:?}");
        assert_eq!(why_not(&choice, 6), why, "{lines:?}");
        let verdict = &choice.banks[1];
        assert_eq!(verdict.state_after, state_after, "{lines:?}");
        assert_eq!(verdict.rollback, rollback, "{lines:?}");
        assert!(!verdict.bootable && !verdict.boots_next, "{lines:?}");
    }
}

#[test]
fn an_upgraded_bank_boots_once_and_is_marked_dirty() {
    let (choice, warnings) =
        usual_choice_of(&[(5, GOOD), (6, "bootstate=1\nbuild=6.7.0-1\nupdated=3")]);
    assert_eq!(choice.chosen.bank(), Some(6));
    let verdict = &choice.banks[1];
    assert_eq!((verdict.state_after, verdict.upgrading), (Some(2), true));
    assert_eq!(
        warnings,
        [
            "bank 6 boots for the first time after an upgrade; if that does not finish, bank 5 is taken after it"
        ]
    );
}

#[test]
fn what_is_taken_after_an_unfinished_first_boot_goes_by_the_states_that_it_leaves() {
    let upgraded = "bootstate=1\nbuild=6.7.0-1\nupdated=3";
    // What the other bank says, and what the loader takes after the boot of bank 6 did not finish.
    let cases = [
        (GOOD, "bank 5 is taken after it"),
        (
            "bootstate=1\nbuild=6.7.0-1\nupdated=2",
            "no bank boots after it",
        ),
        (
            "bootstate=3\nbuild=6.7.0-1\nupdated=2",
            "no bank boots after it",
        ),
        (
            "bootstate=0\nbuild=6.7.0-1\nupdated=0",
            "no bank boots after it",
        ),
    ];
    for (other, then) in cases {
        let (choice, warnings) = usual_choice_of(&[(5, other), (6, upgraded)]);
        assert_eq!(choice.chosen.bank(), Some(6), "{other:?}");
        let first = warnings.first().unwrap();
        assert!(first.ends_with(then), "{other:?}: {first}");
    }
}

#[test]
fn a_prefix_that_leads_elsewhere_is_said_once_and_is_why_nothing_is_found() {
    let elsewhere =
        "bootstate=0\nprefix=/esx\nkernel=b.b00\nmodules=state.tgz\nbuild=6.7.0-1\nupdated=3";
    let (_, warnings) = usual_choice_of(&[(5, elsewhere)]);
    assert_eq!(
        warnings,
        [
            "bank 5: prefix=/esx in boot.cfg has the loader look for the kernel and the modules there; those in the bank's root directory are not loaded"
        ]
    );
    let same = elsewhere.replace("/esx", "/");
    let (_, warnings) = usual_choice_of(&[(5, &same)]);
    assert_eq!(warnings, [] as [&str; 0]);
}

#[test]
fn only_three_banks_are_looked_at_and_unreadable_ones_do_not_count() {
    let seven = |updated: u32| format!("build=7.0.0-1\nupdated={updated}");
    let (one, two, three, four) = (seven(1), seven(2), seven(3), seven(4));
    let choice = choice_of(&[(1, &one), (5, &two), (6, &three), (7, &four)]);
    assert_eq!(choice.chosen.bank(), Some(6));
    assert_eq!(
        why_not(&choice, 7),
        "the loader looks only at the first three banks"
    );
    let choice = choice_of(&[(1, "updated=x"), (5, &two), (6, &three), (7, &four)]);
    assert_eq!(choice.chosen.bank(), Some(7));
    // An invalid bank takes one of the three places all the same.
    let choice = choice_of(&[(1, "bootstate=3"), (5, &two), (6, &three), (7, &four)]);
    assert_eq!(choice.chosen.bank(), Some(6));
}

#[test]
fn without_a_valid_bank_nothing_boots() {
    let ignored = Ignored::NoBootCfg;
    let input = BankInput {
        partition: 5,
        met: BankContent::Ignored(&ignored),
        has_state: true,
    };
    let choice = choose(Generation::NEWEST, std::slice::from_ref(&input));
    assert_eq!(choice.chosen, Chosen::Nothing);
    assert_eq!(why_not(&choice, 5), "the loader finds no boot.cfg in it");
    assert_eq!(
        warnings_about(&choice, &[input]),
        [ChoiceWarning::NothingBoots]
    );
    assert_eq!(choose(Generation::NEWEST, &[]).chosen, Chosen::Nothing);
}

#[test]
fn a_bank_that_cannot_be_read_leaves_the_choice_open_only_where_it_could_be_taken() {
    let why = Undecided::Read {
        offset: 7,
        why: "bad".to_owned(),
    };
    let good = parsed(&[(5, GOOD)]);
    let unknown = |partition| BankInput {
        partition,
        met: BankContent::Undecided(&why),
        has_state: true,
    };
    let banks = [inputs(&good).remove(0), unknown(6)];
    let choice = choose(Generation::NEWEST, &banks);
    let otherwise = Some(5);
    let partition = 6;
    let open = Chosen::Undecided {
        partition,
        why: why.clone(),
        otherwise,
    };
    assert_eq!(choice.chosen, open);
    assert!(choice.banks.iter().all(|bank| !bank.boots_next));
    assert_eq!(
        why_not(&choice, 5),
        "it cannot be told whether the loader takes bank 6 instead"
    );
    let said = warnings_about(&choice, &banks);
    assert_eq!(
        said[0].to_string(),
        "which bank boots next cannot be told, because of bank 6: byte 7 of the medium and what follows it cannot be \
         read: bad; if the loader does not take it, bank 5 boots"
    );
    // A loader that looks at 5 and 6 only does not care about 8.
    let banks = [inputs(&good).remove(0), unknown(8)];
    assert_eq!(choose(Generation::UpTo67U1, &banks).chosen, Chosen::Bank(5));
}

#[test]
fn the_loader_that_came_with_the_newest_bank_decides_and_others_are_warned_of() {
    let old = "build=6.7.0-1\nupdated=1";
    let newer = "build=6.7.0-1\nupdated=3";
    let u3 = "build=6.7.0-14320388\nupdated=3";
    // Banks, the one that boots, warnings.
    type Case<'a> = (&'a [(u32, &'a str)], Option<u32>, &'a [&'a str]);
    let cases: [Case<'_>; 9] = [
        (
            &[(5, old), (6, GOOD), (7, newer)],
            Some(6),
            &[
                "a loader of 7.0 or later would boot bank 7 instead, because it looks at the first three banks, knows \
                 quickboot and takes nothing over from one boot.cfg to the next",
            ],
        ),
        (
            &[(1, old), (5, GOOD), (6, u3)],
            Some(5),
            &[
                "a loader of 6.7 U1 or earlier would boot bank 6 instead, because it looks only at partitions 5 and 6 \
                 and does not know quickboot",
                "a loader of 7.0 or later would boot bank 6 instead, because it looks at the first three banks, knows \
                 quickboot and takes nothing over from one boot.cfg to the next",
            ],
        ),
        (
            &[(8, GOOD)],
            None,
            &[
                "no bank is bootable: the loader stops with \"No hypervisor found\"",
                "a loader of 6.7 U3 would boot bank 8 instead, because it looks only at the first two banks and does \
                 not know quickboot",
                "a loader of 7.0 or later would boot bank 8 instead, because it looks at the first three banks, knows \
                 quickboot and takes nothing over from one boot.cfg to the next",
            ],
        ),
        // A stick of 7.0 has a loader of 7.0 or later.
        (&[(8, "build=7.0.0-1\nupdated=1")], Some(8), &[]),
        // `updated` has no sign in any of them, but a minus is known to the later ones only.
        (
            &[
                (5, "build=8.0.0-1\nupdated=7"),
                (6, "build=8.0.0-1\nupdated=-1"),
            ],
            Some(5),
            &[
                "a loader of 8.0 U1 or later would boot bank 6 instead, because it knows negative numbers and takes -1 \
                 as the highest of all",
            ],
        ),
        (
            &[
                (5, "build=8.0.2-1\nupdated=7"),
                (6, "build=8.0.1-1\nupdated=-1"),
            ],
            Some(6),
            &[
                "a loader before 8.0 U1 would boot bank 5 instead, because it takes a number with a minus for none and \
                 drops the bank",
            ],
        ),
        (
            &[
                (5, "build=6.7.0-1\nupdated=7"),
                (6, "build=6.7.0-1\nupdated=2147483648"),
            ],
            Some(6),
            &[],
        ),
        (&[(5, "build=9.0.0-1\nupdated=-1")], Some(5), &[]),
        // Three loaders take three banks.
        (
            &[
                (1, old),
                (5, u3),
                (6, "build=6.7.0-14320388\nupdated=-1"),
                (7, "build=6.7.0-14320388\nupdated=9"),
            ],
            Some(5),
            &[
                "a loader of 7.0 to 8.0 would boot bank 7 instead, because it looks at the first three banks, knows \
                 quickboot and takes nothing over from one boot.cfg to the next",
                "a loader of 8.0 U1 or later would boot bank 6 instead, because it knows negative numbers and takes -1 \
                 as the highest of all",
            ],
        ),
    ];
    for (banks, boots, expected) in cases {
        let (choice, warnings) = usual_choice_of(banks);
        assert_eq!(choice.chosen.bank(), boots, "{banks:?}");
        assert_eq!(warnings, expected, "{banks:?}");
    }
}

#[test]
fn the_loader_of_6_7_takes_over_what_a_boot_cfg_does_not_set() {
    let full = "bootstate=3\nbuild=6.7.0-1\nupdated=2";
    // Bank 5, bank 6, what 6.7 boots, what 7.0 boots.
    let cases = [
        (full, "updated=9", None, None),
        (full, "bootstate=0\nupdated=9", Some(6), None),
        (full, "bootstate=0", Some(6), None),
        (full, "build=6.7.0-1\nupdated=9", None, Some(6)),
        (full, "bootstate=\nbuild=\nupdated=9", None, None),
        // What was read before the line that spoils the file counts.
        (
            "bootstate=3\nupdated=x\nbootstate=0",
            "build=6\nupdated=1",
            None,
            Some(6),
        ),
    ];
    for (first, second, old, new) in cases {
        let parsed = parsed(&[(5, first), (6, second)]);
        let inputs = inputs(&parsed);
        for (generation, boots) in [
            (Generation::UpTo67U1, old),
            (Generation::From67U2, old),
            (Generation::From70, new),
            (Generation::From80U1, new),
        ] {
            let chosen = choose(generation, &inputs).chosen.bank();
            assert_eq!(chosen, boots, "{generation:?} {first:?} {second:?}");
        }
    }
}

#[test]
fn what_stops_a_chosen_bank_or_starts_it_empty_is_a_warning() {
    let cases = [
        (
            "build=v6\nupdated=1\nkernel=a\nmodules=state.tgz",
            true,
            "bank 5: its boot stops, because build \"v6\" does not begin with a digit",
        ),
        (
            "build=6\nupdated=1\nkernel=a\nmodules=state.tgz",
            false,
            "bank 5: its boot stops, because modules= lists state.tgz and the file is missing",
        ),
        (
            "build=6\nupdated=1\nkernel=a\nmodules=k.b00",
            true,
            "bank 5: modules= does not list state.tgz, so the host starts with default settings",
        ),
        (
            "build=6\nupdated=1\nmodules=k.b00",
            false,
            "bank 5: its boot stops, because boot.cfg names no kernel",
        ),
        (
            "build=6\nupdated=1\nkernel=a\nmodules=k.b00\ntimeout=x",
            false,
            "bank 5: boot.cfg line 5: timeout is \"x\", not a number, so the boot stops",
        ),
    ];
    for (text, has_state, expected) in cases {
        let cfg = BootCfg::parse(text.as_bytes());
        let input = [BankInput {
            partition: 5,
            met: BankContent::BootCfg(&cfg),
            has_state,
        }];
        let choice = choose(Generation::NEWEST, &input);
        assert_eq!(choice.chosen, Chosen::Bank(5), "{text:?}");
        let warnings = warnings_about(&choice, &input);
        let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [expected], "{text:?}");
    }
}
