use serde_json::Value;

use super::super::fixtures::{open, state, store};
use super::super::{ESX_CONF, Edit, apply};
use super::*;
use crate::error::ErrorKind;
use crate::ownership::fixtures::{schema_store, sqlite3};
use crate::state::{Effort, State};

const CONF: (&str, &[u8]) = (ESX_CONF, b"/system/uuid = \"x\"\n");
const ADAPTER: [&str; 5] = [
    "system",
    "device_data",
    "52 a8",
    "",
    r#"{"alias":"vmhba0","bus_type":"pci","bus_address":"p0000:65:00.0"}"#,
];

fn host() -> State {
    let store = store(&[ADAPTER]);
    state(&[
        CONF,
        (CONFIG_STORE, &store),
        (SCHEMA_STORE, &schema_store()),
    ])
}

fn set(group: &str, name: &str, identifier: &str, json: &str) -> Edit {
    Edit::Store(StoreEdit::Set {
        key: RowKey::new("esx", group, name, identifier),
        column: ValueColumn::User,
        json: json.to_owned(),
    })
}

/// The rows that `edit` adds, as sqlite3 prints them; and the same edit again finds nothing to do.
fn added(edit: Edit, time: Option<u64>) -> Result<String, EditError> {
    let (host, edits, context) = (host(), [edit], Context { time });
    let edited = apply(&host, &edits, context, None)?;
    if let Some(missing) = edited.unmatched.first() {
        return Err(missing.clone().into());
    }
    let after = open(&host.edit(&edited.members, Effort::Usual).unwrap());
    assert!(apply(&after, &edits, context, None)?.members.is_empty());
    let bytes = after.content(CONFIG_STORE).unwrap().unwrap();
    Ok(sqlite3(
        bytes,
        "SELECT * FROM Config WHERE Name <> 'device_data'; PRAGMA integrity_check",
    )
    .0)
}

