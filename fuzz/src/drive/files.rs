//! What people hand over as files of their own: plans, host maps and saved states.

use super::super::repair;
use super::{KEYS, LIMITS, settings};
use bootbank::bank::BootCfg;
use bootbank::edit::host_map::{HostMap, MATCHED_BY, Names};
use bootbank::edit::plan_file::DeclaredPlan;
use bootbank::edit::{
    ConfEdit, Context, Devices, Edit, FileEdit, OwnerEdit, apply, apply_to_boot_cfg,
};
use bootbank::ownership::Owner;
use bootbank::state::{Effort, State};
use bootbank::stick::Look;
use bootbank::target::SavedState;
use std::collections::{BTreeMap, BTreeSet};

/// A state that plans are applied to: with an esx.conf, and without a ConfigStore.
const STATE: &[u8] = include_bytes!("../../templates/local.tgz");
const BOOT_CFG: &[u8] =
    b"bootstate=0\nkernel=b.b00\nkernelopt=a b\nmodules=k.b00\nbuild=6.7.0-8169922\nupdated=1\n";

/// First byte: 0 a plan file, 1 a host map.
pub fn plan(data: &[u8]) -> bool {
    let Some((&how, rest)) = data.split_first() else {
        return false;
    };
    match how % 2 {
        0 => std::str::from_utf8(rest).is_ok_and(plan_file),
        _ => host_map(rest),
    }
}

/// A plan that is accepted and applied leaves nothing to do for itself.
fn plan_file(text: &str) -> bool {
    let plan = match DeclaredPlan::parse(text) {
        Ok(plan) => plan,
        Err(error) => {
            let lines = text.matches('\n').count() + 1;
            assert!(
                (1..=lines).contains(&error.line) && error.column > 0,
                "{error}"
            );
            return false;
        }
    };
    let value = |column: String| (column, "value".to_owned());
    let row: BTreeMap<String, String> = plan.columns().into_iter().map(value).collect();
    let files = plan
        .local_files()
        .map(|name| (name.to_owned(), b"content".to_vec()))
        .collect();
    // What is filled in may still be no name or no address.
    let Ok((_, edits)) = plan.fill(&row, &files) else {
        return false;
    };
    let cfg = BootCfg::parse(BOOT_CFG);
    if let Ok((_, Some(bytes))) = apply_to_boot_cfg(&cfg, &edits) {
        let again = apply_to_boot_cfg(&BootCfg::parse(&bytes), &edits);
        let (_, again) = again.expect("a plan that was applied");
        assert!(again.is_none(), "boot.cfg would still need the plan");
    }
    let open =
        |bytes: &[u8]| State::open("local.tgz", bytes, &LIMITS, &KEYS).expect("a sound state");
    let state = open(STATE);
    let context = Context { time: None };
    let Ok(edited) = apply(&state, &edits, context, None) else {
        return false;
    };
    let Ok(content) = state.edit(&edited.members, Effort::Usual) else {
        return false;
    };
    let again = apply(&open(&content), &edits, context, None).expect("a plan that was applied");
    assert!(
        again.members.is_empty(),
        "the state would still need the plan"
    );
    !edited.members.is_empty()
}

/// Every row is for the medium that its own cells name, or another row is too.
fn host_map(bytes: &[u8]) -> bool {
    let Ok(map) = HostMap::parse(bytes) else {
        return false;
    };
    let mut found = false;
    let columns: BTreeSet<String> = MATCHED_BY.iter().map(|&it| it.to_owned()).collect();
    let _ = map.check_columns(&columns);
    for (line, medium) in map.unused(&BTreeSet::new()).take(20) {
        assert!(
            line > 1 && !medium.is_empty(),
            "a row that is the heading, or for nothing"
        );
        let _ = map.check_filled(line, &columns);
    }
    let names = Names {
        image: Some("/images/a.img".to_owned()),
        serial: Some("S1".to_owned()),
        bank_uuids: BTreeSet::from(["B1".to_owned()]),
        system_uuids: BTreeSet::from(["U1".to_owned()]),
    };
    if let Ok((line, cells)) = map.row_for(&names) {
        assert!(
            map.unused(&BTreeSet::from([line]))
                .all(|(other, _)| other != line)
        );
        let names_one = |column: &&str| cells.get(*column).is_some_and(|cell| !cell.is_empty());
        assert!(MATCHED_BY.iter().any(names_one), "a row that names nothing");
        found = true;
    }
    let _ = map.row_for(&Names::default());
    found
}

