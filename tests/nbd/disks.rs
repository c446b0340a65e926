//! Virtual disks, judged by QEMU's own tools.

use crate::lab::{Done, Lab, same};
use crate::qemu::{Server, tool};
use crate::skipping::skipped;
use std::path::{Path, PathBuf};
use std::process::Command;

const IMAGE: &str = "esxi67-usb-passthru";

/// QEMU's names of the formats, and the options they are made with.
const FORMATS: [(&str, &str); 8] = [
    ("qcow2", ""),
    ("qcow2", "preallocation=metadata"),
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=monolithicFlat"),
    ("vmdk", "subformat=twoGbMaxExtentSparse"),
    ("vpc", "force_size=on"),
    ("vhdx", ""),
    ("vdi", ""),
];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A raw image made into a virtual disk.
fn convert(raw: &Path, format: &str, options: &str, disk: &Path) {
    let options = match options {
        "" => vec![],
        options => vec!["-o", options],
    };
    let start = ["convert", "-f", "raw", "-O", format];
    let end = [text(raw), text(disk)];
    tool("qemu-img", &[&start[..], &options, &end].concat());
}

/// QEMU finds the disk sound, and the same as a raw image.
#[track_caller]
fn expect(disk: &Path, format: &str, raw: &Path) {
    if format != "vpc" && !tool("qemu-img", &["info", text(disk)]).contains("monolithicFlat") {
        let said = tool("qemu-img", &["check", "-f", format, text(disk)]);
        assert!(said.contains("No errors were found"), "{said}");
    }
    let said = tool(
        "qemu-img",
        &["compare", "-f", format, "-F", "raw", text(disk), text(raw)],
    );
    assert!(said.contains("Images are identical"), "{said}");
}

/// A raw image, and the same with the change in it.
fn before_and_after(lab: &Lab) -> (PathBuf, PathBuf) {
    let old = lab.unpack(IMAGE, "old.img");
    let new = lab.path("new.img");
    lab.bootbank(&["fix", "-q", "-o", text(&new), text(&old)])
        .expect(0, &[]);
    (old, new)
}

#[test]
fn a_virtual_disk_of_each_format_is_read_changed_and_put_back_as_an_image_is() {
    let lab = Lab::new();
    let (old, new) = before_and_after(&lab);
    for (index, (format, options)) in FORMATS.iter().enumerate() {
        let disk = lab.path(&format!("{index}.disk"));
        convert(&old, format, options, &disk);
        let name = text(&disk);
        lab.bootbank(&["info", name])
            .expect(0, &["2 devices passed through"]);
        lab.bootbank(&["fix", "--check", name]).expect(1, &[]);
        expect(&disk, format, &old);
        let undo = lab.path(&format!("{index}.undo"));
        let undo = text(&undo);
        lab.bootbank(&["fix", "-z", undo, name])
            .expect(0, &["changed"]);
        expect(&disk, format, &new);
        lab.bootbank(&["fix", name])
            .expect(0, &["nothing to change"]);
        lab.bootbank(&["undo", "-n", undo])
            .expect(0, &["nothing was written"]);
        lab.bootbank(&["undo", undo]).expect(0, &["undone"]);
        expect(&disk, format, &old);
    }
    assert_no_trace(&lab);
}

/// No server and no socket is left.
fn assert_no_trace(lab: &Lab) {
    let place = lab.directory.path();
    let left = std::fs::read_dir(std::env::temp_dir()).unwrap();
    let ours = left.filter(|entry| {
        let entry = entry.as_ref().unwrap();
        entry.file_name().to_string_lossy().starts_with("bootbank-") && entry.path().is_dir()
    });
    // Others may be at work in the same directory, but not for long.
    for entry in ours {
        let entry = entry.unwrap().path();
        let gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            !entry.exists()
        });
        assert!(gone, "{}", entry.display());
    }
    assert_eq!(servers_of(place), Vec::<String>::new());
}

/// Processes that have the name of a directory in their arguments.
pub fn servers_of(place: &Path) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines
        .filter(|line| line.contains("qemu-nbd") && line.contains(text(place)))
        .collect()
}

