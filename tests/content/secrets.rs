//! A marked secret of every kind in every place, and what the program lets out of them: nothing,
//! whatever the command, unless it is asked for. That the secrets are there is the word of GNU
//! tar, grep, sqlite3 and mtools.

use crate::host::{Host, Ran, SCHEMAS, STORE, run, sqlite};
use std::fs;
use std::process::Command;

/// What every secret of text begins with, and every number.
const MARK: &str = "zq7";
const NUMBER: &str = "731931";

/// The words of a recovery key, and so with no letter in them.
const RECOVERY_KEY: &str = "731931-039194-111111-222222-333333-444444";

/// Settings of esx.conf; those with `open` in them are no secrets.
const CONF: [(&str, &str); 12] = [
    ("/adv/UserVars/password", "zq7a"),
    ("/vpxa/hostKey", "zq7b"),
    ("/snmp/communities/child[0000]/text", "zq7c"),
    ("/storage/iscsi/authMethod/chapSecret", "731931001"),
    ("/ipmi/bmc/login", "zq7d"),
    ("/app/authKey", "zq7e"),
    ("/app/userPwd", "zq7f"),
    ("/app/x", "$6$salt$zq7ghijklmn"),
    ("/app/proxy", "http://me:zq7h@proxy/"),
    ("/app/credentials/a/b", "zq7i"),
    ("/app/keys[0000]/name", "open-name"),
    ("/app/keyboard", "open-keyboard"),
];

/// Values of rows: nested, of every type, and under names that say nothing but for the schema.
const ROW: &str = r#"{"layout":"open-layout","password_hash":"$6$a$zq7storehash","snmp":{"communities":["zq7comm"],"port":731931002},"list":[{"authKey":"zq7auth","pin":{"secret":731931003}}],"pairs":[{"key":"a.password","value":"zq7pair"}],"plain":"zq7schema","pem":"-----BEGIN PRIVATE KEY-----\nzq7pem\n-----END PRIVATE KEY-----"}"#;

const FILES: [(&str, &str); 8] = [
    ("etc/shadow", "root:zq7shadow:1:\n"),
    ("etc/vmware/snmp.xml", "<config><x>zq7snmp</x></config>\n"),
    ("etc/iscsi/iscsid.conf", "node.session = zq7iscsid\n"),
    ("etc/ppp/chap-secrets", "me * zq7chap\n"),
    (
        "etc/app/any.txt",
        "open-text\n-----BEGIN RSA PRIVATE KEY-----\nzq7pem1\nzq7pem2\n-----END RSA PRIVATE KEY-----\n",
    ),
    (
        "etc/app/app.conf",
        "open-line = 1\npassphrase: zq7phrase\ncommunity zq7word\n<pwd>zq7xml</pwd>\n",
    ),
    (
        "etc/app/app.json",
        "{\"a\":{\"token\":731931004},\"b\":\"open-json\"}\n",
    ),
    (
        "etc/ssh/keys-root/authorized_keys",
        "ssh-ed25519 AAAAopenkey me@host\n",
    ),
];

/// A host with all of it, each text in its `turn`.
fn with_secrets(profile: &str, turn: &str) -> Host {
    let host = Host::new(profile);
    let turned = |text: &str| text.replace(MARK, &format!("{MARK}{turn}"));
    let mut plan = String::from("[conf.set]\n");
    for (key, value) in CONF {
        plan.push_str(&format!("{key:?} = {:?}\n", turned(value)));
    }
    fs::write(host.path("conf.toml"), plan).unwrap();
    host.done(&["apply", "conf.toml", "STICK", "--no-undo"]);
    for (path, text) in FILES {
        fs::write(host.path("file"), turned(text)).unwrap();
        host.done(&["put", "STICK", "file", path, "--no-undo"]);
    }
    let option = format!("encryptionRecoveryKey={RECOVERY_KEY}{turn}");
    let other = format!("app.password={MARK}{turn}opt");
    host.done(&[
        "kernelopt",
        "modify",
        "STICK",
        "--no-undo",
        "-a",
        &option,
        "-a",
        &other,
    ]);
    let tree = host.unpacked(5, "tree");
    if tree.join(STORE).exists() {
        let store = host.path("store");
        fs::copy(tree.join(STORE), &store).unwrap();
        let update = format!(
            "UPDATE Config SET UserValue = '{}' WHERE Name = 'keyboard'",
            turned(ROW)
        );
        sqlite(&store, &update);
        host.done(&["put", "STICK", "store", STORE, "--no-undo"]);
        let schemas = host.path("schemas");
        sqlite(
            &schemas,
            "CREATE TABLE ConfigSchema (Component TEXT, ConfigGroup TEXT, Name TEXT, Value TEXT);
             INSERT INTO ConfigSchema VALUES ('esx', 'system', 'keyboard',
                '{\"type\":\"object\",\"properties\":{\"plain\":{\"type\":\"secret\"},\"layout\":{\"type\":\"string\"},\"list\":{\"type\":\"array\",\"uniqueItems\":true}}}')",
        );
        host.done(&["put", "STICK", "schemas", SCHEMAS, "--no-undo"]);
    }
    let tree = host.unpacked(5, "full");
    let found = run(Command::new("grep")
        .args(["-rlaE", "zq7|731931"])
        .arg(&tree));
    let found = String::from_utf8(found.stdout).unwrap();
    let expected = if tree.join(STORE).exists() { 9 } else { 8 };
    assert_eq!(found.lines().count(), expected, "{found}");
    let boot_cfg = host.bank_file(5, "BOOT.CFG");
    assert!(String::from_utf8_lossy(&boot_cfg).contains(RECOVERY_KEY));
    host
}

