use super::super::fixtures::{open, state, store};
use super::super::{CONFIG_STORE, Context, ESX_CONF, apply};
use super::*;
use crate::error::ErrorKind;
use crate::state::Effort;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxB8kzL2yNKBrpyhKpEa0BhZKLM0lkR4ZmCNRG8xYqB ci@lab";
const OTHER: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA other";
const HOSTS_FILE: &[u8] = b"127.0.0.1\tlocalhost.localdomain localhost\n192.0.2.7\told.lab old\n";

fn conf() -> Vec<u8> {
    b"/system/uuid = \"x\"\n/adv/Misc/HostName = \"old.lab\"\n".to_vec()
}

fn made(state: &State, edit: &HostEdit, build: &str) -> Result<State, EditError> {
    let release = Release::parse(build);
    let edits = [Edit::Host(edit.clone())];
    let edited = apply(state, &edits, Context::default(), release.as_ref())?;
    if let Some(missing) = edited.unmatched.first() {
        return Err(missing.clone().into());
    }
    let after = open(&state.edit(&edited.members, Effort::Usual).unwrap());
    let again = apply(&after, &edits, Context::default(), release.as_ref())?;
    assert!(again.members.is_empty(), "{:?}", again.changes);
    Ok(after)
}

fn text(state: &State, path: &str) -> String {
    String::from_utf8(state.content(path).unwrap().unwrap().to_vec()).unwrap()
}

fn name(name: &str) -> HostEdit {
    HostEdit {
        name: Some(name.to_owned()),
        ..HostEdit::default()
    }
}

#[test]
fn the_name_goes_to_esx_conf_and_the_hosts_file_up_to_7() {
    for build in ["6.7.0-8169922", "7.0.2-0.0.17867351"] {
        let host = state(&[(ESX_CONF, &conf()), (HOSTS, HOSTS_FILE)]);
        let after = made(&host, &name("esx7.example.org"), build).unwrap();
        assert!(text(&after, ESX_CONF).contains("/adv/Misc/HostName = \"esx7.example.org\"\n"));
        assert_eq!(
            text(&after, HOSTS),
            "127.0.0.1\tlocalhost.localdomain localhost\n192.0.2.7\tesx7.example.org esx7\n"
        );
        let hosts = b"192.0.2.7  old.lab old\told-mgmt nas  # mgmt, once old\r\n\
            192.0.2.8 Old # short alone\n192.0.2.9 old.other old\n#192.0.2.7 old\n192.0.2.6 older\n";
        let others = state(&[(ESX_CONF, &conf()), (HOSTS, hosts)]);
        let after = made(&others, &name("esx7.example.org"), build).unwrap();
        assert_eq!(
            text(&after, HOSTS),
            "192.0.2.7  esx7.example.org esx7\told-mgmt nas  # mgmt, once old\r\n\
            192.0.2.8 esx7 # short alone\n192.0.2.9 old.other old\n#192.0.2.7 old\n192.0.2.6 older\n"
        );
        // A bare name stays in its domain, and a domain keeps the name.
        let after = made(&host, &name("esx8"), build).unwrap();
        assert!(text(&after, ESX_CONF).contains("\"esx8.lab\""));
        let domain = HostEdit {
            domain: Some("site".into()),
            ..HostEdit::default()
        };
        let after = made(&host, &domain, build).unwrap();
        assert!(text(&after, ESX_CONF).contains("\"old.site\""));
    }
}

