//! `bootbank station`: media that are plugged in while it waits, by way of loop devices.
//!
//! Each test has numbers of its own, and `--only` names them: the disks of others are not touched.

use crate::loops::LoopDevice;
use crate::program::{Bench, sha256, text};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A station at work, killed when the test is over.
struct Station(Child);

impl Station {
    /// Starts it and waits until it watches.
    fn start(bench: &Bench, arguments: &[&str]) -> (Self, impl BufRead + use<>) {
        let mut child = bench
            .command()
            .args(["station", "-y"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        assert!(line.starts_with("Plug in the first medium."), "{line}");
        (Station(child), said)
    }

    /// What it wrote to standard output, once it has ended with this code.
    #[track_caller]
    fn ends(mut self, code: i32) -> String {
        let mut written = String::new();
        let mut stdout = self.0.stdout.take().unwrap();
        stdout.read_to_string(&mut written).unwrap();
        assert_eq!(self.0.wait().unwrap().code(), Some(code), "{written}");
        written
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn log_of(path: &Path) -> Vec<Value> {
    let log = fs::read_to_string(path).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

#[test]
fn each_medium_is_treated_once_for_each_time_it_is_plugged_in() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-usb-passthru");
    let before = sha256(&image);
    let log = bench.path("station.jsonl");
    let arguments = [
        "--fix",
        "--only",
        "/dev/loop231",
        "--count",
        "2",
        "--log",
        text(&log),
    ];
    let Some(present) = LoopDevice::attach_as(231, &image) else {
        return;
    };
    let (station, _said) = Station::start(&bench, &arguments);
    // What is plugged in already is left alone, and treated once it comes again.
    drop(present);
    let first = LoopDevice::attach_as(231, &image).unwrap();
    wait_for(|| log.exists() && log_of(&log).len() == 1);
    drop(first);
    let _second = LoopDevice::attach_as(231, &image).unwrap();
    let written = station.ends(0);
    let [first, second] = <[Value; 2]>::try_from(log_of(&log)).unwrap();
    assert_eq!(first["schema"], "bootbank.station/1");
    assert_eq!(first["target"], "/dev/loop231");
    assert_eq!(first["outcome"], "changed");
    assert_eq!(first["host_before"], first["host_after"]);
    assert_eq!(second["outcome"], "unchanged");
    let undo = first["undo"].as_str().unwrap();
    let lines: Vec<&str> = written.lines().collect();
    let expected = format!(
        "/dev/loop231 (93.0 MiB, host {}): changed; undo file {undo}; it may be pulled out now",
        first["host_before"].as_str().unwrap()
    );
    assert_eq!(lines[0], expected);
    assert!(
        lines[1].ends_with(": nothing to change; it may be pulled out now"),
        "{written}"
    );
    assert_ne!(sha256(&image), before);
    bench.run(&["undo", undo]).exits(0);
    assert_eq!(sha256(&image), before);
}

#[test]
fn a_plan_with_a_host_map_gives_each_medium_its_own_host() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-usb-passthru");
    let plan = bench.path("plan.toml");
    fs::write(&plan, "[host]\nname = \"{name}\"\n").unwrap();
    let map = bench.path("hosts.csv");
    let uuid = "5b2641d7-113a-4e67-9ba9-05f407e42677";
    fs::write(&map, format!("system-uuid,name\n{uuid},esx9\n")).unwrap();
    let arguments = [
        "--apply",
        text(&plan),
        "--host-map",
        text(&map),
        "--only",
        "none",
        "--only",
        "/dev/*loop239",
        "--count",
        "1",
        "--json",
    ];
    let (station, _said) = Station::start(&bench, &arguments);
    let Some(_device) = LoopDevice::attach_as(239, &image) else {
        return;
    };
    let treated: Value = serde_json::from_str(&station.ends(0)).unwrap();
    assert_eq!(treated["outcome"], "changed", "{treated}");
    assert_eq!(treated["host_before"], uuid);
    assert_eq!(treated["host_after"], "esx9");
    assert_eq!(treated["bus"], "loop");
    is_as_its_schema_says(&bench, &treated);
}

#[test]
fn a_disk_that_is_no_medium_fails_and_the_station_goes_on() {
    let bench = Bench::new();
    let image = bench.path("blank.img");
    fs::write(&image, vec![0; 1 << 20]).unwrap();
    let log = bench.path("station.jsonl");
    let arguments = [
        "--fix",
        "--only",
        "/dev/loop241",
        "--count",
        "2",
        "--log",
        text(&log),
    ];
    let (station, _said) = Station::start(&bench, &arguments);
    let Some(blank) = LoopDevice::attach_as(241, &image) else {
        return;
    };
    wait_for(|| log_of(&log).len() == 1);
    let failed = &log_of(&log)[0];
    assert_eq!(failed["outcome"], "failed");
    assert!(failed["error"]["message"].is_string(), "{failed}");
    is_as_its_schema_says(&bench, failed);
    drop(blank);
    let image = bench.bundled("esxi67-usb-passthru");
    let _medium = LoopDevice::attach_as(241, &image).unwrap();
    let written = station.ends(6);
    let lines: Vec<&str> = written.lines().collect();
    assert!(
        lines[0].starts_with("/dev/loop241 (1.0 MiB): failed: "),
        "{written}"
    );
    assert!(written.contains("changed; undo file "), "{written}");
}

#[test]
fn nothing_is_treated_that_is_not_plugged_in_by_a_person() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-usb-passthru");
    let before = sha256(&image);
    let (station, mut said) = Station::start(&bench, &["--fix"]);
    let Some(_device) = LoopDevice::attach_as(243, &image) else {
        return;
    };
    let mut line = String::new();
    // Others may come and be left alone as well.
    while !line.starts_with("/dev/loop243") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0);
    }
    let expected = "/dev/loop243 (93.0 MiB): left alone: it is neither removable nor on USB (--only NAME takes it)\n";
    assert_eq!(line, expected);
    let id = station.0.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &id]).status();
    assert!(interrupted.unwrap().success());
    assert_eq!(station.ends(0), "");
    assert_eq!(sha256(&image), before);
}

