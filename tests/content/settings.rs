use crate::host::{Host, SCHEMAS, STORE, differing, sqlite};
use std::fs;

const BOTH: [&str; 2] = ["esxi67-usb-passthru", "esxi702-encrypted"];

#[test]
fn a_key_set_and_undone_leaves_the_image_as_it_was() {
    for profile in BOTH {
        let host = Host::new(profile);
        let before = host.bytes();
        let old = host.done(&["conf", "get", "STICK", "/system/uuid"]);
        host.done(&["conf", "set", "STICK", "/system/uuid", "new", "-z", "undo"]);
        assert_eq!(
            host.done(&["conf", "get", "STICK", "/system/uuid"]),
            "new\n"
        );
        host.done(&["undo", "undo", "STICK"]);
        assert_eq!(host.done(&["conf", "get", "STICK", "/system/uuid"]), old);
        assert!(host.bytes() == before, "{profile}");
    }
}

#[test]
fn setting_a_key_changes_its_value_and_nothing_else() {
    for profile in BOTH {
        let host = Host::new(profile);
        let before = host.unpacked(5, "before");
        let listed = host.listing("before");
        let key = "/net/pnic/child[0000]/mac";
        let old = host.done(&["conf", "get", "STICK", key]);
        host.done(&["conf", "set", "STICK", key, "00:00:00:00:00:01"]);
        let after = host.unpacked(5, "after");
        assert_eq!(differing(&before, &after), ["etc/vmware/esx.conf"]);
        assert_eq!(host.listing("after"), listed, "{profile}");
        let conf = |directory: &std::path::Path| {
            fs::read_to_string(directory.join("etc/vmware/esx.conf")).unwrap()
        };
        let expected = conf(&before).replace(
            &format!("{key} = \"{}\"", old.trim_end()),
            &format!("{key} = \"00:00:00:00:00:01\""),
        );
        assert_eq!(conf(&after), expected);
    }
}

#[test]
fn a_new_key_goes_behind_its_siblings_and_unset_takes_it_out_again() {
    let host = Host::new("esxi67-usb-passthru");
    let before = host.unpacked(5, "before");
    host.done(&["conf", "set", "STICK", "/system/uservars/new", "-dash"]);
    let list = host.done(&["conf", "list", "STICK", "/system"]);
    assert!(
        list.ends_with("/system/uservars/new = \"-dash\"\n"),
        "{list}"
    );
    host.done(&["conf", "unset", "STICK", "/system/uservars/new"]);
    let after = host.unpacked(5, "after");
    assert_eq!(differing(&before, &after), [""; 0]);
}

#[test]
fn what_esx_conf_cannot_hold_is_refused() {
    let host = Host::new("esxi67-usb-passthru");
    let cases: [(&[&str], &str); 5] = [
        (&["get", "STICK", "/nix"], "no key in esx.conf matches /nix"),
        (&["set", "STICK", "/a", "x\"y"], "holds a `\"`"),
        (&["set", "STICK", "/a", "x\ny"], "a line break"),
        (&["set", "STICK", "a", "x"], "does not begin with `/`"),
        (&["set", "STICK", "/a b", "x"], "holds a space"),
    ];
    for (arguments, says) in cases {
        host.refuses(&[&["conf"], arguments].concat(), 2, says);
    }
}

/// Of a setting with several rows each has an identifier, which is easily left out, or written otherwise.
#[test]
fn a_row_that_lacks_its_identifier_is_told_from_one_that_is_not_there() {
    let host = Host::new("esxi70u1-both");
    let get = "store get STICK -c esx -g hardware -k pci_devices";
    for (line, says) in [
        (get.to_owned(), "pci_devices; its key has "),
        (format!("{get} -i 0000:00:1F.2"), "with other identifiers"),
        (format!("{get}x"), "pci_devicesx\n"),
    ] {
        host.refuses(&line.split(' ').collect::<Vec<_>>(), 2, says);
    }
    let delete = get.replace("get", "delete");
    let ran = host.run(&delete.split(' ').collect::<Vec<_>>());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let says = "with other identifiers, so there is nothing to take out";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
}