fn assert_hidden(arguments: &[&str], ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        for mark in [MARK, NUMBER] {
            let line = text.lines().find(|line| line.contains(mark));
            assert_eq!(line, None, "{arguments:?} shows a secret");
        }
    }
    if arguments.contains(&"--json") {
        for line in ran.stdout.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}

/// Commands that succeed, or find a difference, and pass over every secret there is.
const LOOKS: [&[&str]; 22] = [
    &["info", "STICK"],
    &["verify", "STICK"],
    &["pci", "list", "STICK"],
    &["ls", "STICK"],
    &["ls", "STICK", "etc"],
    &["conf", "list", "STICK"],
    &["conf", "list", "STICK", "/app"],
    &["kernelopt", "show", "STICK"],
    &["bootcfg", "get", "STICK"],
    &["bank", "list", "STICK"],
    &["diff", "plain.img", "STICK"],
    &["diff", "STICK", "plain.img"],
    &["diff", "other.img", "STICK"],
    &["diff", "--banks", "STICK"],
    &["fix", "-n", "--diff", "STICK"],
    &["seal", "-n", "--diff", "STICK"],
    &[
        "conf",
        "set",
        "-n",
        "--diff",
        "STICK",
        "/app/password",
        "zq7new",
    ],
    &["conf", "unset", "-n", "--diff", "STICK", "/app/authKey"],
    &["put", "-n", "--diff", "STICK", "newer", "etc/app/app.conf"],
    &["put", "-n", "--diff", "STICK", "newer", "etc/shadow"],
    &["rm", "-n", "--diff", "STICK", "etc/app/any.txt"],
    &["state", "import", "-n", "--diff", "STICK", "other.tgz"],
];

const OPTIONS: [&[&str]; 6] = [
    &[
        "kernelopt",
        "modify",
        "-n",
        "--diff",
        "STICK",
        "-d",
        "app.password",
    ],
    &[
        "kernelopt",
        "modify",
        "-n",
        "--diff",
        "STICK",
        "-a",
        "rootpw.password=zq7new",
    ],
    &[
        "kernelopt",
        "modify",
        "-n",
        "--diff",
        "STICK",
        "-a",
        "rootpw=zq7new",
    ],
    &[
        "kernelopt",
        "modify",
        "-n",
        "--diff",
        "STICK",
        "-d",
        "encryptionRecoveryKey",
    ],
    &[
        "bootcfg",
        "set",
        "-n",
        "--diff",
        "STICK",
        "kernelopt",
        "a.password=zq7new",
    ],
    &["apply", "-n", "--diff", "good.toml", "STICK"],
];

const KEYBOARD: [&str; 6] = ["-c", "esx", "-g", "system", "-k", "keyboard"];

/// Requests that are refused, with secrets in what they say.
const ERRORS: [&[&str]; 9] = [
    &["conf", "set", "STICK", "/app/password", "zq7\"x"],
    &[
        "kernelopt",
        "modify",
        "STICK",
        "-a",
        "encryptionRecoveryKey=zq7 x",
    ],
    &[
        "kernelopt",
        "modify",
        "STICK",
        "-r",
        "app.password=zq7none=app.password=zq7new",
    ],
    &["kernelopt", "modify", "STICK", "-r", "app.password=zq7=x=y"],
    &["bootcfg", "set", "STICK", "kernelopt", "a.password=zq7\nx"],
    &["apply", "bad-type.toml", "STICK"],
    &["apply", "bad-number.toml", "STICK"],
    &["apply", "bad-syntax.toml", "STICK"],
    &["apply", "expects.toml", "STICK"],
];

