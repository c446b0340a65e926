//! Damaged media read as far as they go, held against what other programs read: sgdisk, mtools,
//! GNU tar and gzip.

// Clippy exempts test functions only, not what they share.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cut;
#[path = "../content/host.rs"]
#[allow(dead_code)]
mod host;
mod sectors;
#[path = "../common/skipping.rs"]
mod skipping;
mod states;
mod tables;

use host::{Host, Ran};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What scripts/make-image says of the bank on a partition.
fn bank(host: &Host, partition: u64) -> Value {
    let truth = std::fs::read(host.path("truth.json")).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let banks = truth["banks"].as_array().unwrap();
    let here = banks.iter().find(|bank| bank["partition"] == partition);
    here.unwrap().clone()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// Where on the medium each byte of a bank's file lies.
fn places(bank: &Value, name: &str) -> Vec<usize> {
    let file = &bank["files"][name];
    let cluster = number(&bank["fat"]["sectors_per_cluster"]) * 512;
    let data = number(&bank["offset"]) + number(&bank["fat"]["data_offset"]);
    let mut places = Vec::new();
    for run in file["runs"].as_array().unwrap() {
        let start = data + (number(&run[0]) - 2) * cluster;
        places.extend(start..start + number(&run[1]) * cluster);
    }
    places.truncate(number(&file["size"]));
    places
}

/// Runs the program on a file beside the image.
fn look(host: &Host, arguments: &[&str]) -> Ran {
    let ran = host.run(arguments);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    ran
}

/// Runs a judge that may complain of what it reads.
fn output_of(command: &mut Command) -> Vec<u8> {
    command.output().unwrap().stdout
}

/// The files GNU tar finds in an archive, whatever else it says of it.
fn tar_names(archive: &Path) -> Vec<String> {
    let names = output_of(Command::new("tar").arg("-tf").arg(archive));
    let names = String::from_utf8(names).unwrap();
    names.lines().map(str::to_owned).collect()
}
