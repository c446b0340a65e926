//! Databases here are made and judged by the sqlite3 program, never by our own code.

mod hostile;

use super::*;
use crate::error::ErrorKind;
use crate::ownership::fixtures::{SCHEMA, schema_store, sqlite3, sqlite3_in_mode};
use crate::ownership::{BusAddress, DeviceOwner, Source};

/// A dozen devices, two of them passed through, adapters and an unrelated row of several pages.
fn contents() -> String {
    let mut sql = String::from(SCHEMA);
    for device in 0..12 {
        let owner = match device {
            3 | 7 => r#"'{"sbdf":"@","owner":"OWNER_PASSTHRU"}'"#,
            5 => r#"'{"sbdf":"@","owner":"OWNER_VMKERNEL","max_vfs":4}'"#,
            _ => "NULL",
        };
        let sbdf = format!("0000:00:{:02x}.{}", 0x14 + device, device % 8);
        sql += &format!(
            "INSERT INTO Config VALUES('esx','hardware','pci_devices','{sbdf}','2021-08-11 07:33:45',
             '2021-07-01 08:00:16','proposed',1,NULL,{},'{{\"sbdf\":\"{sbdf}\",\"dl_bus_address\":\"p{sbdf}\"}}',
             NULL,NULL,{});",
            owner.replace('@', &sbdf),
            100 + device
        );
    }
    for (id, alias, bus, address) in [
        ("52 a8", "vmhba1", "pci", "p0000:00:17.3"),
        ("52 a9", "vmhba64", "logical", "pci#p0000:00:17.3#1"),
        ("52 aa", "vmnic7", "logical", "pci#p0000:00:1b.7#0"),
        ("52 ab", "vmhba0", "pci", "m01000300"),
        ("52 ac", "vmhba9", "pci", "p0000:6e:0c.3"),
    ] {
        sql += &format!(
            "INSERT INTO Config VALUES('esx','system','device_data','{id}','2021-08-11 07:33:46','2021-07-01 08:00:17',
             '1.0',0,NULL,NULL,'{{\"alias\":\"{alias}\",\"alias_pending\":false,\"bus_type\":\"{bus}\",\"bus_address\":\"{address}\"}}',
             NULL,NULL,10);"
        );
    }
    sql += "INSERT INTO Config VALUES('esx','system','big','','2021-08-11 07:33:45','2021-07-01 08:00:16','1.0',1,
            NULL,printf('{\"x\":\"%.9000c\"}','y'),NULL,NULL,NULL,1);";
    sql
}

fn database(more: &str) -> Vec<u8> {
    sqlite3(&[], &(contents() + more)).1
}

fn store(more: &str) -> ConfigStore {
    ConfigStore::open(database(more)).unwrap()
}

const USB: &str = "0000:00:17.3";

fn set_owner(identifier: &str, owner: Owner) -> StoreChange {
    StoreChange::SetOwner {
        identifier: identifier.to_owned(),
        owner,
    }
}

fn give_back(store: &ConfigStore) -> Result<ConfigStore, OwnershipError> {
    store.edit(&[set_owner(USB, Owner::Vmkernel)], None)
}

fn device<'a>(devices: &'a [DeviceOwner], key: &str) -> &'a DeviceOwner {
    devices.iter().find(|d| d.key == key).unwrap()
}

/// Every row of every table as sqlite3 prints it.
fn dump(bytes: &[u8]) -> Vec<String> {
    let (text, _) = sqlite3_in_mode(
        "quote",
        bytes,
        "SELECT * FROM Config; SELECT * FROM KVTable; PRAGMA user_version;",
    );
    text.lines().map(abridged).collect()
}

/// Padding is cut short, so that a failing comparison can be read.
fn abridged(line: &str) -> String {
    let padding = ["k", "m", "y"].map(|letter| letter.repeat(1000));
    padding
        .iter()
        .fold(line.to_owned(), |line, run| line.replace(run, "~"))
}

fn changed_pages(before: &[u8], after: &[u8]) -> usize {
    assert_eq!(before.len(), after.len());
    before
        .chunks(4096)
        .zip(after.chunks(4096))
        .filter(|(a, b)| a != b)
        .count()
}

