//! Whose medium it is, what a pipeline sets on a host, and devices that nothing names yet.

use crate::host::{Host, differing};
use serde_json::{Value, json};
use std::fs;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ci@lab";

#[test]
fn the_name_and_a_key_are_set_where_6_7_keeps_them_and_info_shows_whose_medium_it_is() {
    let host = Host::new("esxi67-usb-passthru");
    let before = host.unpacked(5, "before");
    fs::write(host.path("keys.pub"), format!("# of the lab\n\n{KEY}\n")).unwrap();
    let set = [
        "host",
        "set",
        "STICK",
        "--name",
        "esx7",
        "--domain",
        "lab.example.org",
        "--ssh-key",
        "keys.pub",
        "--no-undo",
    ];
    host.done(&set);
    let after = host.unpacked(5, "after");
    assert_eq!(
        differing(&before, &after),
        ["etc/ssh/keys-root/authorized_keys", "etc/vmware/esx.conf"]
    );
    let keys = fs::read_to_string(after.join("etc/ssh/keys-root/authorized_keys")).unwrap();
    assert_eq!(keys, format!("{KEY}\n"));
    assert_eq!(
        host.done(&["conf", "get", "STICK", "/adv/Misc/HostName"]),
        "esx7.lab.example.org\n"
    );
    // The same once more changes nothing.
    assert_eq!(host.run(&[&set[..], &["--check"]].concat()).code, 0);

    let found: Value = serde_json::from_str(&host.done(&["info", "STICK", "--json"])).unwrap();
    let uuid = host.done(&["conf", "get", "STICK", "/system/uuid"]);
    let expected =
        json!({"name": "esx7.lab.example.org", "system_uuid": uuid.trim_end(), "addresses": []});
    for bank in 0..2 {
        assert_eq!(found["banks"][bank]["states"][0]["host"], expected);
    }
    let words = host.done(&["info", "STICK"]);
    let line = format!("    host esx7.lab.example.org, UUID {uuid}");
    assert_eq!(words.matches(&line).count(), 2, "{words}");
}

#[test]
fn values_of_a_host_that_cannot_be_meant_or_placed_are_refused() {
    let host = Host::new("esxi67-usb-passthru");
    fs::write(host.path("none.pub"), "# nothing\n").unwrap();
    fs::write(host.path("bad.pub"), "ssh-rsa nonsense\n").unwrap();
    let private =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----\n";
    fs::write(host.path("private"), private).unwrap();
    let cases: [(&[&str], i32, &str); 7] = [
        (&[], 2, "there is nothing to do"),
        (&["--name", "a b"], 2, "--name: \"a b\""),
        (
            &["--name", "a.x", "--domain", "y"],
            2,
            "it is in the domain x",
        ),
        (&["--ssh-key", "none.pub"], 2, "none.pub holds no key"),
        (
            &["--ssh-key", "private"],
            2,
            "name the public one, in the file that ends in .pub",
        ),
        (&["--ssh-key", "bad.pub"], 2, "is no public key"),
        (
            &["--ntp", "a.ntp"],
            3,
            "it is not known where this release keeps the NTP servers",
        ),
    ];
    for (options, code, says) in cases {
        host.refuses(&[&["host", "set", "STICK"], options].concat(), code, says);
    }
}

#[test]
fn a_key_that_moved_names_its_row() {
    let host = Host::new("esxi80-encrypted-1g");
    host.refuses(
        &["conf", "get", "STICK", "/adv/Misc/HostName"],
        2,
        "host_name in the ConfigStore row esx/advanced_options/misc: bootbank store get",
    );
    host.done(&[
        "conf",
        "set",
        "STICK",
        "/adv/Misc/HostName",
        "old",
        "--no-undo",
    ]);
    let ran = host.run(&["conf", "get", "STICK", "/adv/Misc/HostName"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "old\n"));
    assert!(
        ran.stderr.contains("host_name in the ConfigStore row"),
        "{}",
        ran.stderr
    );
    let other = host.run(&["conf", "get", "STICK", "/system/uuid"]);
    assert_eq!(other.stderr, "");
}