#[test]
fn an_overlay_is_changed_and_its_base_never() {
    let lab = Lab::new();
    let (old, new) = before_and_after(&lab);
    let base = lab.path("base.qcow2");
    convert(&old, "qcow2", "", &base);
    let was = std::fs::read(&base).unwrap();
    let overlay = lab.path("over.qcow2");
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "qcow2",
        "-b",
        "base.qcow2",
    ];
    tool("qemu-img", &[&create[..], &[text(&overlay)]].concat());
    lab.bootbank(&["fix", text(&overlay)])
        .expect(0, &["changed"]);
    expect(&overlay, "qcow2", &new);
    assert!(std::fs::read(&base).unwrap() == was);
    let copy = lab.path("copy.qcow2");
    lab.bootbank(&["fix", "-o", text(&copy), text(&overlay)])
        .expect(3, &["base.qcow2 belongs to it", "qemu-img convert"]);
    // QEMU would have to guess what the base is: a guest may have written a header into it.
    tool(
        "qemu-img",
        &[
            "rebase",
            "-u",
            "-b",
            "base.qcow2",
            "-F",
            "raw",
            text(&overlay),
        ],
    );
    let guessed = lab.path("guessed.qcow2");
    tool(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", text(&guessed), "1M"],
    );
    spoil_backing(&guessed, b"base.qcow2");
    lab.bootbank(&["info", text(&guessed)])
        .expect(3, &["without the format of that"]);
    spoil_backing(&guessed, b"nbd://h/x");
    lab.bootbank(&["info", text(&guessed)])
        .expect(3, &["nbd://h/x"]);
}

/// Names a backing file in the header of a qcow2 file, and no format of it: version 2 of the format,
/// where the name lies behind the header.
fn spoil_backing(disk: &Path, name: &[u8]) {
    let mut bytes = std::fs::read(disk).unwrap();
    bytes[4..8].copy_from_slice(&2u32.to_be_bytes());
    bytes[8..16].copy_from_slice(&80u64.to_be_bytes());
    bytes[16..20].copy_from_slice(&u32::try_from(name.len()).unwrap().to_be_bytes());
    bytes[72..80].fill(0);
    bytes[80..80 + name.len()].copy_from_slice(name);
    std::fs::write(disk, bytes).unwrap();
}

#[test]
fn snapshots_are_not_gone_past_unasked() {
    let lab = Lab::new();
    let (old, new) = before_and_after(&lab);
    let disk = lab.path("a.qcow2");
    convert(&old, "qcow2", "", &disk);
    tool("qemu-img", &["snapshot", "-c", "one", text(&disk)]);
    lab.bootbank(&["fix", text(&disk)])
        .expect(3, &["a snapshot inside", "--force", "qemu-img snapshot -l"]);
    lab.bootbank(&["fix", "-n", text(&disk)])
        .expect(0, &["nothing was written"]);
    expect(&disk, "qcow2", &old);
    let undo = lab.path("a.undo");
    lab.bootbank(&["fix", "--force", "-z", text(&undo), text(&disk)])
        .expect(0, &["changed"]);
    expect(&disk, "qcow2", &new);
    lab.bootbank(&["undo", text(&undo)]).expect(0, &["undone"]);
    expect(&disk, "qcow2", &old);
}

#[test]
fn a_disk_a_virtual_machine_has_is_in_use() {
    let lab = Lab::new();
    let old = lab.unpack(IMAGE, "old.img");
    let disk = lab.path("a.qcow2");
    convert(&old, "qcow2", "", &disk);
    let mut machine = Command::new("qemu-nbd");
    machine.args(["-t", "-f", "qcow2"]);
    let _running = Server::start(machine, &disk);
    for arguments in [["info"].as_slice(), &["fix"], &["fix", "-n"]] {
        lab.bootbank(&[arguments, &[text(&disk)]].concat()).expect(
            3,
            &[
                "is locked by process",
                "(qemu-nbd)",
                "wait for the other program",
            ],
        );
    }
}

/// The text that describes a virtual disk whose content is in a file of that name.
fn descriptor_of(sectors: u64, name: &str) -> String {
    let lines = [
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff",
        "createType=\"monolithicFlat\"",
        &format!("RW {sectors} FLAT \"{name}\" 0"),
        "ddb.adapterType = \"lsilogic\"\n",
    ];
    lines.join("\n")
}

