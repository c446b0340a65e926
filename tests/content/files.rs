use crate::host::{Host, STORE, differing};
use std::fs;

#[test]
fn a_file_put_in_is_added_as_the_hosts_own_are() {
    for profile in ["esxi67-usb-passthru", "esxi702-encrypted"] {
        let host = Host::new(profile);
        let before = host.unpacked(5, "before");
        fs::write(host.path("motd"), "hello\n").unwrap();
        host.done(&["put", "STICK", "motd", "/etc/motd", "--no-undo"]);
        let after = host.unpacked(5, "after");
        assert_eq!(differing(&before, &after), ["etc/motd"]);
        let (old, mut new) = (host.listing("before"), host.listing("after"));
        let added = new.pop().unwrap();
        assert_eq!(new, old, "{profile}");
        assert!(added.starts_with("-rw-r--r-- root/root"), "{added}");
        let time = |line: &str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            format!("{} {}", words[3], words[4])
        };
        let newest = old.iter().map(|line| time(line)).max().unwrap();
        assert_eq!(time(&added), newest);
        host.done(&["rm", "STICK", "etc/motd", "--no-undo"]);
        host.unpacked(5, "removed");
        assert_eq!(host.listing("removed"), old);
    }
}

#[test]
fn a_replaced_file_keeps_mode_owner_time_and_place() {
    let host = Host::new("esxi55-gpt");
    let before = host.unpacked(5, "before");
    let listed = host.listing("before");
    host.done(&["get", "STICK", "etc/hosts", "hosts"]);
    let old = fs::read(host.path("hosts")).unwrap();
    assert_eq!(old, fs::read(before.join("etc/hosts")).unwrap());
    let new: Vec<u8> = old.iter().map(u8::to_ascii_uppercase).collect();
    fs::write(host.path("hosts"), &new).unwrap();
    host.done(&["put", "STICK", "hosts", "etc/hosts"]);
    let after = host.unpacked(5, "after");
    assert_eq!(differing(&before, &after), ["etc/hosts"]);
    assert_eq!(host.listing("after"), listed);
    assert_eq!(fs::read(after.join("etc/hosts")).unwrap(), new);
}

#[test]
fn what_would_harm_is_refused() {
    let host = Host::new("esxi55-gpt");
    fs::write(host.path("f"), "x").unwrap();
    let long = format!("etc/{}", "d/".repeat(3000) + "f");
    let cases: [(&[&str], i32, &str); 11] = [
        (
            &["put", "STICK", "f", "etc/localtime"],
            3,
            "etc/localtime is a symbolic link",
        ),
        (
            &["put", "STICK", "f", "etc/vmware/hostd/config-copy.xml"],
            3,
            "is a hard link",
        ),
        (&["rm", "STICK", "etc/localtime"], 3, "is a symbolic link"),
        (
            &["put", "STICK", "f", "etc/vmware"],
            3,
            "etc/vmware is a directory",
        ),
        (&["put", "STICK", "f", "etc/../x"], 2, ".. component"),
        (&["put", "STICK", "f", &long], 2, "is too long"),
        (
            &["put", "STICK", "f", "etc/hosts/x"],
            2,
            "etc/hosts is not a directory",
        ),
        (
            &["put", "STICK", "f", "etc/vmware/esx.conf"],
            2,
            "no line of the form",
        ),
        (
            &["rm", "STICK", "etc/vmware/esx.conf"],
            3,
            "to boot with this configuration",
        ),
        (&["rm", "STICK", "etc/nix"], 2, "holds no file etc/nix"),
        (
            &["put", "STICK", "f", "bank:boot.cfg"],
            3,
            "are not replaced as files",
        ),
    ];
    for (arguments, code, says) in cases {
        host.refuses(arguments, code, says);
    }
    let host = Host::new("esxi702-encrypted");
    fs::write(host.path("f"), "x").unwrap();
    host.refuses(&["put", "STICK", "f", STORE], 4, "SQLite header");
    host.refuses(
        &["rm", "STICK", STORE],
        3,
        "to boot with this configuration",
    );
}

#[test]
fn source_date_epoch_dates_what_is_new_and_only_that() {
    let host = Host::new("esxi702-encrypted");
    host.unpacked(5, "before");
    fs::write(host.path("f"), "x").unwrap();
    let put = |path| {
        host.run_at(
            Some("1700000000"),
            &["put", "STICK", "f", path, "--no-undo"],
        )
    };
    assert_eq!((put("etc/motd").code, put("etc/hosts").code), (0, 0));
    let row = [
        "-c",
        "esx",
        "-g",
        "system",
        "-k",
        "keyboard",
        r#"{"layout":"German"}"#,
    ];
    let set = [&["store", "set", "STICK", "--no-undo"], &row[..]].concat();
    assert_eq!(host.run_at(Some("1700000000"), &set).code, 0);
    let after = host.unpacked(5, "after");
    let dated = |line: &&String| line.contains("2023-11-14");
    let new = host.listing("after");
    let new: Vec<_> = new.iter().filter(dated).collect();
    assert_eq!(new.len(), 1, "{new:?}");
    assert!(new[0].ends_with("etc/motd"));
    let rows = "SELECT Name FROM Config WHERE ModifiedTime = '2023-11-14 22:13:20'";
    assert_eq!(crate::host::sqlite(&after.join(STORE), rows), "keyboard\n");
}
