//! Plans: what they change, what they refuse, and the way back.

use crate::run::Place;
use std::fs;

const PROFILE: &str = "esxi67-usb-passthru";

const PLAN: &str = r#"
[expect]
build = "6.7.0"

[[device]]
address = "passed-through"
owner = "vmkernel"

[conf]
set = { "/adv/Misc/HostName" = "{name}.lab" }

[kernelopt]
append = ["batch={name}"]

[[file]]
path = "etc/motd"
text = "This is {name}, not {{name}}\n"

[[file]]
path = "etc/banner"
from = "banner.txt"
"#;

fn place() -> Place {
    let place = Place::new();
    for name in ["a.img", "b.img", "c.img"] {
        place.copy(PROFILE, name);
    }
    place.write("plan.toml", PLAN);
    place.write("banner.txt", "as it is: {name}\n");
    place.write(
        "hosts.csv",
        "image,name\na.img,esx1\nb.img,esx2\nc.img,esx3\n",
    );
    place
}

#[test]
fn a_plan_makes_all_its_edits_on_each_stick_with_the_values_of_its_row_and_undo_takes_them_back() {
    let place = place();
    let original = place.read("a.img");
    let apply = [
        "apply",
        "--json",
        "-j",
        "2",
        "--host-map",
        "hosts.csv",
        "plan.toml",
    ];
    let apply: Vec<&str> = apply
        .into_iter()
        .chain(["a.img", "b.img", "c.img"])
        .collect();
    let run = place.run(&apply).expect(0);
    let objects = run.objects();
    assert_eq!(objects.len(), 3);
    for object in &objects {
        assert_eq!(object["outcome"], "changed", "{object}");
        let target = object["target"].as_str().unwrap();
        let name = match target {
            "a.img" => "esx1",
            "b.img" => "esx2",
            _ => "esx3",
        };
        let show = |arguments: &[&str]| place.run(arguments).expect(0).stdout();
        let motd = show(&["cat", target, "etc/motd"]);
        assert_eq!(motd, format!("This is {name}, not {{name}}\n"));
        assert_eq!(show(&["cat", target, "etc/banner"]), "as it is: {name}\n");
        let host = show(&["conf", "get", target, "/adv/Misc/HostName"]);
        assert_eq!(host, format!("{name}.lab\n"));
        let boot_cfg = show(&["cat", target, "bank:boot.cfg"]);
        assert!(boot_cfg.contains(&format!("batch={name}")), "{boot_cfg}");
        let devices = show(&["pci", "list", "--json", target]);
        assert!(!devices.contains("\"passthrough\":true"), "{devices}");
        place.run(&["verify", target]).expect(0);
    }
    // Done twice is done once.
    let again = place.run(&apply).expect(0);
    assert!(
        again
            .objects()
            .iter()
            .all(|object| object["outcome"] == "unchanged")
    );
    let check: Vec<&str> = [&apply[..], &["--check"]].concat();
    place.run(&check).expect(0);
    for object in &objects {
        let (target, undo) = (
            object["target"].as_str().unwrap(),
            object["undo"].as_str().unwrap(),
        );
        place.run(&["undo", "-y", undo, target]).expect(0);
        assert!(place.read(target) == original, "{target}");
    }
}

