mod harm;
mod new_devices;

use super::super::fixtures::{state, store};
use super::super::seal::SealOperation;
use super::super::{ConfEdit, Context, Edit, FileEdit, Harm, Oddity, StoreEdit, apply};
use super::*;
use crate::error::ErrorKind;
use crate::ownership::fixtures::sqlite3;

const ADAPTERS: [[&str; 5]; 3] = [
    [
        "system",
        "device_data",
        "52 a8",
        "",
        r#"{"alias":"vmhba0","bus_type":"pci","bus_address":"m01000300"}"#,
    ],
    [
        "system",
        "device_data",
        "52 a9",
        "",
        r#"{"alias":"vmnic3","bus_type":"pci","bus_address":"m01000b00"}"#,
    ],
    [
        "hardware",
        "pci_devices",
        "0000:01:00.0",
        "",
        r#"{"sbdf":"0000:01:00.0","dl_bus_address":"m01000300"}"#,
    ],
];

fn edit(devices: Devices, owner: Owner) -> Edit {
    Edit::Owner(OwnerEdit { devices, owner })
}

fn named(selector: &str) -> Vec<Selector> {
    vec![selector.parse().unwrap()]
}

/// The join by slot gives the name, and the name finds the device in both files.
#[test]
fn an_adapter_known_by_its_slot_is_found_by_name_in_both_files() {
    let conf = b"/device/0000:01:00.0/owner = \"passthru\"\n";
    let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, &store(&ADAPTERS))]);
    let devices = Configuration::open(&state).unwrap().devices().unwrap();
    assert_eq!(devices.len(), 2);
    for device in &devices {
        assert_eq!(device.alias.as_deref(), Some("vmhba0"), "{device:?}");
        assert!(device.is_storage());
    }
    let back = edit(Devices::Named(named("vmhba0")), Owner::Vmkernel);
    let edited = apply(&state, &[back], Context::default(), None).unwrap();
    let keys: Vec<&str> = edited.changes.iter().map(|c| c.key.as_str()).collect();
    assert_eq!(keys, ["/device/0000:01:00.0/owner"]);
    // The place of this one is known, and nothing says which PCI device that is.
    let other = edit(Devices::NamedOrNew(named("vmnic3")), Owner::Passthru);
    let edited = apply(&state, &[other], Context::default(), None).unwrap();
    assert_eq!(
        edited.unmatched[0].to_string(),
        "`vmnic3` is the adapter at m01000b00, and nothing in the state ties that place to a PCI address"
    );
}

/// Hosts of 5.5 to 6.7 name slots in `/vmkdevmgr`; a row of an upgraded host has the same text.
#[test]
fn a_slot_of_esx_conf_names_the_adapter_of_a_row() {
    let conf = b"/vmkdevmgr/pci/m01000300/alias = \"vmhba2\"\n";
    let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, &store(&ADAPTERS[2..]))]);
    let devices = Configuration::open(&state).unwrap().devices().unwrap();
    assert_eq!(devices[0].alias.as_deref(), Some("vmhba2"));
}

