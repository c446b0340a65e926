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

#[test]
fn help_and_usage_errors_are_in_colour_where_color_says_so() {
    let place = Place::new();
    let unknown = ["fix", "--unknown"];
    let no_value = ["info", "--bank"];
    for words in [
        &["--help"][..],
        &["fix", "--help"],
        &["help"],
        &unknown,
        &no_value,
        &[],
    ] {
        for (color, shown) in [
            (&["--color", "always"][..], true),
            (&["--color=always"], true),
            (&["--color=never"], false),
            (&["--color", "never"], false),
        ] {
            let arguments: Vec<&str> = color.iter().chain(words).copied().collect();
            let ran = place.run(&arguments);
            let said = ran.stdout() + &ran.stderr();
            assert_eq!(said.contains('\x1b'), shown, "{arguments:?}: {said}");
        }
    }
    // What stands behind the end of options is none.
    let ran = place.run(&["info", "--unknown", "--", "--color=always"]);
    assert!(!ran.stderr().contains('\x1b'), "{}", ran.stderr());
}

#[test]
fn no_colour_is_on_a_terminal_that_was_asked_for_none() {
    let place = Place::new();
    for (environment, arguments, shown) in [
        ("", "--unknown", true),
        ("", "--help", true),
        ("NO_COLOR=1", "--unknown", false),
        ("NO_COLOR=1", "--help", false),
        ("", "--color never --unknown", false),
        ("", "fix --help --color never", false),
        ("", "--color never", false),
    ] {
        let line = format!("env {environment} TERM=xterm {BOOTBANK} {arguments} </dev/null");
        let ran = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_remove("NO_COLOR")
            .current_dir(place.path())
            .output()
            .expect("script(1) is missing: scripts/test.sh installs it");
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(!said.is_empty());
        assert_eq!(said.contains("\x1b["), shown, "{line}: {said:?}");
    }
}

#[test]
fn a_directory_in_the_place_of_an_input_file_is_wrong_usage() {
    let place = Place::new();
    place.copy("esxi67-fresh", "a.img");
    place.copy("esxi70u1-both", "b.img");
    place.write(
        "plan.toml",
        "[[file]]\npath = \"etc/motd\"\nfrom = \"dir\"\n",
    );
    std::fs::create_dir(place.path().join("dir")).unwrap();
    let before = place.read("a.img");
    for line in [
        "put a.img dir etc/motd",
        "state import a.img dir",
        "apply dir a.img",
        "apply plan.toml a.img",
        "apply --host-map dir plan.toml a.img",
        "station --apply dir -y",
        "fix --from-file dir",
        "info --key-file dir a.img",
        "info --recovery-key dir a.img",
        "host set a.img --ssh-key dir",
        "store set b.img -c esx -g hardware -k pci_devices -i 0000:00:14.0 --file dir",
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        let ran = place.run(&arguments).expect(2);
        let said = ran.stderr();
        assert!(said.contains("dir is a directory"), "{line}: {said}");
    }
    let ran = redirected(&place, &["put", "a.img", "-", "etc/motd"], "<dir").expect(2);
    assert!(ran.stderr().contains("is a directory"), "{}", ran.stderr());
    assert_eq!(place.read("a.img"), before);
}

/// A shell gives the output of a command as a pipe with a name. Whoever looks at what a file is must not be taken for
/// its reader.
#[test]
fn what_is_read_from_a_named_pipe_is_all_of_it() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    let export = ["state", "export", "a.img", "s.tgz", "--bank", "5"];
    redirected(&place, &export, "").expect(0);
    redirected(&place, &["fix", "-q", "a.img"], "").expect(0);
    let piped = |arguments: &str| {
        let script = format!(
            "mkfifo p && {{ cat s.tgz >p & }} && timeout 60 \"$0\" {arguments}; code=$?; rm p; exit $code"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, BOOTBANK]);
        shell
            .current_dir(place.path())
            .env("XDG_STATE_HOME", place.path().join("state"));
        Run(shell.output().unwrap())
    };
    piped("state import --bank 5 -y a.img p").expect(0);
    redirected(&place, &["fix", "--check", "--bank", "5", "a.img"], "").expect(1);
    piped("put -y a.img p etc/kept.tgz").expect(0);
    redirected(&place, &["get", "a.img", "etc/kept.tgz", "back.tgz"], "").expect(0);
    assert_eq!(place.read("back.tgz"), place.read("s.tgz"));
}