fn prepare(profile: &str) -> Host {
    let host = with_secrets(profile, "");
    let other = with_secrets(profile, "2");
    fs::copy(&other.image, host.path("other.img")).unwrap();
    fs::copy(&Host::new(profile).image, host.path("plain.img")).unwrap();
    fs::write(host.path("other.tgz"), other.bank_file(5, "STATE.TGZ")).unwrap();
    fs::write(host.path("newer"), "open-line = 2\npassphrase: zq7newer\n").unwrap();
    let plans = [
        (
            "good.toml",
            "[conf.set]\n\"/app/userPwd\" = \"zq7new\"\n[kernelopt]\nappend = [\"b.password=zq7new\"]\n",
        ),
        (
            "bad-type.toml",
            "[kernelopt]\nappend = \"a.password=zq7x\"\n",
        ),
        (
            "bad-number.toml",
            "[conf.set]\n\"/app/password\" = 731931005\n",
        ),
        (
            "bad-syntax.toml",
            "[conf.set]\n\"/app/password\" = \"zq7\" zq7\n",
        ),
        (
            "expects.toml",
            "[expect.conf]\n\"/app/authKey\" = \"zq7x\"\n",
        ),
    ];
    for (name, text) in plans {
        fs::write(host.path(name), text).unwrap();
    }
    host
}

fn every_way(host: &Host, arguments: &[&str]) -> Vec<Ran> {
    let ways: [&[&str]; 4] = [&[], &["--json"], &["-v"], &["-v", "--json"]];
    let ran = ways.map(|more| {
        let arguments = [arguments, more].concat();
        let ran = host.run(&arguments);
        assert_hidden(&arguments, &ran);
        ran
    });
    ran.into()
}

fn nothing_gets_out(profile: &str) {
    let host = prepare(profile);
    for arguments in LOOKS.iter().chain(&OPTIONS) {
        for ran in every_way(&host, arguments) {
            assert!(ran.code < 2, "{arguments:?}: {}", ran.stderr);
        }
    }
    for arguments in ERRORS {
        for ran in every_way(&host, arguments) {
            assert!(ran.code > 1, "{arguments:?}: {}", ran.stdout);
        }
    }
}

#[test]
fn no_command_shows_a_secret_of_a_plain_state() {
    nothing_gets_out("esxi67-usb-passthru");
}

#[test]
fn no_command_shows_a_secret_of_an_encrypted_state_or_its_configstore() {
    nothing_gets_out("esxi702-encrypted");
    let host = with_secrets("esxi702-encrypted", "");
    let commands: [&[&str]; 4] = [
        &["store", "list", "STICK"],
        &[
            "store",
            "set",
            "-n",
            "--diff",
            "STICK",
            r#"{"password_hash":"zq7new","plain":"zq7n"}"#,
        ],
        &["store", "delete", "-n", "--diff", "STICK"],
        &[
            "store",
            "set",
            "STICK",
            r#"{"list":[{"secret":"zq7"},{"secret":"zq7"}]}"#,
        ],
    ];
    for arguments in commands {
        let row: &[&str] = if arguments[1] == "list" {
            &[]
        } else {
            &KEYBOARD
        };
        for ran in every_way(&host, &[arguments, row].concat()) {
            assert_eq!(
                ran.code > 1,
                !arguments.contains(&"-n") && arguments[1] == "set"
            );
        }
    }
}

/// A change that is made, its undo file, and what is said of both.
#[test]
fn changes_and_their_undo_show_no_secret() {
    let host = prepare("esxi702-encrypted");
    let changes: [&[&str]; 4] = [
        &[
            "conf",
            "set",
            "--diff",
            "STICK",
            "/app/password",
            "zq7new",
            "-z",
            "one",
        ],
        &[
            "kernelopt",
            "modify",
            "--diff",
            "STICK",
            "-d",
            "app.password",
            "-z",
            "two",
        ],
        &["fix", "--diff", "STICK", "-y", "-z", "three"],
        &["apply", "--diff", "good.toml", "STICK", "-z", "four"],
    ];
    for arguments in changes {
        let arguments = [arguments, &["-v", "--json"]].concat();
        let ran = host.run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_hidden(&arguments, &ran);
    }
    for undo in ["four", "three", "two", "one"] {
        let arguments = ["undo", undo, "STICK", "-v"];
        let ran = host.run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_hidden(&arguments, &ran);
    }
}

