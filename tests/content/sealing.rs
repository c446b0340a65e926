use crate::host::{Host, STORE, differing, sqlite};
use std::fs;
use std::path::Path;

/// What an operation is to have changed: files that `diff -r` finds.
const EFFECTS: [(&str, &[&str]); 6] = [
    ("system-uuid", &["etc/vmware/esx.conf"]),
    (
        "ssh-host-keys",
        &["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub"],
    ),
    (
        "certificate",
        &["etc/vmware/ssl/rui.crt", "etc/vmware/ssl/rui.key"],
    ),
    ("scratch", &["etc/vmware/locker.conf"]),
    ("dhcp-leases", &[]),
    ("licence", &[]),
];

#[test]
fn each_operation_takes_out_what_it_says_and_nothing_else() {
    for profile in ["esxi55-gpt", "esxi67-usb-passthru", "esxi702-encrypted"] {
        let host = Host::new(profile);
        let image = host.bytes();
        let before = host.unpacked(5, "before");
        for (operation, expected) in EFFECTS {
            host.done(&["seal", "STICK", "--only", operation, "--no-undo"]);
            let after = host.unpacked(5, operation);
            assert_eq!(
                differing(&before, &after),
                expected,
                "{profile} {operation}"
            );
            fs::write(&host.image, &image).unwrap();
        }
    }
}

fn conf(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join("etc/vmware/esx.conf")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn uuid_and_mac_addresses_leave_esx_conf_line_by_line() {
    let host = Host::new("esxi67-usb-passthru");
    let before = host.unpacked(5, "before");
    host.done(&[
        "seal",
        "STICK",
        "--only",
        "system-uuid,vmkernel-mac,follow-hardware-mac",
    ]);
    let after = host.unpacked(5, "after");
    assert_eq!(differing(&before, &after), ["etc/vmware/esx.conf"]);
    let gone = |line: &&String| {
        line.starts_with("/system/uuid ")
            || (line.starts_with("/net/vmkernelnic/") && line.contains("/mac "))
    };
    let mut new = conf(&after);
    new.retain(|line| line != "/adv/Net/FollowHardwareMac = \"1\"");
    let old = conf(&before);
    let expected: Vec<String> = old.iter().filter(|line| !gone(line)).cloned().collect();
    assert_eq!(expected.len() + 2, old.len());
    assert_eq!(new.len() + 1, conf(&after).len());
    assert_eq!(new, expected);
}

#[test]
fn a_real_state_is_sealed_and_comes_back_by_undo() {
    let Some(host) = Host::real() else { return };
    let image = host.bytes();
    let before = host.unpacked(5, "before");
    let ran = host.run(&["seal", "STICK", "--with", "licence", "-z", "undo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for said in [
        "virtual machines with passed-through",
        "vcenter: not changed",
        "iqn.",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
    let after = host.unpacked(5, "after");
    let expected = [
        "etc/dhclient-vmk0.leases",
        "etc/hosts",
        "etc/ssh/ssh_host_ecdsa_key",
        "etc/ssh/ssh_host_ecdsa_key.pub",
        "etc/ssh/ssh_host_rsa_key",
        "etc/ssh/ssh_host_rsa_key.pub",
        "etc/vmware/esx.conf",
        "etc/vmware/license.cfg",
        "etc/vmware/locker.conf",
        "etc/vmware/ssl/rui.crt",
        "etc/vmware/ssl/rui.key",
        STORE,
    ];
    assert_eq!(differing(&before, &after), expected);
    let lines = conf(&before);
    let gone = [
        "/system/uuid ",
        "/adv/Misc/HostName ",
        "/adv/Misc/HostIPAddr ",
        "/adv/Net/ManagementAddr ",
    ];
    let kept = lines
        .iter()
        .filter(|line| !gone.iter().any(|key| line.starts_with(key)));
    assert_eq!(conf(&after), kept.cloned().collect::<Vec<_>>());
    let vmk0 = "SELECT VitalValue FROM Config WHERE Identifier = 'vmk0'";
    assert_eq!(sqlite(&after.join(STORE), vmk0), "{\"device\":\"vmk0\"}\n");
    let vmnic0 = "SELECT VitalValue FROM Config WHERE Identifier = 'vmnic0'";
    let [old, new] = [&before, &after].map(|tree| sqlite(&tree.join(STORE), vmnic0));
    // The hardware's own address stays.
    assert_eq!(
        new,
        old.replace(",\"virtual_mac\":\"00:50:56:52:4d:28\"", "")
    );
    assert_ne!(new, old);
    let rest = "SELECT * FROM Config WHERE Identifier NOT IN ('vmk0', 'vmnic0') ORDER BY 1,2,3,4";
    let [old, new] = [&before, &after].map(|tree| sqlite(&tree.join(STORE), rest));
    assert_eq!(old, new);
    let again = host.done(&["seal", "STICK", "--with", "licence", "--check"]);
    assert!(again.contains("nothing to change"), "{again}");
    host.done(&["undo", "undo", "STICK"]);
    assert!(host.bytes() == image);
}

#[test]
fn what_cannot_be_sealed_is_refused_or_said() {
    let host = Host::new("esxi702-sealed");
    host.refuses(&["seal", "STICK"], 3, "sealed (mode TPM)");
    host.refuses(
        &["seal", "STICK", "--only", "nix"],
        2,
        "there is no operation `nix`",
    );
    host.refuses(
        &["seal", "STICK", "--only", "vcenter", "--without", "vcenter"],
        2,
        "no operation",
    );
    let list = host.run(&["seal", "--list-operations", "--json"]).json();
    let operations = list["operations"].as_array().unwrap();
    assert_eq!(operations.len(), 11);
    let off: Vec<_> = operations
        .iter()
        .filter(|op| op["default"] == false)
        .collect();
    let names: Vec<_> = off.iter().map(|op| op["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["follow-hardware-mac", "licence"]);
}
