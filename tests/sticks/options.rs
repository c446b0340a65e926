//! The options that mean the same everywhere, and the exit codes that go with them.

use super::images::{self, run, small};
use super::program::{Bench, Ran, digest, judge, judge_fixed, ran};
use crate::args;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

/// What shows that a file was left alone.
fn stamp(path: &Path) -> (String, SystemTime, u64) {
    let metadata = fs::metadata(path).unwrap();
    (digest(path), metadata.modified().unwrap(), metadata.ino())
}

fn blocks(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks()
}

fn packed(program: &str, image: &Path, to: &Path) {
    let out = fs::File::create(to).unwrap();
    let mut command = Command::new(program);
    run(command.arg("-c").arg(image).stdout(out));
}

#[test]
fn an_output_is_what_a_change_in_place_makes_and_the_source_stays() {
    let image = images::profile("esxi80-encrypted-4g");
    let bench = Bench::new();
    let source = image.copy_to(bench.path());
    let before = stamp(&source);
    let out = bench.file("out.img");
    let object = bench.done(&args!["fix", source, "-o", out]);
    assert_eq!(
        (&object["outcome"], &object["output"], &object["undo"]),
        (&json!("changed"), &json!(out), &json!(null))
    );
    assert_eq!(stamp(&source), before);
    let grown = blocks(&out).saturating_sub(blocks(&source)) * 512;
    assert!(
        grown < 1 << 20,
        "the copy has {grown} bytes more on the disk"
    );
    assert_eq!(
        bench.done(&args!["fix", "--no-undo", source])["undo"],
        json!(null)
    );
    assert_eq!(digest(&out), digest(&source));
    assert_eq!(bench.undo_files(), 0);
    let mode = fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
    let left = fs::read_dir(bench.path()).unwrap().count();
    assert_eq!(left, 2, "only the source and the copy");
}

#[test]
fn compressed_sources_give_the_same_copy() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    let plain = bench.file("plain.img");
    bench.done(&args!["fix", image.path, "-o", plain]);
    for (program, name) in [("gzip", "stick.img.gz"), ("zstd", "stick.img.zst")] {
        let source = bench.file(name);
        packed(program, &image.path, &source);
        let before = fs::read(&source).unwrap();
        let out = bench.file("out.img");
        let object = bench.done(&args!["fix", source, "-o", out]);
        assert_eq!(object["outcome"], "changed");
        assert_eq!(digest(&out), digest(&plain), "{name}");
        assert_eq!(fs::read(&source).unwrap(), before);
        assert!(
            blocks(&out) <= blocks(&image.path) + 256,
            "{name} is sparse"
        );
        // A directory gives the copy the name of what was in the package.
        fs::create_dir_all(bench.file("copies")).unwrap();
        bench.done(&args!["fix", source, "-o", bench.file("copies"), "--force"]);
        assert_eq!(digest(&bench.file("copies/stick.img")), digest(&plain));
        assert_eq!(bench.done(&args!["info", source])["kind"], "packed-image");
        let refused = bench.run(&args!["fix", source, "-o", out]);
        assert_eq!(refused.code, 3, "{}", refused.stderr);
        assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
        fs::remove_file(out).unwrap();
    }
}

#[test]
fn a_cut_off_compressed_source_leaves_no_output() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    for (program, name) in [("gzip", "stick.img.gz"), ("zstd", "stick.img.zst")] {
        let source = bench.file(name);
        packed(program, &image.path, &source);
        let bytes = fs::read(&source).unwrap();
        fs::write(&source, &bytes[..bytes.len() - 20]).unwrap();
        let out = bench.file("out.img");
        let ran = bench.run(&args!["fix", source, "-o", out]);
        assert!([4, 5].contains(&ran.code), "{}: {}", ran.code, ran.stderr);
        assert!(!out.exists());
    }
    assert_eq!(fs::read_dir(bench.path()).unwrap().count(), 2);
}

