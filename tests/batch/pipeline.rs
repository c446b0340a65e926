//! Copies, streams and packed images.

use crate::run::{BOOTBANK, Place, Run};
use crate::skipping::skipped;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

const PROFILE: &str = "esxi67-usb-passthru";

fn tool(place: &Place, program: &str, arguments: &[&str]) -> Vec<u8> {
    let done = Command::new(program)
        .args(arguments)
        .current_dir(place.path())
        .output();
    let done = done.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    assert!(
        done.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    done.stdout
}

#[test]
fn every_way_out_and_every_packed_source_give_the_image_that_is_changed_in_place() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    place.copy(PROFILE, "expected.img");
    place.run(&["fix", "-q", "expected.img"]).expect(0);
    let (original, expected) = (place.read("a.img"), place.read("expected.img"));
    tool(&place, "gzip", &["-kn", "a.img"]);
    tool(&place, "zstd", &["-q", "a.img"]);
    tool(&place, "xz", &["-k0", "a.img"]);
    for source in ["a.img", "a.img.gz", "a.img.zst", "a.img.xz"] {
        let run = place.run(&["fix", "-o", "-", source]).expect(0);
        assert!(run.0.stdout == expected, "{source} as a stream");
        for (output, reader, arguments) in [
            ("out.img", "cat", &["out.img"][..]),
            ("out.img.gz", "gzip", &["-dc", "out.img.gz"]),
            ("out.img.zst", "zstd", &["-dqc", "out.img.zst"]),
        ] {
            place
                .run(&["fix", "-q", "--force", "-o", output, source])
                .expect(0);
            assert!(
                tool(&place, reader, arguments) == expected,
                "{source} to {output}"
            );
        }
    }
    assert!(place.read("a.img") == original);
    let left: Vec<_> = fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().contains("partial")),
        "{left:?}"
    );
    assert!(
        place.path().join("state").metadata().is_ok(),
        "undo of the change in place"
    );
    assert_eq!(
        fs::read_dir(place.path().join("state/bootbank/undo"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn a_packed_image_unpacks_to_no_more_than_its_table_accounts_for_or_the_limit_allows() {
    let place = Place::new();
    let image = place.copy(PROFILE, "a.img");
    let size = fs::metadata(&image).unwrap().len();
    // Zeros behind the end, as a copy of a whole stick has, are fine.
    let file = fs::File::options().write(true).open(&image).unwrap();
    file.set_len(size + (64 << 20)).unwrap();
    tool(&place, "zstd", &["-q", "a.img"]);
    place
        .run(&["fix", "-q", "-o", "out.img", "a.img.zst"])
        .expect(0);
    assert_eq!(
        fs::metadata(place.path().join("out.img")).unwrap().len(),
        size + (64 << 20)
    );
    fs::remove_file(place.path().join("out.img")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"x", size + (32 << 20)).unwrap();
    tool(&place, "zstd", &["-qf", "a.img"]);
    for output in ["out.img", "out.img.gz", "-"] {
        let run = place.run(&["fix", "-o", output, "a.img.zst"]).expect(3);
        let said = run.stderr();
        assert!(
            said.contains("behind the end of its partition table"),
            "{said}"
        );
        assert!(run.0.stdout.is_empty());
        let run = place.run(&["fix", "--max-image", "64K", "-o", output, "a.img.zst"]);
        let said = run.expect(3).stderr();
        assert!(said.contains("--max-image"), "{said}");
        assert!(!place.path().join(output).exists());
    }
}

#[test]
fn what_lies_where_an_image_is_unpacked_is_in_nobodys_way() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    tool(&place, "zstd", &["-q", "a.img"]);
    let expected = place.run(&["fix", "-o", "-", "a.img"]).expect(0).0.stdout;
    let temporary = place.path().join("tmp");
    fs::create_dir_all(temporary.join("bootbank-unpacked")).unwrap();
    let mut command = place.command(&["fix", "-o", "-", "a.img.zst"]);
    let run = Run(command.env("TMPDIR", &temporary).output().unwrap()).expect(0);
    assert!(run.0.stdout == expected);
    assert_eq!(
        fs::read_dir(&temporary).unwrap().count(),
        1,
        "nothing is left"
    );
}

#[test]
fn the_same_image_gives_the_same_bytes_whoever_makes_it_wherever_and_whenever() {
    let place = Place::new();
    let image = place.copy(PROFILE, "a.img");
    place.copy(PROFILE, "b.img");
    fs::create_dir(place.path().join("elsewhere")).unwrap();
    let build = |name: &str, shell: &str, directory: &str| {
        let out = place.path().join(name);
        fs::create_dir(&out).unwrap();
        let jobs = if directory.is_empty() { "1" } else { "2" };
        let script = format!(
            "{shell}; {BOOTBANK} fix -q -j {jobs} -o {out}/ {a} {b} && \
             {BOOTBANK} fix -q -o {out}/c.img.gz {a} && {BOOTBANK} fix -q -o {out}/c.img.zst {a} && \
             {BOOTBANK} fix -q -o - {a} > {out}/stream",
            out = out.display(),
            a = image.display(),
            b = place.path().join("b.img").display(),
        );
        let done = Command::new("sh")
            .args(["-c", &script])
            .current_dir(place.path().join(directory))
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        let files = ["a.img", "b.img", "c.img.gz", "c.img.zst", "stream"];
        files.map(|file| fs::read(out.join(file)).unwrap())
    };
    let one = build(
        "one",
        "umask 022; unset SOURCE_DATE_EPOCH; export TZ=UTC",
        "",
    );
    let two = build(
        "two",
        "umask 077; export SOURCE_DATE_EPOCH=86400 TZ=Asia/Tokyo HOME=/nowhere USER=other LC_ALL=C",
        "elsewhere",
    );
    for (index, (one, two)) in one.iter().zip(&two).enumerate() {
        assert!(one == two, "output {index} differs");
    }
    assert!(
        one[0] == one[4],
        "the stream is another image than the copy"
    );
}

#[test]
fn a_large_sparse_image_takes_as_much_room_as_what_is_in_it() {
    let place = Place::new();
    let image = place.copy(PROFILE, "a.img");
    let large = 8 << 30;
    fs::File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_len(large)
        .unwrap();
    tool(&place, "sgdisk", &["-e", "a.img"]);
    place.run(&["fix", "-q", "-o", "b.img", "a.img"]).expect(0);
    let (a, b) = (
        image.metadata().unwrap(),
        place.path().join("b.img").metadata().unwrap(),
    );
    assert_eq!(b.len(), large);
    assert!(
        b.blocks() <= a.blocks() + 1024,
        "{} blocks became {}",
        a.blocks(),
        b.blocks()
    );
}

#[test]
fn outputs_that_are_each_other_or_a_target_are_refused_before_anything_is_written() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    place.copy(PROFILE, "b.img");
    fs::create_dir(place.path().join("d")).unwrap();
    place.copy(PROFILE, "d/a.img");
    let (a, b) = (place.read("a.img"), place.read("b.img"));
    let cases: [(&[&str], i32, &str); 8] = [
        (
            &["fix", "-o", "b.img", "--force", "a.img", "b.img"],
            2,
            "names one file, but there are several",
        ),
        (
            &["fix", "-o", "out/", "a.img", "d/a.img"],
            2,
            "would both go to out/a.img",
        ),
        (
            &["fix", "-o", "d/", "--force", "a.img", "d/a.img"],
            3,
            "the copy of a.img would overwrite",
        ),
        (
            &["fix", "-o", "a.img", "--force", "a.img"],
            3,
            "is both the source and the output",
        ),
        (&["fix", "-o", "b.img", "a.img"], 3, "b.img already exists"),
        (&["fix", "-o", "-", "a.img", "b.img"], 2, "writes one image"),
        (
            &["fix", "--json", "-o", "-", "a.img"],
            2,
            "both need standard output",
        ),
        (
            &["fix", "-o", "none/out.img", "a.img"],
            2,
            "its directory is not there",
        ),
    ];
    for (arguments, code, message) in cases {
        let run = place.run(arguments).expect(code);
        assert!(
            run.stderr().contains(message),
            "{arguments:?}: {}",
            run.stderr()
        );
        assert!(
            run.0.stdout.is_empty() || code == 3 || message.contains("directory"),
            "{arguments:?}"
        );
    }
    assert!(place.read("a.img") == a && place.read("b.img") == b);
    assert!(!place.path().join("out").exists());
}

#[test]
fn an_output_that_does_not_fit_is_an_error_that_says_so_and_leaves_nothing() {
    let place = Place::new();
    place.copy(PROFILE, "a.img");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let done = place
        .command(&["fix", "-o", "-", "a.img"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output();
    let run = Run(done.unwrap()).expect(5);
    assert!(
        run.stderr()
            .contains("cannot write to standard output: No space left"),
        "{}",
        run.stderr()
    );

    fs::create_dir(place.path().join("small")).unwrap();
    for output in ["small/out.img", "small/out.img.zst"] {
        // A file system of its own; where a user may not make one there is none to fill.
        let script = format!(
            "mount -t tmpfs -o size=64k none small || exit 99; {BOOTBANK} fix -o {output} a.img; \
             code=$?; ls -A small >&2; exit $code"
        );
        let done = Command::new("unshare")
            .args(["-rm", "sh", "-c", &script])
            .current_dir(place.path())
            .output();
        let run = Run(done.unwrap());
        if run.code() == 99 || run.stderr().contains("unshare") {
            skipped(format!(
                "no file system may be mounted here: {}",
                run.stderr()
            ));
            return;
        }
        let run = run.expect(5);
        assert!(
            run.stderr().contains("no room to write small/out.img"),
            "{}",
            run.stderr()
        );
        assert!(
            run.stderr().lines().all(|line| !line.ends_with(".partial")),
            "{}",
            run.stderr()
        );
    }
}

#[test]
fn virtual_disks_that_qemu_cannot_open_are_refused_and_without_it_converted_by_hand() {
    let place = Place::new();
    place.write(
        "a.qcow2",
        [b"QFI\xfb\0\0\0\x03".as_slice(), &[0; 4096]].concat(),
    );
    place.write(
        "a.vmdk",
        [b"KDMV\x01\0\0\0".as_slice(), &[0; 4096]].concat(),
    );
    for (name, format) in [("a.qcow2", "qcow2"), ("a.vmdk", "vmdk")] {
        for arguments in [
            &["fix", name][..],
            &["fix", "-o", "b.img", name],
            &["info", name],
        ] {
            let damaged = place.run(arguments).expect(4).stderr();
            assert!(damaged.contains("QEMU cannot open it"), "{damaged}");
            let mut without = place.command(arguments);
            let run = Run(without.env("PATH", "/nonexistent").output().unwrap());
            let stderr = run.expect(4).stderr();
            let to = format!("qemu-img convert -O raw {name} stick.img");
            let fro = format!("qemu-img convert -O {format} stick.img {name}");
            assert!(stderr.contains(&to) && stderr.contains(&fro), "{stderr}");
        }
    }
}
