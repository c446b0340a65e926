use crate::host::{Host, STORE, differing};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn diff_finds_the_files_that_diff_r_finds_in_the_unpacked_trees() {
    let host = Host::new("esxi702-encrypted");
    let before = host.unpacked(5, "before");
    let original = host.copy("original.img");
    let original = original.to_str().unwrap();
    assert_eq!(host.run(&["diff", original, "STICK"]).code, 0);
    fs::write(host.path("f"), "x\n").unwrap();
    host.done(&["put", "STICK", "f", "etc/motd", "--no-undo"]);
    host.done(&["put", "STICK", "f", "etc/hosts", "--no-undo"]);
    host.done(&["put", "STICK", "f", "etc/shadow", "--no-undo"]);
    host.done(&["rm", "STICK", "etc/resolv.conf", "--no-undo"]);
    host.done(&["conf", "set", "STICK", "/system/uuid", "u", "--no-undo"]);
    let row = ["-c", "esx", "-g", "system", "-k", "keyboard"];
    host.done(
        &[
            &[
                "store",
                "set",
                "STICK",
                r#"{"layout":"German"}"#,
                "--no-undo",
            ],
            &row[..],
        ]
        .concat(),
    );
    host.done(&["kernelopt", "modify", "STICK", "-a", "new=1", "--no-undo"]);
    let ran = host.run(&["diff", original, "STICK", "--json", "--bank", "5"]);
    assert_eq!(ran.code, 1);
    let object = ran.json();
    let found: Vec<_> = object["differences"].as_array().unwrap().iter().collect();
    let member = |difference: &&serde_json::Value| match difference["kind"].as_str().unwrap() {
        "file" => Some(difference["key"].as_str().unwrap().to_owned()),
        "conf" => Some("etc/vmware/esx.conf".to_owned()),
        "store" => Some(STORE.to_owned()),
        _ => None,
    };
    let members: BTreeSet<String> = found.iter().filter_map(member).collect();
    let after = host.unpacked(5, "after");
    let expected: BTreeSet<String> = differing(&before, &after).into_iter().collect();
    assert_eq!(members, expected);
    let kernelopt = found.iter().find(|d| d["kind"] == "kernelopt").unwrap();
    assert_eq!(
        (&kernelopt["key"], &kernelopt["b"]),
        (&"new".into(), &"new=1".into())
    );
    let shadow = found.iter().find(|d| d["key"] == "etc/shadow").unwrap();
    assert_eq!(
        (&shadow["a"], &shadow["b"]),
        (&"(hidden)".into(), &"(hidden)".into())
    );
}

#[test]
fn files_whose_names_are_not_utf8_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    // GNU tar and gzip make the states; the names differ in bytes that are not UTF-8.
    let script = r#"
        set -e
        cd "$1"
        make() {
            mkdir -p "$1/etc/vmware"
            echo '/a = "1"' > "$1/etc/vmware/esx.conf"
            printf %s "$3" > "$1/$(printf "$2")"
            tar --format=ustar -C "$1" -cf - . | gzip -n > local.tgz
            tar --format=ustar -cf - local.tgz | gzip -n > "$1.tgz"
        }
        make a 'etc/x\377' one
        make b 'etc/x\376' one
        make c 'etc/x\377' two
    "#;
    let mut make = std::process::Command::new("sh");
    make.args(["-c", script, "sh"]).arg(directory.path());
    assert!(make.status().unwrap().success());
    let diff = |a: &str, b: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command.args(["diff", a, b]).current_dir(directory.path());
        let done = command.output().unwrap();
        (
            done.status.code().unwrap(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
        )
    };
    assert_eq!(diff("a.tgz", "a.tgz"), (0, String::new()));
    let (code, text) = diff("a.tgz", "b.tgz");
    assert_eq!(code, 1);
    assert!(
        text.contains(r"etc/x\xff") && text.contains(r"etc/x\xfe"),
        "{text}"
    );
    let (code, text) = diff("a.tgz", "c.tgz");
    assert_eq!(code, 1);
    assert!(
        text.contains(r"etc/x\xff") && text.contains("-one"),
        "{text}"
    );
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    let host = Host::new("esxi67-usb-passthru");
    fs::write(host.path("f"), "root:old-hash\n").unwrap();
    host.done(&["put", "STICK", "f", "etc/shadow", "--no-undo"]);
    let original = host.copy("original.img");
    let original = original.to_str().unwrap();
    fs::write(host.path("f"), "root:secret-hash\n").unwrap();
    let put = host.done(&["put", "STICK", "f", "etc/shadow", "--no-undo", "--diff"]);
    assert!(!put.contains("-hash"), "{put}");
    let hidden = host.run(&["diff", original, "STICK"]);
    assert_eq!(hidden.code, 1);
    assert!(hidden.stdout.contains("etc/shadow") && !hidden.stdout.contains("secret-hash"));
    let shown = host.run(&["diff", original, "STICK", "--show-secrets"]);
    assert!(
        shown.stdout.contains("+root:secret-hash"),
        "{}",
        shown.stdout
    );
}

#[test]
fn packing_is_no_difference() {
    let host = Host::new("esxi67-usb-passthru");
    let directory = host.unpacked(5, "tree");
    let mut tar = std::process::Command::new("tar");
    tar.args(["--format=ustar", "--sort=name", "-cf", "local.tar", "-C"]);
    crate::host::run(tar.current_dir(host.path("")).arg(&directory).arg("etc"));
    let script = "gzip -9n <local.tar >local.tgz && tar czf state.tgz local.tgz";
    let mut shell = std::process::Command::new("sh");
    crate::host::run(shell.args(["-c", script]).current_dir(host.path("")));
    let ran = host.run(&["diff", "STICK", "state.tgz"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
}

#[test]
fn damaged_and_sealed_inputs_are_errors_and_no_difference() {
    let host = Host::new("esxi702-sealed");
    let other = Host::new("esxi702-encrypted");
    let state = other.bank_file(5, "STATE.TGZ");
    fs::write(host.path("good.tgz"), &state).unwrap();
    fs::write(host.path("cut.tgz"), &state[..1000]).unwrap();
    fs::write(host.path("cut.img"), &host.bytes()[..100_000]).unwrap();
    fs::write(host.path("text"), "no medium").unwrap();
    host.refuses(&["diff", "good.tgz", "STICK"], 3, "sealed");
    host.refuses(&["diff", "good.tgz", "cut.tgz"], 4, "cut off");
    host.refuses(&["diff", "cut.img", "good.tgz"], 4, "cut.img");
    host.refuses(&["diff", "good.tgz", "text"], 4, "text");
    assert_eq!(host.run(&["diff", "good.tgz", "good.tgz"]).code, 0);
}
