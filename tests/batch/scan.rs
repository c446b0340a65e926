//! `scan`, and what else looks at the machine the program runs on.

use crate::run::{Place, Run};
use serde_json::Value;

/// A folder with a medium, its clone, a sealed one, a damaged one and a text.
fn folder() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path().join("images")).unwrap();
    place.copy("esxi67-fresh", "images/a.img");
    place.copy("esxi67-fresh", "images/clone.img");
    place.copy("esxi702-sealed", "images/sealed.img");
    place.copy("esxi67-fat12-small", "images/damaged.img");
    let mut bytes = place.read("images/damaged.img");
    bytes[512..1024].fill(0);
    place.write("images/damaged.img", bytes);
    place.write(
        "images/notes.txt",
        "nothing of interest, but longer than one sector is ".repeat(20),
    );
    place
}

#[test]
fn a_folder_is_listed_with_a_verdict_for_each_medium() {
    let place = folder();
    let text = place.run(&["scan", "images"]).expect(0).stdout();
    for line in [
        "images/a.img: ",
        "build 6.7.0-8169922, bank 5 boots next",
        "boots, but its boot controller is probably passed through; passed through: 0000:00:14.0 (vmhba32), 0000:00:1d.0",
        "next: power the host off, then `bootbank fix images/a.img`",
        "same system UUID as images/clone.img: one is a clone of the other",
        "boots; the state is sealed, so what is passed through is not known",
        "may be a damaged ESXi boot medium: the primary GPT is damaged",
        "1 other file (-v lists it).",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    assert!(!text.contains("notes.txt"));
    let text = place.run(&["scan", "-v", "images"]).expect(0).stdout();
    assert!(text.contains("notes.txt"), "{text}");
}

#[test]
fn each_file_is_an_object_and_one_that_cannot_be_read_stops_nothing() {
    let place = folder();
    let objects = place
        .run(&["scan", "--json", "images", "-j", "4"])
        .expect(0)
        .objects();
    let verdict = |object: &Value| {
        let name = object["target"].as_str().unwrap().to_owned();
        (name, object["verdict"].as_str().unwrap().to_owned())
    };
    let found: Vec<(String, String)> = objects.iter().map(verdict).collect();
    let expected = [
        ("images/a.img", "passed-through boot controller"),
        ("images/clone.img", "passed-through boot controller"),
        ("images/damaged.img", "damaged"),
        ("images/notes.txt", "no ESXi boot medium"),
        ("images/sealed.img", "sealed"),
    ];
    let expected = expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned()));
    assert_eq!(found, expected);
    assert_eq!(
        objects[0]["clones"],
        serde_json::json!(["images/clone.img"])
    );
    assert_eq!(objects[0]["boots_next"], 5);
    assert_eq!(
        objects[0]["symptoms"][0]["symptom"],
        "no configuration saved"
    );
    assert_eq!(objects[0]["symptoms"][0]["is_known"], false);
    assert_eq!(objects[2]["error"]["kind"], "damaged");
}

#[test]
fn scan_takes_a_folder_and_info_without_a_target_is_scan() {
    let place = Place::new();
    place.write("notes.txt", "x");
    for wrong in ["notes.txt", "nowhere"] {
        let said = place.run(&["scan", wrong]).expect(2).stderr();
        assert!(said.contains("scan takes a folder"), "{said}");
    }
    std::fs::create_dir(place.path().join("empty")).unwrap();
    let text = place.run(&["scan", "empty"]).expect(0).stdout();
    assert_eq!(text, "There is no file to look at.\n");
    for option in [&["--table", "gpt"][..], &["--rescue"]] {
        let said = place.run(&[&["scan", "empty"], option].concat()).expect(2);
        assert!(
            said.stderr().contains("as ESXi's loader does"),
            "{}",
            said.stderr()
        );
    }
    // What is damaged is what it looks for.
    place.run(&["verify", "--rescue", "nix.img"]).expect(2);
    // The disks are those of the machine the test runs on.
    let names = |arguments: &[&str]| -> Vec<Value> {
        let objects = place.run(arguments).expect(0).objects();
        objects
            .iter()
            .map(|object| object["schema"].clone())
            .collect()
    };
    let scanned = names(&["scan", "--json"]);
    assert!(scanned.iter().all(|schema| schema == "bootbank.scan/1"));
    assert!(
        names(&["info", "--json"])
            .iter()
            .all(|schema| schema == "bootbank.scan/1")
    );
}

#[test]
fn the_controller_of_an_image_cannot_be_told() {
    let place = Place::new();
    place.copy("esxi67-fresh", "a.img");
    let before = place.read("a.img");
    let said = place
        .run(&["fix", "--boot-device", "a.img"])
        .expect(3)
        .stderr();
    assert!(
        said.contains("an image file hangs on no controller"),
        "{said}"
    );
    assert!(said.contains("bootbank pci list a.img"), "{said}");
    assert_eq!(place.read("a.img"), before);
    place
        .run(&["fix", "--boot-device", "--usb", "a.img"])
        .expect(2);
}