#[test]
fn what_a_file_names_elsewhere_is_not_opened() {
    let lab = Lab::new();
    let old = lab.unpack(IMAGE, "old.img");
    std::fs::create_dir(lab.path("other")).unwrap();
    let flat = lab.path("other/flat.vmdk");
    std::fs::copy(&old, &flat).unwrap();
    let sectors = std::fs::metadata(&flat).unwrap().len() / 512;
    let disk = lab.path("a.vmdk");
    for name in ["other/flat.vmdk", text(&flat)] {
        std::fs::write(&disk, descriptor_of(sectors, name)).unwrap();
        for command in ["info", "fix"] {
            lab.bootbank(&[command, text(&disk)])
                .expect(3, &["names another file", "flat.vmdk", "qemu-img convert"]);
        }
    }
    assert!(same(&old, &flat));
    let data = lab.path("data.raw");
    let disk = lab.path("a.qcow2");
    let options = format!("data_file={},data_file_raw=on", text(&data));
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        &options,
        text(&disk),
        "64M",
    ];
    tool("qemu-img", &create);
    lab.bootbank(&["info", text(&disk)])
        .expect(3, &["for its data"]);
}

#[test]
fn a_stream_optimised_vmdk_is_read_and_copied_and_not_changed() {
    let lab = Lab::new();
    let (old, new) = before_and_after(&lab);
    let disk = lab.path("a.vmdk");
    convert(&old, "vmdk", "subformat=streamOptimized", &disk);
    let was = std::fs::read(&disk).unwrap();
    lab.bootbank(&["info", text(&disk)])
        .expect(0, &["2 devices passed through"]);
    lab.bootbank(&["fix", text(&disk)]).expect(
        3,
        &["stream-optimised", "-o FILE", "qemu-img convert -O vmdk"],
    );
    let copy = lab.path("copy.vmdk");
    lab.bootbank(&["fix", "-o", text(&copy), text(&disk)])
        .expect(3, &["stream-optimised"]);
    assert!(!copy.exists());
    let copy = lab.path("copy.img");
    lab.bootbank(&["fix", "-o", text(&copy), text(&disk)])
        .expect(0, &["written with the change"]);
    assert!(same(&copy, &new) && std::fs::read(&disk).unwrap() == was);
}

#[test]
fn a_copy_of_a_virtual_disk_keeps_its_format_or_is_raw() {
    let lab = Lab::new();
    let (old, new) = before_and_after(&lab);
    for (format, extension) in [
        ("qcow2", "qcow2"),
        ("vmdk", "vmdk"),
        ("vhdx", "vhdx"),
        ("vdi", "vdi"),
    ] {
        let disk = lab.path(&format!("a.{extension}"));
        convert(&old, format, "", &disk);
        let was = std::fs::read(&disk).unwrap();
        let copy = lab.path(&format!("b.{extension}"));
        lab.bootbank(&["fix", "-o", text(&copy), text(&disk)])
            .expect(0, &["written with the change"]);
        expect(&copy, format, &new);
        lab.bootbank(&["fix", "-o", text(&copy), text(&disk)])
            .expect(3, &["--force"]);
        lab.bootbank(&["fix", "--force", "-o", text(&copy), text(&disk)])
            .expect(0, &[]);
        expect(&copy, format, &new);
        let copies = format!("{}/", lab.path("copies").display());
        lab.bootbank(&["fix", "-o", &copies, text(&disk)])
            .expect(0, &[]);
        expect(&lab.path(&format!("copies/a.{extension}")), format, &new);
        assert!(std::fs::read(&disk).unwrap() == was);
    }
    let disk = lab.path("a.qcow2");
    let packed = lab.path("b.img.gz");
    lab.bootbank(&["fix", "-o", text(&packed), text(&disk)])
        .expect(0, &[]);
    tool("gzip", &["-d", text(&packed)]);
    assert!(same(&lab.path("b.img"), &new));
    for (source, output) in [(&old, "c.qcow2"), (&disk, "c.vmdk")] {
        let output = lab.path(output);
        lab.bootbank(&["fix", "-o", text(&output), text(source)])
            .expect(2, &["copies only of", "qemu-img convert -f raw"]);
        assert!(!output.exists());
    }
    let partial = std::fs::read_dir(lab.directory.path()).unwrap().flatten();
    let partial = partial.filter(|entry| entry.file_name().to_string_lossy().contains("partial"));
    assert_eq!(partial.count(), 0);
}

