// The tests compare what goes in with what comes out.
#![allow(clippy::disallowed_methods)]

use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn a_name_is_secret_by_its_words() {
    let secret = [
        "password",
        "rootPassword",
        "root_passwd",
        "PASSPHRASE",
        "pwd",
        "userPwd",
        "adminpwd",
        "pw",
        "rootpw",
        "bmc_pw2",
        "secret",
        "clientSecret",
        "key",
        "authKey",
        "auth_key",
        "preshared-key",
        "privateKey",
        "licenseKey",
        "encryptionRecoveryKey",
        "apikey",
        "password_hash",
        "hash",
        "keyHash",
        "credentials",
        "communities",
        "snmpCommunity",
        "SNMPv3AuthKey2",
        "chap",
        "chapName",
        "mutualChapSecret",
        "ipmi",
        "ipmiUser",
        "vpxa",
        "/vpxa/config",
        "/a/chap/0/x",
        "/adv/keys[0000]/data",
        "snmp.communities",
        "esx/authentication/x/password",
        "smtp_pass",
        "passPhrase",
        "token",
        "keyData",
        "kspasswd",
    ];
    for name in secret {
        assert!(is_secret_name(name), "{name}");
    }
    let open = [
        "keyboard",
        "key_store_size",
        "keyId",
        "keyName",
        "publicKey",
        "ssh_keys",
        "authorizedKeys",
        "passthru",
        "passThrough",
        "/device/000:26.7/owner",
        "/device/0000:00:1a.7/owner",
        "PasswordQualityControl",
        "password_max_days",
        "last_password_change",
        "passwordPolicy",
        "ipHash",
        "hashAlgorithm",
        "monkey",
        "turkeys",
        "compass",
        "/keys[0000]/name",
        "keys.id",
        "chapter",
        "privateNetwork",
        "tokenizer",
        "/adv/Misc/HostName",
        "/system/uuid",
        "kernelopt",
        "modules",
    ];
    for name in open {
        assert!(!is_secret_name(name), "{name}");
    }
}

#[test]
fn a_file_is_secret_by_its_path() {
    let secret = [
        "etc/shadow",
        "etc/shadow-",
        "etc/.#shadow",
        "etc/gshadow",
        "etc/ssh/ssh_host_rsa_key",
        "etc/vmware/ssl/rui.key",
        "etc/vmware/snmp.xml",
        "etc/iscsi/iscsid.conf",
        "etc/ppp/chap-secrets",
        "etc/krb5.keytab",
        "etc/vmware/vpxa/vpxa.cfg",
        "state.tgz",
        "bank5:state.tgz",
        "local.tgz.ve",
        "etc/vmware/license.cfg",
        "etc/security/opasswd",
        "root/.ssh/id_ed25519",
        "etc/vmware/encryption.info",
        "etc/vmware/ipmi.conf",
    ];
    for path in secret {
        assert!(is_secret_path(path), "{path}");
    }
    let open = [
        "etc/passwd",
        "etc/ssh/keys-root/authorized_keys",
        "etc/ssh/ssh_host_rsa_key.pub",
        "etc/hosts",
        "etc/vmware/esx.conf",
        "etc/vmware/ssl/rui.crt",
        "etc/keymap",
        "etc/pam.d/passwd",
        "etc/pam.d/system-auth-generic",
        "bank:boot.cfg",
        "s.v00",
        "b.tgz",
    ];
    for path in open {
        assert!(!is_secret_path(path), "{path}");
    }
}

#[test]
fn what_looks_like_a_secret_is_one_in_any_text() {
    let cases = [
        (
            "quiet encryptionRecoveryKey=478269-000011 x=1",
            "quiet encryptionRecoveryKey=(hidden) x=1",
        ),
        (
            "see 478269-039194-111111-222222 there",
            "see (hidden) there",
        ),
        ("root:$6$salt$abcdefgh:1:", "root:(hidden):1:"),
        (
            "http_proxy http://u:p@w@proxy:80/",
            "http_proxy http://u:(hidden)@proxy:80/",
        ),
        (
            "opt user=me,password=\"a b\" rw",
            "opt user=me,password=\"(hidden)\" rw",
        ),
        (
            "\"snmp\": {\"a\": [\"b\", true]} is there\nx",
            "\"snmp\": {\"a\": [\"(hidden)\", true]} is there\nx",
        ),
        (
            "\"snmp\": {\"a\": [\"b\"] and\nx",
            "\"snmp\": (hidden) and\nx",
        ),
        (
            "{\"password\" : \"a b\", \"x\":{\"authKey\":7},\"pin\":{\"secret\": 8}} is no row",
            "{\"password\" : \"(hidden)\", \"x\":{\"authKey\":(hidden)},\"pin\":{\"secret\": (hidden)}} is no row",
        ),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMII\nabc\n-----END RSA PRIVATE KEY-----\nx",
            "-----BEGIN RSA PRIVATE KEY-----\n(hidden)\n(hidden)\n-----END RSA PRIVATE KEY-----\nx",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nMII",
            "-----BEGIN PRIVATE KEY-----\n(hidden)",
        ),
    ];
    for (text, veiled) in cases {
        let guarded = Guarded::of(text);
        assert_eq!(guarded.veiled(), veiled);
        assert_eq!(guarded.exposed(), text);
        assert_eq!(format!("{guarded:?}"), format!("{veiled:?}"));
    }
    let open = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA me@host",
        "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
        "line 3 is not of the form KEY = \"VALUE\"",
        "costs $5 and $6, 2026-11-26",
        "http://host:80/a@b",
        "/device/000:26.7/owner = \"passthru\"",
        "0000:00:14.0",
        "4c4c4544-0042-3510-8056-b4c04f4d4e32",
        "the password: ask for it",
        "{\"password\":\"(hidden)\", \"chap\": true, \"key\": \"a\"}",
    ];
    for text in open {
        assert_eq!(Guarded::of(text).veiled(), text);
    }
}