#[test]
fn a_bank_can_be_chosen() {
    let image = small("esxi67-gpt");
    for (choice, banks) in [("next", "5"), ("5", "5"), ("6", "6"), ("all", "5,6")] {
        let bench = Bench::new();
        let stick = image.copy_to(bench.path());
        let undo = bench.file("x.undo");
        let object = bench.done(&args!["fix", stick, "--bank", choice, "-z", undo]);
        let treated = object["banks"].as_array().unwrap().len();
        assert_eq!(treated, banks.split(',').count());
        judge_fixed(&image, &stick, &undo, banks, None);
    }
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = stamp(&stick);
    let absent = bench.run(&args!["fix", stick, "--bank", "7"]);
    assert_eq!(absent.code, 2, "{}", absent.stderr);
    assert!(absent.stderr.contains("5, 6"), "{}", absent.stderr);
    assert_eq!(bench.run(&args!["fix", stick, "--bank", "second"]).code, 2);
    assert_eq!(stamp(&stick), before);
}

#[test]
fn a_full_bank_is_refused_and_the_other_can_still_be_chosen() {
    let image = images::profile("esxi67-fullbank");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = stamp(&stick);
    let (objects, code) = bench.json(&args!["fix", stick]);
    let error = &objects[0]["error"];
    assert_eq!(code, 3, "{error}");
    assert_eq!(
        (&error["kind"], &error["partition"]),
        (&json!("refused"), &json!(5))
    );
    assert!(
        error["hint"].as_str().unwrap().contains("--bank"),
        "{error}"
    );
    assert_eq!(stamp(&stick), before);
    assert_eq!(bench.undo_files(), 0);
    let undo = bench.file("x.undo");
    bench.done(&args!["fix", stick, "--bank", "6", "-z", undo]);
    judge_fixed(&image, &stick, &undo, "6", None);
}

#[test]
fn undo_files_go_where_they_belong() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = digest(&stick);
    let object = bench.done(&args!["fix", stick]);
    let undo = Path::new(object["undo"].as_str().unwrap()).to_owned();
    assert_eq!(undo.parent().unwrap(), bench.file("xdg/bootbank/undo"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&undo), mode(undo.parent().unwrap())), (0o600, 0o700));
    run(Command::new("tar").arg("-tf").arg(&undo));
    bench.done(&args!["undo", undo]);
    assert_eq!(digest(&stick), before);

    // Nothing to undo, or a change that was refused, leaves no directory; with --no-sandbox neither.
    bench.done(&args!["fix", stick, "--no-undo"]);
    fs::remove_dir_all(bench.file("xdg")).unwrap();
    for option in ["-q", "--no-sandbox"] {
        assert_eq!(bench.run(&args!["fix", option, stick]).code, 0);
        let refused = bench.run(&args!["fix", option, stick, "--bank", "9"]);
        assert!(refused.code > 0);
        assert!(!bench.file("xdg/bootbank").exists(), "{option}");
    }
    image.copy_to(bench.path());

    // Never over a file, never without a place, and then nothing is written.
    let taken = bench.file("taken.undo");
    fs::write(&taken, "mine").unwrap();
    let at = stamp(&stick);
    let ran_over = bench.run(&args!["fix", stick, "-z", taken]);
    assert_eq!(
        (ran_over.code, fs::read(&taken).unwrap()),
        (3, b"mine".to_vec())
    );
    let missing = bench.run(&args!["fix", stick, "-z", bench.file("absent/x.undo")]);
    assert!([0, 5].contains(&missing.code));
    bench.run(&args!["undo", bench.file("absent/x.undo"), stick]);
    let mut homeless = bench.command();
    homeless.env_remove("XDG_STATE_HOME").arg("fix").arg(&stick);
    let homeless = ran(&mut homeless);
    assert_eq!(homeless.code, 3, "{}", homeless.stderr);
    assert!(homeless.stderr.contains("-z FILE"), "{}", homeless.stderr);
    assert_eq!(stamp(&stick).0, at.0);
    let both = bench.run(&args!["fix", stick, "-z", "x", "--no-undo"]);
    assert_eq!(both.code, 2);
}

