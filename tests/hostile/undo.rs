//! Undo files that are not what they say.

use super::images::{Ran, Scene, succeed};
use super::repair;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PLAIN: &str = "esxi67-usb-passthru";

/// A changed target and the undo file of the change.
fn changed() -> (Scene, PathBuf) {
    let scene = Scene::sound(PLAIN);
    let undo = scene.file("undo");
    let mut command = scene.command(&["fix", "-q", "-z"]);
    succeed(command.arg(&undo).arg(scene.target()));
    (scene, undo)
}

fn undo(scene: &Scene, file: &Path) -> Ran {
    Ran::new(
        scene
            .command(&["undo", "--json"])
            .arg(file)
            .arg(scene.target()),
    )
}

/// The file with its members changed, and checksums that are right again.
pub fn members(file: &[u8], change: impl Fn(&str, &mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let members = repair::tar(&mut bytes);
    let members: Vec<(String, Vec<u8>)> = members
        .into_iter()
        .map(|(name, place)| {
            let mut content = bytes[place].to_vec();
            change(&name, &mut content);
            (name, content)
        })
        .collect();
    repair::undo(&repair::make_tar(&members))
}

fn manifest(file: &[u8], change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    members(file, |name, content| {
        if name == "manifest.json" {
            let mut value = serde_json::from_slice(content).unwrap();
            change(&mut value);
            *content = serde_json::to_vec(&value).unwrap();
        }
    })
}

#[test]
fn each_way_an_undo_file_can_be_wrong_has_its_own_error_and_nothing_is_written() {
    let (scene, file) = changed();
    let sound = fs::read(&file).unwrap();
    let before = scene.digest();
    let half = sound[..sound.len() / 2 / 512 * 512].to_vec();
    let mut flipped = sound.clone();
    let last = flipped.iter().rposition(|byte| *byte == b'0').unwrap();
    flipped[last] = b'1';
    let cases: [(&str, Vec<u8>, i32, &str); 9] = [
        (
            "undo-empty",
            Vec::new(),
            4,
            "MANIFEST|SHA256SUMS|not an undo file",
        ),
        (
            "undo-not-a-tar",
            b"no tar at all".repeat(90),
            4,
            "not an undo file",
        ),
        ("undo-cut-off", half, 4, "not an undo file|has no member"),
        (
            "undo-checksum-wrong",
            flipped,
            4,
            "checksum|lists|has no member|not an undo file",
        ),
        (
            "undo-of-another-format",
            manifest(&sound, |it| it["format"] = "bootbank.undo/9".into()),
            4,
            "bootbank.undo/9",
        ),
        (
            "undo-for-another-size",
            manifest(&sound, |it| it["medium_size"] = (1u64 << 40).into()),
            3,
            "another",
        ),
        (
            "undo-sector-size-absurd",
            manifest(&sound, |it| it["sector_size"] = 3.into()),
            4,
            "sector size 3",
        ),
        (
            "undo-writes-the-boot-sector",
            manifest(&sound, |it| {
                it["allowed"] = serde_json::json!([[0, 1u64 << 40]]);
                it["steps"][0]["sectors"][0][0] = 0.into();
            }),
            3,
            "sector 0|steps disagree|neither",
        ),
        (
            "undo-sectors-past-every-number",
            manifest(&sound, |it| {
                it["allowed"] = serde_json::json!([[0, u64::MAX]]);
                it["steps"][0]["sectors"][0][0] = (u64::MAX - 1).into();
            }),
            4,
            "twice|past the end",
        ),
    ];
    for (name, bytes, code, says) in cases {
        let path = scene.file(name);
        fs::write(&path, bytes).unwrap();
        let ran = undo(&scene, &path);
        assert_eq!(ran.code, code, "{name}: {ran:?}");
        assert!(
            says.split('|').any(|part| ran.stderr.contains(part)),
            "{name}: {}",
            ran.stderr
        );
        assert_eq!(scene.digest(), before, "{name}");
    }
    assert_eq!(undo(&scene, &file).code, 0, "the sound one still does");
}

#[test]
fn an_undo_file_without_end_is_not_read_to_its_end() {
    let (scene, _) = changed();
    let ran = Ran::new(scene.command(&["undo", "/dev/zero"]).arg(scene.target()));
    assert!(matches!(ran.code, 2..=4), "{ran:?}");
}

#[test]
fn a_member_full_of_holes_does_not_fill_the_memory() {
    let (scene, file) = changed();
    let directory = scene.file("sparse");
    fs::create_dir(&directory).unwrap();
    let sparse = directory.join("step-0.old");
    fs::File::create(&sparse).unwrap().set_len(8 << 30).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--format=gnu", "--sparse", "-cf"])
        .arg(scene.file("holes"))
        .arg("-C")
        .arg(&directory);
    succeed(tar.arg("step-0.old"));
    let ran = undo(&scene, &scene.file("holes"));
    assert_eq!(ran.code, 4, "{ran:?}");
    drop(file);
}

#[test]
fn checksums_that_name_one_member_again_and_again_are_refused() {
    let (scene, file) = changed();
    let mut bytes = fs::read(&file).unwrap();
    let members = repair::tar(&mut bytes);
    let members: Vec<(String, Vec<u8>)> = members
        .into_iter()
        .map(|(name, place)| {
            let mut content = bytes[place].to_vec();
            if name == "SHA256SUMS" {
                let line = content
                    .split_inclusive(|byte| *byte == b'\n')
                    .next()
                    .unwrap()
                    .to_vec();
                content.extend(line.repeat(100));
            }
            (name, content)
        })
        .collect();
    let path = scene.file("again");
    fs::write(&path, repair::make_tar(&members)).unwrap();
    let ran = undo(&scene, &path);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("twice"), "{}", ran.stderr);
}

#[test]
fn what_an_undo_file_says_of_itself_cannot_drive_a_terminal() {
    let (scene, file) = changed();
    let bytes = manifest(&fs::read(&file).unwrap(), |it| {
        it["about"]["target"] = "/nonexistent/\u{1b}]0;owned\u{7}".into();
        it["about"]["\u{1b}[2J"] = "\u{9b}31m".into();
        it["steps"][0]["why"] = "\u{1b}[2J".into();
    });
    let path = scene.file("escapes");
    fs::write(&path, bytes).unwrap();
    let alone = Ran::new(scene.command(&["undo", "-v"]).arg(&path));
    let with_stick = Ran::new(
        scene
            .command(&["undo", "-v"])
            .arg(&path)
            .arg(scene.target()),
    );
    for ran in [alone, with_stick] {
        let text = ran.stdout.clone() + &ran.stderr;
        let odd = text.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(odd, None, "{ran:?}");
    }
}
