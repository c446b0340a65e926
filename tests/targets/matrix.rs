//! Every command on every kind of target: it does what docs/targets.md says, or refuses with the
//! sentence that stands there.

use crate::host::{Host, Ran};
use crate::state_files::{KINDS, make, sh};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a command is about.
#[derive(Clone, Copy, Debug, PartialEq)]
enum About {
    /// It looks into a configuration.
    Look,
    /// It looks at banks.
    LookAtBanks,
    /// It changes a configuration.
    Change,
    /// It changes banks.
    ChangeBanks,
}
use About::{Change, ChangeBanks, Look, LookAtBanks};

/// Every command that takes a target, X.
const COMMANDS: [(&str, About); 36] = [
    ("info X", Look),
    ("verify X", Look),
    ("pci list X", Look),
    ("ls X", Look),
    ("ls X etc", Look),
    ("ls X bank:", LookAtBanks),
    ("cat X etc/vmware/esx.conf", Look),
    ("cat X bank:boot.cfg", LookAtBanks),
    ("get X etc/vmware/esx.conf -", Look),
    ("conf list X", Look),
    ("conf get X /system/uuid", Look),
    ("store list X", Look),
    ("store get X -c esx -g system -k a", Look),
    ("diff X X", Look),
    ("state export X out --force", Look),
    ("kernelopt show X", LookAtBanks),
    ("bootcfg get X kernelopt", LookAtBanks),
    ("bank list X", LookAtBanks),
    ("fix -y X", Change),
    ("pci set -y X -d 0000:00:1d.7 -e false", Change),
    ("put X text etc/motd.test", Change),
    ("rm X etc/vmware/esx.conf", Change),
    ("conf set X /matrix 1", Change),
    ("conf unset X /system/uuid", Change),
    ("store delete X -c esx -g system -k keyboard", Change),
    ("store set X -c esx -g system -k a {}", Change),
    ("host set X --name n --domain d.example", Change),
    ("seal -y X --only system-uuid", Change),
    ("apply plan.toml X", Change),
    ("put X text bank:a.b00", ChangeBanks),
    ("kernelopt modify X -a matrix", ChangeBanks),
    ("bootcfg set -y X title matrix", ChangeBanks),
    ("bank mark-clean 5 X", ChangeBanks),
    ("state import X state", Change),
    ("state copy 5 6 X", ChangeBanks),
    ("reclaim X", ChangeBanks),
];

/// Those that are in no row: they take no target, or are as one that is (`bank use`, `bank copy` and
/// `state reset` need media of their own), or have tests of their own (`undo`, `scan`, `station`).
const ELSEWHERE: [&str; 10] = [
    "completions",
    "man",
    "schema",
    "undo",
    "bank use",
    "bank copy",
    "state reset",
    "bootcfg unset",
    "scan",
    "station",
];

fn words(command: &str, target: &str) -> Vec<String> {
    let words = command.split(' ');
    words
        .map(|word| if word == "X" { target } else { word }.to_owned())
        .collect()
}