#[test]
fn another_stick_is_refused_by_undo() {
    let bench = Bench::new();
    let first = small("esxi67-usb-passthru").copy_to(bench.path());
    let undo = bench.file("x.undo");
    bench.done(&args!["fix", first, "-z", undo]);
    let other = bench.file("other");
    fs::create_dir(&other).unwrap();
    let other = small("esxi67-gpt").copy_to(&other);
    let before = stamp(&other);
    let refused = bench.run(&args!["undo", undo, other]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert_eq!(stamp(&other), before);
}

#[test]
fn of_several_targets_one_failure_makes_exit_six_and_stops_no_other() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let junk = bench.file("junk.img");
    fs::write(&junk, vec![7; 1 << 20]).unwrap();
    let at = stamp(&junk);
    let (objects, code) = bench.json(&args!["fix", junk, stick, bench.file("absent.img")]);
    assert_eq!(code, 6);
    let outcomes: Vec<&str> = objects
        .iter()
        .map(|o| o["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["failed", "changed", "failed"]);
    assert_eq!(stamp(&junk), at);
    let (checked, code) = bench.json(&args!["fix", "--check", stick, image.path]);
    assert_eq!((checked.len(), code), (2, 1), "one differs, none failed");
}

#[test]
fn a_target_named_twice_is_treated_once() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let link = bench.file("link.img");
    std::os::unix::fs::symlink(&stick, &link).unwrap();
    let hard = bench.file("hard.img");
    fs::hard_link(&stick, &hard).unwrap();
    let (objects, code) = bench.json(&args!["fix", stick, link, stick, hard]);
    assert_eq!((objects.len(), code), (1, 0));
    assert_eq!(objects[0]["outcome"], "changed");
    let undo = Path::new(objects[0]["undo"].as_str().unwrap()).to_owned();
    judge_fixed(&image, &stick, &undo, "", None);
}

#[test]
fn several_outputs_need_a_directory() {
    let bench = Bench::new();
    let one = small("esxi67-usb-passthru");
    let two = small("esxi67-gpt");
    let into = bench.file("copies");
    let (objects, code) = bench.json(&args!["fix", one.path, two.path, "-o", into]);
    assert_eq!((objects.len(), code), (1, 2), "why nothing was done, once");
    assert_eq!(objects[0]["error"]["kind"], "usage");
    fs::create_dir(&into).unwrap();
    let (objects, code) = bench.json(&args!["fix", one.path, two.path, "-o", into]);
    assert_eq!((objects.len(), code), (2, 0));
    assert_eq!(fs::read_dir(&into).unwrap().count(), 2);
}

#[test]
fn the_sector_size_is_found_and_can_be_said() {
    let bench = Bench::new();
    let native = small("esxi67-4kn");
    let usual = small("esxi67-gpt");
    for (image, right, wrong) in [(&native, "4096", "512"), (&usual, "512", "4096")] {
        let said = bench.done(&args!["info", image.path, "--sector-size", right]);
        assert_eq!(said, bench.done(&args!["info", image.path]));
        let refused = bench.run(&args!["info", image.path, "--sector-size", wrong]);
        assert_eq!(refused.code, 3);
        let hint = format!("--sector-size {right}");
        assert!(refused.stderr.contains(&hint), "{}", refused.stderr);
    }
    let odd = bench.run(&args!["info", usual.path, "--sector-size", "1024"]);
    assert_eq!(odd.code, 2);
}

#[test]
fn an_archive_may_unpack_to_so_much_and_no_more() {
    let bench = Bench::new();
    let stick = small("esxi67-gpt").copy_to(bench.path());
    let before = stamp(&stick);
    let bomb = bench.run(&args!["fix", stick, "--max-unpacked", "20K"]);
    assert_eq!(bomb.code, 3, "{}", bomb.stderr);
    assert!(bomb.stderr.contains("--max-unpacked"), "{}", bomb.stderr);
    assert_eq!(stamp(&stick), before);
    assert_eq!(
        bench.run(&args!["fix", stick, "--max-unpacked", "1G"]).code,
        0
    );
    assert_eq!(
        bench
            .run(&args!["fix", stick, "--max-unpacked", "much"])
            .code,
        2
    );
}

#[test]
fn the_same_bytes_come_out_wherever_and_whenever() {
    for name in ["esxi67-gpt", "esxi70u1-both", "esxi702-encrypted"] {
        let image = images::made(name, &["--set", "layout=small"]);
        let mut digests = Vec::new();
        for (zone, umask, language) in [("UTC", "022", "C"), ("Asia/Tokyo", "077", "de_DE.UTF-8")] {
            let bench = Bench::new();
            let (stick, out) = (image.copy_to(bench.path()), bench.file("out.img"));
            for end in [&["--no-undo"][..], &["-o", out.to_str().unwrap()]] {
                let mut shell = Command::new("sh");
                shell.env("TZ", zone).env("LC_ALL", language);
                shell.env("XDG_STATE_HOME", bench.path());
                shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
                shell.arg(env!("CARGO_BIN_EXE_bootbank")).arg("fix");
                let source = if end.len() == 2 { &image.path } else { &stick };
                run(shell.arg(source).args(end).stdin(Stdio::null()));
            }
            digests.extend([digest(&stick), digest(&out)]);
            let mut undo = bench.command();
            let file = bench.file("way.undo");
            let again = bench.file("again");
            fs::create_dir(&again).unwrap();
            let stick = image.copy_to(&again);
            // The undo file names its target; from the same place it is the same bytes.
            run(undo
                .current_dir(&again)
                .args(["fix", "stick.img", "-z"])
                .arg(&file));
            bench.done(&args!["undo", file, stick]);
            assert_eq!(digest(&stick), digest(&image.path));
        }
        digests.dedup();
        assert_eq!(digests.len(), 1, "{name}");
    }
}

#[test]
fn a_reader_that_goes_away_stops_no_change() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let undo = bench.file("x.undo");
    let mut command = bench.command();
    command.args(["fix", "--diff", "-z"]).arg(&undo).arg(&stick);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    judge_fixed(&image, &stick, &undo, "", None);
}

