//! Packed images: looked into as they are, and changed as a copy.

use crate::host::Host;
use crate::state_files::sh;

const PACKERS: [(&str, &str); 3] = [("gz", "gzip -1"), ("zst", "zstd -q"), ("xz", "xz -1")];

fn packed(host: &Host, extension: &str, packer: &str) -> String {
    let name = format!("packed.img.{extension}");
    sh(&host.path(""), &format!("{packer} <stick.img >{name}"));
    name
}

#[test]
fn a_packed_image_is_looked_into_as_the_image_is() {
    let host = Host::new("esxi67-usb-passthru");
    for (extension, packer) in PACKERS {
        let name = packed(&host, extension, packer);
        for command in [
            &["conf", "list", "X"][..],
            &["ls", "X"],
            &["cat", "X", "bank:boot.cfg"],
            &["kernelopt", "show", "X"],
            &["bank", "list", "X"],
            &["pci", "list", "X"],
            &["verify", "X"],
            &["fix", "-n", "--diff", "X"],
        ] {
            let with = |target: &'static str| -> Vec<&str> {
                command
                    .iter()
                    .map(|word| if *word == "X" { target } else { word })
                    .collect()
            };
            let of_image = host.run(&with("stick.img"));
            let words: Vec<&str> = command
                .iter()
                .map(|word| if *word == "X" { name.as_str() } else { word })
                .collect();
            let of_packed = host.run(&words);
            assert_eq!(
                of_packed.code, of_image.code,
                "{words:?}: {}",
                of_packed.stderr
            );
            let as_image = of_packed.stdout.replace(&name, "stick.img");
            assert_eq!(as_image, of_image.stdout, "{words:?}");
        }
        let info = host.run(&["info", &name, "--json"]).json();
        assert_eq!(info["kind"], "packed-image");
        assert_eq!(host.run(&["diff", &name, "STICK"]).code, 0);
        assert_eq!(host.run(&["fix", "--check", &name]).code, 1);
    }
}

#[test]
fn a_packed_image_is_not_changed_in_place_and_its_copy_is_read_without_another_step() {
    let host = Host::new("esxi67-usb-passthru");
    for (extension, packer) in PACKERS {
        let name = packed(&host, extension, packer);
        host.refuses(
            &["fix", "-y", "--no-undo", &name],
            4,
            "-o FILE writes a changed copy",
        );
        for copy in ["copy.zst", "copy.gz", "copy.img"] {
            host.done(&["fix", "--force", "-o", copy, &name]);
            assert_eq!(host.run(&["verify", copy]).code, 0, "{copy}");
            assert_eq!(host.run(&["fix", "--check", copy]).code, 0, "{copy}");
        }
    }
}

#[test]
fn nothing_is_left_of_what_was_unpacked_and_a_place_for_it_can_be_named() {
    let host = Host::new("esxi67-usb-passthru");
    let name = packed(&host, "zst", "zstd -q");
    let place = host.path("tmp");
    std::fs::create_dir(&place).unwrap();
    let run = |tmp: &std::path::Path| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bootbank"));
        command.current_dir(host.path("")).env("TMPDIR", tmp);
        command.args(["-v", "info", &name]).output().unwrap()
    };
    let output = run(&place);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&place.display().to_string()), "{said}");
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 0);
    let output = run(&host.path("nowhere"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("TMPDIR names another directory"), "{said}");
}

#[test]
fn of_a_packed_image_that_is_cut_off_it_is_said_what_to_do() {
    let host = Host::new("esxi67-usb-passthru");
    for (extension, packer) in PACKERS {
        let name = packed(&host, extension, packer);
        let whole = std::fs::read(host.path(&name)).unwrap();
        std::fs::write(host.path(&name), &whole[..whole.len() / 2]).unwrap();
        for words in [&["info", &name][..], &["fix", "-o", "copy.img", &name]] {
            host.refuses(words, 4, "copy or download it again; `gzip -t FILE`");
        }
    }
}
