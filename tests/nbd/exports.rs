//! Exports of a server that somebody else started.

use crate::lab::{Lab, same};
use crate::qemu::Server;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

const IMAGE: &str = "esxi67-usb-passthru";

#[test]
fn a_change_and_its_undo_through_a_server_are_those_of_the_file() {
    let lab = Lab::new();
    let [old, file, served] = ["old", "file", "served"].map(|name| lab.unpack(IMAGE, name));
    let server = Server::of_raw(&[], &served);
    let address = server.address("lab");
    lab.bootbank(&["fix", "-n", &address])
        .expect(0, &["nothing was written"]);
    assert!(same(&old, &served));
    let by_file = lab
        .bootbank(&["fix", "--json", file.to_str().unwrap()])
        .expect(0, &[]);
    lab.bootbank(&["fix", &address])
        .expect(2, &["is an NBD export", "-y goes ahead"]);
    let undo = lab.path("a.undo");
    let undo = undo.to_str().unwrap();
    let done = lab
        .bootbank(&["fix", "-y", "-z", undo, "--json", &address])
        .expect(0, &[]);
    let written = |json: &str| {
        let object: serde_json::Value = serde_json::from_str(json).unwrap();
        (
            object["bytes_written"].clone(),
            object["bytes_read"].clone(),
        )
    };
    assert_eq!(
        written(&done.out),
        written(&by_file.out),
        "no byte more is moved"
    );
    assert!(same(&file, &served));
    // Found by the undo file alone, as a medium is that has not changed its name.
    lab.bootbank(&["undo", undo]).expect(0, &["undone"]);
    assert!(same(&old, &served));
    let copy = lab.path("copies");
    let copies = format!("{}/", copy.display());
    lab.bootbank(&["fix", "-o", &copies, &address])
        .expect(0, &[]);
    assert!(same(&copy.join("lab"), &file) && same(&old, &served));
    for command in ["info", "verify", "ls"] {
        let through = lab
            .bootbank(&[command, "--json", &address])
            .expect(0, &[])
            .out;
        let direct = lab
            .bootbank(&[command, "--json", old.to_str().unwrap()])
            .out;
        // Only what it is called and what kind it is differ.
        let through = through.replace(&address, "").replace("nbd-export", "image");
        assert_eq!(through, direct.replace(old.to_str().unwrap(), ""));
    }
}

#[test]
fn an_export_is_found_over_tcp_as_well_and_named_twice_it_is_used_once() {
    let lab = Lab::new();
    let image = lab.unpack(IMAGE, "a.img");
    // Free a moment ago; QEMU does not say which port it got.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut qemu_nbd = Command::new("qemu-nbd");
    qemu_nbd.args([
        "-f",
        "raw",
        "-r",
        "-t",
        "-b",
        "127.0.0.1",
        "-p",
        &port.to_string(),
    ]);
    let mut child = qemu_nbd.arg(&image).spawn().unwrap();
    let address = format!("nbd://127.0.0.1:{port}");
    let answered = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        lab.bootbank(&["info", "-q", &address]).code == Some(0)
    });
    let twice = format!("nbd://127.0.0.1:{port}/");
    let done = lab.bootbank(&["info", &address, &twice]);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answered);
    done.expect(0, &["is named twice"]);
}

#[test]
fn an_export_that_cannot_be_had_is_refused_with_what_to_do() {
    let lab = Lab::new();
    let image = lab.unpack(IMAGE, "a.img");
    let server = Server::of_raw(&["-r"], &image);
    let address = server.address("lab");
    lab.bootbank(&["fix", "-y", &address])
        .expect(3, &["takes no writes", "without -r", "-o FILE"]);
    lab.bootbank(&["fix", "-n", &address]).expect(0, &[]);
    lab.bootbank(&["info", &server.address("other")])
        .expect(2, &["no export `other`", "qemu-nbd -L"]);
    drop(server);
    lab.bootbank(&["info", &address])
        .expect(5, &["cannot connect", "is the server running"]);
    lab.bootbank(&["info", "nbds://lab/x"])
        .expect(4, &["TLS", "ssh -L"]);
    lab.bootbank(&["info", "nbd+unix:///x"])
        .expect(2, &["names no socket", "in quotes"]);
    // The server gives out a file of another format as if it were a disk.
    let qcow2 = lab.path("a.qcow2");
    crate::qemu::tool(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", path(&qcow2), "1M"],
    );
    let server = Server::of_raw(&[], &qcow2);
    lab.bootbank(&["info", &server.address("lab")])
        .expect(4, &["a QEMU copy-on-write image"]);
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