#[test]
fn files_come_out_of_a_bank_and_its_state_as_they_are() {
    let bench = Bench::new();
    for name in ["esxi67-gpt", "esxi702-encrypted"] {
        let image = images::profile(name);
        let bank = &image.truth["banks"][0];
        let text = bank["boot_cfg"].as_str().unwrap();
        for path in ["bank:boot.cfg", "bank5:BOOT.CFG"] {
            assert_eq!(bench.run(&args!["cat", image.path, path]).stdout, text);
        }
        let conf = bank["states"][0]["esx_conf"].as_str().unwrap();
        for path in ["etc/vmware/esx.conf", "/etc/vmware/esx.conf"] {
            assert_eq!(bench.run(&args!["cat", image.path, path]).stdout, conf);
        }
        let (listed, _) = bench.json(&args!["ls", image.path]);
        let entries = listed[0]["entries"].as_array().unwrap();
        let members = bank["states"][0]["local_members"].as_array().unwrap();
        for member in members {
            let same = |e: &&serde_json::Value| e["path"] == member["name"];
            let entry = entries
                .iter()
                .find(same)
                .unwrap_or_else(|| panic!("no {member}"));
            assert_eq!(entry["size"], member["size"]);
            let mode = member["mode"].as_str().unwrap().strip_prefix('0').unwrap();
            assert_eq!(entry["mode"], mode);
        }
        let absent = bench.run(&args!["cat", image.path, "etc/absent"]);
        assert_eq!(
            (absent.code, absent.stdout.as_str()),
            (2, ""),
            "{}",
            absent.stderr
        );
    }
}

