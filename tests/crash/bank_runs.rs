//! Each command about banks and their files, cut wherever it can be.

use crate::banks::{BankRun, booting, files};
use crate::judges::{Scratch, run};
use crate::replay::Cow;
use crate::sticks::{Image, Layout, request};
use bootbank::bank::BootCfgEdit;
use bootbank::commit::WriteSet;
use bootbank::edit::Edit;
use bootbank::fat::Method;
use bootbank::medium::ReadAt;
use bootbank::stick::{BankChoice, BankFile, Error, IfBroken, Plan, Request, Stick};
use std::process::Command;

fn text(result: Result<Plan, Error>) -> Result<WriteSet, String> {
    result
        .map(|plan| plan.set)
        .map_err(|error| error.to_string())
}

fn on(bank: u32) -> Request {
    Request {
        banks: BankChoice::Partition(bank),
        ..request(Method::SecondCopy)
    }
}

/// What a command comes to on an image, judged at every cut.
fn judged(image: &Image, row: &str, plan: &dyn Fn(&Stick<'_, '_>) -> Result<Plan, Error>) {
    let act = |medium: &dyn ReadAt| {
        let stick = image.open(medium).map_err(|error| error.to_string())?;
        text(plan(&stick))
    };
    BankRun::new(image, image.layout(), &act).judge_all(row);
}

fn copied(image: &Image, layout: Layout, (from, to): (u32, u32), row: &str) {
    let act = |medium: &dyn ReadAt| {
        let stick = image.open(medium).map_err(|error| error.to_string())?;
        text(stick.plan_copy_bank(from, to))
    };
    let mut run = BankRun::new(image, layout, &act);
    run.copy = Some((from, to));
    assert!(run.changed().iter().all(|(bank, _)| *bank == to));
    run.judge_all(row);
}

/// The image with a bank changed by mtools.
fn with(image: &Image, bank: u32, change: impl FnOnce(&Scratch)) -> Image {
    let range = image.layout().volumes[&bank].clone();
    let mut scratch = Scratch::new(image, range);
    change(&scratch);
    let medium = Cow::new(&image.bytes, image.sector);
    scratch.take(&medium);
    image.with(medium.bytes(0..medium.size()))
}

fn delete(scratch: &Scratch, name: &str) {
    let mut mdel = Command::new("mdel");
    let output = run(mdel.arg("-i").arg(scratch.path()).arg(format!("::{name}")));
    assert!(output.status.success(), "{output:?}");
}

fn put(scratch: &Scratch, name: &str, content: &[u8]) {
    let source = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(source.path(), content).unwrap();
    let mut mcopy = Command::new("mcopy");
    let mcopy = mcopy.args(["-o", "-i"]).arg(scratch.path());
    let output = run(mcopy.arg(source.path()).arg(format!("::{name}")));
    assert!(output.status.success(), "{output:?}");
}

/// Lines of a bank's boot.cfg set with other values.
fn with_settings(image: &Image, bank: u32, settings: &[(&str, &str)]) -> Image {
    let boot_cfg = content(image, bank, "boot.cfg");
    let mut text = String::from_utf8(boot_cfg).unwrap();
    for (key, value) in settings {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{key}=")));
        let line = line.unwrap().to_owned();
        text = text.replace(&line, &format!("{key}={value}"));
    }
    with(image, bank, |scratch| {
        put(scratch, "boot.cfg", text.as_bytes())
    })
}

fn content(image: &Image, bank: u32, name: &str) -> Vec<u8> {
    let all = files(&image.layout(), image, &image.bytes);
    all[&(bank, name.to_owned())].clone()
}

#[test]
fn a_cut_use_of_the_other_bank_boots_one_or_the_other() {
    let image = Image::bundled("esxi70u1-both");
    let row = "bank use, the other bank";
    judged(&image, row, &|stick| {
        stick.plan_use(6, on(6), IfBroken::Refuse)
    });
}

/// What is wrong is `bootstate`: the bank may boot, and is not taken.
#[test]
fn a_cut_use_of_an_invalid_bank_boots_one_or_the_other() {
    let image = Image::bundled("esxi67-two-sectors");
    let image = with_settings(&image, 6, &[("bootstate", "3")]);
    let row = "bank use, bootstate 3";
    judged(&image, row, &|stick| {
        stick.plan_use(6, on(6), IfBroken::Refuse)
    });
}

#[test]
fn a_cut_copy_to_an_empty_bank_boots_the_original() {
    let image = Image::bundled("esxi67-fresh");
    copied(
        &image,
        image.layout(),
        (5, 6),
        "bank copy, to an empty bank",
    );
}

#[test]
fn a_cut_copy_to_a_bank_without_boot_cfg_boots_the_original() {
    let image = Image::bundled("esxi70u1-both");
    let layout = image.layout();
    let image = with(&image, 6, |scratch| {
        for name in ["boot.cfg", "s.v00", "vim.v00"] {
            delete(scratch, name);
        }
    });
    copied(&image, layout, (5, 6), "bank copy, target without boot.cfg");
}

#[test]
fn a_cut_copy_of_a_few_files_boots_one_of_the_banks_whole() {
    let image = Image::bundled("esxi70u1-both");
    let image = with(&image, 6, |scratch| {
        put(scratch, "s.v00", &[7; 3000]);
        put(scratch, "other.v00", b"no file of the original");
        delete(scratch, "vim.v00");
    });
    let layout = image.layout();
    copied(&image, layout, (5, 6), "bank copy, a few files differ");
}