/// First byte: 0 the bytes of a file, 1 the archive of a bundle, 2 that of a bare state. A change that is
/// planned is there afterwards, and wants nothing more; the file stays what it was. So does one whose state
/// is that of another file from then on.
pub fn saved(data: &[u8]) -> bool {
    let Some((&how, rest)) = data.split_first() else {
        return false;
    };
    let mut archive = rest.to_vec();
    let file = match how % 3 {
        0 => archive,
        how => {
            for (_, place) in repair::tar(&mut archive) {
                if let Some(member) = archive.get_mut(place).filter(|_| how == 1) {
                    repair::stored_gzip(member);
                }
            }
            repair::gzip(&archive)
        }
    };
    let look = Look {
        rescue: true,
        ..Look::default()
    };
    let _ = SavedState::open(&file, None, &settings(), look);
    let Ok(saved) = SavedState::open(&file, None, &settings(), Look::default()) else {
        return false;
    };
    let _ = (
        saved.release(),
        saved.identity(),
        saved.names(),
        saved.manifest_warning(),
    );
    let context = Context {
        time: Some(1_700_000_000),
    };
    let mut deep = false;
    for edit in edits() {
        let edits = [edit];
        let Ok(plan) = saved.plan(&edits, context) else {
            continue;
        };
        let Some(content) = plan.state.and_then(|state| state.content) else {
            continue;
        };
        let after = SavedState::open(&content, None, &settings(), Look::default())
            .expect("what was planned");
        assert_eq!(after.saved_as(), saved.saved_as());
        let again = after.plan(&edits, context).expect("what was planned");
        assert!(
            again.state.is_none_or(|state| state.content.is_none()),
            "the plan left something to do"
        );
        deep = true;
    }
    let fixed = SavedState::open(STATE, None, &settings(), Look::default()).expect("the template");
    import(&saved, STATE) | import(&fixed, &file) | deep
}

/// Whether the state in a file can take the place of that of another, where it then is.
fn import(into: &SavedState<'_>, file: &[u8]) -> bool {
    let Ok(plan) = into.plan_import(file) else {
        return false;
    };
    let Some(content) = plan.state.and_then(|state| state.content) else {
        return false;
    };
    let after =
        SavedState::open(&content, None, &settings(), Look::default()).expect("what was planned");
    assert_eq!(after.saved_as(), into.saved_as());
    let from = SavedState::open(file, None, &settings(), Look::default()).expect("what was taken");
    let members = |saved: &SavedState<'_>| {
        let state = saved.state().expect("a state that is whole");
        state.members().expect("an open one").to_vec()
    };
    assert_eq!(members(&after), members(&from));
    let again = after.plan_import(file).expect("what was planned");
    assert!(
        again.state.is_none_or(|state| state.content.is_none()),
        "the plan left something to do"
    );
    true
}

fn edits() -> [Edit; 4] {
    let set = |key: &str, value: &str| {
        Edit::Conf(ConfEdit::Set {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    };
    [
        set("/adv/Misc/HostName", "fuzz"),
        set("/system/uuid", "5fb27665-0000-0000-0000-000000000001"),
        Edit::Owner(OwnerEdit {
            devices: Devices::PassedThrough,
            owner: Owner::Vmkernel,
        }),
        Edit::File(FileEdit::Put {
            path: "etc/motd".to_owned(),
            content: vec![7; 700],
            mode: None,
        }),
    ]
}
