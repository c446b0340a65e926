//! What a change costs, or does not do, is said before a host shows it.

use crate::host::Host;
use std::fs;

const PLAIN: &str = "esxi67-usb-passthru";

/// What `boot.cfg` of a bank says, one line put in the place of another.
fn with_line(host: &Host, bank: u64, old: &str, new: &str) {
    let cfg = String::from_utf8(host.bank_file(bank, "boot.cfg")).unwrap();
    let line = |line: &str| match line.starts_with(old) {
        true => format!("{new}\n"),
        false => format!("{line}\n"),
    };
    let edited: String = cfg.lines().map(line).collect();
    assert_ne!(edited, cfg);
    host.put_bank_file(bank, "boot.cfg", edited.as_bytes());
}

#[test]
fn a_list_of_modules_without_the_vmkernel_needs_yes() {
    let host = Host::new(PLAIN);
    let before = host.bytes();
    let cfg = String::from_utf8(host.bank_file(5, "boot.cfg")).unwrap();
    let list = cfg
        .lines()
        .find_map(|it| it.strip_prefix("modules="))
        .unwrap();
    let without = |name: &str| {
        let others = list.split(" --- ").filter(|it| *it != name);
        others.collect::<Vec<_>>().join(" --- ")
    };
    let set = |list: &str| ["bootcfg", "set", "STICK", "modules", list].map(str::to_owned);
    for list in ["state.tgz", &without("k.b00")] {
        let change = set(list);
        let change: Vec<&str> = change.iter().map(String::as_str).collect();
        host.refuses(&change, 2, "the VMkernel is not among the modules");
        assert!(host.bytes() == before);
    }
    let change = set(&without("tools.t00"));
    let change: Vec<&str> = change.iter().map(String::as_str).collect();
    let said = host.run(&change);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stderr.contains("is not known"), "{}", said.stderr);
}

#[test]
fn a_kernel_option_in_other_capitals_is_named() {
    let host = Host::new(PLAIN);
    host.done(&[
        "kernelopt",
        "modify",
        "STICK",
        "-a",
        "noIOMMU=TRUE",
        "--no-undo",
    ]);
    for change in [["-d", "noiommu"], ["-a", "noiommu=FALSE"]] {
        let ran = host.run(&[&["kernelopt", "modify", "STICK", "-n"][..], &change].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let says = "the kernel option \"noIOMMU\" is there, in other capitals than \"noiommu\"";
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    for change in [
        &["-d", "noIOMMU"][..],
        &["-d", "noIOMMU", "-a", "noiommu=TRUE"],
    ] {
        let ran = host.run(&[&["kernelopt", "modify", "STICK", "-n"], change].concat());
        assert!(!ran.stderr.contains("other capitals"), "{}", ran.stderr);
    }
}

/// An upgrade takes the state of the old release over, and the host converts it when it starts.
#[test]
fn a_bank_before_its_first_boot_may_hold_the_state_of_the_old_release() {
    let host = Host::new(PLAIN);
    with_line(&host, 5, "build=", "build=8.0.2-0.0.22380479");
    let ran = host.run(&["verify", "--quick", "STICK"]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    with_line(&host, 5, "bootstate=", "bootstate=1");
    let ran = host.run(&["verify", "--quick", "STICK"]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    assert!(ran.stdout.contains("of an older release"), "{}", ran.stdout);
}

/// From 8.0 on the host's name is in a row: the line that an upgrade left is read no more.
#[test]
fn a_line_that_the_release_reads_no_more_is_named_when_it_is_changed() {
    let host = Host::new("esxi702-encrypted");
    let set = ["conf", "set", "STICK", "/adv/Misc/HostName", "new8", "-n"];
    let says = "does not read /adv/Misc/HostName of esx.conf";
    host.done(&[
        "conf",
        "set",
        "STICK",
        "/adv/Misc/HostName",
        "old7",
        "--no-undo",
    ]);
    let ran = host.run(&set);
    assert!(
        ran.code == 0 && !ran.stderr.contains(says),
        "{}",
        ran.stderr
    );
    for bank in [5, 6] {
        with_line(&host, bank, "build=", "build=8.0.2-0.0.22380479");
    }
    let ran = host.run(&set);
    assert!(ran.code == 0 && ran.stderr.contains(says), "{}", ran.stderr);
}

#[test]
fn a_state_of_another_host_is_told_of_when_it_is_imported() {
    let host = Host::new(PLAIN);
    host.done(&["state", "export", "STICK", "own.tgz"]);
    let other = host.path("other.img");
    fs::copy(&host.image, &other).unwrap();
    let other = other.to_str().unwrap();
    host.done(&[
        "conf",
        "set",
        "--no-undo",
        other,
        "/system/uuid",
        "5fb27665-83f4-b1f5-3e9f-000c29801686",
    ]);
    host.done(&[
        "conf",
        "set",
        "--no-undo",
        other,
        "/adv/Misc/HostName",
        "other.lab",
    ]);
    host.done(&["state", "export", other, "other.tgz"]);
    let says = "the state to import is of other.lab";
    for (file, is_said) in [("own.tgz", false), ("other.tgz", true)] {
        let ran = host.run(&["state", "import", "STICK", file, "-n"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.stderr.contains(says), is_said, "{}", ran.stderr);
    }
}