/// What the ConfigStore of 7.0 and 7.0 U1 looks like is not known, and those hosts take owners from esx.conf.
#[test]
fn a_store_of_another_shape_does_not_hide_esx_conf_from_hosts_that_read_that() {
    let conf = b"/device/00000:000:26.0/owner = \"passthru\"\n";
    let other = sqlite3(&[], "CREATE TABLE Config (Component TEXT, Name TEXT);").1;
    for store in [other.as_slice(), b""] {
        let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, store)]);
        let back = [edit(Devices::PassedThrough, Owner::Vmkernel)];
        let on = |edits: &[Edit], build: &str| {
            apply(
                &state,
                edits,
                Context::default(),
                Release::parse(build).as_ref(),
            )
        };
        for build in ["7.0.0-1.0.16324942", "7.0.1-0.0.16850804"] {
            let edited = on(&back, build).unwrap();
            assert_eq!(edited.changes.len(), 1, "{build}");
            assert_eq!(edited.members.len(), 1, "the store stays as it is");
            let [EditWarning::Configuration(warning)] = edited.warnings.as_slice() else {
                panic!("{:?}", edited.warnings);
            };
            assert!(matches!(warning.oddity, Oddity::ClosedStore(_)));
            assert!(warning.to_string().contains("stays as it is"), "{warning}");
            let set = Edit::Store(StoreEdit::Delete {
                key: RowKey::new("esx", "hardware", "pci_devices", "0000:00:1a.0"),
                absent_ok: false,
            });
            let error = on(&[set], build).unwrap_err();
            assert_ne!(error.kind(), ErrorKind::Usage, "{error}");
            let sealed = on(&[Edit::Seal(vec![SealOperation::SshHostKeys])], build);
            assert!(sealed.is_err(), "what is in the store would stay");
        }
        for release in ["7.0.2-0.0.17867351", "8.0.1-0.0.1", "no release"] {
            assert!(on(&back, release).is_err(), "{release}");
        }
    }
}