#[test]
fn json_is_veiled_at_every_depth_and_of_every_type_and_stays_json() {
    let value = json!({
        "name": "root",
        "password": "p1",
        "pin": {"secret": 4711, "list": [{"authKey": ["k1", 2, true, null]}]},
        "snmp": {"communities": ["c1"], "port": 161},
        "options": [{"key": "Misc.HostName", "value": "esx"}, {"key": "User.password", "value": "p2"}],
        "note": "password=p3 rest",
        "empty": {"pwd": ""},
        "enabled": {"useChap": true},
    });
    let guarded = Guarded::json("esx/a/b", value.to_string(), None);
    let veiled: Value = serde_json::from_str(&guarded.veiled()).unwrap();
    let expected = json!({
        "name": "root",
        "password": HIDDEN,
        "pin": {"secret": HIDDEN, "list": [{"authKey": [HIDDEN, HIDDEN, true, null]}]},
        "snmp": {"communities": [HIDDEN], "port": HIDDEN},
        "options": [{"key": "Misc.HostName", "value": "esx"}, {"key": "User.password", "value": HIDDEN}],
        "note": "password=(hidden) rest",
        "empty": {"pwd": HIDDEN},
        "enabled": {"useChap": true},
    });
    assert_eq!(veiled, expected);
}

#[test]
fn the_type_secret_of_the_schema_counts_whatever_the_name() {
    let schema = json!({"properties": {
        "a": {"type": "secret"},
        "b": {"type": "array", "items": {"properties": {"c": {"type": "secret"}}}},
    }});
    let text = r#"{"a":"s1","b":[{"c":"s2","d":"x"}]}"#;
    let guarded = Guarded::json("esx/a/b", text, Some(&schema));
    assert_eq!(
        guarded.veiled(),
        r#"{"a":"(hidden)","b":[{"c":"(hidden)","d":"x"}]}"#
    );
}

#[test]
fn files_are_veiled_line_by_line() {
    let cases = [
        (
            "esx.conf",
            "/a/password = \"x y\"\n/b = \"1\"\n",
            "/a/password = \"(hidden)\"\n/b = \"1\"\n",
        ),
        (
            "esx.conf",
            "/device/000:26.7/owner = \"passthru\"",
            "/device/000:26.7/owner = \"passthru\"",
        ),
        (
            "esx.conf",
            "/chap/000:1/x = \"s",
            "/chap/000:1/x = \"(hidden)",
        ),
        (
            "boot.cfg",
            "kernelopt=a encryptionRecoveryKey=1 b",
            "kernelopt=a encryptionRecoveryKey=(hidden) b",
        ),
        (
            "a.yml",
            "password:\n  - p1\n  - p2\nx: 1\n",
            "password:\n  (hidden)\n  (hidden)\nx: 1\n",
        ),
        (
            "a.ini",
            "#password: p1, p2\nPwd p3\nusername = u",
            "#password: (hidden)\nPwd (hidden)\nusername = u",
        ),
        (
            "a.json",
            "{\"password\":\n 17}",
            "{\"password\":\n (hidden)}",
        ),
        (
            "a.xml",
            "<a><pwd>p</pwd><b>c</b><k authKey=\"z\"/></a>",
            "<a><pwd>(hidden)</pwd><b>c</b><k authKey=\"(hidden)\"/></a>",
        ),
        (
            "a.xml",
            "<snmp>\n<x>\np\n</x>\n</snmp>\n<y>q</y>",
            "<snmp>\n<x>\n(hidden)\n</x>\n</snmp>\n<y>q</y>",
        ),
        ("etc/shadow", "root:x\n\nb:y\n", "(hidden)\n\n(hidden)\n"),
        (
            "etc/motd",
            "Passwords must be changed every week.",
            "Passwords must be changed every week.",
        ),
    ];
    for (path, text, veiled) in cases {
        assert_eq!(Guarded::file(path, text).veiled(), veiled, "{path}");
    }
}

proptest! {
    #[test]
    fn a_veiled_text_has_the_lines_of_the_text(text in "[a-z=:<>/ \n\"$\\-{}\\[\\],é]{0,80}|(password|key|[=:\n <>/\"]|-----BEGIN PRIVATE KEY-----|\\$6\\$|://|@){0,20}") {
        for guarded in [
            Guarded::of(text.as_str()),
            Guarded::file("a.conf", text.as_str()),
            Guarded::file("etc/shadow", text.as_str()),
            Guarded::json("x", text.as_str(), None),
            Guarded::named("x", text.as_str()),
        ] {
            prop_assert_eq!(guarded.exposed(), &text);
            prop_assert_eq!(guarded.veiled().matches('\n').count(), text.matches('\n').count());
        }
    }
}

/// Each sign could begin a hash that goes on to the end.
#[test]
fn a_megabyte_of_dollar_signs_is_looked_through_once() {
    let text = "$".repeat(1 << 20);
    assert_eq!(Guarded::of(text.clone()).veiled(), text);
}