#[test]
fn a_stick_without_a_row_and_two_on_one_row_are_refused_and_the_others_are_done() {
    let place = place();
    place.copy(PROFILE, "d.img");
    let original = place.read("a.img");
    place.write(
        "hosts.csv",
        "image,system-uuid,name\na.img,,esx1\nb.img,,esx2\n",
    );
    let run = place
        .run(&[
            "apply",
            "--json",
            "--host-map",
            "hosts.csv",
            "plan.toml",
            "a.img",
            "d.img",
            "b.img",
        ])
        .expect(6);
    let outcomes: Vec<_> = run
        .objects()
        .iter()
        .map(|object| object["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["changed", "failed", "changed"]);
    assert!(
        run.stderr()
            .contains("no row matches this medium (image d.img, bank-uuid "),
        "{}",
        run.stderr()
    );

    // Clones share every UUID, so one row by UUID is a row for two.
    let info = place.run(&["info", "--json", "c.img"]).expect(0);
    let uuid = info.objects()[0]["banks"][0]["uuid"]
        .as_str()
        .unwrap()
        .to_uppercase();
    place.write("hosts.csv", format!("bank-uuid,name\n{uuid},esx1\n"));
    let run = place
        .run(&[
            "apply",
            "--host-map",
            "hosts.csv",
            "plan.toml",
            "c.img",
            "d.img",
        ])
        .expect(6);
    assert!(
        run.stderr()
            .contains("line 2 of the host map matches both c.img and d.img"),
        "{}",
        run.stderr()
    );
    assert!(place.read("c.img") == original && place.read("d.img") == original);
    place
        .run(&[
            "apply",
            "-q",
            "--host-map",
            "hosts.csv",
            "plan.toml",
            "c.img",
        ])
        .expect(0);
}

#[test]
fn what_a_plan_expects_and_does_not_find_is_refused_before_any_write() {
    let place = place();
    let original = place.read("a.img");
    let cases = [
        (
            "[expect]\nbuild = \"7.0.0\"\n",
            "the build should be 7.0.0, but it is ",
        ),
        (
            "[expect]\nbank = 9\n",
            "bank 9 should boot next, but it is ",
        ),
        (
            "[expect.conf]\n\"/no/such\" = \"1\"\n",
            "/no/such should be \"1\", but it is not there",
        ),
    ];
    for (expect, message) in cases {
        place.write(
            "p.toml",
            format!("{expect}\n[kernelopt]\nappend = [\"x\"]\n"),
        );
        let run = place.run(&["apply", "p.toml", "a.img"]).expect(3);
        assert!(run.stderr().contains(message), "{}", run.stderr());
    }
    assert!(place.read("a.img") == original);
}

#[test]
fn a_plan_reads_no_file_outside_its_own_directory_unless_that_is_allowed() {
    let place = place();
    let original = place.read("a.img");
    std::fs::create_dir(place.path().join("plans")).unwrap();
    place.write("plans/inside", "x");
    std::os::unix::fs::symlink("inside", place.path().join("plans/good")).unwrap();
    std::os::unix::fs::symlink("../banner.txt", place.path().join("plans/bad")).unwrap();
    let absolute = place.path().join("banner.txt");
    let plan = |from: &str| {
        let text = format!("[[file]]\npath = \"etc/motd\"\nfrom = \"{from}\"\n");
        place.write("plans/p.toml", text);
    };
    for from in ["../banner.txt", "bad", absolute.to_str().unwrap()] {
        plan(from);
        let run = place.run(&["apply", "plans/p.toml", "a.img"]).expect(3);
        let said = run.stderr();
        assert!(
            said.contains("outside the directory of the plan file"),
            "{said}"
        );
        assert!(said.contains("--allow-outside"), "{said}");
        place
            .run(&["apply", "-n", "--allow-outside", "plans/p.toml", "a.img"])
            .expect(0);
    }
    for from in ["inside", "good", "../plans/inside"] {
        plan(from);
        place
            .run(&["apply", "-n", "plans/p.toml", "a.img"])
            .expect(0);
    }
    assert!(place.read("a.img") == original);
}

#[test]
fn a_plan_or_a_map_that_cannot_be_meant_is_refused_with_where_it_is_wrong() {
    let place = place();
    let original = place.read("a.img");
    let cases = [
        (
            "[conf]\nsett = {}\n",
            "line 2, column 1: unknown field `sett`",
        ),
        (
            "[conf]\nset = { \"/a\" = \"x\\\"y\" }\n",
            "line 2, column 16: ",
        ),
        ("[conf]\nset = { \"a\" = \"1\" }\n", "line 2, column 9: "),
        (
            "[conf]\nset = { \"/a\" = \"{name}\" }\n",
            "no host map with a column `name`",
        ),
        (
            "[[file]]\npath = \"../x\"\ntext = \"\"\n",
            "line 2, column 8: ../x must not hold `..`",
        ),
        (
            "[[file]]\npath = \"etc/x\"\nfrom = \"not-there\"\n",
            "not-there does not exist",
        ),
        ("[[device]\n", "line 1, column "),
    ];
    for (plan, message) in cases {
        place.write("p.toml", plan);
        let run = place.run(&["apply", "p.toml", "a.img"]).expect(2);
        assert!(run.stderr().contains(message), "{plan}: {}", run.stderr());
    }
    let maps = [
        ("image,name,name\n", "the column `name` is there twice"),
        ("host,name\n", "no column says which medium"),
        (
            "image,nome\na.img,x\n",
            "no column `name`, which the plan file uses",
        ),
        ("image,name\na.img\n", "line 2 has another number"),
    ];
    for (map, message) in maps {
        place.write("m.csv", map);
        let run = place
            .run(&["apply", "--host-map", "m.csv", "plan.toml", "a.img"])
            .expect(2);
        assert!(run.stderr().contains(message), "{map}: {}", run.stderr());
    }
    let long = "x".repeat(300);
    place.write(
        "p.toml",
        format!("[[file]]\npath = \"etc/{long}\"\ntext = \"\"\n"),
    );
    let run = place.run(&["apply", "p.toml", "a.img"]).expect(2);
    assert!(
        run.stderr().contains("longer than 255 bytes"),
        "{}",
        run.stderr()
    );
    assert!(place.read("a.img") == original);
}

#[test]
fn a_plan_works_on_copies_and_streams_too() {
    let place = place();
    place
        .run(&[
            "apply",
            "-q",
            "--host-map",
            "hosts.csv",
            "-o",
            "out/",
            "plan.toml",
            "a.img",
            "b.img",
        ])
        .expect(0);
    let copied = place.read("out/a.img");
    let stream = place.run(&[
        "apply",
        "-q",
        "--host-map",
        "hosts.csv",
        "-o",
        "-",
        "plan.toml",
        "a.img",
    ]);
    assert!(stream.expect(0).0.stdout == copied);
    assert!(place.read("out/b.img") != copied);
}

/// Every file of the run as an editor of Windows saves it.
#[test]
fn texts_from_windows_mean_what_the_others_mean() {
    let place = place();
    let windows = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    let lines = "\n[[file]]\npath = \"etc/lines\"\ntext = \"\"\"one\ntwo\\r\n\"\"\"\n";
    place.write("unix.toml", format!("{PLAN}{lines}"));
    place.write("windows.toml", windows(&format!("{PLAN}{lines}")));
    let map = "image,name\n# a.img,esx0\na.img,esx1\nb.img,esx1\n";
    place.write("unix.csv", map);
    place.write("windows.csv", windows(map));
    let key =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxB8kzL2yNKBrpyhKpEa0BhZKLM0lkR4ZmCNRG8xYqB ci@lab\n";
    place.write("unix.pub", key);
    place.write("windows.pub", windows(key));
    for (style, image) in [("unix", "a.img"), ("windows", "b.img")] {
        let file = |ending: &str| format!("{style}.{ending}");
        let (map, plan, key) = (file("csv"), file("toml"), file("pub"));
        let apply = ["apply", "-q", "--host-map", &map, &plan, image];
        place.run(&apply).expect(0);
        place
            .run(&["host", "set", "-q", "--ssh-key", &key, image])
            .expect(0);
        let text = place.run(&["cat", image, "etc/lines"]).expect(0).stdout();
        assert_eq!(text, "one\ntwo\r\n", "{style}");
    }
    assert!(place.read("a.img") == place.read("b.img"));
    place.copy("esxi702-encrypted", "s.img");
    place.write("value.json", windows("{\"layout\":\n\"German\"}\n"));
    let row = [
        "-c",
        "esx",
        "-g",
        "system",
        "-k",
        "keyboard",
        "-f",
        "value.json",
    ];
    let set = [&["store", "set", "-q", "s.img"], &row[..]].concat();
    place.run(&set).expect(0);
}

#[test]
fn a_host_map_says_what_of_it_is_not_used_and_no_empty_cell_becomes_a_name() {
    let place = place();
    fs::create_dir(place.path().join("lab")).unwrap();
    place.copy(PROFILE, "lab/d.img");
    place.write(
        "hosts.csv",
        "image;name\n./a.img;esx1\nlab/d.img;esx4\nb.img;\nz.img;esx9\n",
    );
    let before = place.read("b.img");
    let apply = ["apply", "--json", "--host-map", "hosts.csv", "plan.toml"];
    let targets = ["./a.img", "lab/d.img", "b.img"];
    let run = place.run(&[&apply[..], &targets].concat()).expect(6);
    let outcomes: Vec<_> = run
        .objects()
        .iter()
        .map(|object| object["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["changed", "changed", "failed"]);
    let said = run.stderr();
    for text in [
        "line 4 has no value in the column `name`, which the plan file uses",
        "1 row of the host map matches no target: line 5 (image z.img)",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert!(place.read("b.img") == before);
    let name = ["conf", "get", "lab/d.img", "/adv/Misc/HostName"];
    assert_eq!(place.run(&name).expect(0).stdout(), "esx4.lab\n");
}

/// Rows that contend for one medium are an error, and not rows that match none.
#[test]
fn two_rows_for_one_medium_are_said_to_be_that_and_no_more() {
    let place = place();
    place.write(
        "hosts.csv",
        "image;name\na.img;esx1\n./a.img;esx4\nb.img;esx2\n",
    );
    let apply = [
        "apply",
        "-n",
        "--host-map",
        "hosts.csv",
        "plan.toml",
        "a.img",
        "b.img",
    ];
    let said = place.run(&apply).expect(6).stderr();
    assert!(
        said.contains("lines 2 and 3 both match this medium"),
        "{said}"
    );
    assert!(!said.contains("no target"), "{said}");
}

/// Entries of different kinds can mean the same setting; which of them would win is nobody's guess.
#[test]
fn entries_that_contradict_each_other_are_refused_by_name() {
    let place = place();
    place.write("ntp.conf", "server old\n");
    place
        .run(&[
            "put",
            "-y",
            "--no-undo",
            "a.img",
            "ntp.conf",
            "etc/ntp.conf",
        ])
        .expect(0);
    let original = place.read("a.img");
    let plans = [
        (
            "[host]\nname = \"a.lab\"\n[conf]\nset = { \"/adv/Misc/HostName\" = \"b.lab\" }\n",
            "/adv/Misc/HostName",
        ),
        (
            "[host]\nntp = [\"n1\"]\n[[file]]\npath = \"etc/ntp.conf\"\ntext = \"server z\\n\"\n",
            "etc/ntp.conf",
        ),
        (
            "[[device]]\naddress = \"passed-through\"\nowner = \"vmkernel\"\n[conf]\n\
             set = { \"/device/0000:00:20.0/owner\" = \"passthru\" }\n",
            "/device/",
        ),
    ];
    for (plan, about) in plans {
        place.write("two.toml", plan);
        let run = place.run(&["apply", "-y", "two.toml", "a.img"]).expect(2);
        let told = run.stderr();
        assert!(
            told.contains("contradict each other") && told.contains(about),
            "{told}"
        );
        assert_eq!(place.read("a.img"), original);
    }
}

/// What a plan takes out need not be there the second time, for any of its other entries.
#[test]
fn a_plan_that_gives_a_device_back_and_takes_out_what_names_it_can_be_applied_twice() {
    let place = Place::new();
    // Of the one device all that there is, of the other its owner alone.
    let lines = "[conf]\nunset = [\"/device/0000:00:20.0/owner\", \"/device/0000:00:20.0/vmkname\", \"/device/0000:00:29.0/owner\"]\n";
    let row = "[conf]\nunset = [\"/device/0000:00:31.2/owner\", \"/device/0000:00:31.2/vmkname\"]\n\
        [[store.delete]]\ncomponent = \"esx\"\ngroup = \"hardware\"\nkey = \"pci_devices\"\nidentifier = \"0000:00:1f.2\"\n";
    for (profile, addresses, out) in [
        (
            PROFILE,
            &["0000:00:14.0", "00:14.0", "raw:/device/0000:00:29.0/owner"][..],
            lines,
        ),
        ("esxi70u1-both", &["0000:00:1f.2"], row),
    ] {
        for address in addresses {
            let image = place.copy(profile, "twice.img");
            let device = format!("[[device]]\naddress = \"{address}\"\nowner = \"vmkernel\"\n");
            place.write("twice.toml", format!("{out}\n{device}"));
            place
                .run(&["apply", "twice.toml", "twice.img", "-y"])
                .expect(0);
            let once = fs::read(&image).unwrap();
            let again = place
                .run(&["apply", "--json", "twice.toml", "twice.img"])
                .expect(0);
            assert_eq!(again.objects()[0]["outcome"], "unchanged", "{address}");
            assert_eq!(fs::read(&image).unwrap(), once, "{address}");
            // An address of which the plan takes out nothing is still none.
            place.write("twice.toml", device.replace(address, "0000:77:00.0") + out);
            let said = place
                .run(&["apply", "twice.toml", "twice.img"])
                .expect(2)
                .stderr();
            assert!(said.contains("no device matches"), "{said}");
        }
    }
}

/// What two values of a row make of two entries counts, as if it stood in the plan.
#[test]
fn entries_that_the_host_map_makes_contradict_each_other_are_refused() {
    let place = place();
    let original = place.read("a.img");
    place.write("hosts.csv", "image,x,y\na.img,r1,r1\n");
    let row = "component = \"esx\"\ngroup = \"g\"\nkey = \"k\"\nidentifier";
    let plans = [
        (
            format!(
                "[[store.set]]\n{row} = \"{{x}}\"\nvalue = 1\n[[store.delete]]\n{row} = \"{{y}}\"\n"
            ),
            "line 1, column 1: another entry deletes the row esx g k r1",
        ),
        (
            "[kernelopt]\ndelete = [\"foo=r1\"]\nappend = [\"foo={x}\"]\n".to_owned(),
            "line 2, column 11: there are two entries for the kernel option foo=r1",
        ),
        (
            "[kernelopt]\nappend = [\"password={x}\", \"password={y}\"]\n".to_owned(),
            "line 2, column 27: there are two entries for the kernel option password=(hidden)",
        ),
    ];
    for (plan, says) in plans {
        place.write("two.toml", plan);
        let apply = ["apply", "-y", "--host-map", "hosts.csv", "two.toml"];
        let run = place.run(&[&apply[..], &["a.img"]].concat()).expect(2);
        assert!(run.stderr().contains(says), "{}", run.stderr());
        assert_eq!(place.read("a.img"), original);
    }
}

/// A device is not passed through where another entry takes out what the host goes by.
#[test]
fn a_device_is_not_passed_through_by_a_plan_that_deletes_its_row() {
    let place = Place::new();
    let address = "0000:65:00.0";
    let image = place.copy("esxi702-encrypted", "one.img");
    let original = fs::read(&image).unwrap();
    let delete = format!(
        "[[store.delete]]\ncomponent = \"esx\"\ngroup = \"hardware\"\nkey = \"pci_devices\"\nidentifier = \"{address}\"\n"
    );
    for (owner, new) in [("passthru", ""), ("passthru", "new = true\n")] {
        let device = format!("[[device]]\naddress = \"{address}\"\nowner = \"{owner}\"\n{new}");
        place.write("two.toml", device + &delete);
        let run = place.run(&["apply", "-y", "two.toml", "one.img"]).expect(2);
        let says = format!("two entries contradict each other about {address} (configstore)");
        assert!(run.stderr().contains(&says), "{}", run.stderr());
        assert_eq!(fs::read(&image).unwrap(), original);
    }
}

/// A bank without a state is asked for its build where the plan changes what every bank has.
#[test]
fn the_expected_build_is_asked_of_every_bank_that_a_plan_changes() {
    let place = Place::new();
    place.copy("esxi67-fresh", "a.img");
    let plan = |name: &str, edit: &str| {
        place.write(name, format!("[expect]\nbuild = \"9.9.9\"\n{edit}"));
    };
    plan("option.toml", "[kernelopt]\nappend = [\"foo=1\"]\n");
    plan("conf.toml", "[conf]\nset = { \"/a/b\" = \"c\" }\n");
    // An empty bank is left alone where all are chosen, as a fresh install has it.
    let own = "[expect]\nbuild = \"6.7.0\"\n[kernelopt]\nappend = [\"foo=1\"]\n";
    place.write("own.toml", own);
    place.run(&["apply", "-n", "own.toml", "a.img"]).expect(0);
    for (bank, name) in [
        ("5", "option.toml"),
        ("6", "option.toml"),
        ("6", "conf.toml"),
    ] {
        let ran = place.run(&["apply", "-n", "--bank", bank, name, "a.img"]);
        let said = ran.expect(3).stderr();
        assert!(said.contains("build") || said.contains("no bank"), "{said}");
    }
}