/// One row that cannot be read stops changes of owners, and keeps nobody from changing anything else.
#[test]
fn an_odd_row_stops_changes_of_owners_alone() {
    let row = |identifier, user| ["hardware", "pci_devices", identifier, user, ""];
    let odd = row("0000:65:00.0", r#"["OWNER_PASSTHRU"]"#);
    let sound = row("0000:01:00.0", r#"{"owner":"OWNER_PASSTHRU"}"#);
    let state = state(&[
        (ESX_CONF, b"/a = \"b\"\n"),
        (CONFIG_STORE, &store(&[odd, sound])),
    ]);
    let back = edit(Devices::PassedThrough, Owner::Vmkernel);
    let error = apply(&state, &[back], Context::default(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    let made = |edit: Edit| apply(&state, &[edit], Context::default(), None).unwrap();
    // What has nothing to do with owners is changed, and so is the row itself.
    let conf = ConfEdit::Set {
        key: "/a".to_owned(),
        value: "c".to_owned(),
    };
    assert_eq!(made(Edit::Conf(conf)).members.len(), 1);
    let delete = StoreEdit::Delete {
        key: RowKey::new("esx", "hardware", "pci_devices", "0000:65:00.0"),
        absent_ok: false,
    };
    assert_eq!(made(Edit::Store(delete)).members.len(), 1);
    // No edit makes one.
    for json in ["[]", "3", r#"{"owner":1}"#] {
        let set = Edit::Store(StoreEdit::Set {
            key: RowKey::new("esx", "hardware", "pci_devices", "0000:01:00.0"),
            column: ValueColumn::User,
            json: json.to_owned(),
        });
        let error = apply(&state, &[set], Context::default(), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    }
}

/// What a host makes of another spelling than its own is not known: it is named and stays, and neither keeps
/// the others from being given back nor lets anyone call the host free of passed-through devices.
#[test]
fn an_owner_of_no_known_spelling_is_told_and_left_alone() {
    for owner in [
        "OWNER_PASSTHRU ",
        "owner_passthru",
        "passthru",
        "OWNER_FUTURE",
        "",
    ] {
        let user = format!(r#"{{"owner":"{owner}"}}"#);
        let row = |identifier, user| ["hardware", "pci_devices", identifier, user, ""];
        let odd = row("0000:65:00.0", user.as_str());
        let sound = row("0000:01:00.0", r#"{"owner":"OWNER_PASSTHRU"}"#);
        let state = state(&[
            (ESX_CONF, b"/a = \"b\"\n"),
            (CONFIG_STORE, &store(&[odd, sound])),
        ]);
        let told = Configuration::open(&state).unwrap().warnings().unwrap();
        let says = format!("/0000:65:00.0 has the owner {owner:?}, which is neither");
        assert!(
            told.iter().any(|it| it.to_string().contains(&says)),
            "{told:?}"
        );
        let made = |devices| {
            let back = edit(devices, Owner::Vmkernel);
            apply(&state, &[back], Context::default(), None).unwrap()
        };
        let all = made(Devices::PassedThrough);
        assert_eq!(all.doubtful, 1, "{owner}");
        let keys: Vec<&str> = all.changes.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["0000:01:00.0"]);
        let alone = made(Devices::Named(named("0000:65:00.0")));
        assert_eq!((alone.members.len(), alone.doubtful), (0, 1), "{owner}");
    }
}

/// What is said of each.
fn texts(all: &[impl ToString]) -> Vec<String> {
    all.iter().map(ToString::to_string).collect()
}

/// Which file a warning is about is told by where it was found, and not by its words.
#[test]
fn a_warning_knows_its_file() {
    let line = format!("/device/a/owner = \"passthru {CONFIG_STORE}\"\n");
    let row = [
        "hardware",
        "pci_devices",
        "a",
        r#"{"owner":"OWNER_VMKERNEL"}"#,
        "",
    ];
    let state = state(&[(ESX_CONF, line.as_bytes()), (CONFIG_STORE, &store(&[row]))]);
    let warnings = Configuration::open(&state).unwrap().warnings().unwrap();
    let sources: Vec<Source> = warnings.iter().map(|it| it.source()).collect();
    assert_eq!(
        sources,
        [Source::EsxConf, Source::ConfigStore],
        "{warnings:?}"
    );
    assert!(warnings[0].to_string().contains(CONFIG_STORE));
}

/// A function and its virtual functions are devices of their own: a new line for the one leaves
/// those of the others alone, and there is none for a virtual function.
#[test]
fn a_new_function_gets_a_line_of_its_own_beside_those_of_its_virtual_functions() {
    for of_vf in ["p0000:0a:10.0.vf3", "010:16.0.vf3"] {
        let conf = format!(
            "/device/{of_vf}/owner = \"vmkernel\"\n/device/000:26.7/owner = \"vmkernel\"\n"
        );
        let state = state(&[(ESX_CONF, conf.as_bytes())]);
        let made = |selector: &str| {
            let new = edit(Devices::NamedOrNew(named(selector)), Owner::Passthru);
            apply(&state, &[new], Context::default(), None).unwrap()
        };
        let keys = |edited: &Edited| -> Vec<String> {
            edited.changes.iter().map(|it| it.key.clone()).collect()
        };
        assert_eq!(keys(&made("0000:0a:10.0")), ["/device/010:16.0/owner"]);
        let vf = made("0000:0a:10.0.vf3");
        assert_eq!(keys(&vf), [format!("/device/{of_vf}/owner")]);
        let other = made("0000:0a:10.0.vf4");
        assert!(other.members.is_empty());
        assert_eq!(
            other.unmatched[0].to_string(),
            format!(
                "no device matches `0000:0a:10.0.vf4`; nearest: /device/{of_vf}/owner (0000:0a:10.0.vf3)"
            )
        );
    }
}

/// Two spellings of one address and a row with another adapter's name are one device; each virtual
/// function is one more, as is their function.
#[test]
fn a_passed_through_device_counts_once_and_each_virtual_function_for_itself() {
    let conf = b"/device/000:26.7/owner = \"passthru\"\n/device/000:26.7/vmkname = \"vmhba3\"\n\
        /device/0000:00:26.7/owner = \"passthru\"\n/device/010:16.0/owner = \"passthru\"\n\
        /device/p0000:0a:10.0.vf1/owner = \"passthru\"\n/device/010:16.0.vf1/owner = \"\"\n\
        /device/p0000:0a:10.0.vf2/owner = \"somevm\"\n/device/p0000:0a:10.0.vf3/owner = \"vmkernel\"\n";
    let rows = [
        [
            "system",
            "device_data",
            "52 a8",
            "",
            r#"{"alias":"vmhba32","bus_type":"pci","bus_address":"p0000:00:1a.7"}"#,
        ],
        [
            "hardware",
            "pci_devices",
            "0000:00:1a.7",
            r#"{"sbdf":"0000:00:1a.7","owner":"OWNER_PASSTHRU"}"#,
            "",
        ],
    ];
    let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, &store(&rows))]);
    let passed = Configuration::open(&state).unwrap().passed_through(None);
    let passed: Vec<String> = passed
        .unwrap()
        .read
        .iter()
        .filter_map(DeviceOwner::typed_address)
        .collect();
    assert_eq!(
        passed,
        [
            "0000:00:1a.7",
            "0000:0a:10.0",
            "0000:0a:10.0.vf1",
            "0000:0a:10.0.vf2"
        ]
    );
}

/// A virtual function that is passed through takes nothing from its function.
#[test]
fn the_adapter_whose_virtual_function_is_passed_through_stays_with_the_host() {
    let conf =
        b"/device/0000:03:00.0/owner = \"vmkernel\"\n/device/0000:03:00.0/vmkname = \"vmnic0\"\n\
        /device/0000:04:00.0/owner = \"vmkernel\"\n/device/0000:04:00.0/vmkname = \"vmnic1\"\n\
        /device/0000:03:00.0.vf1/owner = \"passthru\"\n";
    let state = state(&[(ESX_CONF, conf)]);
    let through = edit(Devices::Named(named("vmnic1")), Owner::Passthru);
    let edited = apply(&state, &[through], Context::default(), None).unwrap();
    assert_eq!(edited.changes[0].harm, None);
    // The device at an address is the function alone.
    let at = vec!["03:00.0".parse::<Selector>().unwrap().address().unwrap()];
    let back = edit(Devices::PassedThroughAt(at), Owner::Vmkernel);
    let edited = apply(&state, &[back], Context::default(), None).unwrap();
    assert!(edited.changes.is_empty(), "{:?}", edited.changes);
}

/// An odd line with the key of an exact one keeps nothing from being given back. Where it may itself pass the
/// device through, that is told; who names this device alone is refused then, and so is passing it through.
#[test]
fn an_odd_twin_of_a_line_does_not_keep_the_others_from_being_given_back() {
    let key = "/device/000:26.7/owner";
    for (odd, doubtful) in [("\"vmkernel\" # old", 0), ("\"passthru\" # new", 1)] {
        let conf =
            format!("{key} = \"passthru\"\n{key} = {odd}\n/device/000:29.0/owner = \"passthru\"\n");
        let state = state(&[(ESX_CONF, conf.as_bytes())]);
        let made = |devices: Devices, owner| {
            apply(&state, &[edit(devices, owner)], Context::default(), None)
        };
        let all = made(Devices::PassedThrough, Owner::Vmkernel).unwrap();
        assert_eq!(all.doubtful, doubtful, "{odd}");
        let MemberEdit::Replace { content, .. } = &all.members[0] else {
            panic!("{:?}", all.members)
        };
        let expected =
            format!("{key} = \"vmkernel\"\n{key} = {odd}\n/device/000:29.0/owner = \"vmkernel\"\n");
        assert_eq!(content.to_vec(), expected.as_bytes());
        let one = made(Devices::Named(named(key)), Owner::Vmkernel);
        assert_eq!(one.is_err(), doubtful > 0, "{odd}");
    }
    let conf = format!("{key} = \"vmkernel\"\n{key} = \"vmkernel\" # old\n");
    let state = state(&[(ESX_CONF, conf.as_bytes())]);
    let through = edit(Devices::Named(named(key)), Owner::Passthru);
    let error = apply(&state, &[through], Context::default(), None).unwrap_err();
    assert!(
        error.to_string().contains("line 2 of esx.conf names"),
        "{error}"
    );
}