#[test]
fn without_qemu_it_is_said_what_to_install() {
    let lab = Lab::new();
    let old = lab.unpack(IMAGE, "old.img");
    let disk = lab.path("a.qcow2");
    convert(&old, "qcow2", "", &disk);
    let mut command = lab.command(&["fix", text(&disk)]);
    let done = command.env("PATH", lab.directory.path()).output().unwrap();
    crate::lab::Done::from(done).expect(4, &["is not installed", "qemu-utils", "qemu-img convert"]);
    std::fs::write(&disk, b"QFI\xfb\0\0\0\x03 and nothing more").unwrap();
    lab.bootbank(&["info", text(&disk)])
        .expect(4, &["QEMU cannot open it"]);
}

/// What is read and written depends on the change and not on the size of the disk.
#[test]
fn a_disk_of_30_gib_costs_no_more_than_a_small_one() {
    let lab = Lab::new();
    let old = lab.unpack(IMAGE, "old.img");
    let cost = |name: &str, size: &str| {
        let disk = lab.path(name);
        convert(&old, "qcow2", "", &disk);
        if !size.is_empty() {
            tool("qemu-img", &["resize", "-q", text(&disk), size]);
        }
        let before = std::fs::metadata(&disk).unwrap().len();
        let done = lab.bootbank(&["fix", "--json", text(&disk)]).expect(0, &[]);
        let object: serde_json::Value = serde_json::from_str(&done.out).unwrap();
        let grown = std::fs::metadata(&disk).unwrap().len() - before;
        let count = |name: &str| object[name].as_u64().unwrap();
        (count("bytes_read"), count("bytes_written"), grown)
    };
    let (small, large) = (cost("small.qcow2", ""), cost("large.qcow2", "30G"));
    let (read, written, grown) = large;
    // Where a table ends is looked at in another place.
    assert!(read.abs_diff(small.0) <= 64 << 10, "{small:?} {large:?}");
    assert_eq!((written, grown), (small.1, small.2));
    assert!(
        read < 2 << 20 && written < 64 << 10 && grown <= 1 << 20,
        "{large:?}"
    );
}

/// To QEMU a relative name with a colon in front of its first slash is a protocol, and one that begins with `json:`
/// says where the disk is. What is looked at has to be what is opened.
#[test]
fn the_file_that_is_inspected_is_the_one_that_is_opened_whatever_it_is_called() {
    let lab = Lab::new();
    let (old, new) = before_and_after(&lab);
    let run = |arguments: &[&str]| {
        let mut command = lab.command(arguments);
        Done::from(command.current_dir(lab.directory.path()).output().unwrap())
    };
    convert(&old, "qcow2", "", &lab.path("clean.qcow2"));
    let plain = "a:b.qcow2";
    std::fs::copy(lab.path("clean.qcow2"), lab.path(plain)).unwrap();
    run(&["info", plain]).expect(0, &["boots next"]);
    run(&["fix", "-q", "-y", plain]).expect(0, &[]);
    expect(&lab.path(plain), "qcow2", &new);
    // One whose data lie in another file, under a name by which QEMU would look at a clean one.
    let (data, named) = (lab.path("data.raw"), lab.path("named.qcow2"));
    let options = format!("data_file={},data_file_raw=on", text(&data));
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        &options,
        text(&named),
        "64M",
    ];
    tool("qemu-img", &create);
    let before = std::fs::read(&data).unwrap();
    let says = r#"json:{"driver":"qcow2","file":{"driver":"file","filename":"clean.qcow2"}}"#;
    std::fs::rename(&named, lab.path(says)).unwrap();
    for arguments in [["info", says].as_slice(), &["fix", "-y", says]] {
        run(arguments).expect(3, &["for its data"]);
    }
    assert!(std::fs::read(&data).unwrap() == before);
    expect(&lab.path("clean.qcow2"), "qcow2", &old);
}