/// The bank that boots is the one that is replaced: the other one boots meanwhile.
#[test]
fn a_cut_copy_over_the_bank_that_boots_boots_the_original_meanwhile() {
    let image = Image::bundled("esxi70u1-both");
    let image = with(&image, 5, |scratch| put(scratch, "s.v00", &[7; 3000]));
    let layout = image.layout();
    let row = "bank copy, over the bank that boots next";
    copied(&image, layout, (6, 5), row);
}

/// Nothing would boot while the target is told not to: the original is no bank that is taken.
#[test]
fn a_copy_over_the_only_bank_that_is_taken_is_refused() {
    let image = Image::bundled("esxi70u1-both");
    let image = with(&image, 5, |scratch| put(scratch, "s.v00", &[7; 3000]));
    let image = with_settings(&image, 6, &[("bootstate", "3")]);
    let stick = image.open(&image.bytes).unwrap();
    let refused = text(stick.plan_copy_bank(6, 5)).map(|_| "planned");
    let says = refused.unwrap_err();
    assert!(says.contains("no bank would boot while"), "{says}");
    // The way out: the original is made the one that boots, then it can be copied.
    let used = stick.plan_use(6, on(6), IfBroken::Refuse).unwrap();
    let medium = Cow::new(&image.bytes, image.sector);
    assert!(
        bootbank::commit::run(&medium, &used.set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    assert_eq!(booting(&image, &medium), Some(6));
    let stick = image.open(&medium).unwrap();
    let copied = stick.plan_copy_bank(6, 5).unwrap();
    assert!(copied.outlook.boot.boots());
}

/// No number below the original's `updated` is left for the copy, and of two that are alike the
/// loader takes the first: the copy, once it is whole.
#[test]
fn a_cut_copy_of_an_original_of_the_lowest_rank_boots_one_of_the_two() {
    let image = Image::bundled("esxi70u1-both");
    let image = with_settings(&image, 6, &[("updated", "1")]);
    let image = with_settings(&image, 5, &[("bootstate", "3")]);
    let layout = image.layout();
    copied(&image, layout, (6, 5), "bank copy, original with updated=1");
}

#[test]
fn a_cut_copy_of_a_state_leaves_old_or_new() {
    let image = Image::bundled("esxi70u1-both");
    let row = "state copy, to the bank that boots next";
    judged(&image, row, &|stick| stick.plan_copy_state(6, 5, on(5)));
}

/// The bank stops without its state: what boots before is the other one.
#[test]
fn a_cut_import_where_there_is_no_state_boots_a_bank() {
    let image = Image::bundled("esxi67-two-sectors");
    let state = content(&image, 6, "state.tgz");
    let image = with(&image, 6, |scratch| delete(scratch, "state.tgz"));
    let row = "state import, no state before";
    judged(&image, row, &|stick| stick.plan_import(&state, on(6)));
}

#[test]
fn a_cut_put_of_a_new_file_of_a_bank_boots_it() {
    let image = Image::bundled("esxi67-fresh");
    let file = BankFile {
        partition: Some(5),
        name: "extra.v00".to_owned(),
        content: Some(vec![7; 5000]),
    };
    let files = [file];
    judged(&image, "put, a new file of a bank", &|stick| {
        stick.plan_files(&files, on(5))
    });
}

#[test]
fn a_cut_put_of_a_module_boots_the_old_or_the_new_one() {
    let image = Image::bundled("esxi67-fresh");
    let file = BankFile {
        partition: Some(5),
        name: "S.V00".to_owned(),
        content: Some(vec![7; 5000]),
    };
    let files = [file];
    judged(&image, "put, another module", &|stick| {
        stick.plan_files(&files, on(5))
    });
}

#[test]
fn a_cut_rm_of_a_file_of_a_bank_boots_it() {
    let image = Image::bundled("esxi67-fresh");
    let image = with(&image, 5, |scratch| put(scratch, "extra.v00", &[7; 5000]));
    let file = BankFile {
        partition: Some(5),
        name: "extra.v00".to_owned(),
        content: None,
    };
    let files = [file];
    judged(&image, "rm, a file of a bank", &|stick| {
        stick.plan_files(&files, on(5))
    });
}

#[test]
fn a_cut_setting_of_boot_cfg_leaves_old_or_new() {
    let image = Image::bundled("esxi67-fresh");
    let edits = [Edit::BootCfg(BootCfgEdit::set("timeout", "10"))];
    judged(&image, "bootcfg set", &|stick| stick.plan(&edits, on(5)));
}

/// The marks of an unclean unmount, in the boot sector and in the FAT.
#[test]
fn a_cut_clearing_of_marks_changes_no_file() {
    let image = Image::bundled("esxi67-fresh");
    let start = image.layout().volumes[&5].start as usize;
    let mut bytes = image.bytes.clone();
    bytes[start + 0x25] |= 1;
    let stick = image.open(&image.bytes).unwrap();
    let volume = stick.slots()[0].opened().unwrap().volume();
    for fat in volume.geometry().fat_ranges() {
        bytes[start + fat.start as usize + 3] &= 0x7f;
    }
    drop(stick);
    let image = image.with(bytes);
    let act = |medium: &dyn ReadAt| {
        let stick = image.open(medium).map_err(|error| error.to_string())?;
        text(stick.plan_mark_clean(on(5)))
    };
    let mut run = BankRun::new(&image, image.layout(), &act);
    run.for_mtools = false;
    run.judge_all("bank mark-clean");
}
