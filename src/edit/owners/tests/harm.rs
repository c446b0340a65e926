//! What passing a device through, or giving it back, costs the host.

use super::*;

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

/// Keys of one address, spelled in several ways, are one device: its adapter is known at each of them, and named by
/// that it is given back at each.
#[test]
fn another_spelling_of_a_key_takes_neither_adapter_nor_class_from_a_device() {
    let conf =
        b"/device/0000:00:31.2/owner = \"vmkernel\"\n/device/0000:00:31.2/vmkname = \"vmhba0\"\n\
        /device/000:31.2/owner = \"vmkernel\"\n/device/000:29.0/class = \"0c0320\"\n\
        /device/000:29.0/owner = \"vmkernel\"\n/device/0000:00:29.0/owner = \"vmkernel\"\n\
        /device/000:20.0/owner = \"vmkernel\"\n/device/0000:00:20.0/owner = \"vmkernel\"\n\
        /vmkdevmgr/pci/p0000:00:14.0/alias = \"vmhba32\"\n";
    let before = state(&[(ESX_CONF, conf)]);
    let made = |state: &crate::state::State, device: &str, owner| {
        let edit = edit(Devices::Named(named(device)), owner);
        apply(state, &[edit], Context::default(), None).unwrap()
    };
    for (key, harm) in [
        ("raw:/device/000:31.2/owner", Harm::StorageAdapter),
        ("raw:/device/0000:00:29.0/owner", Harm::UsbController),
        ("raw:/device/0000:00:20.0/owner", Harm::StorageAdapter),
    ] {
        let edited = made(&before, key, Owner::Passthru);
        assert!(
            edited.changes.iter().all(|it| it.harm == Some(harm)),
            "{key}"
        );
        assert!(!edited.changes.is_empty(), "{key}");
    }
    let text = String::from_utf8_lossy(conf).replace("\"vmkernel\"", "\"passthru\"");
    let passed = state(&[(ESX_CONF, text.as_bytes())]);
    for alias in ["vmhba0", "vmhba32"] {
        let back = made(&passed, alias, Owner::Vmkernel);
        assert_eq!(back.changes.len(), 2, "{alias}: {:?}", back.changes);
    }
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
