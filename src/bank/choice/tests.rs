use super::*;

/// One bank with a kernel and a listed state.
fn cfg(lines: &str) -> BootCfg {
    let text = format!("{lines}\nkernel=b.b00\nmodules=k.b00 --- state.tgz\n");
    BootCfg::parse(text.as_bytes())
}

fn choice_of(banks: &[(u32, &str)]) -> Choice {
    let parsed: Vec<(u32, BootCfg)> = banks.iter().map(|&(n, lines)| (n, cfg(lines))).collect();
    let inputs: Vec<BankInput<'_>> = parsed
        .iter()
        .map(|(partition, cfg)| BankInput {
            partition: *partition,
            boot_cfg: Ok(cfg),
            has_state: true,
        })
        .collect();
    choose(&inputs)
}

fn why_not(choice: &Choice, partition: u32) -> String {
    let verdict = choice.banks.iter().find(|bank| bank.partition == partition);
    let why_not = verdict.unwrap().why_not.as_ref();
    why_not.map(ToString::to_string).unwrap_or_default()
}

fn warnings(choice: &Choice) -> Vec<String> {
    choice.warnings.iter().map(ToString::to_string).collect()
}

const GOOD: &str = "bootstate=0\nbuild=6.7.0-8169922\nupdated=2";

#[test]
fn the_empty_bank_of_a_fresh_stick_loses_although_its_updated_is_higher() {
    let choice = choice_of(&[(5, GOOD), (6, "bootstate=3\nbuild=\nupdated=9")]);
    assert_eq!(choice.boots_next, Some(5));
    assert!(choice.banks[0].boots_next && choice.banks[0].bootable);
    assert!(!choice.banks[1].bootable);
    assert_eq!(why_not(&choice, 6), "bootstate 3 (invalid)");
    assert_eq!(choice.banks[1].state_after, Some(3));
    assert_eq!(warnings(&choice), [""; 0]);
}

#[test]
fn the_highest_updated_wins_and_the_first_on_a_tie() {
    let choice = choice_of(&[(5, "build=6.0\nupdated=1"), (6, "build=6.0\nupdated=2")]);
    assert_eq!(choice.boots_next, Some(6));
    assert_eq!(why_not(&choice, 5), "updated is 1, lower than 2 in bank 6");
    assert!(choice.banks[0].bootable);
    let choice = choice_of(&[(5, "build=6.0\nupdated=2"), (6, "build=6.0\nupdated=2")]);
    assert_eq!(choice.boots_next, Some(5));
    let tie = "updated is 2, the same as in bank 5, which comes first";
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
        assert_eq!(choice.boots_next, Some(5), "{lines:?}");
        assert_eq!(why_not(&choice, 6), why, "{lines:?}");
        let verdict = &choice.banks[1];
        assert_eq!(verdict.state_after, state_after, "{lines:?}");
        assert_eq!(verdict.rollback, rollback, "{lines:?}");
        assert!(!verdict.bootable && !verdict.boots_next, "{lines:?}");
    }
}

#[test]
fn an_upgraded_bank_boots_once_and_is_marked_dirty() {
    let choice = choice_of(&[(5, GOOD), (6, "bootstate=1\nbuild=6.7.0-1\nupdated=3")]);
    assert_eq!(choice.boots_next, Some(6));
    let verdict = &choice.banks[1];
    assert_eq!((verdict.state_after, verdict.upgrading), (Some(2), true));
    let partition = 6;
    assert_eq!(
        choice.warnings,
        [ChoiceWarning::FirstBootAfterUpgrade { partition }]
    );
}

#[test]
fn only_three_banks_are_looked_at_and_unreadable_ones_do_not_count() {
    let seven = |updated: u32| format!("build=7.0.0-1\nupdated={updated}");
    let (one, two, three, four) = (seven(1), seven(2), seven(3), seven(4));
    let choice = choice_of(&[(1, &one), (5, &two), (6, &three), (7, &four)]);
    assert_eq!(choice.boots_next, Some(6));
    assert_eq!(
        why_not(&choice, 7),
        "the loader looks only at the first three banks"
    );
    let choice = choice_of(&[(1, "updated=x"), (5, &two), (6, &three), (7, &four)]);
    assert_eq!(choice.boots_next, Some(7));
    // An invalid bank takes one of the three places all the same.
    let choice = choice_of(&[(1, "bootstate=3"), (5, &two), (6, &three), (7, &four)]);
    assert_eq!(choice.boots_next, Some(6));
}

#[test]
fn without_a_valid_bank_nothing_boots() {
    let unreadable = BankInput {
        partition: 5,
        boot_cfg: Err("boot.cfg is shorter than its directory entry says"),
        has_state: true,
    };
    let choice = choose(&[unreadable]);
    assert_eq!(choice.boots_next, None);
    assert_eq!(
        why_not(&choice, 5),
        "boot.cfg is shorter than its directory entry says"
    );
    assert_eq!(choice.warnings, [ChoiceWarning::NothingBoots]);
    assert_eq!(choose(&[]).boots_next, None);
}

#[test]
fn a_choice_that_older_loaders_would_not_make_is_a_warning() {
    let old = "build=6.7.0-1\nupdated=1";
    let newer = "build=6.7.0-1\nupdated=3";
    // Banks, the one that boots, warnings.
    type Case<'a> = (&'a [(u32, &'a str)], Option<u32>, &'a [&'a str]);
    let cases: [Case<'_>; 5] = [
        (
            &[(5, old), (6, GOOD), (7, newer)],
            Some(7),
            &[
                "a loader of 6.7 U1 or earlier would boot bank 6 instead, because it looks only at partitions 5 and 6 \
                 and does not know quickboot",
                "a loader of 6.7 U3 would boot bank 6 instead, because it looks only at the first two banks and does \
                 not know quickboot",
            ],
        ),
        (
            &[(8, GOOD)],
            Some(8),
            &[
                "a loader of 6.7 U1 or earlier would boot nothing instead, because it looks only at partitions 5 and 6 \
               and does not know quickboot",
            ],
        ),
        // A stick of 7.0 has a loader of 7.0.
        (&[(8, "build=7.0.0-1\nupdated=1")], Some(8), &[]),
        (
            &[
                (5, "build=8.0.1-1\nupdated=7"),
                (6, "build=8.0.1-1\nupdated=-1"),
            ],
            Some(6),
            &[
                "a loader before 8.0 U2 would boot bank 5 instead, because it reads an updated of 2147483648 or more as \
               negative",
            ],
        ),
        (&[(5, "build=9.0.0-1\nupdated=-1")], Some(5), &[]),
    ];
    for (banks, boots, expected) in cases {
        let choice = choice_of(banks);
        assert_eq!(choice.boots_next, boots, "{banks:?}");
        assert_eq!(warnings(&choice), expected, "{banks:?}");
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
        let input = BankInput {
            partition: 5,
            boot_cfg: Ok(&cfg),
            has_state,
        };
        let choice = choose(&[input]);
        assert_eq!(choice.boots_next, Some(5), "{text:?}");
        assert_eq!(warnings(&choice), [expected], "{text:?}");
    }
}
