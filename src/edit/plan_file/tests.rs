use super::*;
use crate::ownership::ValueColumn;

/// One of everything.
const PLAN: &str = r#"
[expect]
build = "6.7.0"
bank = 5
conf = { "/system/uuid" = "{uuid}" }

[[device]]
address = "0000:00:1a.7"
owner = "vmkernel"

[conf]
set = { "/adv/Misc/HostName" = "{name}.lab" }
unset = ["/adv/Old"]

[[store.set]]
component = "esx"
group = "network"
key = "vmk"
identifier = "{name}"
value = { host = "{name}", port = 22, on = true }

[[store.delete]]
component = "esx"
group = "old"
key = "gone"

[kernelopt]
append = ["runweasel"]
delete = ["quiet"]

[[file]]
path = "etc/motd"
text = "Welcome to {name}, not {{name}}\n"
mode = "0600"
owner = "root"

[[file]]
path = "etc/banner"
from = "banner.txt"

[[file]]
path = "etc/issue"
remove = true
"#;

fn row() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("name".to_owned(), "esx1".to_owned()),
        ("uuid".to_owned(), "5fb27665".to_owned()),
    ])
}

#[test]
fn a_plan_with_one_of_everything_becomes_edits_filled_in() {
    let plan = DeclaredPlan::parse(PLAN).unwrap();
    let columns: Vec<String> = plan.columns().into_iter().collect();
    assert_eq!(columns, ["name", "uuid"]);
    assert_eq!(plan.local_files().collect::<Vec<_>>(), ["banner.txt"]);
    let files = BTreeMap::from([("banner.txt".to_owned(), b"{name}".to_vec())]);
    let (expect, edits) = plan.fill(&row(), &files).unwrap();
    assert_eq!(expect.build.as_deref(), Some("6.7.0"));
    assert_eq!(expect.bank, Some(5));
    assert_eq!(expect.conf["/system/uuid"].get_ref(), "5fb27665");
    let key = |parts: [&str; 4]| RowKey::new(parts[0], parts[1], parts[2], parts[3]);
    let expected = vec![
        Edit::Owner(OwnerEdit {
            devices: Devices::Named(vec!["0000:00:1a.7".parse().unwrap()]),
            owner: Owner::Vmkernel,
        }),
        Edit::Conf(ConfEdit::Set {
            key: "/adv/Misc/HostName".to_owned(),
            value: "esx1.lab".to_owned(),
        }),
        Edit::Conf(ConfEdit::Unset {
            key: "/adv/Old".to_owned(),
            absent_ok: true,
        }),
        Edit::Store(StoreEdit::Set {
            key: key(["esx", "network", "vmk", "esx1"]),
            column: ValueColumn::User,
            json: r#"{"host":"esx1","on":true,"port":22}"#.to_owned(),
        }),
        Edit::Store(StoreEdit::Delete {
            key: key(["esx", "old", "gone", ""]),
            absent_ok: true,
        }),
        Edit::Kernelopt(KerneloptEdit::Delete("quiet".to_owned())),
        Edit::Kernelopt(KerneloptEdit::Append("runweasel".to_owned())),
        Edit::File(FileEdit::Put {
            path: "etc/motd".to_owned(),
            content: b"Welcome to esx1, not {name}\n".to_vec(),
            mode: Some(0o600),
        }),
        Edit::File(FileEdit::Put {
            path: "etc/banner".to_owned(),
            content: b"{name}".to_vec(),
            mode: None,
        }),
        Edit::File(FileEdit::Remove {
            path: "etc/issue".to_owned(),
            absent_ok: true,
        }),
    ];
    assert_eq!(edits, expected);
}