#[test]
fn the_name_goes_to_its_row_from_8_on() {
    let rows = [
        [
            "advanced_options",
            "misc",
            "",
            "",
            r#"{"host_name":"old.lab","host_IP_addr":"192.0.2.7"}"#,
        ],
        [
            "network",
            "net_stacks",
            "defaultTcpipStack",
            r#"{"key":"defaultTcpipStack","dns":{"host_name":"old","domain_name":"lab"}}"#,
            "",
        ],
    ];
    let uuid: &[u8] = b"/system/uuid = \"x\"\n";
    let host = state(&[
        (ESX_CONF, uuid),
        (CONFIG_STORE, &store(&rows)),
        (HOSTS, HOSTS_FILE),
    ]);
    let after = made(&host, &name("esx7.example.org"), "8.0.1-0.0.21495797").unwrap();
    assert_eq!(text(&after, ESX_CONF).as_bytes(), uuid);
    let configuration = Configuration::open(&after).unwrap();
    let store = configuration.store.unwrap();
    let misc = store.row(&identity::row_key("misc")).unwrap();
    assert_eq!(
        misc.value(ValueColumn::Vital).text(),
        Some(r#"{"host_name":"esx7.example.org","host_IP_addr":"192.0.2.7"}"#)
    );
    let stack = store
        .row(&identity::stack_key())
        .unwrap()
        .value(ValueColumn::User);
    assert!(
        stack
            .text()
            .unwrap()
            .contains(r#""dns":{"host_name":"esx7","domain_name":"example.org"}"#)
    );
    assert!(text(&after, HOSTS).contains("192.0.2.7\tesx7.example.org esx7\n"));
    // Without the row, and without a schema to make one by, nothing is guessed.
    let bare = state(&[
        (ESX_CONF, uuid),
        (CONFIG_STORE, &super::super::fixtures::store(&[])),
    ]);
    let error = made(&bare, &name("esx7"), "8.0.1-0.0.21495797").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error.to_string().contains("esx/advanced_options/misc"),
        "{error}"
    );
}

#[test]
fn ntp_servers_go_where_the_state_holds_some_and_nowhere_else() {
    let edit = HostEdit {
        ntp: vec!["a.ntp".into(), "192.0.2.5".into()],
        ..HostEdit::default()
    };
    let old: &[u8] = b"restrict 127.0.0.1\nserver one\nserver two\ndriftfile /etc/ntp.drift\n";
    let host = state(&[(ESX_CONF, &conf()), (NTP_CONF, old)]);
    assert_eq!(
        text(&made(&host, &edit, "6.7.0-1").unwrap(), NTP_CONF),
        "restrict 127.0.0.1\nserver a.ntp\nserver 192.0.2.5\ndriftfile /etc/ntp.drift\n"
    );
    let row = r#"{"enabled":true,"ntp_config":{"server":[{"hostname":"a.ntp","command":"POOL","ttl":1},{"hostname":"z","command":"SERVER"}]}}"#;
    let rows = store(&[["system", "system_time", "", row, ""]]);
    let host = state(&[(ESX_CONF, &conf()), (CONFIG_STORE, &rows)]);
    let after = Configuration::open(&made(&host, &edit, "8.0.1-0.0.1").unwrap()).unwrap();
    let key = RowKey::new("esx", "system", "system_time", "");
    let store = after.store.unwrap();
    assert_eq!(
        store.row(&key).unwrap().value(ValueColumn::User).text(),
        Some(
            r#"{"enabled":true,"ntp_config":{"server":[{"hostname":"a.ntp","command":"POOL","ttl":1},{"command":"SERVER","hostname":"192.0.2.5"}]}}"#
        )
    );
    let bare = state(&[(ESX_CONF, &conf())]);
    let error = made(&bare, &edit, "8.0.1-0.0.1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(
        error
            .to_string()
            .starts_with("it is not known where this release keeps the NTP servers"),
        "{error}"
    );
}

const RELEASE_8: &str = "8.0.1-0.0.21495797";

fn misc(vital: &str) -> State {
    let rows = store(&[["advanced_options", "misc", "", "", vital]]);
    state(&[(ESX_CONF, b"/system/uuid = \"x\"\n"), (CONFIG_STORE, &rows)])
}

fn cell(state: &State, key: &RowKey, column: ValueColumn) -> Option<String> {
    let store = Configuration::open(state).unwrap().store.unwrap();
    store
        .row(key)
        .unwrap()
        .value(column)
        .text()
        .map(str::to_owned)
}

#[test]
fn a_column_that_cannot_be_read_is_refused_by_name_and_not_thrown_away() {
    for (vital, why) in [
        (r#"{"host_name":"old.lab","x":"\ud83d"}"#, "is not JSON: "),
        (r#"{"host_name":"old.lab","x":1e}"#, "is not JSON: "),
        (r#"{"host_name":"old.lab""#, "is not JSON: "),
        ("[1,2]", "is JSON but not an object"),
        (
            r#"{"host_name":"a","host_name":"b"}"#,
            "has `host_name` more than once",
        ),
    ] {
        let error = made(&misc(vital), &name("new.lab"), RELEASE_8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        let says =
            format!("column VitalValue of the ConfigStore row esx/advanced_options/misc {why}");
        assert!(error.to_string().contains(&says), "{error}");
    }
    // One that holds nothing is no damage, and one that holds other settings gains the name.
    let key = identity::row_key("misc");
    for (vital, expected) in [
        ("", r#"{"host_name":"new.lab"}"#),
        (
            r#"{"n":1.50,"x":1e400}"#,
            r#"{"n":1.50,"x":1e400,"host_name":"new.lab"}"#,
        ),
    ] {
        let after = made(&misc(vital), &name("new.lab"), RELEASE_8).unwrap();
        let cell = cell(&after, &key, ValueColumn::Vital);
        assert_eq!(cell.as_deref(), Some(expected));
    }
}

#[test]
fn every_other_byte_of_a_column_stays() {
    let vital = r#"{ "z":1,"big":18446744073709551616,"host_name":"old.lab","f":0.1000000000000000055,"dup":1,"dup":2,"e":"\u0041"}"#;
    let after = made(&misc(vital), &name("new.lab"), RELEASE_8).unwrap();
    let cell = cell(&after, &identity::row_key("misc"), ValueColumn::Vital);
    assert_eq!(cell, Some(vital.replace("old.lab", "new.lab")));
}

#[test]
fn every_column_that_holds_a_value_is_changed() {
    let old =
        r#"{"ntp_config":{"x":1.0,"server":[ {"hostname":"a","n":2.00}, {"hostname":"z"} ]}}"#;
    let dns = r#"{"key":"defaultTcpipStack","dns":{"host_name":"old","domain_name":"lab"}}"#;
    let both = r#"{"host_name":"old.lab"}"#;
    let rows = store(&[
        ["system", "system_time", "", old, old],
        ["network", "net_stacks", "defaultTcpipStack", dns, dns],
        ["advanced_options", "misc", "", both, both],
    ]);
    let host = state(&[(ESX_CONF, &conf()), (CONFIG_STORE, &rows)]);
    let mut edit = name("new.site");
    edit.ntp = vec!["a".into(), "b".into()];
    let after = made(&host, &edit, RELEASE_8).unwrap();
    let time = RowKey::new("esx", "system", "system_time", "");
    let servers = r#"[{"hostname":"a","n":2.00},{"command":"SERVER","hostname":"b"}]"#;
    let expected = [
        (
            time,
            format!(r#"{{"ntp_config":{{"x":1.0,"server":{servers}}}}}"#),
        ),
        (
            identity::stack_key(),
            dns.replace("old", "new").replace("lab", "site"),
        ),
        (
            identity::row_key("misc"),
            both.replace("old.lab", "new.site"),
        ),
    ];
    for (key, text) in expected {
        for column in [ValueColumn::User, ValueColumn::Vital] {
            assert_eq!(cell(&after, &key, column).as_ref(), Some(&text));
        }
    }
}

#[test]
fn a_key_is_put_behind_those_that_are_there_and_only_once() {
    let edit = HostEdit {
        ssh_keys: vec![KEY.into(), OTHER.into()],
        ..HostEdit::default()
    };
    let renamed = KEY.replace("ci@lab", "someone");
    let host = state(&[(ESX_CONF, &conf()), (AUTHORIZED_KEYS, renamed.as_bytes())]);
    let after = made(&host, &edit, "7.0.2-0.0.1").unwrap();
    assert_eq!(
        text(&after, AUTHORIZED_KEYS),
        format!("{renamed}\n{OTHER}\n")
    );
    let bare = state(&[(ESX_CONF, &conf())]);
    let after = made(&bare, &edit, "7.0.2-0.0.1").unwrap();
    assert_eq!(text(&after, AUTHORIZED_KEYS), format!("{KEY}\n{OTHER}\n"));
    assert_eq!(
        after.find(AUTHORIZED_KEYS).unwrap().unwrap().mode,
        KEYS_MODE
    );
}

#[test]
fn values_that_cannot_be_meant_are_refused_before_a_state_is_looked_at() {
    let cases = [
        name("a b"),
        name("-a"),
        name("a..b"),
        name(""),
        name("a\nb"),
        HostEdit {
            ntp: vec!["a b".into()],
            ..HostEdit::default()
        },
        HostEdit {
            ssh_keys: vec!["ssh-ed25519 nonsense".into()],
            ..HostEdit::default()
        },
        HostEdit {
            ssh_keys: vec![format!("command=x {KEY}")],
            ..HostEdit::default()
        },
        HostEdit {
            ssh_keys: vec![format!("{KEY}\n{OTHER}")],
            ..HostEdit::default()
        },
        HostEdit {
            ssh_keys: vec![KEY.replace("ssh-ed25519", "ssh-rsa")],
            ..HostEdit::default()
        },
    ];
    for edit in cases {
        let error = edit.check().expect_err(&format!("{edit:?}"));
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
    let host = state(&[(ESX_CONF, &conf())]);
    let mut twice = name("a.lab");
    twice.domain = Some("site".into());
    assert_eq!(
        made(&host, &twice, "6.7.0-1").unwrap_err().kind(),
        ErrorKind::Usage
    );
}

/// A host that had a name and no domain is found with the new one and without.
#[test]
fn a_name_without_a_domain_gets_one_in_the_hosts_file() {
    let bare = String::from_utf8(conf()).unwrap().replace("old.lab", "old");
    for (hosts, expected) in [
        ("192.0.2.7\told nas\n", "192.0.2.7\tesx7.lab esx7 nas\n"),
        ("192.0.2.7 old.lab old\n", "192.0.2.7 esx7.lab esx7\n"),
    ] {
        let host = state(&[(ESX_CONF, bare.as_bytes()), (HOSTS, hosts.as_bytes())]);
        let after = made(&host, &name("esx7.lab"), "6.7.0-8169922").unwrap();
        assert_eq!(text(&after, HOSTS), expected);
    }
}

#[test]
fn a_name_that_is_too_long_is_refused_for_that() {
    let why = |text: &str| name(text).check().unwrap_err().to_string();
    let label = "a".repeat(70);
    assert!(why(&label).contains("has a part of 70 characters"));
    let long = ["a".repeat(60).as_str(); 5].join(".");
    assert!(why(&long).contains("has 304 characters"));
    assert!(why("a_b").contains("is not made of letters"));
    assert!(why("-a").contains("at both ends"));
    assert!(name(&"a".repeat(63)).check().is_ok());
}

#[test]
fn a_file_with_a_byte_that_is_no_utf_8_is_edited_like_any_other() {
    let files: [(&str, &[u8]); 3] = [
        (ESX_CONF, &conf()),
        (NTP_CONF, b"# caf\xe9\nserver old\n"),
        (HOSTS, b"192.0.2.7 old.lab caf\xe9 old # \xe9\n"),
    ];
    let mut edit = name("new.lab");
    edit.ntp = vec!["ntp9".into()];
    let after = made(&state(&files), &edit, "6.7.0-8169922").unwrap();
    let content = |path| after.content(path).unwrap().unwrap();
    assert_eq!(content(NTP_CONF), b"# caf\xe9\nserver ntp9\n");
    assert_eq!(content(HOSTS), b"192.0.2.7 new.lab caf\xe9 new # \xe9\n");
}

#[test]
fn the_line_of_a_server_that_stays_is_kept_and_new_ones_end_as_the_file_does() {
    let old =
        "server a iburst key 5\nrestrict x\n# b\npool -4 b minpoll 6\nserver c\ndriftfile d\n";
    let cases: [(&str, &[&str], &str); 9] = [
        (old, &["a", "b", "c"], old),
        (
            old,
            &["b"],
            "restrict x\n# b\npool -4 b minpoll 6\ndriftfile d\n",
        ),
        (
            old,
            &["n", "a", "m", "b", "a", "o"],
            "server n\nserver a iburst key 5\nserver m\nrestrict x\n# b\npool -4 b minpoll 6\nserver o\ndriftfile d\n",
        ),
        (
            old,
            &["b", "a"],
            "pool -4 b minpoll 6\nserver a iburst key 5\nrestrict x\n# b\ndriftfile d\n",
        ),
        (
            "# x\r\nserver a\r\nserver b prefer\r\n",
            &["b", "n"],
            "# x\r\nserver b prefer\r\nserver n\r\n",
        ),
        (
            "server a x\nserver b y",
            &["b", "a"],
            "server b y\nserver a x\n",
        ),
        ("server a x\nserver\nserver a y", &["a"], "server a x\n"),
        ("driftfile d", &["n"], "driftfile d\nserver n\n"),
        ("", &["n"], "server n\n"),
    ];
    for (old, servers, expected) in cases {
        let edit = HostEdit {
            ntp: servers.iter().map(|server| (*server).to_owned()).collect(),
            ..HostEdit::default()
        };
        let host = state(&[(ESX_CONF, &conf()), (NTP_CONF, old.as_bytes())]);
        let after = made(&host, &edit, "6.7.0-8169922").unwrap();
        assert_eq!(text(&after, NTP_CONF), expected, "{servers:?}");
    }
}

/// Of a host without a domain a line is its own where it has the bare name; other machines can have
/// names that begin like it. A name that comes out twice is written once.
#[test]
fn machines_whose_names_begin_like_the_hosts_keep_theirs() {
    let bare = "/system/uuid = \"x\"\n/adv/Misc/HostName = \"esx1\"\n";
    let others = "192.0.2.9 esx1.backup.lab\n192.0.2.10 esx1.other esx1-x\n";
    for (new, line) in [
        ("esx2.lab", "192.0.2.7 esx2.lab esx2\r\n"),
        ("esx2", "192.0.2.7 esx2 \r\n"),
    ] {
        let hosts = format!("192.0.2.7 esx1.lab esx1\r\n{others}");
        let host = state(&[(ESX_CONF, bare.as_bytes()), (HOSTS, hosts.as_bytes())]);
        let after = made(&host, &name(new), "6.7.0-8169922").unwrap();
        assert_eq!(text(&after, HOSTS), format!("{line}{others}"));
    }
}