#[test]
fn what_is_wrong_with_a_command_line_is_said_without_the_secret_on_it() {
    let host = Host::new("esxi67-usb-passthru");
    let lines: [&[&str]; 4] = [
        &["kernelopt", "modify", "STICK", "encryptionRecoveryKey=zq7a"],
        &[
            "kernelopt",
            "modify",
            "STICK",
            "-a",
            "encryptionRecoveryKey= zq7b",
        ],
        &["store", "list", "STICK", "{\"password\": \"zq7c zq7d\"}"],
        &["info", "{\"snmp\": {\"communities\": [\"zq7e\"]}}"],
    ];
    for line in lines {
        for line in [line.to_vec(), [line, &["--json"]].concat()] {
            let ran = host.run(&line);
            assert_eq!(ran.code, 2, "{line:?}: {}", ran.stderr);
            assert!(ran.stderr.contains("(hidden)"), "{}", ran.stderr);
            // The name of a file is to be used as it is, whatever it looks like.
            if line[0] != "info" {
                assert_hidden(&line, &ran);
            }
        }
    }
}

#[test]
fn what_is_asked_for_is_shown() {
    let host = prepare("esxi702-encrypted");
    for (key, value) in CONF {
        assert_eq!(
            host.done(&["conf", "get", "STICK", key]),
            format!("{value}\n")
        );
        let json = host.run(&["conf", "get", "STICK", key, "--json"]).json();
        assert_eq!(json["entries"][0]["value"], value);
    }
    let row = host.done(&[&["store", "get", "STICK"], &KEYBOARD[..]].concat());
    assert_eq!(row.trim_end(), ROW);
    for (path, text) in FILES {
        assert_eq!(host.done(&["cat", "STICK", path]), text);
        assert_eq!(host.done(&["get", "STICK", path, "-"]), text);
    }
    let cases: [(&[&str], &[&str]); 6] = [
        (
            &["conf", "list", "STICK"],
            &["zq7a", "zq7ghijklmn", "731931001"],
        ),
        (
            &["store", "list", "STICK"],
            &["zq7comm", "731931003", "zq7schema", "zq7pem"],
        ),
        (&["kernelopt", "show", "STICK"], &[RECOVERY_KEY, "zq7opt"]),
        (&["bootcfg", "get", "STICK"], &[RECOVERY_KEY]),
        (
            &["diff", "other.img", "STICK"],
            &["zq7shadow", "zq72phrase", "731931-"],
        ),
        (
            &[
                "conf",
                "set",
                "-n",
                "--diff",
                "STICK",
                "/app/password",
                "zq7new",
            ],
            &["zq7new"],
        ),
    ];
    for (arguments, secrets) in cases {
        for more in [&["--show-secrets"][..], &["--show-secrets", "--json"]] {
            let ran = host.run(&[arguments, more].concat());
            let text = ran.stdout;
            for secret in secrets
                .iter()
                .filter(|it| more.len() == 1 || !it.contains("phrase") && !it.contains("shadow"))
            {
                assert!(
                    text.contains(secret),
                    "{arguments:?} hides {secret}: {text}"
                );
            }
        }
    }
}

/// What is no secret is shown: names, public keys, owners, and whatever stands beside a secret.
#[test]
fn what_is_no_secret_is_shown() {
    let host = prepare("esxi702-encrypted");
    let list = host.done(&["conf", "list", "STICK"]);
    for (key, _) in CONF {
        assert!(list.contains(&format!("{key} = ")), "{key}");
    }
    assert!(list.contains("open-name") && list.contains("open-keyboard"));
    assert!(list.contains("/adv/UserVars/password = \"(hidden)\"\n"));
    let fix = Host::new("esxi67-usb-passthru");
    let fix = fix.done(&["fix", "-n", "--diff", "STICK"]);
    assert!(fix.contains("/owner = \"passthru\""), "{fix}");
    assert!(!fix.contains("(hidden)"), "{fix}");
    let rows = host.done(&["store", "list", "STICK"]);
    for open in [
        "open-layout",
        "password_hash",
        "communities",
        "BEGIN PRIVATE KEY",
        "OWNER_",
    ] {
        assert!(rows.contains(open), "{open}: {rows}");
    }
    let diff = host.run(&["diff", "other.img", "STICK"]).stdout;
    let lines = [
        " open-line = 1",
        "-passphrase: (hidden)",
        "+passphrase: (hidden)",
        " open-text",
        "-community (hidden)",
    ];
    for line in lines {
        assert!(diff.lines().any(|found| found == line), "{line}: {diff}");
    }
    fs::write(host.path("keys"), "ssh-ed25519 AAAAotherkey me@host\n").unwrap();
    let keys = "etc/ssh/keys-root/authorized_keys";
    let put = host.done(&["put", "-n", "--diff", "STICK", "keys", keys]);
    assert!(put.contains("-ssh-ed25519 AAAAopenkey me@host\n"), "{put}");
    assert!(put.contains("+ssh-ed25519 AAAAotherkey me@host\n"), "{put}");
}
