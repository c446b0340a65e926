//! Little memory, few files, small files: each is an error in words, with nothing written.

use super::images::{Ran, Scene, output, succeed};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

const PLAIN: &str = "esxi67-usb-passthru";

/// The program on the target in a shell that has been given `limit` first.
fn limited(scene: &Scene, limit: &str, arguments: &[&str]) -> std::process::Output {
    let mut shell = Command::new("prlimit");
    shell
        .arg(limit)
        .arg(env!("CARGO_BIN_EXE_bootbank"))
        .args(arguments)
        .arg(scene.target())
        .env("XDG_STATE_HOME", scene.file("state"))
        .env("RUST_BACKTRACE", "0");
    output(&mut shell)
}

/// A state with a file of zeros of that many MiB in it, and another `beside` its inner archive, made by GNU
/// tar and gzip.
fn bomb(scene: &Scene, mebibytes: u32, beside: u32) -> String {
    let script = r#"
        set -e
        cd "$1"
        mkdir -p bomb/etc/vmware
        echo '/device/000:26.7/owner = "passthru"' > bomb/etc/vmware/esx.conf
        truncate -s "$2M" bomb/etc/zeros
        tar --format=ustar -C bomb -czf local.tgz etc
        truncate -s "$3M" pad
        tar --format=ustar -czf bomb.tgz local.tgz pad
    "#;
    let mut make = Command::new("sh");
    make.args(["-c", script, "sh"]);
    let sizes = [mebibytes, beside].map(|size| size.to_string());
    succeed(make.arg(scene.file("")).args(sizes));
    scene.file("bomb.tgz").to_str().unwrap().to_owned()
}

#[test]
fn little_memory_ends_with_an_error_and_no_signal_and_nothing_written() {
    let scene = Scene::sound(PLAIN);
    let before = scene.digest();
    let mut failed = 0;
    // Below that the dynamic loader itself does not get along.
    for mebibytes in (64..=160).step_by(8) {
        for arguments in [&["fix", "--check"][..], &["info"], &["verify"]] {
            let limit = format!("--as={}", mebibytes << 20);
            let done = limited(&scene, &limit, arguments);
            let said = String::from_utf8_lossy(&done.stderr);
            assert_eq!(done.status.signal(), None, "{limit} {arguments:?}: {said}");
            let code = done.status.code().unwrap();
            if !matches!(code, 0 | 1) {
                failed += 1;
                assert!(
                    matches!(code, 3 | 5),
                    "{limit} {arguments:?}: {code} {said}"
                );
                assert!(said.contains("memory"), "{limit} {arguments:?}: {said}");
            }
        }
    }
    println!("{failed} runs had too little memory");
    assert_eq!(scene.digest(), before);
}

#[test]
fn bombs_within_the_limit_for_each_have_one_budget_whatever_the_number_of_banks_and_threads() {
    let scene = Scene::sound(PLAIN);
    // Two of one archive each are within it, since one is packed after the other.
    let simple = bomb(&scene, 60, 0);
    let mut import = scene.command(&["state", "import", "--no-undo"]);
    succeed(import.arg(scene.target()).arg(&simple));
    let both = limited(&scene, "--as=500000000", &["fix", "-n"]);
    let said = String::from_utf8_lossy(&both.stderr);
    assert_eq!(both.status.code(), Some(0), "{said}");
    let bomb = bomb(&scene, 60, 60);
    let mut import = scene.command(&["state", "import", "--no-undo", "--max-unpacked", "512M"]);
    succeed(import.arg(scene.target()).arg(&bomb));
    let refused = Ran::new(
        scene
            .command(&["fix", "-n", "--max-unpacked", "32M"])
            .arg(scene.target()),
    );
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("--max-unpacked"), "{refused:?}");
    // Both banks at once are more than the budget; one by one they are not.
    let both = limited(&scene, "--as=700000000", &["fix", "-n"]);
    let said = String::from_utf8_lossy(&both.stderr);
    assert_eq!(both.status.code(), Some(3), "{said}");
    assert!(
        said.contains("--max-unpacked") && said.contains("--bank"),
        "{said}"
    );
    let one = limited(&scene, "--as=700000000", &["fix", "-n", "--bank", "5"]);
    assert_eq!(
        one.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&one.stderr)
    );
    // Four media on four threads hold no more than twice the budget together.
    let copies: Vec<String> = (0..3)
        .map(|copy| {
            let path = scene.file(&format!("{copy}.img"));
            succeed(
                Command::new("cp")
                    .arg("--sparse=always")
                    .args([scene.target(), path.clone()]),
            );
            path.to_str().unwrap().to_owned()
        })
        .collect();
    let mut arguments = vec!["fix", "-n", "-j", "4", "--bank", "5"];
    arguments.extend(copies.iter().map(String::as_str));
    let all = limited(&scene, "--as=1500000000", &arguments);
    assert_eq!(
        all.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&all.stderr)
    );
}

#[test]
fn few_files_and_small_files_are_said_to_be_the_reason() {
    let scene = Scene::sound(PLAIN);
    let before = scene.digest();
    let few = limited(&scene, "--nofile=6", &["fix"]);
    let said = String::from_utf8_lossy(&few.stderr);
    assert_eq!(few.status.code(), Some(5), "{said}");
    assert!(said.contains("ulimit -n"), "{said}");
    let copy = scene.file("copy.img");
    let small = limited(
        &scene,
        "--fsize=8192",
        &["fix", "-o", copy.to_str().unwrap()],
    );
    let said = String::from_utf8_lossy(&small.stderr);
    assert_eq!(small.status.code(), Some(5), "{said}");
    assert!(said.contains("File too large") && !copy.exists(), "{said}");
    assert!(said.contains("ulimit -f"), "{said}");
    let undo = limited(&scene, "--fsize=4096", &["fix"]);
    let said = String::from_utf8_lossy(&undo.stderr);
    assert_eq!(undo.status.code(), Some(3), "{said}");
    assert!(
        said.contains("undo file") && said.contains("File too large"),
        "{said}"
    );
    assert!(said.contains("ulimit -f"), "{said}");
    assert_eq!(scene.digest(), before);
}
