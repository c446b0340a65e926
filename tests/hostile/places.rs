//! Files that cannot be read, written or made.

use super::holder::Holder;
use super::images::{Ran, Scene, output};
use crate::skipping::skipped;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

const PLAIN: &str = "esxi67-usb-passthru";

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn set_mode(scene: &Scene, mode: u32) {
    fs::set_permissions(scene.target(), Permissions::from_mode(mode)).unwrap();
}

/// Runs the program as an ordinary user: oneself, or nobody where that is root.
fn as_ordinary_user(scene: &Scene, arguments: &[&str]) -> Ran {
    let mut command = scene.command(arguments);
    if is_root() {
        scene.open_to_all();
        command.uid(65534).gid(65534);
        // The program itself may lie where nobody may go.
        let program = scene.file("bootbank");
        // By another process: a copy this one has open for writing cannot be run while a thread
        // beside it starts a program, which has the copy open until it is the other program.
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_bootbank"))
            .arg(&program)
            .status();
        assert!(copied.unwrap().success());
        let mut copied = Command::new(program);
        copied
            .args(arguments)
            .env("XDG_STATE_HOME", scene.file("state"))
            .uid(65534)
            .gid(65534);
        command = copied;
    }
    Ran::new(command.arg(scene.target()))
}

/// The error of a run that must have written nothing.
fn error(scene: &Scene, ran: &Ran, code: i32, kind: &str) -> (String, String) {
    assert_eq!(ran.code, code, "{ran:?}");
    let object = ran.object();
    assert_eq!(object["error"]["kind"], kind, "{object}");
    assert_eq!(scene.undo_files(), Vec::<std::path::PathBuf>::new());
    let text = |key: &str| object["error"][key].as_str().unwrap_or_default().to_owned();
    (text("message"), text("hint"))
}

#[test]
fn a_target_that_does_not_exist_is_named() {
    let scene = Scene::empty();
    for command in [
        &["fix", "--json"][..],
        &["info", "--json"],
        &["verify", "--json"],
    ] {
        let ran = scene.run(command);
        assert!(ran.code == 2 || ran.code == 5, "{ran:?}");
        let object = ran.object();
        let message = object["error"]["message"].as_str().unwrap();
        assert!(message.contains("stick.img"), "{message}");
    }
}

#[test]
fn a_directory_is_no_target() {
    let scene = Scene::empty();
    fs::create_dir(scene.target()).unwrap();
    let ran = scene.run(&["fix", "--json"]);
    assert!(ran.code != 0 && ran.code != 101, "{ran:?}");
    let object = ran.object();
    assert!(
        object["error"]["message"]
            .as_str()
            .unwrap()
            .contains("directory"),
        "{object}"
    );
}

#[test]
fn a_read_only_file_is_refused_and_the_hint_says_how_to_go_on() {
    let scene = Scene::sound(PLAIN);
    let before = scene.digest();
    set_mode(&scene, 0o444);
    let ran = as_ordinary_user(&scene, &["fix", "--json"]);
    let (message, hint) = error(&scene, &ran, 3, "refused");
    assert!(
        message.contains("stick.img") && message.contains("read-only"),
        "{message}"
    );
    assert!(hint.contains("-o"), "{hint}");
    assert_eq!(scene.digest(), before);
    assert_eq!(
        as_ordinary_user(&scene, &["verify"]).code,
        0,
        "looking is allowed"
    );
}

#[test]
fn without_permission_to_read_the_hint_says_what_an_ordinary_user_needs() {
    if !is_root() {
        skipped("it takes root to make a file that belongs to another");
        return;
    }
    let scene = Scene::sound(PLAIN);
    set_mode(&scene, 0o600);
    for command in [&["fix", "--json"][..], &["info", "--json"]] {
        let ran = as_ordinary_user(&scene, command);
        assert!(ran.code == 3 || ran.code == 5, "{ran:?}");
        let object = ran.object();
        let hint = object["error"]["hint"].as_str().unwrap_or_default();
        assert!(hint.contains("setfacl"), "{object}");
        // What helps with a disk does not with a file of root's.
        assert!(!hint.contains("udev"), "{object}");
        assert!(!hint.contains("join the group"), "{object}");
    }
}

#[test]
fn a_file_locked_by_another_is_left_alone() {
    let scene = Scene::sound(PLAIN);
    let before = scene.digest();
    let held = File::options()
        .read(true)
        .write(true)
        .open(scene.target())
        .unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let ran = scene.run(&["fix", "--json"]);
    let (message, hint) = error(&scene, &ran, 3, "refused");
    assert!(
        message.contains("stick.img") && message.contains("lock"),
        "{message}"
    );
    assert!(
        hint.contains("wait for the other program, or stop it"),
        "{hint}"
    );
    drop(held);
    assert_eq!(scene.digest(), before);
    assert_eq!(
        scene.run(&["fix"]).code,
        0,
        "and is treated once the lock is gone"
    );
}

