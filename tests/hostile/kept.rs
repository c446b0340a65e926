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
        let fix = scene.run(&["fix", "--json"]);
        let doubtful = lie == "conf-owner-line-odd";
        assert_eq!(fix.code, if doubtful { 6 } else { 0 }, "{lie}: {fix:?}");
        let object = fix.object();
        assert_eq!(object["outcome"], "changed", "{object}");
        assert_eq!(object["error"].is_object(), doubtful, "{object}");
        let verified = scene.run(&["verify"]);
        assert_eq!(verified.code, 0, "{lie}: {verified:?}");
        assert!(verified.stdout.contains(says), "{lie}: {verified:?}");
        assert_eq!(esx_conf(&scene), with_owner_given_back(&before), "{lie}");
    }
    let scene = Scene::spoiled("esxi67-usb-passthru", "conf-line-not-utf8");
    let target = scene.target();
    let arguments = ["conf", "get", target.to_str().unwrap(), "/a/b"];
    let ran = Ran::new(scene.command(&[]).args(arguments));
    assert_eq!(ran.code, 2, "{ran:?}");
    let says = "line 1 of esx.conf names `/a/b` but is not UTF-8 text";
    assert!(ran.stderr.contains(says), "{ran:?}");
}

#[test]
fn a_doubtful_owner_line_matters_to_edits_of_owners_alone() {
    let scene = Scene::spoiled("esxi67-usb-passthru", "conf-owner-line-odd");
    let file = scene.file("motd");
    std::fs::write(&file, "x\n").unwrap();
    let target = scene.target();
    let target = target.to_str().unwrap();
    for arguments in [
        &["conf", "set", target, "/adv/Misc/HostName", "esx1"][..],
        &["put", target, file.to_str().unwrap(), "etc/motd"],
    ] {
        for outcome in ["changed", "unchanged"] {
            let ran = Ran::new(scene.command(&["--json"]).args(arguments));
            assert_eq!(ran.code, 0, "{ran:?}");
            assert_eq!(ran.object()["outcome"], outcome);
        }
    }
    let set = |address: &str| {
        let arguments = ["pci", "set", target, "-y", "-d", address, "-e", "false"];
        Ran::new(scene.command(&["--json"]).args(arguments))
    };
    for outcome in ["changed", "unchanged"] {
        let ran = set("0000:00:14.0");
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(ran.object()["outcome"], outcome);
        assert!(ran.stderr.contains("line 1 looks like"), "{ran:?}");
    }
    assert_eq!(set("0000:00:1d.0").code, 0);
    let of_that_line = set("0000:00:1d.0");
    assert_eq!(of_that_line.code, 4, "{of_that_line:?}");
    assert_eq!(scene.run(&["fix"]).code, 4);
    let again = scene.run(&["fix"]);
    assert_eq!(again.code, 4, "{again:?}");
    assert!(again.stderr.contains("that may be wrong"), "{again:?}");
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
fn the_name_of_a_file_forges_no_line_and_no_order_of_text() {
    let scene = Scene::sound("esxi67-usb-passthru");
    let name = "x\nerror: forged\u{202e}\u{9b}31m.img";
    let target = scene.file(name);
    std::fs::rename(scene.target(), &target).unwrap();
    let conf = scene.file("x\nerror: forged.conf");
    std::fs::write(&conf, "").unwrap();
    let output = scene.file("out\nerror: forged/");
    let undo = scene.file("u\nerror: forged.undo");
    let (output, undo) = (output.to_str().unwrap(), undo.to_str().unwrap());
    for arguments in [
        &["info"][..],
        &["verify"],
        &["ls"],
        &["pci", "list"],
        &["bank", "list"],
        &["fix", "-n", "-v"],
        &["fix", "-o", output],
        &["fix", "-v", "-z", undo],
        &["fix", "-z", undo],
        &["reclaim", "--sector-size", "4096"],
        &["diff", "--banks"],
        &["apply", conf.to_str().unwrap()],
    ] {
        let ran = Ran::new(scene.command(arguments).arg(&target));
        for text in [&ran.stdout, &ran.stderr] {
            assert!(
                !text.lines().any(|line| line.starts_with("error: forged")),
                "{arguments:?}: {text}"
            );
            let odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert_eq!(
                text.chars().find(|c| odd(*c)),
                None,
                "{arguments:?}: {text}"
            );
        }
        // What is said to be run can be run.
        for command in ran.stderr.split("bootbank undo ").skip(1) {
            let command = command.lines().next().unwrap();
            let printed = output_of_bash(command);
            assert_eq!(printed, format!("{undo}\n{}\n", target.display()));
        }
    }
    let ran = Ran::new(scene.command(&["info", "--json"]).arg(&target));
    assert!(ran.stdout.is_ascii(), "{}", ran.stdout);
    assert_eq!(ran.object()["target"], target.to_str().unwrap());
}

/// What bash makes of the words of a command, each on a line.
fn output_of_bash(words: &str) -> String {
    let done = output(Command::new("bash").args(["-c", &format!("printf '%s\\n' {words}")]));
    String::from_utf8(done.stdout).unwrap()
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