#[test]
fn what_is_wrong_with_a_plan_is_said_with_its_line_and_column() {
    let cases = [
        ("[conf]\nset = {", (2, 8), ""),
        ("[expect]\nbild = \"6.7\"\n", (2, 1), "unknown field `bild`"),
        (
            "[[device]]\naddress = 5\nowner = \"vmkernel\"\n",
            (2, 11),
            "expected a string",
        ),
        (
            "[[device]]\naddress = \"x\"\nowner = \"root\"\n",
            (3, 9),
            "unknown variant `root`",
        ),
        (
            "[conf]\nset = { \"adv/x\" = \"1\" }\n",
            (2, 9),
            "`adv/x` cannot be",
        ),
        (
            "[conf]\nset = { \"/a\" = \"1\" }\nunset = [\"/a\"]\n",
            (3, 10),
            "two entries for the key /a",
        ),
        (
            "[kernelopt]\nappend = [\"a\"]\ndelete = [\"a\"]\n",
            (3, 11),
            "two entries for the kernel option a",
        ),
        (
            "[[file]]\npath = \"etc/../x\"\ntext = \"\"\n",
            (2, 8),
            "must not hold `..`",
        ),
        (
            "[[file]]\npath = \"bank:x.v00\"\ntext = \"\"\n",
            (2, 8),
            "bank:x.v00 is a file of a bank",
        ),
        (
            "[[file]]\npath = \"bank5:x.v00\"\nremove = true\n",
            (2, 8),
            "bank5:x.v00 is a file of a bank",
        ),
        (
            "[[file]]\npath = \"etc//x\"\ntext = \"\"\n",
            (2, 8),
            "an empty part",
        ),
        (
            "[[file]]\npath = \"etc/x\"\n",
            (2, 8),
            "needs exactly one of",
        ),
        (
            "[[file]]\npath = \"etc/x\"\ntext = \"\"\nremove = true\n",
            (2, 8),
            "needs exactly one of",
        ),
        (
            "[[file]]\npath = \"etc/x\"\ntext = \"\"\nmode = \"0999\"\n",
            (2, 8),
            "is not a mode",
        ),
        (
            "[[file]]\npath = \"etc/x\"\ntext = \"\"\nowner = \"nobody\"\n",
            (2, 8),
            "only belong to root",
        ),
        (
            "[conf]\nset = { \"/a\" = \"1\" }\n[[file]]\npath = \"/etc/vmware/esx.conf\"\ntext = \"\"\n",
            (4, 8),
            "other entries change settings",
        ),
        (
            "[[device]]\naddress = \"passed-through\"\nowner = \"vmkernel\"\n[[device]]\naddress = \"00:1a.7\"\nowner = \"vmkernel\"\n",
            (2, 11),
            "cannot be combined with other entries",
        ),
    ];
    for (text, (line, column), message) in cases {
        let error = DeclaredPlan::parse(text).unwrap_err();
        assert_eq!(
            (error.line, error.column),
            (line, column),
            "{text}: {error}"
        );
        assert!(error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn what_only_the_filled_in_value_shows_is_said_with_its_line_too() {
    let row = BTreeMap::from([("name".to_owned(), "a\"b".to_owned())]);
    let cases = [
        (
            "[conf]\nset = { \"/a\" = \"{name}\" }\n",
            (2, 16),
            "which esx.conf cannot hold",
        ),
        (
            "[conf]\nset = { \"/a\" = \"{nome}\" }\n",
            (2, 16),
            "no host map with a column `nome`",
        ),
        (
            "[[device]]\naddress = \"{name}\"\nowner = \"vmkernel\"\n",
            (2, 11),
            "",
        ),
        (
            "[kernelopt]\nappend = [\"a b\"]\n",
            (2, 11),
            "not a single kernel option",
        ),
        (
            "[kernelopt]\nappend = [\"updated=3\"]\n",
            (2, 11),
            "updated is a setting of boot.cfg",
        ),
        (
            "[[device]]\naddress = \"0000:00:1a.7\"\nowner = \"vmkernel\"\n[[device]]\naddress = \"00:1a.7\"\nowner = \"passthru\"\n",
            (5, 11),
            "another entry gives",
        ),
        (
            "[expect]\nbank = 5\n[expect.conf]\n\"/a\" = \"{other}\"\n",
            (4, 8),
            "with a column `other`",
        ),
    ];
    for (text, (line, column), message) in cases {
        let plan = DeclaredPlan::parse(text).unwrap();
        let error = plan.fill(&row, &BTreeMap::new()).unwrap_err();
        assert_eq!(
            (error.line, error.column),
            (line, column),
            "{text}: {error}"
        );
        assert!(error.message.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_plan_sets_a_hosts_name_ntp_servers_and_keys_with_values_of_its_row() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxB8kzL2yNKBrpyhKpEa0BhZKLM0lkR4ZmCNRG8xYqB ci";
    let text = format!(
        "[host]\nname = \"{{name}}\"\ndomain = \"lab\"\nntp = [\"{{ntp}}\", \"b.ntp\"]\nssh-key = [\"{KEY}\"]\n"
    );
    let plan = DeclaredPlan::parse(&text).unwrap();
    assert_eq!(
        plan.columns(),
        BTreeSet::from(["name".to_owned(), "ntp".to_owned()])
    );
    let row = |name: &str| {
        BTreeMap::from([
            ("name".to_owned(), name.to_owned()),
            ("ntp".to_owned(), "a.ntp".to_owned()),
        ])
    };
    let (_, edits) = plan.fill(&row("esx1"), &BTreeMap::new()).unwrap();
    assert_eq!(
        edits,
        [Edit::Host(HostEdit {
            name: Some("esx1".into()),
            domain: Some("lab".into()),
            ntp: vec!["a.ntp".into(), "b.ntp".into()],
            ssh_keys: vec![KEY.into()],
        })]
    );
    let error = plan.fill(&row("esx 1"), &BTreeMap::new()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("line 2, column 8: name: \"esx 1\" is not made of"),
        "{error}"
    );
    assert!(DeclaredPlan::parse("[host]\npassword = \"x\"\n").is_err());
}

#[test]
fn a_device_is_new_only_where_the_plan_says_so() {
    let devices = |more: &str| {
        let text = format!("[[device]]\naddress = \"0a:00.0\"\nowner = \"passthru\"\n{more}");
        let plan = DeclaredPlan::parse(&text).unwrap();
        let (_, edits) = plan.fill(&BTreeMap::new(), &BTreeMap::new()).unwrap();
        match edits.into_iter().next() {
            Some(Edit::Owner(edit)) => edit.devices,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(devices(""), Devices::Named(_)));
    assert!(matches!(devices("new = true\n"), Devices::NamedOrNew(_)));
}