/// Runs the program with a tmpfs of `size` bytes at $SMALL, in a mount namespace of its own;
/// `None` where there is no right to make one. `arguments` are shell text.
fn on_small_disk(scene: &Scene, size: &str, arguments: &str) -> Option<Ran> {
    let small = scene.file("small");
    fs::create_dir(&small).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size},mode=777 none \"$1\" 2>/dev/null || exit 77; shift; \"$@\" {arguments}"
    );
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    if !is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare
        .args(["sh", "-c", &script, "sh"])
        .arg(&small)
        .arg(env!("CARGO_BIN_EXE_bootbank"))
        .args(["--json", "--color", "never"])
        .env("XDG_STATE_HOME", scene.file("state"))
        .env("SMALL", &small)
        .env("STICK", scene.target());
    let done = output(&mut unshare);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.code() == Some(77) || said.contains("unshare:") {
        skipped("no right to mount a small file system here");
        return None;
    }
    Some(Ran {
        code: done.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
        stderr: said,
    })
}

#[test]
fn a_disk_that_fills_up_under_the_undo_file_leaves_the_target_alone() {
    let scene = Scene::sound(PLAIN);
    let before = scene.digest();
    let Some(ran) = on_small_disk(&scene, "16k", "fix -z \"$SMALL/undo\" \"$STICK\"") else {
        return;
    };
    let (message, hint) = error(&scene, &ran, 3, "refused");
    assert!(
        message.contains("undo file") && message.contains("No space"),
        "{message}"
    );
    assert!(hint.contains("nothing was written"), "{hint}");
    assert_eq!(scene.digest(), before);
}

#[test]
fn a_disk_that_fills_up_under_the_output_leaves_neither_copy_nor_rest() {
    let scene = Scene::sound(PLAIN);
    let before = scene.digest();
    // What is left on the small disk is listed after the program is gone, before the mount is.
    let arguments =
        "fix -o \"$SMALL/copy.img\" \"$STICK\"; code=$?; ls -A \"$SMALL\" >&2; exit $code";
    let Some(ran) = on_small_disk(&scene, "64k", arguments) else {
        return;
    };
    let (message, _) = error(&scene, &ran, 5, "io");
    assert!(
        message.contains("copy.img") && message.contains("room"),
        "{message}"
    );
    assert!(!ran.stderr.contains("partial"), "{ran:?}");
    assert_eq!(scene.digest(), before);
}

#[test]
fn copies_of_several_targets_never_take_one_name() {
    let scene = Scene::sound(PLAIN);
    let other = scene.file("other");
    fs::create_dir(&other).unwrap();
    let twin = other.join("stick.img");
    fs::copy(scene.target(), &twin).unwrap();
    let out = scene.file("out");
    fs::create_dir(&out).unwrap();
    let mut command = scene.command(&["fix", "--json", "--force", "-o"]);
    let ran = Ran::new(command.arg(&out).arg(scene.target()).arg(&twin));
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("stick.img"), "{ran:?}");
    assert_eq!(
        fs::read_dir(&out).unwrap().count(),
        0,
        "nothing was written"
    );
}

#[test]
fn a_copy_never_replaces_its_own_source() {
    let scene = Scene::sound(PLAIN);
    let before = scene.digest();
    let link = scene.file("link.img");
    std::os::unix::fs::symlink(scene.target(), &link).unwrap();
    for output in [scene.target(), link] {
        let mut command = scene.command(&["fix", "--force", "-o"]);
        let ran = Ran::new(command.arg(output).arg(scene.target()));
        assert!(matches!(ran.code, 2 | 3), "{ran:?}");
        assert_eq!(scene.digest(), before);
    }
}

/// Cuts an image to a few lengths and lets it grow again, over and over, until its input ends.
const CUT_AND_GROW: &str = "
import os, select, sys
path = sys.argv[1]
size = os.stat(path).st_size
print('ready', flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    for part in (0, 4096, size // 3, size):
        os.truncate(path, part)
";

#[test]
fn an_image_that_shrinks_and_grows_while_it_is_read_ends_no_reader_with_a_signal() {
    let scene = Scene::sound(PLAIN);
    let path = scene.target();
    let content = fs::read(&path).unwrap();
    for command in [&["info"][..], &["verify"], &["pci", "list"], &["fix", "-n"]] {
        for _ in 0..8 {
            fs::write(&path, &content).unwrap();
            let cutter = Holder::start("python3", &["-c", CUT_AND_GROW, path.to_str().unwrap()]);
            let run = output(scene.command(command).arg(&path));
            drop(cutter);
            // Whatever it made of what it read, it is an exit code of its own.
            let code = run.status.code();
            assert!(matches!(code, Some(0 | 2 | 4 | 5)), "{command:?}: {run:?}");
        }
    }
}
