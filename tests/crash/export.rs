//! An image behind an NBD server: the same writes reach it, between the same syncs, as reach a file
//! that bootbank writes itself. So cutting the run leaves the same states, and what was counted for
//! the file holds for the export. What the server does is seen by strace.

use crate::media::{Event, Recorder};
use crate::qemu::Server;
use crate::replay::epochs;
use crate::sticks::{FIX, Image};
use bootbank::commit::run;
use bootbank::host::Host;
use bootbank::medium::ClaimedTarget;
use std::path::Path;
use std::process::Command;

/// The calls that are traced: whatever QEMU changes a file by.
pub const CALLS: &str = "trace=pwrite64,pwritev,fdatasync,fsync,fallocate,ftruncate";

/// The writes and syncs of one traced process, in order: one request is served at a time.
pub fn events(trace: &str) -> Vec<Event> {
    let calls = trace.lines().filter_map(|line| {
        let call = line.split_once(' ')?.1.trim_start();
        let (name, arguments) = call.split_once('(')?;
        match name {
            "pwrite64" | "pwritev" => Some(write_of(arguments)),
            "fdatasync" | "fsync" => Some(Event::Sync),
            "fallocate" => Some(zeros_of(arguments)),
            "ftruncate" => panic!("a file is cut or made longer: {line}"),
            _ => None,
        }
    });
    calls.collect()
}

/// `11, FALLOC_FL_ZERO_RANGE, 4096, 512) = 0`: zeros are written.
fn zeros_of(arguments: &str) -> Event {
    let words: Vec<&str> = arguments.split([',', ')', '<']).map(str::trim).collect();
    assert_eq!(words[1], "FALLOC_FL_ZERO_RANGE", "{arguments}");
    Event::Write {
        offset: words[2].parse().unwrap(),
        data: vec![0; words[3].parse().unwrap()],
    }
}

/// `11, "\x00…", 512, 4096) = 512`, or `11, [{iov_base="\x00…", iov_len=512}], 1, 4096) = 512`.
fn write_of(arguments: &str) -> Event {
    let texts: Vec<&str> = arguments.split('"').collect();
    let data: Vec<u8> = (texts.iter().skip(1).step_by(2))
        .flat_map(|text| text.split("\\x").skip(1))
        .map(|digits| u8::from_str_radix(digits, 16).unwrap())
        .collect();
    let rest = texts.last().unwrap();
    let rest = rest.split([')', '<']).next().unwrap().trim();
    let offset = rest.rsplit(", ").next().unwrap().parse().unwrap();
    Event::Write { offset, data }
}

fn compare(name: &str) {
    let image = Image::bundled(name);
    let set = image.fix(&image.bytes, FIX).unwrap();
    let recorder = Recorder::new(image.bytes.clone());
    assert!(
        run(&recorder, &set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );

    let directory = tempfile::tempdir().unwrap();
    let (file, log) = (directory.path().join("a.img"), directory.path().join("log"));
    std::fs::write(&file, &image.bytes).unwrap();
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-xx", "-s", "99999999", "-e"]);
    traced.arg(CALLS).arg("-o").arg(&log);
    traced.args(["qemu-nbd", "-f", "raw", "-x", "lab"]);
    let server = Server::start(traced, &file);
    let address = server.address("lab");
    let target = ClaimedTarget::open(Path::new(&address), &Host::default()).unwrap();
    let done = run(&target, &set, &|| false).unwrap();
    assert!(done.unfinished.is_none());
    drop(target);
    server.wait();

    assert!(std::fs::read(&file).unwrap() == recorder.bytes());
    let through = epochs(
        &image.bytes,
        &events(&std::fs::read_to_string(log).unwrap()),
        image.sector,
    );
    let direct = epochs(&image.bytes, &recorder.log(), image.sector);
    assert_eq!(direct.len(), set.steps().len());
    assert!(
        through == direct,
        "{name}: {} epochs, not {}",
        through.len(),
        direct.len()
    );
}

#[test]
fn an_image_behind_an_nbd_server_can_be_cut_in_the_same_states_as_a_file() {
    if !crate::skipping::may_trace() {
        return;
    }
    for name in ["esxi67-fresh", "esxi55-fragmented", "esxi67-4kn"] {
        compare(name);
    }
}
