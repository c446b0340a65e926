//! Standard input and output that are not there, or are not what they should be.

use super::run::{BOOTBANK, Place, Run};
use std::process::Command;

/// The program with these redirections of a shell.
fn redirected(place: &Place, arguments: &[&str], redirections: &str) -> Run {
    let script = format!("exec \"$0\" \"$@\" {redirections}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script, BOOTBANK]).args(arguments);
    shell
        .current_dir(place.path())
        .env("XDG_STATE_HOME", place.path().join("state"));
    Run(shell.output().unwrap())
}

#[test]
fn a_standard_input_that_cannot_be_read_is_no_empty_file() {
    let place = Place::new();
    place.copy("esxi67-fresh", "a.img");
    place.write("plain", "text");
    let before = place.read("a.img");
    let put = ["put", "a.img", "-", "etc/motd"];
    for redirection in ["<&-", "0>plain", "0<>/dev/null"] {
        for arguments in [
            &put[..],
            &["apply", "-", "a.img"],
            &["state", "import", "a.img", "-"],
            &["info", "--from-file", "-"],
            &["info", "--recovery-key", "-", "a.img"],
        ] {
            let ran = redirected(&place, arguments, redirection).expect(5);
            let said = ran.stderr();
            assert!(said.contains("cannot read standard input"), "{said}");
        }
    }
    assert_eq!(place.read("a.img"), before);
    // Asked for in so many words, an empty file it is.
    redirected(&place, &put, "</dev/null").expect(0);
    assert_ne!(place.read("a.img"), before);
}

#[test]
fn a_standard_output_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    place.copy("esxi67-fresh", "a.img");
    let state = ["state", "export", "a.img", "s.tgz", "--bank", "5"];
    redirected(&place, &state, "").expect(0);
    let before = place.read("a.img");
    for arguments in [
        &["cat", "a.img", "etc/hosts"][..],
        &["get", "a.img", "etc/hosts", "-"],
        &["info", "a.img"],
        &["info", "--json", "a.img"],
        &["conf", "get", "a.img", "/system/uuid"],
        &["fix", "-o", "-", "a.img"],
        &["fix", "-o", "-", "s.tgz"],
        &["--version"],
        &["fix", "--help"],
        &["completions", "bash"],
        &["schema"],
        &["scan", "."],
    ] {
        let ran = redirected(&place, arguments, "1</dev/null").expect(5);
        let said = ran.stderr();
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
    assert_eq!(place.read("a.img"), before);
}