#[test]
fn devices_are_read_with_owner_and_alias() {
    let store = store("");
    let devices = store.devices();
    assert_eq!(devices.len(), 12);
    let usb = device(&devices, USB);
    assert_eq!(usb.source, Source::ConfigStore);
    assert_eq!(usb.address.unwrap().to_string(), USB);
    assert_eq!(usb.owner.as_deref(), Some("OWNER_PASSTHRU"));
    assert_eq!(
        (usb.passthrough, usb.alias.as_deref()),
        (true, Some("vmhba1"))
    );
    assert!(usb.is_storage());
    assert_eq!(
        device(&devices, "0000:00:1b.7").alias.as_deref(),
        Some("vmnic7")
    );
    let plain = device(&devices, "0000:00:14.0");
    assert_eq!(
        (plain.passthrough, &plain.owner, &plain.alias),
        (false, &None, &None)
    );
    assert_eq!(devices.iter().filter(|d| d.passthrough).count(), 2);
    assert_eq!(store.notes(), []);
}

/// On real 7.x hosts most places are slots, and the row has the same text.
#[test]
fn an_adapter_is_joined_to_its_row_by_the_text_of_the_slot() {
    let rows: String = [("0000:01:00.0", "m01000300"), ("0000:02:00.0", "s00000004.00")]
        .into_iter()
        .map(|(sbdf, slot)| {
            format!(
                "INSERT INTO Config(Component,ConfigGroup,Name,Identifier,VitalValue) VALUES
                 ('esx','hardware','pci_devices','{sbdf}','{{\"sbdf\":\"{sbdf}\",\"dl_bus_address\":\"{slot}\"}}');"
            )
        })
        .collect();
    let devices = store(&rows).devices();
    let boot = device(&devices, "0000:01:00.0");
    assert_eq!(boot.bus_address, Some(BusAddress::Slot("m01000300".into())));
    assert_eq!(boot.alias.as_deref(), Some("vmhba0"));
    assert!(boot.is_storage());
    assert_eq!(device(&devices, "0000:02:00.0").alias, None);
    // A slot that two rows claim is nobody's.
    let twice = rows.replace("s00000004.00", "m01000300");
    let devices = store(&twice).devices();
    assert_eq!(device(&devices, "0000:01:00.0").alias, None);
}

#[test]
fn giving_a_device_back_changes_its_owner_and_revision_and_two_pages() {
    let before = store("");
    let after = give_back(&before).unwrap();
    let mut expected = dump(before.as_bytes());
    let line = expected.iter_mut().find(|l| l.contains(USB)).unwrap();
    *line = line
        .replace("OWNER_PASSTHRU", "OWNER_VMKERNEL")
        .replace(",103", ",104");
    assert_eq!(dump(after.as_bytes()), expected);
    assert_eq!(
        sqlite3(after.as_bytes(), "PRAGMA integrity_check").0,
        "ok\n"
    );
    assert_eq!(changed_pages(before.as_bytes(), after.as_bytes()), 2);
    let counter = |s: &ConfigStore| s.as_bytes()[24..28].to_vec();
    assert_ne!(counter(&before), counter(&after));
    assert!(!device(&after.devices(), USB).passthrough);
}