#[test]
fn one_device_is_chosen_by_any_spelling_and_never_by_guess() {
    let image = small("esxi67-gpt");
    for spelling in [
        "0000:00:14.0",
        "00:14.0",
        "/device/00000:000:20.0/owner",
        "raw:00000:000:20.0",
    ] {
        let bench = Bench::new();
        let stick = image.copy_to(bench.path());
        let object = bench.done(&args!["fix", stick, "-d", spelling, "--bank", "5"]);
        let changes = object["banks"][0]["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 1, "{spelling}");
        assert_eq!(changes[0]["key"], "/device/00000:000:20.0/owner");
    }
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let before = stamp(&stick);
    let refuse = |arguments: &[&str], code: i32| -> Ran {
        let mut command = bench.command();
        let ran = ran(command.args(arguments).arg(&stick));
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        ran
    };
    refuse(&["fix", "-d", "0000:77:00.0"], 2);
    refuse(&["fix", "-d", "no address"], 2);
    refuse(&["fix", "-n", "--check"], 2);
    refuse(&["pci", "set", "-d", "00:14.0"], 2);
    refuse(&["pci", "set", "-d", "00:14.0", "-e", "perhaps"], 2);
    assert_eq!(stamp(&stick), before);
    let content = run(judge().arg("content").arg(&stick).arg("4210688"));
    assert!(String::from_utf8(content).unwrap().contains("passthru"));
}

/// The loader chooses by boot.cfg alone: that the state of a bank cannot be had makes no other
/// bank the next one.
#[test]
fn a_bank_whose_state_cannot_be_had_is_still_the_one_that_boots() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    // The high word of the first cluster of bank 5's state: fatal for the loader, and for us.
    let mut bytes = fs::read(&stick).unwrap();
    let name = b"STATE   TGZ";
    let at = bytes.windows(11).position(|it| it == name).unwrap();
    bytes[at + 20] = 1;
    fs::write(&stick, &bytes).unwrap();
    let before = stamp(&stick);

    let (info, code) = bench.json(&args!["info", stick]);
    assert_eq!(code, 0);
    let next = info[0]["banks"].as_array().unwrap().iter();
    let next: Vec<_> = next.filter(|bank| bank["boots_next"] == true).collect();
    assert_eq!(next.len(), 1, "{next:?}");
    assert_eq!(next[0]["partition"], 5);

    let refused = bench.run(&args!["fix", "--bank", "next", stick]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    let refused = bench.run(&args!["fix", stick]);
    assert_eq!(refused.code, 4, "{}", refused.stderr);
    assert!(refused.stderr.contains("--bank 6"), "{}", refused.stderr);
    assert_eq!(stamp(&stick), before);
    bench.done(&args!["fix", "--bank", "6", stick]);
}

#[test]
fn commands_that_look_keep_to_the_bank_that_is_chosen() {
    let image = small("esxi67-usb-passthru");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    for (choice, partitions) in [("all", vec![5, 6]), ("next", vec![5]), ("6", vec![6])] {
        let (info, code) = bench.json(&args!["info", "--bank", choice, stick]);
        assert_eq!(code, 0);
        let banks = info[0]["banks"].as_array().unwrap().iter();
        let shown: Vec<_> = banks
            .map(|bank| bank["partition"].as_u64().unwrap())
            .collect();
        assert_eq!(shown, partitions, "{choice}");
    }
    // Damage in one bank is none of the other's business.
    let mut bytes = fs::read(&stick).unwrap();
    let at = bytes
        .windows(11)
        .position(|it| it == b"STATE   TGZ")
        .unwrap();
    bytes[at + 20] = 1;
    fs::write(&stick, &bytes).unwrap();
    for (choice, code) in [("all", 4), ("5", 4), ("6", 0), ("7", 2)] {
        let ran = bench.run(&args!["verify", "--bank", choice, stick]);
        assert_eq!(ran.code, code, "{choice}: {}{}", ran.stdout, ran.stderr);
    }
}

/// A limit is no damage.
#[test]
fn a_state_over_the_limit_is_an_error_and_not_called_damaged() {
    let image = small("esxi67-gpt");
    let bench = Bench::new();
    let stick = image.copy_to(bench.path());
    let ran = bench.run(&args!["verify", "--max-unpacked", "1K", stick]);
    assert_eq!(ran.code, 4, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("not fully checked"), "{}", ran.stdout);
}