#[test]
fn a_station_that_cannot_ask_is_not_begun_unless_told_to() {
    let bench = Bench::new();
    let refused = bench.run(&["station", "--fix"]).exits(2);
    refused
        .says("cannot ask first")
        .says("-y begins without asking");
    bench.run(&["station"]).exits(2);
    for only_with_a_plan in [&["--host-map", "hosts.csv"][..], &["--allow-outside"]] {
        bench
            .run(&[&["station", "--fix", "-y"], only_with_a_plan].concat())
            .exits(2)
            .says("cannot be used with");
    }
    bench
        .run(&["station", "--apply", "-", "-y"])
        .exits(2)
        .says("name files");
    bench
        .run(&["station", "--apply", text(&bench.path("none.toml")), "-y"])
        .exits(2)
        .says("does not exist");
}

#[test]
fn no_more_media_are_changed_than_were_counted_though_several_come_at_once() {
    let bench = Bench::new();
    let names = ["a.img", "b.img", "c.img"];
    let images = names.map(|name| {
        let image = bench.path(name);
        fs::copy(bench.bundled("esxi67-usb-passthru"), &image).unwrap();
        image
    });
    let before = sha256(&images[0]);
    // A disk is also called by its name alone.
    let arguments = [
        "--fix", "--only", "loop235", "--only", "loop236", "--only", "loop237", "--count", "1",
        "--json",
    ];
    let (station, mut said) = Station::start(&bench, &arguments);
    let numbers = [235, 236, 237];
    let mut devices = Vec::new();
    for (number, image) in numbers.into_iter().zip(&images) {
        let Some(device) = LoopDevice::attach_as(number, image) else {
            return;
        };
        devices.push(device);
    }
    let written = station.ends(0);
    assert_eq!(written.lines().count(), 1, "{written}");
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("1 medium treated"), "{rest}");
    let changed = images.iter().filter(|image| sha256(image) != before);
    assert_eq!(changed.count(), 1);
}

#[test]
fn a_key_on_standard_input_is_refused_before_the_first_medium() {
    let bench = Bench::new();
    bench
        .run(&[
            "station",
            "--fix",
            "-y",
            "--recovery-key",
            "-",
            "--count",
            "0",
        ])
        .exits(2)
        .says("name a file with --recovery-key, not standard input");
}

fn wait_for(done: impl Fn() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it never came");
}

/// An object as the program's own schema has it, by a validator that shares no code with it.
fn is_as_its_schema_says(bench: &Bench, object: &Value) {
    let schemas = bench.path("schemas");
    fs::create_dir(&schemas).unwrap();
    let schema = bench.run(&["schema", "station"]).exits(0).stdout;
    fs::write(schemas.join("station.json"), schema).unwrap();
    let python = std::env::var("BOOTBANK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let judge = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/batch/validate.py");
    let mut judge = Command::new(python)
        .args(["-B", text(&judge), text(&schemas)])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = judge.stdin.take().unwrap();
    writeln!(input, "{object}").unwrap();
    drop(input);
    assert!(judge.wait().unwrap().success(), "{object}");
}
