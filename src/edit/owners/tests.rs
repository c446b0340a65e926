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

#[test]
fn a_mistyped_device_is_answered_with_the_nearest_and_makes_no_line() {
    let state = state(&[(ESX_CONF, b"/device/0000:85:31.1/owner = \"passthru\"\n")]);
    let typo = edit(Devices::Named(named("0000:55:1f.2")), Owner::Passthru);
    let edited = apply(&state, &[typo], Context::default(), None).unwrap();
    assert!(edited.members.is_empty());
    assert_eq!(
        edited.unmatched[0].to_string(),
        "no device matches `0000:55:1f.2`; nearest: /device/0000:85:31.1/owner (0000:55:1f.1)"
    );
    let insisted = edit(Devices::NamedOrNew(named("0000:55:1f.2")), Owner::Passthru);
    let edited = apply(&state, &[insisted], Context::default(), None).unwrap();
    assert_eq!(edited.changes[0].key, "/device/0000:85:31.2/owner");
}

/// Of a device that is there, decimal digits say which. A new one they would make up: of a mistyped address, or of the
/// domain of a kind of controller that ESXi numbers otherwise.
#[test]
fn a_new_device_is_not_made_of_what_can_only_be_decimal_unless_that_is_said() {
    let state = state(&[(ESX_CONF, b"/device/0000:85:31.1/owner = \"passthru\"\n")]);
    let made = |device: &str| {
        let edit = edit(Devices::NamedOrNew(named(device)), Owner::Passthru);
        apply(&state, &[edit], Context::default(), None).unwrap()
    };
    for (device, decimal) in [
        ("0000:00:28.0", "0000:00:1c.0"),
        ("0000:160:00.0", "0000:a0:00.0"),
        ("10000:00:01.0", "2710:00:01.0"),
    ] {
        let edited = made(device);
        assert!(edited.members.is_empty(), "{device}");
        assert_eq!(
            edited.unmatched[0].to_string(),
            format!(
                "no device matches `{device}`; a new one is not made of it, because it could only be decimal: {decimal}"
            )
        );
        let changes = made(&format!("dec:{device}")).changes;
        assert_eq!(changes[0].address.unwrap().to_string(), decimal);
    }
    assert!(made("0000:85:31.1").unmatched.is_empty());
    assert_eq!(made("0000:00:1c.0").changes.len(), 1);
}

