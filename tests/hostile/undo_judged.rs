//! Undo files without a fault in themselves, whose steps would leave what no change is about: each is
//! refused, and nothing is written. mtools, gzip and fsck.fat make the images and judge the results.

use super::images::{Ran, Scene, output, succeed};
use bootbank::commit::{About, Phase, Planner, Undo};
use bootbank::fat::Volume;
use bootbank::partition::PartitionTable;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;

const PLAIN: &str = "esxi67-usb-passthru";
const SECTOR: usize = 512;

/// Where a partition of the target lies, in bytes.
fn place(scene: &Scene, number: u32) -> Range<u64> {
    let image = fs::read(scene.target()).unwrap();
    let table = PartitionTable::read(&image, None).unwrap();
    let partition = table.partition(number).unwrap();
    partition.byte_range(table.sector_size).unwrap()
}

/// A program of mtools on a partition of the target.
fn mtools(scene: &Scene, number: u32, program: &str, arguments: &[&str]) -> Vec<u8> {
    let at = place(scene, number).start;
    let mut command = Command::new(program);
    command.env("MTOOLS_SKIP_CHECK", "1");
    let image = format!("{}@@{at}", scene.target().display());
    succeed(command.args(["-i", &image]).args(arguments)).stdout
}

/// An undo file that makes of the target what it is in `wanted`: one step, as the file says on
/// `partition`, allowed everywhere.
fn undo_to(scene: &Scene, wanted: &[u8], partition: u32) -> PathBuf {
    let now = fs::read(scene.target()).unwrap();
    let wanted = wanted.to_vec();
    let mut planner = Planner::new(&wanted, SECTOR as u32);
    planner.allow(0..wanted.len() as u64).unwrap();
    planner.begin(Phase::Release, partition, "what was asked for");
    for (index, sector) in now.chunks(SECTOR).enumerate() {
        planner.put((index * SECTOR) as u64, sector).unwrap();
    }
    let undo = Undo {
        set: planner.finish(),
        medium_size: now.len() as u64,
        damaged: Default::default(),
        about: About::default(),
    };
    let path = scene.file("made.undo");
    fs::write(&path, undo.to_bytes().unwrap()).unwrap();
    path
}

fn undo(scene: &Scene, file: &PathBuf, options: &[&str]) -> Ran {
    let mut command = scene.command(&["undo", "--json"]);
    Ran::new(command.args(options).arg(file).arg(scene.target()))
}

/// The target as it is after `spoil`, and again as it was.
fn spoiled(scene: &Scene, spoil: impl Fn(&Scene)) -> Vec<u8> {
    let sound = fs::read(scene.target()).unwrap();
    spoil(scene);
    let spoiled = fs::read(scene.target()).unwrap();
    fs::write(scene.target(), sound).unwrap();
    let now = fs::read(scene.target()).unwrap();
    assert!(spoiled != now, "nothing was spoiled");
    spoiled
}