/// Whichever edit does it.
#[test]
fn a_raw_edit_that_passes_a_storage_adapter_through_asks_as_well() {
    let says = "vmhba0 is a storage adapter: passing it through takes its disks from the host";
    let host = Host::new("esxi67-usb-passthru");
    let set = [
        "conf",
        "set",
        "STICK",
        "/device/0000:00:31.2/owner",
        "passthru",
    ];
    let plan = "[conf]\nset = { \"/device/0000:00:31.2/owner\" = \"passthru\" }\n";
    std::fs::write(host.path("plan.toml"), plan).unwrap();
    let conf = host.done(&["cat", "STICK", "etc/vmware/esx.conf"]);
    let at = "/device/0000:00:31.2/owner = ";
    let conf = conf.replace(&format!("{at}\"vmkernel\""), &format!("{at}\"passthru\""));
    std::fs::write(host.path("esx.conf"), conf).unwrap();
    host.refuses(&set, 2, says);
    host.refuses(&["apply", "plan.toml", "STICK"], 2, says);
    host.refuses(
        &["put", "STICK", "esx.conf", "etc/vmware/esx.conf"],
        2,
        says,
    );
    host.done(&[&set[..], &["-y", "--no-undo"]].concat());
    let host = Host::new("esxi702-encrypted");
    let set = [
        "store",
        "set",
        "STICK",
        "-c",
        "esx",
        "-g",
        "hardware",
        "-k",
        "pci_devices",
        "-i",
        "0000:00:1f.2",
        "--bank",
        "6",
        "--column",
        "user",
        r#"{"sbdf":"0000:00:1f.2","owner":"OWNER_PASSTHRU"}"#,
    ];
    host.refuses(&set, 2, says);
    host.done(&[&set[..], &["-y", "--no-undo"]].concat());
}

#[test]
fn a_storage_adapter_is_passed_through_only_where_yes_is_said() {
    let host = Host::new("esxi67-usb-passthru");
    let set = ["pci", "set", "STICK", "-d", "vmhba0", "-e", "true"];
    let says = "vmhba0 is a storage adapter: passing it through takes its disks from the host";
    host.refuses(&set, 2, says);
    let copy = host.path("copy.img");
    let output = ["-o", copy.to_str().unwrap()];
    host.refuses(&[&set[..], &output].concat(), 2, says);
    assert!(!copy.exists());
    // What only looks needs no answer, and says it all the same.
    let shown = host.run(&[&set[..], &["-n"]].concat());
    assert_eq!(shown.code, 0);
    assert!(shown.stderr.contains(says), "{}", shown.stderr);
    host.done(&[&set[..], &output, &["-y"]].concat());
    assert!(copy.exists());
    host.done(&[&set[..], &["-y", "--no-undo"]].concat());
    let listed = host.done(&["pci", "list", "STICK"]);
    assert_eq!(
        listed.matches("0000:00:1f.2  passthru").count(),
        2,
        "{listed}"
    );
    // Giving it back costs nothing.
    host.done(&[
        "pci",
        "set",
        "STICK",
        "-d",
        "vmhba0",
        "-e",
        "false",
        "--no-undo",
    ]);
}