/// 7.0 U1 has a store and reads esx.conf; 7.0 U2 reads the store.
#[test]
fn a_new_device_and_the_warning_go_by_the_release() {
    let conf =
        b"/device/0000:00:31.2/owner = \"vmkernel\"\n/device/0000:03:00.0/owner = \"vmkernel\"\n";
    let rows = [[
        "hardware",
        "pci_devices",
        "0000:01:00.0",
        r#"{"sbdf":"0000:01:00.0"}"#,
        "",
    ]];
    let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, &store(&rows))]);
    let (older, newer) = ("7.0.1-0.0.16850804", "7.0.2-0.0.17867351");
    let made = |devices: Devices, build: &str| {
        let edit = edit(devices, Owner::Passthru);
        let release = Release::parse(build).unwrap();
        apply(&state, &[edit], Context::default(), Some(&release))
    };
    let new = Devices::NamedOrNew(named("0a:00.0"));
    let edited = made(new.clone(), older).unwrap();
    assert_eq!(edited.changes[0].key, "/device/0000:10:00.0/owner");
    assert!(edited.warnings.is_empty(), "{:?}", edited.warnings);
    // The archive tells too little for a row.
    assert_eq!(made(new, newer).unwrap_err().kind(), ErrorKind::Refused);

    let in_conf = Devices::Named(named("00:1f.2"));
    assert!(made(in_conf.clone(), older).unwrap().warnings.is_empty());
    assert_eq!(
        texts(&made(in_conf, newer).unwrap().warnings),
        [
            "local.tgz: only esx.conf names /device/0000:00:31.2/owner; \
          7.0.2-0.0.17867351 reads the ConfigStore and does not see this change"
        ]
    );
    let in_store = Devices::Named(named("01:00.0"));
    assert!(made(in_store.clone(), newer).unwrap().warnings.is_empty());
    assert_eq!(
        texts(&made(in_store, older).unwrap().warnings),
        ["local.tgz: only the ConfigStore names 0000:01:00.0; \
          7.0.1-0.0.16850804 reads esx.conf and does not see this change"]
    );
    // Where new entries may be made, it gets one where its host looks.
    let edited = made(Devices::NamedOrNew(named("01:00.0")), older).unwrap();
    assert!(edited.warnings.is_empty(), "{:?}", edited.warnings);
    let keys: Vec<&str> = edited.changes.iter().map(|c| c.key.as_str()).collect();
    assert_eq!(keys, ["0000:01:00.0", "/device/0000:01:00.0/owner"]);
    let error = made(Devices::NamedOrNew(named("00:1f.2")), newer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

/// Told as a value, so that whoever asks people can ask.
#[test]
fn passing_a_storage_adapter_through_is_said_to_be_harmful_and_giving_it_back_is_not() {
    let conf = b"/device/0000:00:31.2/owner = \"vmkernel\"\n/device/0000:00:31.2/vmkname = \"vmhba0\"\n\
        /device/0000:00:29.0/owner = \"vmkernel\"\n/vmkdevmgr/pci/p0000:00:17.0/alias = \"vmhba1\"\n";
    let state = state(&[(ESX_CONF, conf)]);
    let made = |device: &str, owner| {
        let edit = edit(Devices::NamedOrNew(named(device)), owner);
        let edited = apply(&state, &[edit], Context::default(), None).unwrap();
        edited.changes.first().and_then(|c| c.harm)
    };
    let storage = Some(Harm::StorageAdapter);
    assert_eq!(made("0000:00:1f.2", Owner::Passthru), storage);
    // One that has no line yet, and one known by its name.
    assert_eq!(made("00:17.0", Owner::Passthru), storage);
    assert_eq!(made("vmhba1", Owner::Passthru), storage);
    assert_eq!(made("00:1d.0", Owner::Passthru), None);
    assert_eq!(made("00:1f.2", Owner::Vmkernel), None);
}

/// By its class, where the state holds one (4.x).
#[test]
fn the_controllers_of_keyboard_and_screen_are_missed_too() {
    let conf = b"/device/000:26.7/owner = \"vmkernel\"\n/device/000:26.7/class = \"0c0320\"\n\
        /device/000:02.0/owner = \"vmkernel\"\n/device/000:02.0/class = \"030000\"\n\
        /device/000:31.3/owner = \"vmkernel\"\n/device/000:31.3/class = \"0c0500\"\n";
    let state = state(&[(ESX_CONF, conf)]);
    let harm = |device: &str| {
        let edit = edit(Devices::Named(named(device)), Owner::Passthru);
        let edited = apply(&state, &[edit], Context::default(), None).unwrap();
        edited.changes[0].harm
    };
    assert_eq!(harm("00:1a.7"), Some(Harm::UsbController));
    assert_eq!(harm("00:02.0"), Some(Harm::DisplayController));
    assert_eq!(harm("00:1f.3"), None);
}

#[test]
fn the_last_network_adapter_is_missed_and_any_other_is_not() {
    let conf =
        b"/device/0000:03:00.0/owner = \"vmkernel\"\n/device/0000:03:00.0/vmkname = \"vmnic0\"\n\
        /device/0000:04:00.0/owner = \"vmkernel\"\n/device/0000:04:00.0/vmkname = \"vmnic1\"\n";
    let passed = |conf: &[u8], devices: &[&str]| {
        let state = state(&[(ESX_CONF, conf)]);
        let one = |device: &&str| edit(Devices::Named(named(device)), Owner::Passthru);
        let edits: Vec<Edit> = devices.iter().map(one).collect();
        let edited = apply(&state, &edits, Context::default(), None).unwrap();
        let harms = edited.changes.iter().map(|change| change.harm);
        harms.collect::<Vec<_>>()
    };
    let only = Some(Harm::OnlyNetworkAdapter);
    // No switch is named: the first adapter is taken for that of the management network.
    assert_eq!(passed(conf, &["vmnic0"]), [Some(Harm::ManagementAdapter)]);
    assert_eq!(passed(conf, &["vmnic1"]), [None]);
    assert_eq!(passed(conf, &["vmnic0", "vmnic1"]), [only, only]);
    let text = String::from_utf8(conf.to_vec()).unwrap();
    let one_gone = text.replacen("vmkernel", "passthru", 1);
    assert_eq!(passed(one_gone.as_bytes(), &["vmnic1"]), [only]);
    // One that the state knows by its name alone is left.
    let alias = "/vmkdevmgr/pci/m00008901/alias = \"vmnic2\"\n";
    let with_alias = format!("{one_gone}{alias}");
    assert_eq!(passed(with_alias.as_bytes(), &["vmnic1"]), [None]);
}

/// However it is put: as a key, as a row, or as a file.
#[test]
fn what_passes_a_device_through_is_said_to_be_harmful_whichever_edit_it_is() {
    let conf =
        b"/device/0000:00:31.2/owner = \"vmkernel\"\n/device/0000:00:31.2/vmkname = \"vmhba0\"\n\
        /device/0000:00:32.2/owner = \"passthru\"\n/device/0000:00:32.2/vmkname = \"vmhba1\"\n";
    let name = [
        "system",
        "device_data",
        "52 a8",
        "",
        r#"{"alias":"vmhba0","bus_type":"pci","bus_address":"m01000300"}"#,
    ];
    let pci_row = [
        "hardware",
        "pci_devices",
        "0000:01:00.0",
        r#"{"sbdf":"0000:01:00.0"}"#,
        r#"{"sbdf":"0000:01:00.0","dl_bus_address":"m01000300"}"#,
    ];
    let store = store(&[name, pci_row]);
    let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, &store)]);
    let set = |key: &str, value: &str| {
        let (key, value) = (key.to_owned(), value.to_owned());
        Edit::Conf(ConfEdit::Set { key, value })
    };
    let text = String::from_utf8(conf.to_vec()).unwrap();
    let put = FileEdit::Put {
        path: ESX_CONF.to_owned(),
        content: text.replacen("vmkernel", "passthru", 1).into_bytes(),
        mode: None,
    };
    let in_row = StoreEdit::Set {
        key: RowKey::new("esx", "hardware", "pci_devices", "0000:01:00.0"),
        column: ValueColumn::User,
        json: r#"{"sbdf":"0000:01:00.0","owner":"OWNER_PASSTHRU"}"#.to_owned(),
    };
    let harms = |edit: &Edit| {
        let edit = std::slice::from_ref(edit);
        let edited = apply(&state, edit, Context::default(), None).unwrap();
        let harms = edited.changes.into_iter().filter_map(|change| {
            let harm = change.harm?;
            Some((change.key, change.address?.to_string(), change.alias?, harm))
        });
        harms.collect::<Vec<_>>()
    };
    let at = |key: &str, address: &str| {
        let (key, address) = (key.to_owned(), address.to_owned());
        vec![(key, address, "vmhba0".to_owned(), Harm::StorageAdapter)]
    };
    let key = "/device/0000:00:31.2/owner";
    assert_eq!(harms(&set(key, "passthru")), at(key, "0000:00:1f.2"));
    assert_eq!(harms(&Edit::File(put)), at(key, "0000:00:1f.2"));
    let address = "0000:01:00.0";
    assert_eq!(harms(&Edit::Store(in_row)), at(address, address));
    // One that is passed through already, or given back.
    assert_eq!(harms(&set("/device/0000:00:32.2/vmkname", "vmhba2")), []);
    assert_eq!(harms(&set("/device/0000:00:32.2/owner", "vmkernel")), []);
    assert_eq!(harms(&set(key, "nobody")), []);
}

