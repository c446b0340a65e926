//! Whole images, and the way back.

use super::super::repair;
use super::settings;
use bootbank::commit::{AnyUndo, FileUndo, IfDifferent, digest, run};
use bootbank::diagnosis::{CheckOptions, ContentCheck, check};
use bootbank::edit::seal::SealOperation;
use bootbank::edit::{ConfEdit, Context, Devices, Edit, FileEdit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::medium::Memory;
use bootbank::ownership::Owner;
use bootbank::stick::{BankChoice, Request, Stick, plan_undo};

/// A whole image whose archives are stored, not compressed.
pub fn image(data: &[u8]) -> bool {
    let mut bytes = data.to_vec();
    repair::image(&mut bytes);
    let contents = ContentCheck {
        medium: &bytes,
        threads: 1,
        progress: &|_, _| {},
    };
    let options = CheckOptions {
        banks: BankChoice::All,
        contents: Some(contents),
    };
    let _ = check(&bytes, &settings(), options);
    let Ok(stick) = Stick::open(&bytes, &settings()) else {
        return false;
    };
    let edits = [Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    })];
    let request = Request {
        banks: BankChoice::All,
        method: Method::SecondCopy,
        context: Context { time: None },
    };
    let _ = stick.plan_reclaim(request);
    for other in [
        Edit::Seal(SealOperation::ALL.to_vec()),
        Edit::Conf(ConfEdit::Set {
            key: "/adv/Misc/HostName".to_owned(),
            value: "fuzz".to_owned(),
        }),
        Edit::File(FileEdit::Put {
            path: "etc/motd".to_owned(),
            content: vec![7; 700],
            mode: None,
        }),
    ] {
        let _ = stick.plan(&[other], request);
    }
    let Ok(plan) = stick.plan(&edits, request) else {
        return false;
    };
    let medium = Memory::new(bytes.clone());
    let done = run(&medium, &plan.set, &|| false).expect("a medium in memory");
    assert!(done.unfinished.is_none());
    let after = Stick::open(&medium, &settings()).expect("what a verified plan leaves");
    let again = after
        .plan(&edits, request)
        .expect("what a verified plan leaves");
    assert!(again.is_empty(), "the plan left something to do");
    !plan.is_empty()
}

/// The image the seed of `undo` is for, as the change left it.
const CHANGED: &[u8] = include_bytes!("../../templates/changed.bin");

/// An undo file, of a medium or of a state file.
pub fn undo(data: &[u8]) -> bool {
    let _ = AnyUndo::from_bytes(data);
    let undo = match AnyUndo::from_bytes(&repair::undo(data)) {
        Ok(AnyUndo::Medium(undo)) => undo,
        Ok(AnyUndo::File(undo)) => return undo_of_file(&undo),
        Err(_) => return false,
    };
    let medium = CHANGED.to_vec();
    let _ = undo.plan(&medium, IfDifferent::Overwrite);
    for different in [IfDifferent::Overwrite, IfDifferent::Refuse] {
        let Ok(back) = plan_undo(&medium, &undo, &settings(), different) else {
            continue;
        };
        let after = Memory::new(medium.clone());
        let done = run(&after, &back.set, &|| false).expect("a medium in memory");
        assert!(done.unfinished.is_none());
        // By force anything may be put back, if its name is told.
        if back.damage.is_empty() {
            check_sound(&after, back.damaged_again.is_empty());
        }
        assert!(
            different == IfDifferent::Overwrite || back.damage.is_empty(),
            "damage that was not asked for"
        );
    }
    undo.plan(&medium, IfDifferent::Refuse)
        .is_ok_and(|set| !set.is_empty())
}

/// Only what the change left is given up for the old content, unless it is asked for.
fn undo_of_file(undo: &FileUndo) -> bool {
    let AnyUndo::File(again) =
        AnyUndo::from_bytes(&undo.to_bytes().expect("what was read")).expect("what was written")
    else {
        panic!("it was for a file");
    };
    assert!(again == *undo, "the undo file does not come back as it was");
    assert_eq!(
        undo.plan(&undo.old, IfDifferent::Refuse)
            .expect("the old content"),
        None
    );
    let other = [&undo.old, &b"x"[..]].concat();
    assert_eq!(
        undo.plan(&other, IfDifferent::Refuse).is_ok(),
        digest(&other) == undo.new
    );
    assert_eq!(
        undo.plan(&other, IfDifferent::Overwrite).expect("by force"),
        Some(&undo.old[..])
    );
    true
}

/// What an undo leaves is sound: the volumes, and down to their archives the states, but for those
/// that the undo file says were damaged before.
fn check_sound(medium: &Memory, all: bool) {
    let stick = Stick::open(medium, &settings()).expect("what an undo leaves");
    for slot in stick.slots() {
        let bank = slot.opened().expect("a bank that an undo leaves");
        bank.volume().check().expect("a volume that an undo leaves");
        for file in slot.states.iter().filter(|_| all) {
            stick
                .open_state(slot, file)
                .expect("a state that an undo leaves");
        }
    }
}
