//! What the program says of itself, held against the files made from it.

use crate::run::{Place, repository};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// After a change of the command line: `scripts/make-docs`.
#[test]
fn the_reference_and_the_schemas_are_those_of_the_program() {
    let place = Place::new();
    let reference = place.run(&["reference"]).expect(0).stdout();
    let kept = fs::read_to_string(repository("docs/cli.md")).unwrap();
    assert!(
        reference == kept,
        "docs/cli.md is not the program's: run scripts/make-docs"
    );
    let names = place.run(&["schema"]).expect(0).stdout();
    for name in names.lines() {
        let schema = place.run(&["schema", name]).expect(0).stdout();
        let kept = fs::read_to_string(repository(&format!("docs/schema/{name}.json"))).unwrap();
        assert!(
            schema == kept,
            "docs/schema/{name}.json is not the program's: run scripts/make-docs"
        );
        serde_json::from_str::<Value>(&schema).unwrap();
    }
    let files = fs::read_dir(repository("docs/schema")).unwrap().count();
    assert_eq!(files, names.lines().count());
    place.run(&["schema", "none"]).expect(2);
}

#[test]
fn no_paragraph_of_a_help_text_is_broken_before_the_line_is_full() {
    let reference = fs::read_to_string(repository("docs/cli.md")).unwrap();
    let texts = reference
        .split("```")
        .filter_map(|it| it.strip_prefix("text\n"));
    for text in texts {
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            if is_prose(pair[0]) && is_prose(pair[1]) && !pair[0].ends_with(':') {
                let word = pair[1].split(' ').next().unwrap();
                let joined = pair[0].len() + 1 + word.len();
                assert!(joined > 100, "{pair:#?}");
            }
        }
    }
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    for asked in [
        &["--help"][..],
        &["--version"],
        &["help"],
        &["fix", "--help"],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let run = place.command(asked).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(5), "{asked:?}: {said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
        // Whoever reads no further has read enough.
        let script = "\"$0\" \"$@\" | true; exit ${PIPESTATUS[0]}";
        let mut bash = Command::new("bash");
        bash.args(["-c", script, crate::run::BOOTBANK]).args(asked);
        assert_eq!(bash.status().unwrap().code(), Some(0), "{asked:?}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command_and_completions_that_shells_can_read() {
    let place = Place::new();
    place.run(&["man", "man1"]).expect(0);
    for page in [
        "bootbank",
        "bootbank-fix",
        "bootbank-pci-set",
        "bootbank-apply",
    ] {
        let text = fs::read_to_string(place.path().join(format!("man1/{page}.1"))).unwrap();
        let sections: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .map(|section| section.trim_matches('"'))
            .collect();
        let wanted = [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXIT STATUS",
            "FILES",
            "EXAMPLES",
            "SEE ALSO",
        ];
        let found = wanted.iter().filter(|it| sections.contains(it)).count();
        assert_eq!(found, wanted.len(), "{page}: {sections:?}");
        assert!(text.contains(".TH"), "{page}: {text}");
    }
    let fix = fs::read_to_string(place.path().join("man1/bootbank-fix.1")).unwrap();
    let help = place.run(&["fix", "--help"]).expect(0).stdout();
    let examples = help.split("Examples:").nth(1).unwrap();
    for example in examples.lines().filter(|line| !line.is_empty()) {
        let kept = example.replace('-', "\\-");
        assert!(
            fix.contains(&kept),
            "a line of its own, and not wrapped: {kept}\n{fix}"
        );
    }
    assert!(!place.path().join("man1/bootbank-reference.1").exists());
    let script = place.run(&["completions", "bash"]).expect(0).stdout();
    // Of --only, --with and --without of `seal`.
    assert_eq!(script.matches("vmkernel-mac").count(), 3);
    place.write("completions", script);
    let read = Command::new("bash")
        .arg("-n")
        .arg(place.path().join("completions"))
        .status();
    assert!(read.unwrap().success());
    for shell in ["zsh", "fish"] {
        assert!(
            place
                .run(&["completions", shell])
                .expect(0)
                .stdout()
                .contains("apply")
        );
    }
    place.run(&["completions", "tcsh"]).expect(2);
}