fn write_file(scene: &Scene, name: &str, content: &[u8]) -> String {
    let path = scene.file(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Puts bytes into the target `at` bytes into a partition.
fn put(scene: &Scene, number: u32, at: u64, bytes: &[u8]) {
    let mut image = fs::read(scene.target()).unwrap();
    let at = (place(scene, number).start + at) as usize;
    image[at..at + bytes.len()].copy_from_slice(bytes);
    fs::write(scene.target(), image).unwrap();
}

/// Puts a label into the first free slot of the root directory.
fn add_label(scene: &Scene, number: u32) {
    let image = fs::read(scene.target()).unwrap();
    let volume = Volume::open(&image, place(scene, number), SECTOR as u32).unwrap();
    let root = volume.geometry().root_range();
    let start = volume.start();
    let slots = root.step_by(32);
    let free = slots
        .into_iter()
        .find(|at| image[(start + at) as usize] == 0);
    let mut label = [0; 32];
    label[..11].copy_from_slice(b"OTHER      ");
    label[11] = 0x08;
    put(scene, number, free.unwrap(), &label);
}

#[test]
fn what_no_change_is_about_is_not_put_back_either() {
    type Spoil = fn(&Scene);
    let cases: [(&str, Spoil, &str); 6] = [
        (
            "a folder",
            |it| drop(mtools(it, 5, "mmd", &["::FOLDER"])),
            "FOLDER",
        ),
        (
            "a label",
            |it| add_label(it, 5),
            "slot of the root directory",
        ),
        (
            "a state that is no gzip",
            |it| {
                let file = write_file(it, "state.tgz", &[0; 9000]);
                mtools(it, 5, "mcopy", &["-o", &file, "::state.tgz"]);
            },
            "state.tgz",
        ),
        (
            "a state cut short",
            |it| {
                let whole = mtools(it, 5, "mtype", &["::state.tgz"]);
                let file = write_file(it, "state.tgz", &whole[..whole.len() - 100]);
                mtools(it, 5, "mcopy", &["-o", &file, "::state.tgz"]);
            },
            "state.tgz",
        ),
        (
            "rubbish in the FAT",
            |it| put(it, 5, 1024 + 64, &[0x77; 100]),
            "partition 5",
        ),
        (
            "the boot sector",
            |it| put(it, 5, 3, b"MKFS.FAT"),
            "outside the FATs",
        ),
    ];
    for (what, spoil, says) in cases {
        let scene = Scene::sound(PLAIN);
        let wanted = spoiled(&scene, spoil);
        let before = scene.digest();
        // Whatever number the file has for the partition.
        for number in [5, 6, 99] {
            let file = undo_to(&scene, &wanted, number);
            let ran = undo(&scene, &file, &[]);
            assert_eq!(ran.code, 3, "{what}, {number}: {ran:?}");
            assert!(ran.stderr.contains(says), "{what}: {}", ran.stderr);
            assert_eq!(scene.digest(), before, "{what}");
        }
    }
}

#[test]
fn a_file_in_a_folder_is_nothing_that_comes_back() {
    let scene = Scene::sound(PLAIN);
    let old = write_file(&scene, "old", &[1; 3000]);
    mtools(&scene, 5, "mmd", &["::FOLDER"]);
    mtools(&scene, 5, "mcopy", &[&old, "::FOLDER/A.TXT"]);
    let wanted = spoiled(&scene, |scene| {
        let image = fs::read(scene.target()).unwrap();
        let at = image.windows(3000).position(|it| it == [1; 3000]).unwrap();
        let start = place(scene, 5).start;
        put(scene, 5, at as u64 - start, &[2; 3000]);
    });
    let before = scene.digest();
    let file = undo_to(&scene, &wanted, 5);
    let ran = undo(&scene, &file, &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("FOLDER/A.TXT"), "{}", ran.stderr);
    assert_eq!(scene.digest(), before);
}

#[test]
fn a_volume_that_is_no_bank_is_none_of_its_business() {
    let scene = Scene::sound(PLAIN);
    let number = 1;
    let wanted = spoiled(&scene, |scene| {
        let file = write_file(scene, "new.txt", b"new");
        mtools(scene, number, "mcopy", &[&file, "::NEW.TXT"]);
    });
    let before = scene.digest();
    for options in [&[][..], &["--force"]] {
        let file = undo_to(&scene, &wanted, 5);
        let ran = undo(&scene, &file, options);
        assert_eq!(ran.code, 3, "{ran:?}");
        assert!(ran.stderr.contains("outside the FATs"), "{}", ran.stderr);
        assert_eq!(scene.digest(), before);
    }
}

#[test]
fn steps_get_the_number_that_the_table_says() {
    let scene = Scene::sound(PLAIN);
    let wanted = spoiled(&scene, |scene| {
        succeed(
            scene
                .command(&["fix", "-q", "--no-undo", "--bank", "5"])
                .arg(scene.target()),
        );
    });
    let file = undo_to(&scene, &wanted, 99);
    let ran = undo(&scene, &file, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.object()["banks"][0]["partition"], 5);
    assert!(fs::read(scene.target()).unwrap() == wanted);
}

#[test]
fn one_step_for_two_banks_is_no_step_of_a_change() {
    let scene = Scene::sound(PLAIN);
    let wanted = spoiled(&scene, |scene| {
        succeed(
            scene
                .command(&["fix", "-q", "--no-undo"])
                .arg(scene.target()),
        );
    });
    let before = scene.digest();
    let file = undo_to(&scene, &wanted, 5);
    let ran = undo(&scene, &file, &["--force"]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("several partitions"), "{}", ran.stderr);
    assert_eq!(scene.digest(), before);
}

#[test]
fn force_goes_on_and_names_what_it_breaks() {
    let scene = Scene::sound(PLAIN);
    let wanted = spoiled(&scene, |scene| {
        for number in [5, 6] {
            let file = write_file(scene, "state.tgz", &[0; 9000]);
            mtools(scene, number, "mcopy", &["-o", &file, "::state.tgz"]);
        }
    });
    // A step for each bank.
    let sound = fs::read(scene.target()).unwrap();
    let second = place(&scene, 6).start as usize;
    for (number, range) in [(5, 0..second), (6, second..sound.len())] {
        let mut only = fs::read(scene.target()).unwrap();
        only[range.clone()].copy_from_slice(&wanted[range]);
        let file = undo_to(&scene, &only, number);
        let ran = undo(&scene, &file, &["--force"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let warnings = ran.object()["warnings"].to_string();
        let name = format!("partition {number}: state.tgz");
        assert!(warnings.contains(&name), "{warnings}");
    }
    assert!(fs::read(scene.target()).unwrap() == wanted);
    let state = mtools(&scene, 5, "mtype", &["::state.tgz"]);
    fs::write(scene.file("broken.gz"), state).unwrap();
    let gzip = output(Command::new("gzip").arg("-t").arg(scene.file("broken.gz")));
    assert!(!gzip.status.success());
}

/// A state that was no archive before the change is put back all the same, and it is said.
#[test]
fn what_was_damaged_before_a_change_can_be_put_back() {
    let scene = Scene::sound(PLAIN);
    let export = scene.file("export.tgz");
    let mut command = scene.command(&["state", "export"]);
    succeed(command.arg(scene.target()).arg(&export));
    for number in [5, 6] {
        let file = write_file(&scene, "state.tgz", &[7; 9000]);
        mtools(&scene, number, "mcopy", &["-o", &file, "::state.tgz"]);
    }
    let before = scene.digest();
    let file = scene.file("import.undo");
    let mut import = scene.command(&["state", "import", "-q", "-z"]);
    succeed(import.arg(&file).arg(scene.target()).arg(&export));
    assert_ne!(scene.digest(), before);
    let ran = undo(&scene, &file, &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stderr.contains("it was so before the change too"),
        "{ran:?}"
    );
    assert_eq!(scene.digest(), before);
}

/// The old content that the file keeps is rubbish, and so is what it would leave.
#[test]
fn kept_content_that_is_no_archive_is_refused_in_both_ways() {
    let scene = Scene::sound(PLAIN);
    let made = scene.file("fix.undo");
    succeed(
        scene
            .command(&["fix", "-q", "-z"])
            .arg(&made)
            .arg(scene.target()),
    );
    let before = scene.digest();
    let file = super::undo::members(&fs::read(&made).unwrap(), |name, content| {
        if name.starts_with("preserved-") {
            content.fill(0);
        }
    });
    fs::write(&made, file).unwrap();
    let ran = undo(&scene, &made, &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(ran.stderr.contains("state.tgz"), "{}", ran.stderr);
    assert_eq!(scene.digest(), before);
}
