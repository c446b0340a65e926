//! What can be done about a medium, in the order in which people are likely to want it.

use super::found::{Bank, Device, Medium, Undo};
use crate::cli::terminal::plural;
use crate::diagnosis::{Certainty, OwnedBy, Symptom, Verdict};

/// Something that can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// What, for a person.
    pub words: String,
    /// The command that does it, without the medium.
    pub command: Vec<String>,
    /// What makes that command show the change and write nothing; `None` of a command that only looks.
    pub preview: Option<&'static [&'static str]>,
}

/// Shows what an edit would change, and tells by its exit code whether there is anything.
const CHECK: &[&str] = &["--check", "--diff"];
/// Shows what an undo would put back.
const DRY_RUN: &[&str] = &["--dry-run"];

impl Wish {
    fn change(words: String, command: &[&str], preview: &'static [&'static str]) -> Self {
        Wish {
            preview: Some(preview),
            ..Wish::look(&words, command)
        }
    }

    fn look(words: &str, command: &[&str]) -> Self {
        Wish {
            words: words.to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            preview: None,
        }
    }
}

/// What can be done about a medium that has these banks, and of whose changes `undo` is the last that
/// is not undone yet.
pub fn wishes(medium: &Medium, banks: &[Bank], undo: Option<&Undo>) -> Vec<Wish> {
    let others = other_banks(banks);
    let undo = undo.map(undo_of);
    let starts = banks
        .iter()
        .any(|bank| bank.boots_next && bank.starts == Some(true));
    let mut wishes = Vec::new();
    if starts {
        wishes.extend(giving_back(medium));
        wishes.extend(others);
        wishes.extend(undo);
    } else {
        // What was changed last is likely to be what stops it.
        wishes.extend(others);
        wishes.extend(undo);
        wishes.extend(giving_back(medium));
    }
    let look = "Check everything on it, and change nothing";
    wishes.push(Wish::look(look, &["verify"]));
    if medium.passed_through.is_some() {
        let list = "List its PCI devices: who owns them, what hangs on them";
        wishes.push(Wish::look(list, &["pci", "list"]));
    }
    wishes
}

fn giving_back(medium: &Medium) -> Vec<Wish> {
    let passed = medium.passed_through.as_deref().unwrap_or_default();
    let mut wishes = Vec::new();
    if passed.is_empty() {
        return wishes;
    }
    let boot = Verdict::BootControllerPassedThrough(Certainty::Known).as_str();
    let owner = medium.belongs_to.clone().unwrap_or_default();
    let is_own =
        owner.is_known && owner.whom.as_deref() == OwnedBy::ThisMachine(Certainty::Known).as_str();
    if is_own
        && medium.verdict == boot
        && let Some(controller) = &medium.controller
    {
        let words = format!("Give the boot controller back ({controller}), and what goes with it");
        wishes.push(Wish::change(words, &["fix", "--boot-device"], CHECK));
    }
    let all = match passed {
        [only] => format!("Give the passed-through device back: {}", name(only)),
        several => format!("Give all {} passed-through devices back", several.len()),
    };
    wishes.push(Wish::change(all, &["fix"], CHECK));
    let dead = Symptom::KeyboardDead.as_str();
    if passed.len() > 1 && medium.symptoms.iter().any(|it| it.symptom == dead) {
        let words = "Give only the USB controllers back, the keyboard's among them".to_owned();
        wishes.push(Wish::change(words, &["fix", "--usb"], CHECK));
    }
    wishes
}

fn name(device: &Device) -> String {
    let at = device.address.as_ref().unwrap_or(&device.key);
    match &device.alias {
        Some(alias) => format!("{at} ({alias})"),
        None => at.clone(),
    }
}

/// The banks that the host would start from, and does not boot next.
fn other_banks(banks: &[Bank]) -> Vec<Wish> {
    let others = banks
        .iter()
        .filter(|bank| !bank.boots_next && bank.starts == Some(true));
    let wish = |bank: &Bank| {
        let number = bank.partition.to_string();
        let build = bank.build.as_ref();
        let build = build.map_or(String::new(), |build| format!(" (build {build})"));
        let words = format!("Boot the other bank next: bank {number}{build}");
        Wish::change(words, &["bank", "use", &number], CHECK)
    };
    others.map(wish).collect()
}