#[test]
fn a_device_that_nothing_names_is_a_mistake_unless_it_is_said_to_be_new() {
    let host = Host::new("esxi67-usb-passthru");
    let set = ["pci", "set", "STICK", "-d", "0a:00.0", "-e", "true"];
    host.refuses(&set, 2, "no device matches `0a:00.0`; nearest: ");
    host.refuses(
        &set,
        2,
        "if the state does not name it yet, --new passes it through all the same",
    );
    // Without a line it is the VMkernel's, once it is said that there is such a device.
    let back = ["pci", "set", "STICK", "-e", "false", "-d"];
    for device in ["0a:00.0", "0a:00.0.vf1"] {
        let back = [&back[..], &[device]].concat();
        host.refuses(&back, 2, "no device matches `0a:00.0");
        let said = host.done(&[&back[..], &["--new", "--check"]].concat());
        assert!(said.contains("nothing to change"), "{said}");
    }
    let plan = "[[device]]\naddress = \"0a:00.0\"\nowner = \"vmkernel\"\nnew = true\n";
    std::fs::write(host.path("plan.toml"), plan).unwrap();
    let said = host.done(&["apply", "plan.toml", "STICK"]);
    assert!(said.contains("nothing to change"), "{said}");
    // Of an adapter that nothing knows it is not known what is meant.
    host.refuses(
        &[&back[..], &["vmnic77", "--new"]].concat(),
        2,
        "no device matches `vmnic77`",
    );
    host.done(&[&set[..], &["--new", "--no-undo"]].concat());
    let found: Value =
        serde_json::from_str(&host.done(&["pci", "list", "STICK", "--json"])).unwrap();
    let devices = found["banks"][0]["devices"].as_array().unwrap();
    let new = devices
        .iter()
        .find(|device| device["addresses"] == json!(["0000:0a:00.0"]));
    let new = new.expect("a line for the new device");
    assert_eq!(new["key"], "/device/0000:10:00.0/owner");
    assert_eq!(new["passthrough"], true);
}

#[test]
fn a_line_the_host_ignores_is_said_to_be_one() {
    let host = Host::new("esxi67-usb-passthru");
    let key = "/device/0000:00:1f.6/owner";
    host.done(&["conf", "set", "STICK", key, "passthru", "--no-undo"]);
    let listed = host.done(&["pci", "list", "STICK"]);
    let line = listed.lines().find(|line| line.ends_with(key)).unwrap();
    assert!(line.contains("[the host ignores this line]"), "{line}");
    let found: Value =
        serde_json::from_str(&host.done(&["pci", "list", "STICK", "--json"])).unwrap();
    for device in found["banks"][0]["devices"].as_array().unwrap() {
        assert_eq!(device["ignored_by_host"], device["key"] == key, "{device}");
        assert_eq!(
            device["addresses"].as_array().unwrap().is_empty(),
            device["key"] == key
        );
    }
    // It is given back all the same.
    host.done(&["fix", "STICK", "--no-undo"]);
    assert_eq!(host.done(&["conf", "get", "STICK", key]), "vmkernel\n");
}

/// A virtual function is another device than its function, and is called by a name that `-d` takes.
#[test]
fn a_virtual_function_is_shown_by_its_own_name() {
    let host = Host::new("esxi67-usb-passthru");
    let key = "/device/0000:10:16.0.vf3/owner";
    host.done(&["conf", "set", "STICK", key, "passthru", "--no-undo"]);
    let found: Value =
        serde_json::from_str(&host.done(&["pci", "list", "STICK", "--json"])).unwrap();
    let devices = found["banks"][0]["devices"].as_array().unwrap();
    let function = devices.iter().find(|device| device["key"] == key).unwrap();
    assert_eq!(function["addresses"], json!(["0000:0a:10.0.vf3"]));
    assert_eq!(
        function["spellings"],
        json!(["0a:10.0.vf3", "010:16.0.vf3"])
    );
    let name = function["addresses"][0].as_str().unwrap();
    let back = ["fix", "STICK", "-d", name, "-n"];
    let table = host.done(&back);
    let line = table.lines().find(|line| line.contains(key)).unwrap();
    assert!(line.contains(" 0000:0a:10.0.vf3 "), "{line}");
    let object: Value =
        serde_json::from_str(&host.done(&[&back[..], &["--json"]].concat())).unwrap();
    let changes = object["banks"][0]["changes"].as_array().unwrap();
    let change = changes.iter().find(|change| change["key"] == key).unwrap();
    assert_eq!(change["addresses"], json!([name]));
}
