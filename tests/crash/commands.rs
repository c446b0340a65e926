//! Each writing command, cut wherever it can be.

use crate::judges::Scratch;
use crate::replay::Cow;
use crate::runs::Run;
use crate::sticks::{FIX, HOST_KEY, Image};
use bootbank::commit::{IfDifferent, Phase, UndoError, run};
use bootbank::fat::Method;
use bootbank::medium::ReadAt;

fn text<T>(result: Result<T, impl ToString>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn fix_of(name: &str, row: &str) {
    let image = Image::bundled(name);
    let act = |medium: &dyn ReadAt| text(image.fix(medium, FIX));
    Run::new(&image, &act).judge_all(row);
}

#[test]
fn a_cut_fix_of_one_bank_leaves_old_or_new() {
    fix_of("esxi67-fresh", "fix, one bank");
}

#[test]
fn a_cut_fix_of_two_banks_and_three_files_leaves_each_old_or_new() {
    fix_of("esxi40-mbr", "fix, two banks, one with two files (MBR)");
}

#[test]
fn a_cut_fix_of_a_fragmented_state_leaves_old_or_new() {
    fix_of("esxi55-fragmented", "fix, fragmented");
}

#[test]
fn a_cut_fix_with_4096_byte_sectors_leaves_old_or_new() {
    fix_of("esxi67-4kn", "fix, 4096-byte sectors");
}

#[test]
fn a_cut_fix_of_fat12_leaves_old_or_new() {
    fix_of("esxi67-fat12", "fix, FAT12");
}

#[test]
fn a_cut_fix_of_two_directory_sectors_leaves_each_file_old_or_new() {
    fix_of(
        "esxi67-two-sectors",
        "fix, entries in two directory sectors",
    );
}

#[test]
fn a_cut_fix_of_an_encrypted_state_leaves_old_or_new() {
    fix_of("esxi702-encrypted", "fix, encrypted state");
}

#[test]
fn a_cut_fix_of_both_sources_leaves_old_or_new() {
    fix_of("esxi70u1-both", "fix, esx.conf and ConfigStore");
}

#[test]
fn a_cut_pci_set_leaves_old_or_new() {
    let image = Image::bundled("esxi67-fresh");
    let on = |medium: &dyn ReadAt| text(image.pci_set(medium, "0000:03:00.0", true));
    let run = Run::new(&image, &on);
    run.judge_all("pci set -e true");

    let image = image.with(run.recorder.bytes());
    let off = |medium: &dyn ReadAt| text(image.pci_set(medium, "0000:03:00.0", false));
    Run::new(&image, &off).judge_all("pci set -e false");
}

/// An image on which a fix was cut while its chain was being allocated: one copy of the FAT
/// has it, the other has half of it.
pub fn with_leftovers(image: &Image) -> Image {
    let set = image.fix(&image.bytes, FIX).unwrap();
    let medium = Cow::new(&image.bytes, image.sector);
    for step in &set.steps()[..2] {
        let keep = match step.phase {
            Phase::Data => step.sectors.len(),
            _ => step.sectors.len() / 2 + 1,
        };
        for (&lba, change) in step.sectors.iter().take(keep) {
            medium.put(lba.0, &change.new);
        }
    }
    image.with(medium.bytes(0..medium.size()))
}

#[test]
fn a_cut_fix_over_leftovers_leaves_old_or_new() {
    let image = with_leftovers(&Image::bundled("esxi55-fragmented"));
    let act = |medium: &dyn ReadAt| text(image.fix(medium, FIX));
    let run = Run::new(&image, &act);
    assert_eq!(run.set.steps()[0].phase, Phase::Reclaim);
    run.judge_all("fix, over leftovers");
}

#[test]
fn a_cut_reclaim_changes_no_file() {
    let image = with_leftovers(&Image::bundled("esxi55-fragmented"));
    let act = |medium: &dyn ReadAt| text(image.reclaim(medium));
    let run = Run::new(&image, &act);
    run.judge_all("reclaim");
}

/// Undo of a whole run, after which somebody wrote into the freed clusters and deleted it.
fn undo_of(name: &str, row: &str) {
    let image = Image::bundled(name);
    let set = image.fix(&image.bytes, FIX).unwrap();
    let fixed = Cow::new(&image.bytes, image.sector);
    assert!(run(&fixed, &set, &|| false).unwrap().unfinished.is_none());
    for (at, lba) in set.preserved().values().flatten().enumerate() {
        if at % 3 == 0 {
            fixed.put(lba.0.0, &vec![0xe5; image.sector]);
        }
    }
    let undo = image.undo_file(&set);
    let fixed = image.with(fixed.bytes(0..fixed.size()));
    let act = |medium: &dyn ReadAt| text(undo.plan(medium, IfDifferent::Refuse));
    let mut undoing = Run::new(&fixed, &act);
    assert!(
        undoing.recorder.bytes() == image.bytes,
        "every byte is back"
    );
    undoing.undo = None;
    undoing.judge_all(row);
}

#[test]
fn a_cut_undo_leaves_old_or_new_and_can_be_run_again() {
    undo_of("esxi67-fresh", "undo, one bank");
}

#[test]
fn a_cut_undo_of_two_banks_can_be_run_again() {
    undo_of("esxi40-mbr", "undo, two banks, one with two files");
}

/// A desktop that leaves a folder on whatever is plugged in: the sectors cannot be put back any
/// more without losing it, the files can.
#[test]
fn a_cut_undo_of_files_leaves_old_or_new_and_keeps_what_another_system_wrote() {
    let image = Image::bundled("esxi67-fresh");
    let set = image.fix(&image.bytes, FIX).unwrap();
    let undo = image.undo_file(&set);
    let fixed = Cow::new(&image.bytes, image.sector);
    assert!(run(&fixed, &set, &|| false).unwrap().unfinished.is_none());
    let range = image.layout().volumes[&5].clone();
    let mut scratch = Scratch::new(&image, range);
    scratch.set(&fixed);
    scratch.make_folder("System Volume Information");
    scratch.take(&fixed);
    let fixed = image.with(fixed.bytes(0..fixed.size()));

    let refused = undo.plan(&fixed.bytes, IfDifferent::Refuse);
    assert!(
        matches!(refused, Err(UndoError::Mismatch { .. })),
        "{refused:?}"
    );
    let act = |medium: &dyn ReadAt| {
        let way = text(fixed.undo(medium, &undo))?;
        assert!(way.files_only.is_some());
        Ok(way.set)
    };
    let mut undoing = Run::new(&fixed, &act);
    assert!(undoing.new == image.states(&image.bytes).unwrap());
    undoing.undo = None;
    undoing.same_end = false;
    undoing.judge_all("undo of files, one bank");
}

fn in_place_of(name: &str, row: &str) {
    let image = Image::full(name);
    let act = |medium: &dyn ReadAt| text(image.fix(medium, Method::InPlace));
    let mut run = Run::new(&image, &act);
    run.in_place = true;
    run.judge_all(row);
}

#[test]
fn a_cut_fix_in_place_is_always_undone() {
    in_place_of("esxi67-fresh", "fix --in-place, one bank");
}

#[test]
fn a_cut_fix_in_place_of_two_banks_is_always_undone() {
    in_place_of(
        "esxi67-two-sectors",
        "fix --in-place, entries in two directory sectors",
    );
}

#[test]
fn a_cut_removal_in_place_that_shortens_a_chain_is_always_undone() {
    let image = Image::full("esxi67-fresh");
    let act = |medium: &dyn ReadAt| text(image.rm(medium, HOST_KEY, Method::InPlace));
    let mut run = Run::new(&image, &act);
    let mut phases = run.set.steps().iter().map(|step| step.phase);
    assert_eq!(phases.next_back(), Some(Phase::Release));
    run.in_place = true;
    run.judge_all("rm --in-place, shorter chain");
}
