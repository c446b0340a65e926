//! Files and media that people take for a boot medium: each is called what it is, with what to do.

use crate::run::{Place, Run};
use std::fs;
use std::path::Path;
use std::process::Command;

fn run(place: &Place, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(place.path());
    // The tools of mtools look there, and an ordinary user's PATH lacks those of the system.
    command.env("MTOOLS_SKIP_CHECK", "1");
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {said}");
}

fn says(place: &Place, arguments: &[&str], code: i32, texts: &[&str]) {
    check(place.run(arguments).expect(code), arguments, texts);
}

/// The same where no other program is installed.
fn says_without_qemu(place: &Place, arguments: &[&str], code: i32, texts: &[&str]) {
    let mut command = place.command(arguments);
    let ran = Run(command.env("PATH", "/nonexistent").output().unwrap());
    check(ran.expect(code), arguments, texts);
}

fn check(ran: Run, arguments: &[&str], texts: &[&str]) {
    for text in texts {
        assert!(
            ran.stderr().contains(text),
            "{arguments:?} does not say {text:?}: {}",
            ran.stderr()
        );
    }
}

#[test]
fn virtual_disks_are_named_with_their_conversion_where_qemu_is_missing() {
    let place = Place::new();
    let mut vdi = vec![0; 4096];
    vdi[64..68].copy_from_slice(b"\x7f\x10\xda\xbe");
    place.write("a b.vdi", vdi);
    let convert = "qemu-img convert -O raw 'a b.vdi' stick.img";
    let back = "qemu-img convert -O vdi stick.img 'a b.vdi'";
    says_without_qemu(
        &place,
        &["info", "a b.vdi"],
        4,
        &["VDI", "qemu-utils", convert, back],
    );
    let mut vhd = vec![0; 4096];
    vhd[..8].copy_from_slice(b"conectix");
    place.write("a.vhd", vhd);
    says_without_qemu(
        &place,
        &["fix", "a.vhd"],
        4,
        &["VHD", "qemu-img convert -O vpc stick.img a.vhd"],
    );
}

#[test]
fn archives_are_told_from_disks() {
    let place = Place::new();
    place.write("a.ovf", "<Envelope/>");
    place.write("a.vmdk", "KDMV");
    run(
        &place,
        "tar",
        &["--format=ustar", "-cf", "a.ova", "a.ovf", "a.vmdk"],
    );
    let unpack = "tar -xf a.ova --wildcards '*.vmdk'";
    says(
        &place,
        &["info", "a.ova"],
        4,
        &["a virtual machine (OVA)", unpack],
    );
    run(&place, "tar", &["-xf", "a.ova", "--wildcards", "*.vmdk"]);
    run(&place, "tar", &["-cf", "b.tar", "a.vmdk"]);
    says(
        &place,
        &["info", "b.tar"],
        4,
        &["a tar archive", "tar -xf b.tar"],
    );
}

#[test]
fn an_installer_is_called_one() {
    let place = Place::new();
    // As `dd` writes an installer CD.
    let mut cd = vec![0; 1 << 20];
    let at = 32_768;
    cd[at..at + 7].copy_from_slice(b"\x01CD001\x01");
    cd[at + 40..at + 72].copy_from_slice(b"ESXI-7.0U3G-20328353-STANDARD   ");
    place.write("esxi.iso", cd);
    let says_so = "this is the ESXi installer ESXI-7.0U3G-20328353-STANDARD, not an installed ESXi";
    let hint = "name the medium that ESXi was installed to";
    says(&place, &["info", "esxi.iso"], 4, &[says_so, hint]);
    says(&place, &["fix", "esxi.iso"], 4, &[says_so, hint]);
    // As tools that copy the files make it.
    place.write("boot.cfg", "kernel=b.b00\nkernelopt=runweasel\n");
    place.write("isolinux.cfg", "default menu.c32\n");
    let image = place.path().join("usb.img");
    let file = fs::File::create(&image).unwrap();
    file.set_len(64 << 20).unwrap();
    fs::write(place.path().join("table"), "2048,,0c,*\n").unwrap();
    run(&place, "sh", &["-c", "sfdisk --quiet usb.img < table"]);
    run(
        &place,
        "mkfs.fat",
        &["-F", "32", "--offset", "2048", "usb.img", "64000"],
    );
    let volume = "usb.img@@1048576";
    run(
        &place,
        "mcopy",
        &["-i", volume, "boot.cfg", "isolinux.cfg", "::/"],
    );
    let says_so = "partition 1 holds the ESXi installer, not an installed ESXi";
    says(&place, &["info", "usb.img"], 4, &[says_so, hint]);
    assert!(Path::new(&image).exists());
}

#[test]
fn a_plan_and_an_image_in_the_wrong_order_are_told_apart() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    place.write(
        "plan.toml",
        "[[device]]\naddress = \"passed-through\"\nowner = \"vmkernel\"\n",
    );
    says(
        &place,
        &["apply", "a.img", "plan.toml"],
        2,
        &[
            "a.img is not a plan file, and plan.toml is one",
            "bootbank apply plan.toml a.img",
        ],
    );
    place.run(&["apply", "plan.toml", "a.img"]).expect(0);
}

#[test]
fn a_release_without_a_configstore_is_said_to_be_one() {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "a.img");
    let row = ["-c", "esx", "-g", "g", "-k", "k"];
    for command in [
        &["store", "list", "a.img"][..],
        &["store", "delete", "a.img"],
    ] {
        let command = match command[1] {
            "list" => command.to_vec(),
            _ => [command, &row].concat(),
        };
        says(
            &place,
            &command,
            2,
            &[
                "the state holds no ConfigStore",
                "hosts keep settings there from 7.0 on",
            ],
        );
    }
}
