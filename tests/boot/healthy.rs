//! Media that boot, whatever is odd about them: the promise is made, and it is about the bank that
//! the loader takes.

use crate::spoils;
use crate::stick::{GPT, Stick};

/// What is done to a stick.
type Spoil = fn(&Stick);

#[test]
fn a_medium_that_boots_is_told_so_by_the_bank_that_boots() {
    let odd: [(Spoil, u32); 5] = [
        (|_| (), 5),
        (|stick| spoils::mixed_case(stick, 5), 5),
        (spoils::half_copied_without_boot_cfg, 5),
        (|stick| stick.set(5, "bootstate", Some("3")), 6),
        (|stick| spoils::half_rubbish(stick, 5), 6),
    ];
    for (spoil, bank) in odd {
        let stick = Stick::new(GPT);
        spoil(&stick);
        let fixed = stick.run(&["fix", "-y", "STICK"]);
        let said = fixed.all();
        assert_eq!(fixed.code, 0, "{said}");
        let promise = format!("Bank {bank} boots next and has no device passed through.");
        assert!(said.contains(&promise), "{said}");
        assert!(said.contains("saves its configuration again"), "{said}");
    }
}

/// What is said of a copy is said in one line.
#[test]
fn of_a_copy_the_next_boot_is_one_short_line() {
    let stick = Stick::new(GPT);
    let fixed = stick.run(&["fix", "STICK", "-o", "copy.img"]);
    let said = fixed.all();
    assert_eq!(fixed.code, 0, "{said}");
    let last = said.lines().last().unwrap();
    assert_eq!(last, "Bank 5 boots next and has no device passed through.");
}