/// What a headless host (KB 429186), a device's first row and a user's row need.
#[test]
fn a_row_is_made_by_the_hosts_own_schema() {
    let cases = [
        (
            set("vmkernel", "options", "", r#"{"vga":true}"#),
            r#"esx|vmkernel|options||2021-08-11 07:33:45|2021-08-11 07:33:45|proposed|1||{"vga":true}||||0"#,
        ),
        (
            set(
                "authentication",
                "user_accounts",
                "root",
                r#"{"uid":0,"description":"Administrator","last_password_change":18000,"password_hash":"$6$a$b"}"#,
            ),
            r#"esx|authentication|user_accounts|root|2021-08-11 07:33:45|2021-08-11 07:33:45|proposed|1||{"description":"Administrator","name":"root","password_hash":"$6$a$b"}|{"last_password_change":18000,"name":"root","uid":0}|||0"#,
        ),
        // A default that is required is filled in; every column has the identifier.
        (
            set(
                "network",
                "vmknics",
                "vmk1",
                r#"{"mac":"m","bound":true,"ip":{"lease":"l"},"tags":["a","b"]}"#,
            ),
            r#"esx|network|vmknics|vmk1|2021-08-11 07:33:45|2021-08-11 07:33:45|1.0|1||{"device":"vmk1","ip":{"mtu":1500},"kind":"NIC","tags":["a","b"]}|{"device":"vmk1","mac":"m"}|{"bound":true,"device":"vmk1","ip":{"lease":"l"}}||0"#,
        ),
        (
            set(
                "hardware",
                "pci_devices",
                "0000:65:00.0",
                r#"{"sbdf":"0000:65:00.0","dl_bus_address":"m01000300"}"#,
            ),
            r#"esx|hardware|pci_devices|0000:65:00.0|2021-08-11 07:33:45|2021-08-11 07:33:45|proposed|1|||{"dl_bus_address":"m01000300","sbdf":"0000:65:00.0"}|||0"#,
        ),
    ];
    for (edit, row) in cases {
        assert_eq!(added(edit, None).unwrap(), format!("{row}\nok\n"));
    }
    let timed = added(set("vmkernel", "options", "", r#"{"vga":true}"#), Some(0)).unwrap();
    assert!(
        timed.contains("|1970-01-01 00:00:00|1970-01-01 00:00:00|"),
        "{timed}"
    );
}

#[test]
fn a_row_that_cannot_be_made_truthfully_is_refused_with_the_reason() {
    use ErrorKind::{Refused, Usage};
    let cases = [
        (
            set("system", "device_data", "52 ff", r#"{"alias":"vmhba1"}"#),
            Refused,
            "identifiers the host makes up",
        ),
        (
            set("network", "vmknics", "vmk1", r#"{"routes":[{}]}"#),
            Refused,
            "routes is a list whose identifiers",
        ),
        (
            set("files", "ntp_conf", "", "{}"),
            Refused,
            "of a kind this program does not make",
        ),
        (
            set("network", "vmknics", "", "{}"),
            Refused,
            "needs an identifier",
        ),
        (
            set("vmkernel", "options", "x", r#"{"vga":true}"#),
            Refused,
            "there is one of it",
        ),
        (
            set("vmkernel", "options", "", "{}"),
            Refused,
            "holds no property",
        ),
        (
            set("system", "unheard_of", "", "{}"),
            Refused,
            "schema store does not know it",
        ),
        (
            set("network", "vmknics", "vmk1", r#"{"device":"vmk2"}"#),
            Refused,
            "Identifier is \"vmk1\"",
        ),
        (
            set("network", "vmknics", "vmk1", r#"{"tags":["a","a"]}"#),
            Usage,
            "\"a\" twice",
        ),
        (
            set("network", "vmknics", "vmk1", r#"{"text":"x"}"#),
            Usage,
            "text needs kind to be \"TEXT\"",
        ),
        (
            set(
                "authentication",
                "user_accounts",
                "root",
                r#"{"uid":0,"description":"","last_password_change":1,"password_hash":"plain"}"#,
            ),
            Usage,
            "password_hash does not match",
        ),
        (
            set(
                "authentication",
                "user_accounts",
                "root",
                r#"{"uid":0,"description":"a:b","last_password_change":1}"#,
            ),
            Usage,
            "description does not match",
        ),
        (
            set(
                "authentication",
                "user_accounts",
                "root",
                r#"{"description":""}"#,
            ),
            Usage,
            "is required and missing",
        ),
        (
            set("vmkernel", "options", "", r#"{"vgaa":true}"#),
            Usage,
            "vgaa is not in the schema",
        ),
        (set("vmkernel", "options", "", "vga"), Usage, "is not JSON"),
    ];
    for (edit, kind, says) in cases {
        let error = added(edit.clone(), None).expect_err(&format!("{edit:?}"));
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind(), kind, "{error}");
    }
    let alone = state(&[CONF, (CONFIG_STORE, &store(&[ADAPTER]))]);
    let edits = [set("vmkernel", "options", "", r#"{"vga":true}"#)];
    let edited = apply(&alone, &edits, Context::default(), None).unwrap();
    assert!(
        edited.unmatched[0]
            .to_string()
            .contains("holds no etc/vmware/schemastore")
    );
    assert!(edited.members.is_empty());
}

#[test]
fn a_first_passed_through_device_gets_its_row_by_the_schema() {
    use crate::edit::{Devices, OwnerEdit};
    use crate::ownership::Owner;
    let edit = |device: &str| {
        Edit::Owner(OwnerEdit {
            devices: Devices::NamedOrNew(vec![device.parse().unwrap()]),
            owner: Owner::Passthru,
        })
    };
    for device in ["65:00.0", "0000:65:00.0"] {
        assert_eq!(
            added(edit(device), None).unwrap(),
            "esx|hardware|pci_devices|0000:65:00.0|2021-08-11 07:33:45|2021-08-11 07:33:45|proposed|1||\
             {\"owner\":\"OWNER_PASSTHRU\",\"sbdf\":\"0000:65:00.0\"}|\
             {\"dl_bus_address\":\"p0000:65:00.0\",\"sbdf\":\"0000:65:00.0\"}|||0\nok\n"
        );
    }
    let error = added(edit("66:00.0"), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .contains("no device_data row holds its dl_bus_address")
    );
}

/// A value set in a row that is there changes that column, as before.
#[test]
fn a_row_that_is_there_keeps_its_other_columns() {
    let row = [
        "network",
        "vmknics",
        "vmk0",
        r#"{"device":"vmk0","kind":"NIC"}"#,
        r#"{"device":"vmk0","mac":"m"}"#,
    ];
    let rows = store(&[row]);
    let host = state(&[CONF, (CONFIG_STORE, &rows), (SCHEMA_STORE, &schema_store())]);
    let edit = set(
        "network",
        "vmknics",
        "vmk0",
        r#"{"device":"vmk0","kind":"TEXT","text":"x"}"#,
    );
    let edited = apply(&host, &[edit], Context::default(), None).unwrap();
    let keys: Vec<&str> = edited.changes.iter().map(|c| c.key.as_str()).collect();
    assert_eq!(keys, ["esx/network/vmknics/vmk0 UserValue"]);
    let to = edited.changes[0].to.as_ref().unwrap().veiled();
    let _: Value = serde_json::from_str(&to).unwrap();
}

#[test]
fn a_password_hash_is_in_no_text_of_a_change() {
    let row = [
        "authentication",
        "user_accounts",
        "root",
        r#"{"name":"root","password_hash":"$6$old$marked","description":"x"}"#,
        r#"{"name":"root","uid":0,"last_password_change":1}"#,
    ];
    let store = store(&[row]);
    let host = state(&[
        CONF,
        (CONFIG_STORE, &store),
        (SCHEMA_STORE, &schema_store()),
    ]);
    let edit = set(
        "authentication",
        "user_accounts",
        "root",
        r#"{"name":"root","password_hash":"$6$new$marked","description":"y"}"#,
    );
    let edited = apply(&host, &[edit], Context::default(), None).unwrap();
    assert_eq!(edited.members.len(), 1);
    let shown = format!("{:?} {:?}", edited.texts, edited.changes);
    assert!(!shown.contains("marked"), "{shown}");
    assert!(
        shown.contains("(hidden)") && shown.contains("description"),
        "{shown}"
    );
}

/// Two numbers that one double stands for are two numbers.
#[test]
fn a_number_is_compared_and_kept_digit_by_digit() {
    let old = r#"{"a":18446744073709551617,"b":0.10000000000000000001}"#;
    let row = ["vmkernel", "options", "", old, ""];
    let host = state(&[CONF, (CONFIG_STORE, &store(&[row]))]);
    for (json, changes) in [
        (
            r#"{ "b": 0.10000000000000000001, "a": 18446744073709551617 }"#,
            false,
        ),
        (
            r#"{"a":18446744073709551618,"b":0.10000000000000000001}"#,
            true,
        ),
        (
            r#"{"a":18446744073709551617,"b":0.10000000000000000002}"#,
            true,
        ),
    ] {
        let edit = set("vmkernel", "options", "", json);
        let edited = apply(&host, &[edit], Context::default(), None).unwrap();
        assert_eq!(!edited.members.is_empty(), changes, "{json}");
    }
}

/// What is no text has no JSON to be shown by, and is something all the same.
#[test]
fn what_is_replaced_or_deleted_is_named_where_it_is_no_text() {
    let row = ["vmkernel", "options", "", "{}", ""];
    let odd = "UPDATE Config SET UserValue = x'00ff', VitalValue = 7 WHERE Name = 'options'";
    let (_, odd) = sqlite3(&store(&[row]), odd);
    let host = state(&[CONF, (CONFIG_STORE, &odd)]);
    let delete = Edit::Store(StoreEdit::Delete {
        key: RowKey::new("esx", "vmkernel", "options", ""),
        absent_ok: false,
    });
    let blob = "(a blob of 2 bytes)";
    for (edit, from) in [
        (set("vmkernel", "options", "", "{}"), vec![blob]),
        (delete, vec![blob, "7"]),
    ] {
        let edited = apply(&host, &[edit], Context::default(), None).unwrap();
        let told = edited.changes.iter().filter_map(|it| it.from.as_ref());
        assert_eq!(told.map(|it| it.veiled()).collect::<Vec<_>>(), from);
    }
}
