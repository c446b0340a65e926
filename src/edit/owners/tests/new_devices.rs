//! Devices that no line and no row names yet.

use super::*;

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
    // It gets an entry where its host looks, whether or not new ones are asked for: the state knows the device.
    let in_store = Devices::Named(named("01:00.0"));
    assert!(made(in_store.clone(), newer).unwrap().warnings.is_empty());
    for devices in [in_store, Devices::NamedOrNew(named("01:00.0"))] {
        let edited = made(devices, older).unwrap();
        assert!(edited.warnings.is_empty(), "{:?}", edited.warnings);
        let keys: Vec<&str> = edited.changes.iter().map(|c| c.key.as_str()).collect();
        assert_eq!(keys, ["0000:01:00.0", "/device/0000:01:00.0/owner"]);
    }
    let error = made(Devices::NamedOrNew(named("00:1f.2")), newer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
}

/// What only the other file says counts for nothing on a host whose release is known.
#[test]
fn what_is_passed_through_goes_by_the_file_that_the_release_reads() {
    let conf =
        b"/device/0000:00:20.0/owner = \"vmkernel\"\n/device/0000:03:00.0/owner = \"passthru\"\n\
          /device/0000:04:00.0/owner = \"passthru\"\n";
    let owner = |owner: &str| format!(r#"{{"owner":"{owner}"}}"#);
    let (passed, kept) = (owner("OWNER_PASSTHRU"), owner("OWNER_VMKERNEL"));
    let row = |at, owner: &str| ["hardware", "pci_devices", at, "", owner].map(str::to_owned);
    let rows = [
        row("0000:00:14.0", &passed),
        row("0000:03:00.0", &kept),
        row("0000:04:00.0", &passed),
    ];
    let rows: Vec<[&str; 5]> = rows
        .iter()
        .map(|row| row.each_ref().map(String::as_str))
        .collect();
    let state = state(&[(ESX_CONF, conf), (CONFIG_STORE, &store(&rows))]);
    let configuration = Configuration::open(&state).unwrap();
    let told = |build: Option<&str>| {
        let release = build.and_then(Release::parse);
        let passed = configuration.passed_through(release.as_ref()).unwrap();
        assert_eq!(
            configuration
                .passed_through_count(release.as_ref())
                .unwrap(),
            Some(passed.read.len())
        );
        let names = |devices: &[DeviceOwner]| {
            let names = devices.iter().filter_map(DeviceOwner::typed_address);
            names.collect::<Vec<String>>().join(" ")
        };
        (names(&passed.read), names(&passed.unread))
    };
    let both = |read: &str, unread: &str| (read.to_owned(), unread.to_owned());
    assert_eq!(
        told(Some("7.0.1-0.0.16850804")),
        both("0000:03:00.0 0000:04:00.0", "0000:00:14.0")
    );
    assert_eq!(
        told(Some("7.0.2-0.0.17867351")),
        both("0000:00:14.0 0000:04:00.0", "0000:03:00.0")
    );
    // Where the release is not known, either may be what the host reads.
    assert_eq!(
        told(None),
        both("0000:03:00.0 0000:04:00.0 0000:00:14.0", "")
    );
}