#[test]
fn the_result_is_what_the_hosts_own_triggers_would_leave_but_for_the_time() {
    let before = store("");
    let time = 1_700_000_000;
    let after = before
        .edit(&[set_owner(USB, Owner::Vmkernel)], Some(time))
        .unwrap();
    let by_host = format!(
        "UPDATE Config SET UserValue=replace(UserValue,'PASSTHRU','VMKERNEL') WHERE Identifier='{USB}' AND Name='pci_devices';"
    );
    let clocked: Vec<String> = dump(&sqlite3(before.as_bytes(), &by_host).1);
    let ours = dump(after.as_bytes());
    let row = |dump: &[String]| dump.iter().find(|l| l.contains(USB)).unwrap().clone();
    let without_time = |line: &str| {
        line.split(',')
            .enumerate()
            .filter(|(at, _)| *at != 4)
            .map(|(_, cell)| cell.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(without_time(&row(&ours)), without_time(&row(&clocked)));
    assert!(
        row(&ours).contains("'2023-11-14 22:13:20'"),
        "{}",
        row(&ours)
    );
}

#[test]
fn the_same_edit_gives_the_same_bytes_and_a_second_one_changes_nothing() {
    let before = store("");
    let after = give_back(&before).unwrap();
    assert_eq!(give_back(&before).unwrap(), after);
    assert_eq!(give_back(&after).unwrap(), after);
    assert_eq!(before.edit(&[], Some(0)).unwrap(), before);
    let there_and_back = [
        set_owner(USB, Owner::Vmkernel),
        set_owner(USB, Owner::Passthru),
    ];
    assert_eq!(before.edit(&there_and_back, Some(0)).unwrap(), before);
}

#[test]
fn several_devices_are_one_transaction_and_one_revision_each() {
    let before = store("");
    let changes = [USB, "0000:00:1b.7"].map(|id| set_owner(id, Owner::Vmkernel));
    let after = before.edit(&changes, None).unwrap();
    assert!(after.devices().iter().all(|d| !d.passthrough));
    let counter = |s: &ConfigStore| u32::from_be_bytes(s.as_bytes()[24..28].try_into().unwrap());
    assert_eq!(counter(&after), counter(&before) + 1);
    let revision =
        |s: &ConfigStore, id: &str| s.row(&RowKey::of_pci_device(id)).unwrap().revision.clone();
    assert_eq!(revision(&after, USB), Cell::Integer(104));
    assert_eq!(revision(&after, "0000:00:1b.7"), Cell::Integer(108));
}

#[test]
fn a_row_without_an_owner_gets_one_in_its_user_value() {
    let before = store("");
    let user = |store: &ConfigStore, id: &str| {
        store
            .row(&RowKey::of_pci_device(id))
            .unwrap()
            .value(ValueColumn::User)
            .clone()
    };
    let pass = |id: &str| {
        before
            .edit(&[set_owner(id, Owner::Passthru)], None)
            .unwrap()
    };
    assert_eq!(
        user(&pass("0000:00:14.0"), "0000:00:14.0"),
        Cell::Text(r#"{"sbdf":"0000:00:14.0","owner":"OWNER_PASSTHRU"}"#.to_owned())
    );
    assert_eq!(
        user(&pass("0000:00:19.5"), "0000:00:19.5"),
        Cell::Text(r#"{"sbdf":"0000:00:19.5","owner":"OWNER_PASSTHRU","max_vfs":4}"#.to_owned())
    );
    let same = before
        .edit(&[set_owner("0000:00:14.0", Owner::Vmkernel)], None)
        .unwrap();
    assert_eq!(same, before);
}

#[test]
fn every_column_that_holds_an_owner_is_set_and_json_is_kept_to_the_byte() {
    let odd =
        r#"{ "max_vfs" : 4.50 ,\t"owner": "OWNER_PASSTHRU", "hardware_label":"\u00e9 \"owner\"" }"#;
    let sql = format!(
        "UPDATE Config SET AutoConfValue='{odd}', CachedValue='{{\"owner\":\"OWNER_PASSTHRU\"}}',
         DesiredValue='{{\"owner\":\"OWNER_PASSTHRU\"}}', UserValue='{{\"owner\":\"OWNER_VMKERNEL\"}}' WHERE Identifier='{USB}' AND Name='pci_devices';",
        odd = odd.replace("\\t", "\t")
    );
    let before = store(&sql);
    let seen = device(&before.devices(), USB).clone();
    assert_eq!(
        (seen.passthrough, seen.owner.as_deref()),
        (true, Some("OWNER_PASSTHRU"))
    );
    assert_eq!(seen.shadowed, ["OWNER_VMKERNEL"]);
    assert_eq!(
        before.notes(),
        [RowNote::OwnersDiffer(RowKey::of_pci_device(USB))]
    );
    let after = give_back(&before).unwrap();
    let replaced: Vec<String> = dump(before.as_bytes())
        .into_iter()
        .map(|line| {
            if !line.contains(USB) {
                return line;
            }
            let revised = line
                .strip_suffix(",104")
                .map(|l| format!("{l},105"))
                .unwrap_or(line.clone());
            revised.replace("OWNER_PASSTHRU", "OWNER_VMKERNEL")
        })
        .collect();
    assert_eq!(dump(after.as_bytes()), replaced);
}

#[test]
fn a_change_of_the_desired_value_alone_is_no_revision() {
    let before = store("");
    let change = StoreChange::SetValue {
        key: RowKey::of_pci_device(USB),
        column: ValueColumn::Desired,
        json: Some("{}".to_owned()),
    };
    let after = before.edit(&[change], None).unwrap();
    let row = after.row(&RowKey::of_pci_device(USB)).unwrap();
    assert_eq!(
        (row.value(ValueColumn::Desired), &row.revision),
        (&Cell::Text("{}".into()), &Cell::Integer(103))
    );
}

#[test]
fn rows_are_set_and_deleted_by_key() {
    let before = store("");
    let key = RowKey::new("esx", "system", "big", "");
    assert_eq!(key.to_string(), "esx/system/big");
    let json = format!("{{\"x\":\"{}\"}}", "z".repeat(30_000));
    let set = StoreChange::SetValue {
        key: key.clone(),
        column: ValueColumn::User,
        json: Some(json.clone()),
    };
    let after = before.edit(&[set], None).unwrap();
    assert_eq!(
        after.row(&key).unwrap().value(ValueColumn::User).text(),
        Some(json.as_str())
    );
    assert_eq!(
        sqlite3(after.as_bytes(), "PRAGMA integrity_check").0,
        "ok\n"
    );
    let deleted = after
        .edit(&[StoreChange::Delete { key: key.clone() }], None)
        .unwrap();
    assert_eq!(deleted.row(&key), None);
    assert_eq!(deleted.rows().len(), before.rows().len() - 1);
    assert_eq!(
        sqlite3(
            deleted.as_bytes(),
            "PRAGMA integrity_check; SELECT count(*) FROM KVTable"
        )
        .0,
        "ok\n2\n"
    );
    for change in [
        StoreChange::Delete {
            key: RowKey::new("esx", "system", "nothing", ""),
        },
        set_owner("0000:ff:00.0", Owner::Vmkernel),
    ] {
        let error = before.edit(&[change], None).unwrap_err();
        assert!(matches!(error, OwnershipError::NoSuchRow { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    let bad = StoreChange::SetValue {
        key,
        column: ValueColumn::User,
        json: Some("{".to_owned()),
    };
    assert!(
        before
            .edit(&[bad], None)
            .unwrap_err()
            .to_string()
            .contains("would not be JSON")
    );
}

#[test]
fn a_row_is_added_only_where_its_bus_address_is_known() {
    let before = store("");
    let schemas = SchemaStore::open(&schema_store()).unwrap();
    let add = |address: &str, time| {
        let row = before.passthru_row(&schemas, address.parse().unwrap())?;
        before.edit(&[StoreChange::Add { row: Box::new(row) }], time)
    };
    let known = "0000:6e:0c.3";
    for (time, made) in [
        (None, "2021-08-11 07:33:46"),
        (Some(0), "1970-01-01 00:00:00"),
    ] {
        let after = add(known, time).unwrap();
        let seen = device(&after.devices(), known).clone();
        assert_eq!(
            (seen.passthrough, seen.alias.as_deref()),
            (true, Some("vmhba9"))
        );
        let (row, _) = sqlite3(
            after.as_bytes(),
            &format!("SELECT * FROM Config WHERE Identifier='{known}'"),
        );
        assert_eq!(
            row,
            format!(
                "esx|hardware|pci_devices|{known}|{made}|{made}|proposed|1||\
                 {{\"owner\":\"OWNER_PASSTHRU\",\"sbdf\":\"{known}\"}}|\
                 {{\"dl_bus_address\":\"p{known}\",\"sbdf\":\"{known}\"}}|||0\n"
            )
        );
        let mut others = dump(after.as_bytes());
        others.retain(|line| !line.contains("'hardware','pci_devices','0000:6e:0c.3'"));
        assert_eq!(others, dump(before.as_bytes()));
    }
    let error = add("0000:05:00.0", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(
        error.to_string(),
        "the ConfigStore row esx/hardware/pci_devices/0000:05:00.0 cannot be added: no device_data \
         row holds its dl_bus_address, which the schema requires"
    );
    assert!(matches!(
        add(USB, None),
        Err(OwnershipError::RowExists { .. })
    ));
}

#[test]
fn a_store_in_wal_mode_is_edited_and_stays_in_it() {
    let bytes = database("PRAGMA journal_mode=WAL;");
    assert_eq!(bytes[18..20], [2, 2]);
    let after = give_back(&ConfigStore::open(bytes.clone()).unwrap()).unwrap();
    assert_eq!(after.as_bytes()[18..20], [2, 2]);
    assert_eq!(changed_pages(&bytes, after.as_bytes()), 2);
    let (text, _) = sqlite3(
        after.as_bytes(),
        "PRAGMA journal_mode; PRAGMA integrity_check; SELECT count(*) FROM Config WHERE UserValue LIKE '%PASSTHRU%'",
    );
    assert_eq!(text, "wal\nok\n1\n");
}

#[test]
fn value_columns_that_cannot_be_trusted_are_named_and_refused() {
    let cases = [
        (
            "'not json'",
            "is not JSON: expected ident at line 1 column 2",
        ),
        ("'[1]'", "is JSON but not an object"),
        ("'null'", "is JSON but not an object"),
        (
            r#"'{"owner":"OWNER_PASSTHRU","owner":"OWNER_VMKERNEL"}'"#,
            "has `owner` more than once",
        ),
        (
            r#"'{"owner":"OWNER_PASSTHRU","\u006fwner":"OWNER_VMKERNEL"}'"#,
            "has `owner` more than once",
        ),
        (r#"'{"owner":1}'"#, "has a `owner` that is not a string"),
        ("x'7b7d'", "holds a blob of 2 bytes"),
        ("CAST(x'22ff22' AS TEXT)", "holds text that is not UTF-8"),
    ];
    for (value, why) in cases {
        let sql = format!(
            "UPDATE Config SET CachedValue={value} WHERE Name='pci_devices' AND Identifier='{USB}';"
        );
        let store = store(&sql);
        assert!(
            store.devices().iter().all(|device| device.key != USB),
            "{value}"
        );
        let odd = store.odd_rows().pop().unwrap();
        let note = RowNote::Unreadable(odd.clone());
        assert!(store.notes().contains(&note), "{:?}", store.notes());
        let text = format!("{odd}, so it is not known who owns the device");
        assert_eq!(note.to_string(), text);
        for error in [odd, give_back(&store).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Damaged);
            assert_eq!(
                error.to_string(),
                format!(
                    "column CachedValue of the ConfigStore row esx/hardware/pci_devices/{USB} {why}"
                )
            );
        }
    }
}

#[test]
fn rows_that_are_none_of_our_business_may_hold_anything() {
    let store = store("UPDATE Config SET UserValue=x'00ff', Revision='x' WHERE Name='big';");
    let after = give_back(&store).unwrap();
    assert_eq!(
        after
            .row(&RowKey::new("esx", "system", "big", ""))
            .unwrap()
            .value(ValueColumn::User),
        &Cell::Other("a blob of 2 bytes".to_owned())
    );
}

#[test]
fn an_odd_identifier_is_shown_noted_and_kept() {
    let store = store(
        "INSERT INTO Config(Component,ConfigGroup,Name,Identifier,UserValue) VALUES
         ('esx','hardware','pci_devices','00:1a.7','{\"sbdf\":\"0000:00:1a.7\",\"owner\":\"OWNER_PASSTHRU\"}');",
    );
    let devices = store.devices();
    let odd = device(&devices, "00:1a.7");
    assert_eq!((odd.passthrough, odd.address), (true, None));
    let notes: Vec<String> = store.notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "row esx/hardware/pci_devices/00:1a.7 names no PCI address",
            "column UserValue of row esx/hardware/pci_devices/00:1a.7 names 0000:00:1a.7"
        ]
    );
    let after = store
        .edit(&[set_owner("00:1a.7", Owner::Vmkernel)], None)
        .unwrap();
    assert!(!device(&after.devices(), "00:1a.7").passthrough);
}

#[test]
fn times_past_the_year_9999_are_refused() {
    assert_eq!(
        database::datetime(253_402_300_799).unwrap(),
        "9999-12-31 23:59:59"
    );
    for seconds in [253_402_300_800, u64::MAX] {
        assert_eq!(
            database::datetime(seconds).unwrap_err(),
            OwnershipError::BadTime { seconds }
        );
    }
}

#[test]
fn a_write_ahead_log_or_journal_beside_the_store_counts_where_something_is_in_it() {
    let [(wal, is_empty_wal), (journal, is_empty_journal)] =
        sidecars("var/lib/vmware/configstore/backup/current-store-1");
    assert_eq!(
        [wal, journal],
        [
            "var/lib/vmware/configstore/backup/current-store-1-wal",
            "var/lib/vmware/configstore/backup/current-store-1-journal"
        ]
    );
    assert!(is_empty_wal(b"") && is_empty_wal(&[1; 32]) && !is_empty_wal(&[1; 33]));
    let magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let hot = [&magic[..], &[0; 504]].concat();
    assert!(is_empty_journal(b"") && is_empty_journal(&[0; 512]) && !is_empty_journal(&hot));
}
