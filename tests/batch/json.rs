//! The objects of every command, in good and bad cases, held against the program's own schemas by a
//! validator that shares no code with it.

use crate::run::{Place, python, repository};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Every command as it succeeds on STICK, and on a copy that it may change.
const GOOD: &[&str] = &[
    "scan images",
    "info STICK",
    "info STICK STORE SEALED",
    "verify STICK",
    "verify --quick STICK STORE",
    "fix -n STICK",
    "fix --check STICK STORE",
    "fix --no-undo CHANGED",
    "pci list STICK STORE SEALED",
    "pci set -n -d vmhba0 -e true STICK",
    "ls STICK",
    "ls STICK etc",
    "ls STICK bank:",
    "get STICK etc/hosts got",
    "put -n STICK plan.toml etc/motd",
    "rm -n STICK etc/hosts",
    "conf list STICK",
    "conf get STICK /system/uuid",
    "conf set -n STICK /adv/Misc/HostName esx1",
    "conf unset -n STICK /system/uuid",
    "store list STORE",
    "store get STORE -c esx -g hardware -k pci_devices -i 0000:00:14.0",
    "store set -n STORE -c esx -g hardware -k pci_devices -i 0000:00:14.0 {}",
    "store delete -n STORE -c esx -g hardware -k pci_devices -i 0000:00:14.0",
    "kernelopt show STICK",
    "kernelopt modify -n STICK -a testing",
    "bootcfg get STICK",
    "bootcfg get STICK updated",
    "bootcfg set -n STICK title ESXi",
    "bootcfg unset -n STICK title",
    "host set -n STICK --name esx1",
    "diff STICK STICK",
    "diff STICK STORE",
    "state export --force STICK state.tgz",
    "get --force STICK etc/vmware/esx.conf got.conf",
    "state import -n STICK state.tgz",
    "state copy -n 5 6 STICK",
    "state reset -n 5 STICK",
    "bank list STICK",
    "bank use -n 5 STICK",
    "bank copy -n 5 6 STICK",
    "bank mark-clean -n 5 STICK",
    "apply -n plan.toml STICK",
    "apply -n --host-map hosts.csv plan.toml STICK",
    "seal --list-operations",
    "seal -n STICK",
    "station --fix -y --count 0",
    "reclaim STICK",
    "undo -n way-back.undo UNDONE",
    "undo way-back.undo UNDONE",
];

/// What goes wrong for other reasons than the target.
const BAD: &[&str] = &[
    "info",
    "info --nonsense STICK",
    "info --bank 77x STICK",
    "bank use STICK 6",
    "bank use -n 5 --bank 6 STICK",
    "bank copy -n 5 6 --bank 6 STICK",
    "bank mark-clean -n 5 --bank next STICK",
    "state copy -n 5 6 --bank 6 STICK",
    "state reset -n 5 --bank 6 STICK",
    "diff --banks --bank 5 STICK",
    "scan --bank 5 .",
    "undo --list --bank 5",
    "put -n --bank 5 STICK plan.toml bank6:x.v00",
    "rm -n --bank 5 STICK bank6:x.v00",
    "fix -o copy.img -z way-back.undo STICK",
    "nonsense",
    "pci set -d vmhba0 -e true STICK",
    "pci set -d no -e false STICK",
    "pci set -d 0a:00.0 -e true STICK",
    "pci set -d vmhba0 -e maybe STICK",
    "cat STICK etc/hosts",
    "cat STICK etc/none",
    "get STICK etc/none got",
    "get STICK etc/hosts -",
    "put STICK absent etc/motd",
    "conf get STICK /no/key",
    "store list STICK",
    "store get STORE -c x",
    "apply absent.toml STICK",
    "apply STICK plan.toml",
    "apply --host-map empty.csv plan.toml STICK",
    "fix --dry-run --check STICK",
    "fix -o STICK STICK",
    "seal --only none STICK",
    "undo absent.undo",
    "undo plan.toml STICK",
    "schema none",
    "bank use 9 STICK",
    "station",
    "station --fix",
    "station --apply absent.toml -y",
    "state import STICK plan.toml",
];

/// Commands that write something else than objects, whatever the options.
const OF_DATA: [&str; 5] = ["cat", "completions", "man", "reference", "schema"];

/// What is no medium, or not as it should be.
const TARGETS: [&str; 6] = [
    "absent.img",
    "empty.img",
    "zeros.img",
    "text.img",
    "cut.img",
    "broken.img",
];