/// One adapter of two that carry the management network leaves the other; the second one does not, whenever the
/// first one went.
#[test]
fn the_last_adapter_of_the_management_network_is_missed_wherever_others_are() {
    let switch = "/net/vmkernelnic/child[0000]/name = \"vmk0\"\n\
        /net/vmkernelnic/child[0000]/portgroup = \"Management Network\"\n\
        /net/vswitch/child[0000]/portgroup/child[0000]/name = \"Management Network\"\n\
        /net/vswitch/child[0000]/uplinks/child[0000]/pnic = \"vmnic2\"\n\
        /net/vswitch/child[0000]/uplinks/child[0001]/pnic = \"vmnic3\"\n";
    let adapters = |given: &str| -> String {
        let lines = (0..4).map(|number| {
            let name = format!("vmnic{number}");
            let owner = if name == given {
                "passthru"
            } else {
                "vmkernel"
            };
            let at = format!("/device/0000:00:{:02}.0", number + 3);
            format!("{at}/owner = \"{owner}\"\n{at}/vmkname = \"{name}\"\n")
        });
        lines.collect()
    };
    let harm = Some(Harm::ManagementAdapter);
    let cases: [(&str, &str, &[&str], Option<Harm>); 6] = [
        (switch, "", &["vmnic2"], None),
        (switch, "", &["vmnic2", "vmnic3"], harm),
        (switch, "vmnic2", &["vmnic3"], harm),
        (switch, "", &["vmnic0"], None),
        // Where no switch is named, the host's first adapter is taken for it.
        ("", "", &["vmnic0"], harm),
        ("", "", &["vmnic1"], None),
    ];
    for (switch, given, passed, expected) in cases {
        let conf = format!("{}{switch}", adapters(given));
        let state = state(&[(ESX_CONF, conf.as_bytes())]);
        let selectors = passed.iter().map(|name| name.parse().unwrap()).collect();
        let edit = Edit::Owner(OwnerEdit {
            devices: Devices::Named(selectors),
            owner: Owner::Passthru,
        });
        let edited = apply(&state, &[edit], Context::default(), None).unwrap();
        let last = edited.changes.last().unwrap();
        assert_eq!(last.harm, expected, "{given} {passed:?}");
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
    let passed = Configuration::open(&state).unwrap().passed_through();
    let passed: Vec<String> = passed
        .unwrap()
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