fn run(host: &Host, words: &[String]) -> Ran {
    host.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What the commands read besides their target.
fn add_inputs(host: &Host) {
    fs::write(host.path("text"), "matrix\n").unwrap();
    let plan = "[conf]\nset = { \"/matrix\" = \"1\" }\n";
    fs::write(host.path("plan.toml"), plan).unwrap();
    fs::write(host.path("state"), host.bank_file(5, "STATE.TGZ")).unwrap();
    host.done(&["conf", "set", "state", "/matrix", "of another", "--no-undo"]);
}

/// Refused for what the target is, with these words and nothing written.
fn is_refused(ran: &Ran, words: &[String], code: i32, says: &str) {
    assert_eq!(ran.code, code, "{words:?}: {}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(says), "{words:?}: {}", ran.stderr);
}

/// Done, or refused for what is in it and not for what it is.
fn is_done(ran: &Ran, words: &[String], of_image: &Ran) {
    assert_eq!(
        ran.code, of_image.code,
        "{words:?}: {}{}",
        ran.stdout, ran.stderr
    );
}

#[test]
fn every_command_of_the_reference_is_in_the_table() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let text = fs::read_to_string(docs).unwrap();
    let headings = text
        .lines()
        .filter_map(|line| line.strip_prefix("## bootbank "));
    let all: BTreeSet<&str> = headings.collect();
    let has_parts = |name: &&str| {
        all.iter()
            .any(|other| other.starts_with(&format!("{name} ")))
    };
    let leaves = all.iter().filter(|name| !has_parts(name));
    let missing: Vec<&&str> = leaves
        .filter(|name| !ELSEWHERE.contains(name))
        .filter(|name| {
            let is_it = |row: &str| row.starts_with(&format!("{name} "));
            !COMMANDS.iter().any(|(row, _)| is_it(row))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_help_text_offers_state_files_where_they_are_taken() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let text = fs::read_to_string(docs).unwrap();
    let mut count = 0;
    for section in text.split("\n## bootbank ").skip(1) {
        let (name, help) = section.split_once('\n').unwrap();
        let is_it = |row: &&(&str, About)| row.0.starts_with(&format!("{name} "));
        let rows: Vec<_> = COMMANDS.iter().filter(is_it).collect();
        let mut lines = help.lines().map(str::trim);
        // A group of commands takes nothing itself.
        let Some(target) = lines.find(|line| line.starts_with("Image file")) else {
            continue;
        };
        // `bank use` and the like are in no row, and about banks like the others of their kind.
        let are_taken = rows.iter().any(|(_, about)| matches!(about, Look | Change));
        assert_eq!(target.contains("state file"), are_taken, "{name}: {target}");
        count += 1;
    }
    assert!(count > 30, "only {count} commands");
}

#[test]
fn a_state_file_is_looked_into_and_changed_and_has_no_banks() {
    let mut of_images = BTreeMap::new();
    for (kind, profile) in KINDS {
        let (host, file) = make(kind, profile);
        add_inputs(&host);
        let (before, image) = (fs::read(&file).unwrap(), host.bytes());
        for (command, about) in COMMANDS {
            let on_file = words(command, "backup");
            fs::write(&file, &before).unwrap();
            let ran = run(&host, &on_file);
            let changed = fs::read(&file).unwrap() != before;
            let of_image = of_images.entry((profile, command)).or_insert_with(|| {
                fs::write(&host.image, &image).unwrap();
                run(&host, &words(command, "STICK"))
            });
            match about {
                Look | Change => is_done(&ran, &on_file, of_image),
                LookAtBanks | ChangeBanks => {
                    is_refused(
                        &ran,
                        &on_file,
                        2,
                        "this is a state file, which has no banks",
                    );
                }
            }
            assert_eq!(
                changed,
                about == Change && ran.code == 0,
                "{on_file:?}: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn a_packed_image_is_looked_into_planned_on_and_never_changed_in_place() {
    let host = Host::new("esxi67-usb-passthru");
    add_inputs(&host);
    sh(&host.path(""), "zstd -q <stick.img >packed");
    let packed = fs::read(host.path("packed")).unwrap();
    let image = host.bytes();
    for (command, about) in COMMANDS {
        let on_packed = words(command, "packed");
        let on_image = words(command, "STICK");
        let ran = run(&host, &on_packed);
        match about {
            Look | LookAtBanks => is_done(&ran, &on_packed, &run(&host, &on_image)),
            Change | ChangeBanks => {
                is_refused(
                    &ran,
                    &on_packed,
                    4,
                    "a packed image is not changed in place",
                );
                for option in ["-n", "--check"] {
                    let with = |words: &[String]| [words, &[option.to_owned()]].concat();
                    let of_image = run(&host, &with(&on_image));
                    is_done(&run(&host, &with(&on_packed)), &on_packed, &of_image);
                }
            }
        }
        assert!(host.bytes() == image, "{on_packed:?}");
        assert!(
            fs::read(host.path("packed")).unwrap() == packed,
            "{on_packed:?}"
        );
    }
}

#[test]
fn anything_else_is_named_and_refused() {
    let host = Host::new("esxi67-usb-passthru");
    add_inputs(&host);
    let taken = "bootbank takes a whole disk, an image file";
    let files: [(&str, Vec<u8>, &str); 4] = [
        ("text-file", b"no target at all\n".repeat(100), taken),
        ("zip", b"PK\x03\x04rubbish".to_vec(), "a zip archive"),
        ("bzip2", b"BZh91AY".to_vec(), "bzip2-compressed"),
        ("other.tgz", Vec::new(), taken),
    ];
    for (name, bytes, _) in &files {
        fs::write(host.path(name), bytes).unwrap();
    }
    sh(&host.path(""), "tar czf other.tgz text");
    for (name, _, says) in &files {
        let before = fs::read(host.path(name)).unwrap();
        for (command, _) in COMMANDS {
            let words = words(command, name);
            let ran = run(&host, &words);
            // Of an archive that holds no state it is not asked whether it has banks.
            let code = ran.code;
            assert!(code == 4 || code == 2, "{words:?}: {code} {}", ran.stderr);
            let all = format!("{}{}", ran.stdout, ran.stderr);
            let is_verify = words.first().is_some_and(|word| word == "verify");
            assert!(all.contains(says) || is_verify, "{words:?}: {all}");
        }
        assert!(fs::read(host.path(name)).unwrap() == before, "{name}");
    }
}

#[test]
fn options_about_banks_and_disks_are_refused_for_a_state_file() {
    let (host, _) = make("state.tgz", "esxi67-usb-passthru");
    for (option, says) in [
        (&["--bank", "5"][..], "--bank chooses a bank"),
        (&["--bank", "next"], "--bank chooses a bank"),
        (
            &["--sector-size", "512"],
            "--sector-size is about the sectors",
        ),
        (&["--in-place"], "--in-place is about the room in a bank"),
    ] {
        for way in [&[][..], &["-n"], &["--check"], &["-o", "copy"]] {
            let ran = host.run(&[&["fix", "backup"], option, way].concat());
            assert_eq!(ran.code, 2, "{option:?} {way:?}: {}", ran.stderr);
            assert!(
                ran.stderr.contains(says),
                "{option:?} {way:?}: {}",
                ran.stderr
            );
        }
        assert!(!host.path("copy").exists(), "{option:?}");
    }
    let ran = host.run(&["conf", "list", "backup", "--table", "gpt"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--table chooses a partition table"));
}

#[test]
fn the_list_of_kinds_in_the_documents_is_that_of_the_program() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/targets.md");
    let text = fs::read_to_string(docs).unwrap();
    let kinds = [
        "disk",
        "image",
        "packed-image",
        "virtual-disk",
        "nbd-export",
        "state-file",
    ];
    for kind in kinds {
        assert!(text.contains(&format!("| {kind} | ")), "{kind}");
    }
}
