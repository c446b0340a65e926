//! What is odd in a configuration and no error: kept byte for byte, reported, safe to show.

use super::images::{Ran, Scene, output};
use std::process::Command;

/// Lies of scripts/spoil-image that this module is about.
pub const NAMES: [&str; 5] = [
    "conf-line-not-utf8",
    "conf-line-unparsable",
    "conf-owner-line-odd",
    "conf-terminal-escapes",
    "conf-is-empty",
];

const CONF: &str = "etc/vmware/esx.conf";

/// esx.conf as gzip, tar and mtools see it.
fn esx_conf(scene: &Scene) -> Vec<u8> {
    // The first bank of the small image begins at sector 8224.
    let script = r#"mtype -i "$1@@4210688" ::/state.tgz | tar -xzO local.tgz | tar -xzO etc/vmware/esx.conf"#;
    output(
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(scene.target()),
    )
    .stdout
}

fn with_owner_given_back(conf: &[u8]) -> Vec<u8> {
    let text: Vec<Vec<u8>> = conf
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| match std::str::from_utf8(line) {
            Ok(text) if text.ends_with("/owner = \"passthru\"\n") => {
                text.replace("\"passthru\"", "\"vmkernel\"").into_bytes()
            }
            _ => line.to_vec(),
        })
        .collect();
    text.concat()
}

#[test]
fn odd_lines_are_kept_byte_for_byte_and_named_with_their_number() {
    for (lie, says) in [
        ("conf-line-not-utf8", "line 1 is not UTF-8"),
        ("conf-line-unparsable", "not of the form KEY = \"VALUE\""),
        (
            "conf-owner-line-odd",
            "line 1 looks like a passed-through device",
        ),
    ] {
        let scene = Scene::spoiled("esxi67-usb-passthru", lie);
        let before = esx_conf(&scene);
        let fix = scene.run(&["fix"]);
        assert_eq!(fix.code, 0, "{lie}: {fix:?}");
        let verified = scene.run(&["verify"]);
        assert_eq!(verified.code, 0, "{lie}: {verified:?}");
        assert!(verified.stdout.contains(says), "{lie}: {verified:?}");
        assert_eq!(esx_conf(&scene), with_owner_given_back(&before), "{lie}");
    }
}

#[test]
fn an_empty_esx_conf_names_no_device_and_is_said_to_have_been_looked_into() {
    let scene = Scene::spoiled("esxi67-usb-passthru", "conf-is-empty");
    let before = scene.digest();
    let fix = scene.run(&["fix", "--bank", "5"]);
    assert_eq!(fix.code, 0, "{fix:?}");
    assert!(
        fix.stdout
            .contains("nothing to change; searched state.tgz:etc/vmware/esx.conf")
    );
    assert_eq!(scene.digest(), before);
}

#[test]
fn nothing_from_the_medium_reaches_the_terminal_as_a_control_character() {
    for command in [
        &["fix", "-n", "--diff", "-v", "--color", "always"][..],
        &["pci", "list"],
        &["info"],
        &["verify"],
        &["ls"],
        &["pci", "set", "-n", "-d", "00:1f.9", "-e", "false"],
    ] {
        let scene = Scene::spoiled("esxi67-usb-passthru", "conf-terminal-escapes");
        let ran = scene.run(command);
        let styled = |text: &str| {
            // The program's own colours: select graphic rendition, and nothing else.
            let mut text = text.to_owned();
            for number in ["0", "1", "31", "32", "33", "1m\u{1b}[31", "1m\u{1b}[33"] {
                text = text.replace(&format!("\u{1b}[{number}m"), "");
            }
            text
        };
        for text in [styled(&ran.stdout), styled(&ran.stderr)] {
            let odd = text
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(odd, None, "{command:?}: {text}");
        }
    }
    let scene = Scene::spoiled("esxi67-usb-passthru", "conf-terminal-escapes");
    let listed = scene.run(&["pci", "list"]).stdout;
    assert!(listed.contains("\\u{1b}]0;owned\\u{7}"), "{listed}");
    // A file that is asked for is handed out as it is.
    let raw = Ran::new(scene.command(&["cat"]).arg(scene.target()).arg(CONF)).stdout;
    assert!(raw.contains("\u{1b}]0;owned\u{7}"), "{raw}");
}