fn undo_of(undo: &Undo) -> Wish {
    let command = undo.command.as_deref().unwrap_or("a change");
    let time = undo.time.as_deref().unwrap_or("at an unknown time");
    // To the second, as people read it.
    let time = time.split_once('.').map_or(time, |(time, _)| time);
    let time = time.trim_end_matches('Z').replace('T', " ");
    let words = format!("Undo the last change: {command}, {time}");
    Wish::change(words, &["undo", "--last"], DRY_RUN)
}

/// How many devices a medium passes through, in words.
pub fn passed_in_words(medium: &Medium) -> Option<String> {
    let count = medium.passed_through.as_ref()?.len();
    (count > 0).then(|| format!("{count} device{} passed through", plural(count)))
}

#[cfg(test)]
mod tests {
    use super::super::found::{BelongsTo, Disk, SymptomObject};
    use super::*;

    fn commands(medium: &Medium, banks: &[Bank], undo: Option<&Undo>) -> Vec<String> {
        let wishes = wishes(medium, banks, undo);
        wishes.iter().map(|wish| wish.command.join(" ")).collect()
    }

    fn banks(first: bool, second: bool) -> [Bank; 2] {
        [(5, first, true), (6, second, false)].map(|(partition, starts, boots_next)| Bank {
            partition,
            build: None,
            boots_next,
            starts: Some(starts),
        })
    }

    fn medium() -> Medium {
        let device = |address: &str| Device {
            address: Some(address.to_owned()),
            ..Device::default()
        };
        Medium {
            target: "/dev/sdb".to_owned(),
            verdict: Verdict::BootControllerPassedThrough(Certainty::Known)
                .as_str()
                .to_owned(),
            passed_through: Some(vec![device("0000:00:14.0"), device("0000:00:1d.0")]),
            symptoms: vec![SymptomObject {
                symptom: Symptom::KeyboardDead.as_str().to_owned(),
            }],
            belongs_to: Some(BelongsTo {
                whom: OwnedBy::ThisMachine(Certainty::Known)
                    .as_str()
                    .map(str::to_owned),
                is_known: true,
            }),
            controller: Some("0000:00:14.0".to_owned()),
            ..Medium::default()
        }
    }

    #[test]
    fn the_boot_controller_comes_first_and_looking_last() {
        let undo = Undo::default();
        let found = commands(&medium(), &banks(true, true), Some(&undo));
        let expected = [
            "fix --boot-device",
            "fix",
            "fix --usb",
            "bank use 6",
            "undo --last",
            "verify",
            "pci list",
        ];
        assert_eq!(found, expected);
        // Elsewhere nobody knows the controller.
        let mut another = medium();
        another.belongs_to = None;
        assert_eq!(commands(&another, &banks(true, false), None)[0], "fix");
    }

    #[test]
    fn a_medium_that_does_not_start_is_first_made_to() {
        let undo = Undo::default();
        let found = commands(&medium(), &banks(false, true), Some(&undo));
        assert_eq!(
            found[..3],
            ["bank use 6", "undo --last", "fix --boot-device"]
        );
    }

    #[test]
    fn of_a_sealed_state_no_device_is_given_back() {
        let mut sealed = medium();
        sealed.passed_through = None;
        assert_eq!(commands(&sealed, &banks(true, false), None), ["verify"]);
    }

    #[test]
    fn an_undo_file_goes_by_the_serial_number_where_there_is_one() {
        let serial = |serial: &str| Some(serial.to_owned());
        let mut disk = medium();
        let undo = |target: &str, serial| Undo {
            target: target.to_owned(),
            serial,
            ..Undo::default()
        };
        assert!(disk.may_be_of(&undo("/dev/sdb", None)));
        assert!(!disk.may_be_of(&undo("/dev/sdb", serial("1"))));
        disk.disk = Some(Disk {
            model: None,
            serial: serial("1"),
        });
        assert!(disk.may_be_of(&undo("/dev/sdc", serial("1"))));
        assert!(!disk.may_be_of(&undo("/dev/sdb", serial("2"))));
    }
}
