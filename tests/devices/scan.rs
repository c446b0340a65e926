//! Attached disks as `scan` finds them, and how a disk is named before it is changed.

use crate::disk::Disk;
use crate::holder::Holder;
use serde_json::Value;

/// The disk among all that are attached.
fn found(disk: &Disk, objects: &str) -> Value {
    let objects = objects
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let mut objects: Vec<Value> = objects.collect();
    let at = objects.iter().position(|it| it["target"] == disk.node());
    objects.remove(at.unwrap())
}

#[test]
fn a_disk_is_found_with_its_verdict_and_what_keeps_it_busy() {
    let Some(disk) = Disk::attach("esxi67-fresh", &["--partscan"]) else {
        return;
    };
    let scan = |arguments: &[&str]| disk.bench.run(arguments).exits(0).stdout;
    let medium = found(&disk, &scan(&["scan", "--json"]));
    assert_eq!(medium["verdict"], "passed-through boot controller");
    assert_eq!(medium["boots_next"], 5);
    assert_eq!(medium["disk"]["bus"], "loop");
    assert_eq!(medium["disk"]["system"], false);
    let partition = disk.device.partition(6);
    let holder = Holder::python(
        "f = os.open(path, os.O_RDONLY)",
        partition.to_str().unwrap(),
    );
    let medium = found(&disk, &scan(&["info", "--json"]));
    let in_use = format!("it is open in process {} (python3)", holder.pid());
    let uses = medium["in_use"].as_array().unwrap();
    assert!(uses.iter().any(|one| *one == in_use), "{medium}");
    drop(holder);
    let text = scan(&["scan"]);
    assert!(
        text.contains(&format!("{}: 23.0 MiB, loop\n", disk.node())),
        "{text}"
    );
}

#[test]
fn a_disk_that_may_not_be_read_is_listed_with_the_line_that_allows_it() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let scan = disk.as_nobody()(&["scan", "--json"]).exits(0).stdout;
    let medium = found(&disk, &scan);
    assert_eq!(medium["verdict"], "cannot be opened");
    assert_eq!(medium["size"], 23 << 20);
    let hint = medium["error"]["hint"].as_str().unwrap();
    let line = format!("sudo setfacl -m u:$USER:r {}", disk.node());
    assert!(hint.contains(&line), "{hint}");
}

#[test]
fn the_controller_of_a_disk_without_one_cannot_be_told() {
    let Some(disk) = Disk::attach("esxi67-fresh", &[]) else {
        return;
    };
    let refused = disk.refuses(&["fix", "--boot-device", "-y", disk.node()], 3);
    refused.says("sysfs knows no PCI device that this disk hangs on");
}
