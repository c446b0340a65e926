//! Answers that must not be lost, and files that must not be lost to them.

use crate::run::{BOOTBANK, Place, Run};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

const PROFILE: &str = "esxi67-gpt";

#[test]
fn a_full_standard_output_is_an_error_and_stops_no_change() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    for arguments in [
        &["info", "a.img"][..],
        &["info", "--json", "a.img"],
        &["pci", "list", "a.img"],
        &["conf", "get", "a.img", "/system/uuid"],
        &["fix", "--check", "a.img"],
        &["completions", "bash"],
        &["fix", "a.img"],
    ] {
        let mut command = place.command(arguments);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{arguments:?}: {said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
    place.run(&["fix", "--check", "a.img"]).expect(0);
}

#[test]
fn a_reader_that_went_away_is_none() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    let script = "\"$0\" info a.img | true; exit ${PIPESTATUS[0]}";
    let mut bash = Command::new("bash");
    let status = bash
        .args(["-c", script, BOOTBANK])
        .current_dir(place.path())
        .stdout(Stdio::null())
        .status();
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn what_goes_wrong_before_a_target_is_looked_at_is_an_object_too() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    place.write("bad.undo", "no undo file");
    place.write("bad.toml", "no = [plan");
    for arguments in [
        &["undo", "--json", "bad.undo", "a.img"][..],
        &["undo", "--json", "absent.undo", "a.img"],
        &["apply", "--json", "bad.toml", "a.img"],
        &["fix", "--json", "-d", "no address", "a.img"],
        &["put", "--json", "a.img", "absent", "etc/motd"],
    ] {
        let ran = place.run(arguments);
        assert_ne!(ran.code(), 0, "{arguments:?}");
        let objects = ran.objects();
        assert_eq!(objects.len(), 1, "{arguments:?}");
        assert_eq!(objects[0]["target"], "a.img", "{arguments:?}");
        assert!(objects[0]["error"]["message"].is_string(), "{arguments:?}");
    }
}

#[test]
fn no_output_takes_the_place_of_the_stick() {
    let place = Place::new();
    let stick = place.copy(PROFILE, "a.img");
    fs::hard_link(&stick, place.path().join("same.img")).unwrap();
    let before = place.read("a.img");
    for name in ["a.img", "same.img"] {
        for arguments in [
            &["get", "--force", "a.img", "bank:boot.cfg", name][..],
            &["state", "export", "--force", "a.img", name],
        ] {
            let ran = place.run(arguments).expect(3);
            assert!(
                ran.stderr().contains("is both the source and the output"),
                "{arguments:?}"
            );
        }
    }
    assert!(place.read("a.img") == before);
}

#[test]
fn a_copy_is_no_more_readable_than_its_source() {
    let place = Place::new();
    let stick = place.copy(PROFILE, "a.img");
    for (mode, name) in [(0o600, "b.img"), (0o640, "c.img"), (0o600, "d.img.gz")] {
        fs::set_permissions(&stick, Permissions::from_mode(mode)).unwrap();
        place.run(&["fix", "-o", name, "a.img"]).expect(0);
        let made = fs::metadata(place.path().join(name)).unwrap();
        assert_eq!(made.permissions().mode() & 0o777 & !mode, 0, "{name}");
    }
}

#[test]
fn a_name_that_promises_another_packing_is_refused() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    for name in ["b.img.xz", "b.img.BZ2", "b.zip"] {
        place.run(&["fix", "-o", name, "a.img"]).expect(2);
        assert!(!place.path().join(name).exists(), "{name}");
    }
    place.run(&["fix", "-o", "b.img.GZ", "a.img"]).expect(0);
    assert_eq!(place.read("b.img.GZ")[..2], [0x1f, 0x8b]);
}

#[test]
fn a_plan_from_a_pipe_is_the_plan() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    place.write(
        "plan.toml",
        "[[device]]\naddress = \"passed-through\"\nowner = \"vmkernel\"\n",
    );
    for plan in ["/dev/stdin", "-"] {
        let input = File::open(place.path().join("plan.toml")).unwrap();
        // A file opened anew begins anew; a pipe does not.
        let mut cat = Command::new("cat")
            .stdin(input)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut command = place.command(&["apply", "--check", plan, "a.img"]);
        let output = command.stdin(cat.stdout.take().unwrap()).output().unwrap();
        cat.wait().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{plan}: {said}");
    }
    place.write("empty.toml", "\n");
    place.run(&["apply", "empty.toml", "a.img"]).expect(2);
}

#[test]
fn a_printed_command_can_be_pasted_whatever_the_name() {
    let place = Place::new();
    place.copy(PROFILE, "my stick.img");
    let ran = place.run(&["fix", "-z", "way back.undo", "my stick.img"]);
    let said = ran.expect(0).stderr();
    let line = said.split("to undo it: bootbank ").nth(1).unwrap();
    let line = line.lines().next().unwrap();
    let mut shell = Command::new("sh");
    let script = format!("\"$0\" {line}");
    let status = shell
        .args(["-c", &script, BOOTBANK])
        .current_dir(place.path())
        .stderr(Stdio::null())
        .status();
    assert!(status.unwrap().success(), "{line}");
    place.run(&["fix", "--check", "my stick.img"]).expect(1);
}

#[test]
fn a_hint_names_only_what_works() {
    let place = Place::new();
    let image = place.copy(PROFILE, "a.img");
    // Where there is no place for an undo file.
    let homeless = |arguments: &[&str]| {
        let mut command = place.command(arguments);
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
        Run(command.output().unwrap())
    };
    let said = homeless(&["fix", "a.img"]).expect(3).stderr();
    assert!(
        said.contains("-z FILE") && said.contains("--no-undo"),
        "{said}"
    );
    let said = homeless(&["fix", "--in-place", "-y", "a.img"])
        .expect(3)
        .stderr();
    assert!(
        said.contains("-z FILE") && !said.contains("--no-undo"),
        "{said}"
    );
    homeless(&["fix", "--in-place", "-y", "-z", "a.undo", "a.img"]).expect(0);
    homeless(&["undo", "a.undo", "a.img"]).expect(0);
    homeless(&["fix", "--no-undo", "a.img"]).expect(0);
    // Of an image that ends inside its first bank nothing can be read.
    let whole = fs::read(image).unwrap();
    place.write("cut.img", &whole[..6 << 20]);
    for command in ["info", "fix"] {
        let said = place.run(&[command, "cut.img"]).expect(4).stderr();
        assert!(said.contains("missing); no whole bank is there"), "{said}");
        assert!(said.contains("make the image again"), "{said}");
        assert!(!said.contains("bootbank info"), "{said}");
    }
}