/// The name of a socket may be 107 bytes long, and that of a directory longer.
#[test]
fn a_long_name_of_the_directory_for_temporary_files_is_no_matter() {
    let lab = Lab::new();
    let old = lab.unpack(IMAGE, "old.img");
    let disk = lab.path("a.qcow2");
    convert(&old, "qcow2", "", &disk);
    let place = lab.path(&"a-long-name".repeat(20));
    std::fs::create_dir(&place).unwrap();
    let mut command = lab.command(&["info", text(&disk)]);
    let told = command.env("TMPDIR", &place).output().unwrap();
    Done::from(told).expect(0, &["boots next"]);
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
}

/// What is looked at may be another file a moment later. QEMU is held to the files that were: it changes no other,
/// whatever the disk that it opens names.
#[test]
fn a_disk_that_is_exchanged_after_it_was_looked_at_harms_no_other_file() {
    let lab = Lab::new();
    let old = lab.unpack(IMAGE, "old.img");
    let sectors = std::fs::metadata(&old).unwrap().len() / 512;
    // A file of the user's that somebody else wants changed, and a disk that names it.
    std::fs::create_dir(lab.path("other")).unwrap();
    let victim = lab.path("other/victim.img");
    std::fs::copy(&old, &victim).unwrap();
    let evil = lab.path("evil.vmdk");
    std::fs::write(&evil, descriptor_of(sectors, text(&victim))).unwrap();
    let good = lab.path("good.vmdk");
    convert(&old, "vmdk", "subformat=monolithicFlat", &good);
    let disk = lab.path("a.vmdk");
    std::fs::copy(&good, &disk).unwrap();
    // A qemu-img that looks at the disk and then waits until somebody has exchanged it.
    let (bin, gate) = (lab.path("bin"), lab.path("gate"));
    std::fs::create_dir(&bin).unwrap();
    tool("mkfifo", &[text(&gate)]);
    let real = tool("sh", &["-c", "command -v qemu-img"]);
    let script = format!(
        "#!/bin/sh\n{} \"$@\"\ncode=$?\ncat {} >/dev/null\nexit $code\n",
        real.trim(),
        text(&gate)
    );
    let stand_in = bin.join("qemu-img");
    std::fs::write(&stand_in, script).unwrap();
    tool("chmod", &["755", text(&stand_in)]);
    let path = std::env::var("PATH").unwrap();
    let flat = lab.path("good-flat.vmdk");
    let parked = lab.path("parked.vmdk");
    // By the text of the disk, or by what has the name of its content.
    let exchange = |by_name: bool| {
        if by_name {
            std::fs::rename(&flat, &parked).unwrap();
            std::os::unix::fs::symlink(&victim, &flat).unwrap();
        } else {
            std::fs::copy(&evil, &disk).unwrap();
        }
    };
    let run = |options: &[&str], by_name: bool| {
        std::fs::copy(&good, &disk).unwrap();
        if parked.exists() {
            std::fs::rename(&parked, &flat).unwrap();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let open = std::fs::File::options().write(true).open(&gate).unwrap();
                exchange(by_name);
                drop(open);
            });
            let mut command =
                lab.command(&[&["fix", "-q", "-y"], options, &[text(&disk)]].concat());
            let path = format!("{}:{path}", text(&bin));
            Done::from(command.env("PATH", path).output().unwrap())
        })
    };
    let confined = lab.bootbank(&["fix", "-n", "-v", text(&old)]);
    if confined.said.contains("this kernel has no Landlock") {
        return skipped("this kernel has no Landlock");
    }
    // So it goes where nothing holds it.
    run(&["--no-sandbox"], false).expect(0, &[]);
    assert!(!same(&old, &victim));
    std::fs::copy(&old, &victim).unwrap();
    for by_name in [false, true] {
        let held = run(&[], by_name);
        assert!(matches!(held.code, Some(3 | 4)), "{held:?}");
        assert!(same(&old, &victim), "{by_name}");
    }
}