#[test]
fn usb_controllers_are_given_back_by_class_and_by_the_name_of_their_adapter() {
    let place = Place::new();
    // Of 4.0: every device has a class, and all of them are USB.
    place.copy("esxi40-mbr", "old.img");
    place.run(&["fix", "--usb", "old.img"]).expect(0);
    let owners = place
        .run(&["pci", "list", "--json", "old.img"])
        .expect(0)
        .stdout();
    assert!(!owners.contains("\"passthrough\":true"), "{owners}");
    // Of 6.7: the adapter vmhba32 is one of USB storage, and of the other nothing is known.
    place.copy("esxi67-fresh", "new.img");
    let said = place.run(&["fix", "--usb", "new.img"]).expect(0).stderr();
    assert!(
        said.contains("whether 0000:00:1d.0 is a USB controller cannot be told here"),
        "{said}"
    );
    let owners = place
        .run(&["pci", "list", "--json", "new.img"])
        .expect(0)
        .objects();
    let devices = owners[0]["banks"][0]["devices"].as_array().unwrap().clone();
    let passed: Vec<&Value> = devices
        .iter()
        .filter(|it| it["passthrough"] == true)
        .collect();
    assert_eq!(passed.len(), 1);
    assert_eq!(passed[0]["addresses"][0], "0000:00:1d.0");
    // A second run has nothing to change, and says the same of what stays: to a person and to a script.
    let again = place.run(&["fix", "--usb", "--json", "new.img"]).expect(0);
    let object = &again.objects()[0];
    assert_eq!(object["outcome"], "unchanged");
    for said in [again.stderr(), object["warnings"].to_string()] {
        assert!(
            said.contains("0000:00:1d.0 is a USB controller cannot be told here; it stays"),
            "{said}"
        );
    }
    place.run(&["fix", "--usb", "--check", "new.img"]).expect(0);
    // Nothing is known of any.
    place.copy("esxi55-fragmented", "unknown.img");
    let before = place.read("unknown.img");
    let said = place
        .run(&["fix", "--usb", "unknown.img"])
        .expect(3)
        .stderr();
    assert!(said.contains("cannot be told here"), "{said}");
    assert_eq!(place.read("unknown.img"), before);
}

#[test]
fn of_many_clones_three_are_named_and_the_others_counted() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("images")).unwrap();
    for number in 1..=6 {
        place.copy("esxi67-fresh", &format!("images/{number}.img"));
    }
    let text = place.run(&["scan", "images"]).expect(0).stdout();
    let line = "same system UUID as images/1.img, images/2.img, images/3.img and 2 more: a clone of 5 others";
    assert_eq!(text.matches(line).count(), 3, "{text}");
    assert!(!text.contains("images/5.img, "), "{text}");
    let objects = place.run(&["scan", "--json", "images"]).expect(0).objects();
    assert_eq!(objects[0]["clones"].as_array().unwrap().len(), 5);
}

#[test]
fn a_file_of_several_names_is_no_clone_of_itself() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("images")).unwrap();
    let image = place.copy("esxi67-fresh", "images/a.img");
    let named = |name: &str| place.path().join("images").join(name);
    std::fs::hard_link(&image, named("hard.img")).unwrap();
    std::os::unix::fs::symlink("a.img", named("soft.img")).unwrap();
    let run = place.run(&["scan", "images"]).expect(0);
    assert!(!run.stdout().contains("clone"), "{}", run.stdout());
    for name in ["hard", "soft"] {
        let said =
            format!("images/{name}.img is the same file as images/a.img, and looked at once");
        assert!(run.stderr().contains(&said), "{}", run.stderr());
    }
    let objects = place.run(&["scan", "--json", "images"]).expect(0).objects();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["clones"], serde_json::json!([]));
}

#[test]
fn packed_images_and_virtual_disks_are_said_to_be_not_looked_into() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("images")).unwrap();
    place.write("images/a.img.gz", b"\x1f\x8b\x08\0 and more");
    place.write("images/b.qcow2", b"QFI\xfb\0\0\0\x03");
    // Neither is QEMU started, nor a temporary file made.
    let mut command = place.command(&["scan", "images"]);
    command.env("TMPDIR", place.path().join("nowhere"));
    command.env("PATH", place.path());
    let text = Run(command.output().unwrap()).expect(0).stdout();
    for line in [
        "not looked into, because it is packed, and may be an image: `bootbank info images/a.img.gz`",
        "not looked into, because it is a virtual disk: `bootbank info images/b.qcow2`",
    ] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let objects = place.run(&["scan", "--json", "images"]).expect(0).objects();
    let verdicts: Vec<&Value> = objects.iter().map(|it| &it["verdict"]).collect();
    assert_eq!(verdicts, ["not looked into"; 2]);
    assert_eq!(objects[0]["reason"], "it is a packed image");
}