/// What is odd only after a change is said with it, not by the next command.
#[test]
fn a_value_that_no_host_is_known_to_read_is_named_when_it_is_set() {
    let host = Host::new("esxi67-usb-passthru");
    let set = ["conf", "set", "STICK", "/device/0000:00:20.0/owner"];
    let ran = host.run(&[&set[..], &["Passthru", "-n"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let says = "/device/0000:00:20.0/owner = \"Passthru\"";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    let ran = host.run(&[&set[..], &["vmkernel", "-n"]].concat());
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    // One that was there is said once, also where its line moves.
    host.done(&[&set[..], &["Passthru", "--no-undo"]].concat());
    let first = host.done(&["cat", "STICK", "etc/vmware/esx.conf"]);
    let first = first.lines().next().unwrap().split(' ').next().unwrap();
    for edit in [
        &["unset", "STICK", first][..],
        &["set", "STICK", "/adv/Misc/A", "1"],
    ] {
        let ran = host.run(&[&["conf"], edit, &["-n"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.stderr.matches(says).count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn the_last_setting_of_esx_conf_is_not_taken_out() {
    let host = Host::new("esxi67-usb-passthru");
    std::fs::write(host.path("one"), "/a = \"b\"\n").unwrap();
    host.done(&["put", "STICK", "one", "etc/vmware/esx.conf", "--no-undo"]);
    host.refuses(
        &["conf", "unset", "STICK", "/a"],
        2,
        "has no line of the form",
    );
}

#[test]
fn what_is_gone_already_is_nothing_to_change_and_is_named() {
    let host = Host::new("esxi70u1-both");
    let row = "store delete STICK -c esx -g hardware -k pci_devices -i 0000:00:1f.2";
    for (line, says) in [
        (
            "conf unset STICK /device/0000:00:31.2/owner",
            "esx.conf has no line `/device/0000:00:31.2/owner`",
        ),
        (
            row,
            "the ConfigStore has no row esx/hardware/pci_devices/0000:00:1f.2",
        ),
        ("rm STICK etc/hosts", "the state holds no file etc/hosts"),
    ] {
        let arguments: Vec<&str> = line.split(' ').collect();
        host.done(&[&arguments, &["--no-undo"][..]].concat());
        let once = host.bytes();
        let again = host.run(&[&arguments, &["--json"][..]].concat());
        assert_eq!(again.code, 0, "{line}: {}", again.stderr);
        let object = again.json();
        assert_eq!(object["outcome"], "unchanged", "{line}");
        for said in [&again.stderr, &object["warnings"].to_string()] {
            assert!(said.contains(says), "{line}: {said}");
        }
        let check = host.run(&[&arguments, &["--check"][..]].concat());
        assert_eq!(check.code, 0, "{line}: {}", check.stderr);
        assert!(host.bytes() == once, "{line}");
    }
}

#[test]
fn a_row_set_is_what_sqlite3_reads_and_all_else_is_as_before() {
    let host = Host::new("esxi702-encrypted");
    let key = ["-c", "esx", "-g", "system", "-k", "keyboard"];
    let before = host.unpacked(5, "before");
    let old = host.done(&[&["store", "get", "STICK"], &key[..]].concat());
    let set = [
        &[
            "store",
            "set",
            "STICK",
            r#"{"layout":"German"}"#,
            "-z",
            "undo",
        ],
        &key[..],
    ];
    let image = host.bytes();
    host.done(&set.concat());
    let after = host.unpacked(5, "after");
    assert_eq!(differing(&before, &after), [STORE]);
    let rows = "SELECT * FROM Config WHERE Name <> 'keyboard' ORDER BY 1,2,3,4";
    let row = "SELECT UserValue, Revision FROM Config WHERE Name = 'keyboard'";
    let (old_store, new_store) = (before.join(STORE), after.join(STORE));
    assert_eq!(sqlite(&old_store, rows), sqlite(&new_store, rows));
    let revision: i64 = sqlite(&old_store, row)
        .trim()
        .rsplit('|')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        sqlite(&new_store, row).trim(),
        format!("{{\"layout\":\"German\"}}|{}", revision + 1)
    );
    host.done(&["undo", "undo", "STICK"]);
    assert_eq!(
        host.done(&[&["store", "get", "STICK"], &key[..]].concat()),
        old
    );
    assert!(host.bytes() == image);
}

/// What a terminal would not show as it is comes out as it is where no terminal is, so that what was
/// read can be set again.
#[test]
fn a_value_that_was_read_is_the_one_that_is_set_again() {
    let host = Host::new("esxi702-encrypted");
    let value = "a\u{85}b\u{2028}c\u{7f}d\u{202e}e\u{1b}[1mf";
    let key = "/adv/Misc/Odd";
    host.done(&["conf", "set", "STICK", key, value]);
    let got = host.done(&["conf", "get", "STICK", key]);
    assert_eq!(got, format!("{value}\n"));
    let again = ["conf", "set", "STICK", key, got.trim_end_matches('\n')];
    let again = host.done(&[&again[..], &["--check"]].concat());
    assert!(again.contains("nothing to change"), "{again}");
    let list = host.done(&["conf", "list", "STICK", key]);
    assert!(list.contains("a\\u{85}b\\u{2028}c"), "{list}");

    let row = ["-c", "esx", "-g", "system", "-k", "keyboard"];
    let json = "{\n\"layout\": \"a\u{85}b\u{2028}c\u{7f}d\u{202e}e\"}";
    host.done(&[&["store", "set", "STICK", json], &row[..]].concat());
    let got = host.done(&[&["store", "get", "STICK"], &row[..]].concat());
    let escaped = r#"{ "layout": "a\u0085b\u2028c\u007fd\u202ee"}"#;
    assert_eq!(got, format!("{escaped}\n"));
    fs::write(host.path("row.json"), &got).unwrap();
    host.done(&[&["store", "set", "STICK", "-f", "row.json"], &row[..]].concat());
    let got = host.done(&[&["store", "get", "STICK"], &row[..]].concat());
    assert_eq!(got, format!("{escaped}\n"));
}

/// A number is more than what a double holds of it.
#[test]
fn a_number_of_a_row_is_told_and_compared_digit_by_digit() {
    let host = Host::new("esxi702-encrypted");
    let row = ["-c", "esx", "-g", "system", "-k", "keyboard"];
    let set = |number: &str| {
        let json = format!("{{\"layout\":{number}}}");
        host.done(&[&["store", "set", "STICK", &json, "--no-undo"], &row[..]].concat())
    };
    for number in [
        "18446744073709551617",
        "18446744073709551618",
        "0.10000000000000000001",
    ] {
        let said = set(number);
        assert!(said.contains(number), "{said}");
        assert!(set(number).contains("nothing to change"));
        let got = host.done(&[&["store", "get", "STICK"], &row[..]].concat());
        assert_eq!(got, format!("{{\"layout\":{number}}}\n"));
        let list = host.done(&[&["store", "list", "--json", "STICK"], &row[..]].concat());
        assert!(list.contains(&format!("{{\"layout\":{number}}}")), "{list}");
    }
}

#[test]
fn a_deleted_row_is_gone_and_one_that_is_not_there_cannot_be_made() {
    let host = Host::new("esxi702-encrypted");
    let key = ["-c", "esx", "-g", "hardware", "-k", "pci_devices", "-i"];
    let row = |id| [&key[..], &[id]].concat();
    host.refuses(
        &[&["store", "set", "STICK", "{}"], &row("0000:77:00.0")[..]].concat(),
        3,
        "and bootbank cannot make it: the state holds no etc/vmware/schemastore",
    );
    host.refuses(
        &[&["store", "set", "STICK", "{"], &row("0000:65:00.0")[..]].concat(),
        2,
        "is not JSON",
    );
    host.done(&[&["store", "delete", "STICK"], &row("0000:65:00.0")[..]].concat());
    let after = host.unpacked(5, "after");
    let count = "SELECT count(*) FROM Config WHERE Identifier = '0000:65:00.0'";
    assert_eq!(sqlite(&after.join(STORE), count), "0\n");
}

#[test]
fn values_are_held_against_the_schema_store_of_the_same_state() {
    let host = Host::new("esxi702-encrypted");
    let key = ["-c", "esx", "-g", "system", "-k", "keyboard"];
    let set = |value| [&["store", "set", "STICK", value, "-n"], &key[..]].concat();
    let unchecked = host.run(&set(r#"{"any":1}"#));
    assert!(
        unchecked.stderr.contains("was not checked against"),
        "{}",
        unchecked.stderr
    );
    let schemas = host.path("schemas");
    sqlite(
        &schemas,
        r#"CREATE TABLE ConfigSchema(VibId TEXT,Component TEXT,ConfigGroup TEXT,Name TEXT,Value TEXT);
        INSERT INTO ConfigSchema VALUES('vib','esx','system','keyboard','{"type":"object",
        "required":["layout"],"additionalProperties":false,"properties":{"layout":{"type":"string",
        "enum":["German","US Default"]},"repeat":{"type":"long","maximum":9}}}');"#,
    );
    host.done(&["put", "STICK", "schemas", SCHEMAS, "--no-undo"]);
    let cases = [
        (
            r#"{"layout":"Klingon"}"#,
            "not one of \"German\", \"US Default\"",
        ),
        (r#"{"layout":7}"#, "layout is not of type string"),
        (
            r#"{"layout":"German","repeat":10}"#,
            "above the schema's maximum",
        ),
        (r#"{"repeat":1}"#, "layout is required and missing"),
        (r#"{"layout":"German","any":1}"#, "any is not in the schema"),
        ("[]", "it is not of type object"),
    ];
    for (value, says) in cases {
        host.refuses(&set(value), 2, says);
    }
    let other = [
        "store", "set", "STICK", "{}", "-c", "esx", "-g", "services", "-k", "hostd",
    ];
    host.refuses(
        &other,
        2,
        "the schema store holds no schema for esx/services/hostd",
    );
    host.done(&set(r#"{"layout":"German","repeat":9}"#));
}

#[test]
fn every_row_of_a_real_store_passes_the_real_schemas() {
    use bootbank::ownership::{ConfigStore, SchemaStore, ValueColumn};
    let Some(host) = Host::real() else { return };
    let unpacked = host.unpacked(5, "real");
    let store = ConfigStore::open(fs::read(unpacked.join(STORE)).unwrap()).unwrap();
    let schemas = SchemaStore::open(&fs::read(unpacked.join(SCHEMAS)).unwrap()).unwrap();
    assert_eq!(schemas.len(), 240);
    let (mut checked, mut refused) = (0, Vec::new());
    for row in store.rows() {
        for column in ValueColumn::ALL {
            let Some(text) = row.value(column).text() else {
                continue;
            };
            let value = serde_json::from_str(text).unwrap();
            if let Err(error) = schemas.check(row, column, &value) {
                refused.push(format!("{}: {error}", column.as_str()));
            }
            checked += 1;
        }
    }
    assert_eq!(refused, [""; 0]);
    assert!(checked > 100, "{checked}");
}

/// A headless host (KB 429186), the first row of a user, a first passed-through device: of none of
/// them has the real store of 7.0.2 a row, and its schemas describe all.
#[test]
fn rows_that_a_real_store_lacks_are_made_by_its_own_schemas() {
    let Some(host) = Host::real() else { return };
    let before = host.unpacked(5, "before");
    let count = "SELECT count(*) FROM Config";
    let rows: u32 = sqlite(&before.join(STORE), count).trim().parse().unwrap();
    let set = |value: &'static str, key: &[&'static str]| {
        let row = [
            "store",
            "set",
            "STICK",
            value,
            "-c",
            "esx",
            "--no-undo",
            "--yes",
            "-g",
        ];
        [&row, key].concat()
    };
    let user = r#"{"uid":0,"description":"Administrator","last_password_change":18850,"password_hash":"$6$a$b"}"#;
    let device = r#"{"owner":"OWNER_PASSTHRU","dl_bus_address":"m01000300"}"#;
    host.done(&set(r#"{"vga":true}"#, &["vmkernel", "-k", "options"]));
    host.done(&set(
        user,
        &["authentication", "-k", "user_accounts", "-i", "root"],
    ));
    host.done(&set(
        device,
        &["hardware", "-k", "pci_devices", "-i", "0000:03:00.0"],
    ));
    host.done(&[
        "pci",
        "set",
        "STICK",
        "-d",
        "00:07.1",
        "-e",
        "true",
        "--new",
        "--yes",
        "--no-undo",
    ]);
    let refused = set("{}", &["system", "-k", "device_data", "-i", "52 00"]);
    host.refuses(&refused, 3, "identifiers the host makes up");
    let after = host.unpacked(5, "after");
    let new = "SELECT Name, Identifier, Version, UserValue, VitalValue, CachedValue, Revision FROM Config \
         WHERE Name IN ('options','user_accounts','pci_devices') ORDER BY Name, Identifier; \
         PRAGMA integrity_check; SELECT count(*) FROM Config";
    assert_eq!(
        sqlite(&after.join(STORE), new),
        format!(
            "options||proposed|{{\"vga\":true}}|||0\n\
             pci_devices|0000:00:07.1|proposed|{{\"owner\":\"OWNER_PASSTHRU\",\"sbdf\":\"0000:00:07.1\"}}|\
             {{\"dl_bus_address\":\"p0000:00:07.1\",\"sbdf\":\"0000:00:07.1\"}}||0\n\
             pci_devices|0000:03:00.0|proposed|{{\"owner\":\"OWNER_PASSTHRU\",\"sbdf\":\"0000:03:00.0\"}}|\
             {{\"dl_bus_address\":\"m01000300\",\"sbdf\":\"0000:03:00.0\"}}||0\n\
             user_accounts|root|proposed|{{\"description\":\"Administrator\",\"name\":\"root\",\"password_hash\":\"$6$a$b\"}}|\
             {{\"last_password_change\":18850,\"name\":\"root\",\"uid\":0}}||0\nok\n{}\n",
            rows + 4
        )
    );
    // The slot ties the boot adapter to its device.
    let listed = host.done(&["pci", "list", "STICK", "--json"]);
    assert!(listed.contains("\"alias\":\"vmhba0\""), "{listed}");
}

#[test]
fn a_real_state_says_whose_it_is() {
    use bootbank::edit::Configuration;
    use bootbank::state::{KeyCache, Limits, State};
    let Some(host) = Host::real() else { return };
    let file = host.path("state.tgz");
    host.done(&[
        "state",
        "export",
        "STICK",
        file.to_str().unwrap(),
        "--bank",
        "5",
    ]);
    let bytes = fs::read(&file).unwrap();
    let state = State::open("state.tgz", &bytes, &Limits::default(), &KeyCache::new()).unwrap();
    let configuration = Configuration::open(&state).unwrap();
    let conf = configuration.esx_conf.as_ref().unwrap();
    let identity = configuration.identity(None);
    let value = |key| conf.get(key).map(str::to_owned);
    assert_eq!(identity.name, value("/adv/Misc/HostName"));
    assert_eq!(
        identity.addresses,
        [value("/adv/Net/ManagementAddr").unwrap()]
    );
    assert_eq!(identity.system_uuid, value("/system/uuid"));
    assert!(identity.name.is_some() && identity.system_uuid.is_some());
}

/// The first network adapter of a host whose switches are not known.
#[test]
fn the_adapter_of_the_management_network_is_not_given_away_unasked() {
    let host = Host::new("esxi67-usb-passthru");
    let ways: [&[&str]; 2] = [
        &["pci", "set", "STICK", "-d", "vmnic0", "-e", "true"],
        &[
            "conf",
            "set",
            "STICK",
            "/device/0000:03:00.0/owner",
            "passthru",
        ],
    ];
    for way in ways {
        host.refuses(way, 2, "the adapter of the management network");
        host.done(&[way, &["-n"]].concat());
    }
    // A state file of that host is no other case.
    host.done(&["state", "export", "STICK", "s.tgz"]);
    let way = ["pci", "set", "s.tgz", "-d", "vmnic0", "-e", "true"];
    host.refuses(&way, 2, "the adapter of the management network");
    host.done(&[
        "conf",
        "set",
        "STICK",
        "/system/uservars/note",
        "x",
        "--no-undo",
    ]);
}