fn place() -> Place {
    let place = Place::new();
    place.copy("esxi67-usb-passthru", "STICK");
    place.copy("esxi70u1-both", "STORE");
    place.copy("esxi702-sealed", "SEALED");
    place.copy("esxi67-usb-passthru", "CHANGED");
    place.copy("esxi67-usb-passthru", "UNDONE");
    place
        .run(&["fix", "-z", "way-back.undo", "UNDONE"])
        .expect(0);
    fs::create_dir(place.path().join("images")).unwrap();
    place.copy("esxi702-sealed", "images/sealed.img");
    place.copy("esxi67-usb-passthru", "images/stick.img");
    place.write("images/notes.txt", "");
    place.write(
        "plan.toml",
        "[[device]]\naddress = \"passed-through\"\nowner = \"vmkernel\"\n",
    );
    place.write("hosts.csv", "image;name\nSTICK;esx1\nother.img;esx2\n");
    place.write("empty.csv", "image,name\nnone.img,\n");
    place.write("empty.img", "");
    place.write("zeros.img", vec![0; 1 << 20]);
    place.write("text.img", "no disk\n");
    let stick = place.read("STICK");
    place.write("cut.img", &stick[..stick.len() / 3]);
    // Both states are cut short by the noise in the middle of every volume.
    let mut broken = stick;
    for byte in broken.iter_mut().step_by(499).skip(2000) {
        *byte ^= 0x55;
    }
    place.write("broken.img", broken);
    place
}

/// Runs a line with `--json`; what is on standard output, which is JSON to the last line.
fn objects(place: &Place, line: &str) -> String {
    let mut arguments: Vec<&str> = line.split(' ').collect();
    arguments.push("--json");
    let ran = place.run(&arguments);
    let objects = ran.objects();
    let code = ran.code();
    assert!((0..=6).contains(&code), "{line}: {code}\n{}", ran.stderr());
    for object in &objects {
        let has = |key: &str| object[key].is_string();
        assert!(has("schema") && has("target"), "{line}: {object}");
    }
    // `verify` finds errors; it does not fail for them.
    if code > 1 && !line.starts_with("verify") {
        let failed = |object: &serde_json::Value| object["error"]["message"].is_string();
        let damaged = |object: &serde_json::Value| !object["damage"][0].is_null();
        assert!(
            objects.iter().any(|it| failed(it) || damaged(it)),
            "{line} ends with {code} and no object says why: {}",
            ran.stdout()
        );
    }
    ran.stdout()
}

fn validate(place: &Place, lines: &str) {
    let schemas = place.path().join("schemas");
    fs::create_dir(&schemas).unwrap();
    let names = place.run(&["schema"]).expect(0).stdout();
    for name in names.lines() {
        let schema = place.run(&["schema", name]).expect(0).stdout();
        fs::write(schemas.join(format!("{name}.json")), schema).unwrap();
    }
    let mut judge = Command::new(python())
        .arg("-B")
        .arg(repository("tests/batch/validate.py"))
        .arg(schemas)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = judge.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    drop(input);
    let output = judge.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

/// The commands there are, by the reference.
fn commands() -> BTreeSet<String> {
    let reference = fs::read_to_string(repository("docs/cli.md")).unwrap();
    let headings = reference
        .lines()
        .filter_map(|line| line.strip_prefix("## bootbank "));
    let all: BTreeSet<String> = headings.map(str::to_owned).collect();
    let is_group = |name: &String| all.iter().any(|it| it.starts_with(&format!("{name} ")));
    let single = all.iter().filter(|name| !is_group(name)).cloned();
    single.collect()
}

#[test]
fn every_object_of_every_command_is_as_its_schema_says() {
    let place = place();
    for command in commands() {
        let is_of_data = OF_DATA.contains(&command.as_str());
        let runs = |line: &&&str| line.starts_with(&format!("{command} "));
        assert!(
            is_of_data || GOOD.iter().any(|line| runs(&line)),
            "no case runs {command}: add one here"
        );
    }
    let mut lines = String::new();
    for line in GOOD {
        let found = objects(&place, line);
        assert!(
            !found.contains("\"error\":{") || line.contains("SEALED"),
            "{line}: {found}"
        );
        // `get` writes the file and says no more; a station to which nothing comes has nothing to say.
        let is_silent = ["get ", "station "].iter().any(|it| line.starts_with(it));
        assert!(!found.is_empty() || is_silent, "{line}");
        lines.push_str(&found);
    }
    for line in BAD {
        let found = objects(&place, line);
        assert!(found.contains("\"error\":{"), "{line}: {found}");
        lines.push_str(&found);
    }
    for line in GOOD.iter().filter(|line| line.contains("STICK")) {
        for target in TARGETS {
            lines.push_str(&objects(&place, &line.replace("STICK", target)));
        }
    }
    // One that cannot be read does not make scan end with an error.
    lines.push_str(&place.run(&["scan", "--json", "."]).expect(0).stdout());
    validate(&place, &lines);
}

/// The validator does see what is wrong.
#[test]
#[should_panic(expected = "is not valid under any of the given schemas")]
fn an_object_without_a_field_of_its_schema_is_found() {
    let place = Place::new();
    validate(
        &place,
        "{\"schema\":\"bootbank.verify/1\",\"target\":\"a\"}\n",
    );
}
