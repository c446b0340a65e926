//! What is to be set is set in every bank that is chosen, or nothing is written at all: a run that
//! says "nothing to change" has found it in each of them.

use crate::host::Host;
use std::fs;

const DEVICE: &str = "/device/0000:00:20.0/owner";
const ADDRESS: &str = "0000:00:14.0";
const PASS: [&str; 7] = ["pci", "set", "STICK", "-d", ADDRESS, "-e", "true"];

/// The owner lines of the device in one bank, as Python and tar see them.
fn line_in(host: &Host, partition: u64, name: &str) -> Vec<String> {
    let conf = host.unpacked(partition, name).join("etc/vmware/esx.conf");
    let text = fs::read_to_string(conf).unwrap();
    let lines = text.lines().filter(|line| line.starts_with(DEVICE));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_device_that_only_one_bank_names_is_passed_through_in_both_or_in_none() {
    for (bank, other, help) in [
        ("5", "6", "bank 5 is the one that boots next, so --bank 6"),
        ("6", "5", "--bank 5 limits the command to the bank"),
    ] {
        let host = Host::new("esxi67-usb-passthru");
        let unset = ["conf", "unset", "STICK", DEVICE, "--bank", bank];
        host.done(&[&unset[..], &["--no-undo"]].concat());
        let says = format!("partition {bank}: state.tgz: no device matches `{ADDRESS}`");
        for look in [&[][..], &["--check"], &["-n"], &["-y"]] {
            let set = [&PASS[..], look].concat();
            host.refuses(&set, 2, &says);
            host.refuses(&set, 2, help);
            host.refuses(&set, 2, "--new passes it through all the same");
        }
        let plan = format!("[[device]]\naddress = \"{ADDRESS}\"\nowner = \"passthru\"\n");
        fs::write(host.path("plan.toml"), plan).unwrap();
        host.refuses(&["apply", "plan.toml", "STICK", "--check"], 2, &says);
        // The ways out.
        let alone = host.done(&[&PASS[..], &["--check", "--bank", other]].concat());
        assert!(alone.contains("nothing to change"), "{alone}");
        let new = [&PASS[..], &["--new", "-y", "--no-undo"]].concat();
        host.done(&new);
        let number = bank.parse().unwrap();
        let line = format!("{DEVICE} = \"passthru\"");
        assert_eq!(line_in(&host, number, "after"), [line]);
        let again = host.done(&[&PASS[..], &["--check"]].concat());
        assert!(again.contains("nothing to change"), "{again}");
    }
}

/// A device that a bank does not name is the VMkernel's there.
#[test]
fn a_device_that_only_one_bank_names_is_given_back_in_that_one() {
    let host = Host::new("esxi67-usb-passthru");
    host.done(&["conf", "unset", "STICK", DEVICE, "--bank", "5", "--no-undo"]);
    let back = ["pci", "set", "STICK", "-d", ADDRESS, "-e", "false"];
    assert_eq!(host.run(&[&back[..], &["--check"]].concat()).code, 1);
    host.done(&[&back[..], &["--no-undo"]].concat());
    assert_eq!(line_in(&host, 5, "five"), [""; 0]);
    assert!(!line_in(&host, 6, "six").concat().contains("passthru"));
    let again = host.done(&[&back[..], &["--check"]].concat());
    assert!(again.contains("nothing to change"), "{again}");
}

/// An empty state holds no setting, so there is none to change; what boots next is no place to look away.
#[test]
fn a_bank_with_an_empty_state_is_passed_over_aloud_unless_it_boots_next() {
    let reset = |bank: &str| {
        let host = Host::new("esxi67-usb-passthru");
        host.done(&["state", "reset", bank, "STICK", "--no-undo", "-y"]);
        host
    };
    let host = reset("6");
    let says = "partition 6: the state is empty, so this bank stays with default settings: no device matches";
    let ran = host.run(&[&PASS[..], &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let object = ran.json();
    assert_eq!(object["outcome"], "unchanged");
    let warnings = object["warnings"].to_string();
    assert!(warnings.contains(says), "{warnings}");
    let host = reset("5");
    host.refuses(&PASS, 3, "partition 5: state.tgz: the state is empty");
}

#[test]
fn a_row_that_only_one_bank_has_is_set_in_both_or_in_none() {
    let host = Host::new("esxi702-encrypted");
    let row = ["-c", "esx", "-g", "hardware", "-k", "pci_devices", "-i"];
    let row = [&row[..], &["0000:65:00.0"]].concat();
    let got = host.done(&[&["store", "get", "STICK"], &row[..], &["--bank", "5"]].concat());
    let json = got.trim();
    let delete = ["store", "delete", "STICK", "--bank", "6", "--no-undo"];
    host.done(&[&delete[..], &row].concat());
    let says = "the ConfigStore has no row esx/hardware/pci_devices/0000:65:00.0, and bootbank cannot make it";
    let set = [&["store", "set", "STICK", json], &row[..]].concat();
    for look in [&[][..], &["--check"]] {
        let set = [&set[..], look].concat();
        host.refuses(&set, 3, says);
        host.refuses(&set, 3, "partition 6: ");
    }
    let plan = format!(
        "[[store.set]]\ncomponent = \"esx\"\ngroup = \"hardware\"\nkey = \"pci_devices\"\n\
         identifier = \"0000:65:00.0\"\nvalue = {}\n",
        json.replace(':', " = ")
            .replace("0000 = 65 = 00.0", "0000:65:00.0")
    );
    fs::write(host.path("plan.toml"), plan).unwrap();
    host.refuses(&["apply", "plan.toml", "STICK", "-y"], 3, says);
    let alone = host.done(&[&set[..], &["--bank", "5", "--check"]].concat());
    assert!(alone.contains("nothing to change"), "{alone}");
}

#[test]
fn an_option_that_only_one_bank_has_is_replaced_in_both_or_in_none() {
    let host = Host::new("esxi67-usb-passthru");
    let append = ["kernelopt", "modify", "STICK", "-a", "old=1"];
    host.done(&[&append[..], &["--bank", "6", "--no-undo"]].concat());
    let replace = ["kernelopt", "modify", "STICK", "-r", "old=1=new=1"];
    let says = "partition 5: boot.cfg: there is no kernel option \"old=1\" to replace";
    host.refuses(&replace, 2, says);
    host.done(&[&replace[..], &["--bank", "6", "--no-undo"]].concat());
    host.refuses(&[&replace[..], &["--check"]].concat(), 2, says);
    // Where it is already as it is to be, nothing has to be replaced.
    let new = ["kernelopt", "modify", "STICK", "-a", "new=1"];
    host.done(&[&new[..], &["--bank", "5", "--no-undo"]].concat());
    let again = host.done(&[&replace[..], &["--check"]].concat());
    assert!(again.contains("nothing to change"), "{again}");
}
