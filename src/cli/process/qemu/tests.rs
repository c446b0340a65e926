//! A server that stands in for QEMU.

use super::*;
use crate::error::ErrorKind;

#[test]
fn a_message_of_qemu_is_passed_on_without_its_name() {
    let said = b"qemu-img: Could not open 'my lock.qcow2': Unknown format\nqemu-img: and more\n";
    let VirtualDiskError::Unopened { said } = unopened(said) else {
        panic!("{}", unopened(said));
    };
    assert_eq!(
        said,
        "Could not open 'my lock.qcow2': Unknown format; and more"
    );
}

#[test]
fn a_lock_of_another_process_is_told_by_the_message_and_not_by_the_name_of_a_file() {
    for said in [
        "qemu-nbd: Failed to get \"write\" lock\nIs another process using the image [x]?\n",
        "qemu-img: Could not open 'x': Failed to get shared \"write\" lock\nIs another\n",
    ] {
        assert_eq!(unopened(said.as_bytes()), VirtualDiskError::Locked);
    }
    for name in ["Failed to get \"x\" lock", "a lock", "\" lock"] {
        let said = format!("qemu-img: Could not open '{name}': Permission denied\n");
        assert_ne!(
            unopened(said.as_bytes()),
            VirtualDiskError::Locked,
            "{name}"
        );
    }
}

/// Serves nothing and says that it runs.
fn stand_in(script: &str, place: &Path) -> Server {
    let script = format!("{script}\n: >\"$0\"; while :; do sleep 0.01; done");
    let arguments = ["/bin/sh", "-c", &script].map(OsString::from);
    let mut server = Server::start(&arguments, Command::spawn).unwrap();
    server.serve(place).unwrap();
    while !place.exists() {
        sleep(LOOK_PAUSE);
    }
    server
}

#[test]
fn a_server_that_forgets_signals_while_it_starts_ends_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    // It forgets the first.
    let forgetful = "trap 'trap \"exit 0\" TERM' TERM";
    let server = stand_in(forgetful, &directory.path().join("a"));
    server.end().unwrap();
    let mut server = stand_in(forgetful, &directory.path().join("b"));
    server.met().unwrap();
    server.end().unwrap();
    // It forgets them all, and nothing can have been written.
    let server = stand_in("trap '' TERM", &directory.path().join("c"));
    assert!(matches!(
        server.end(),
        Err(VirtualDiskError::Unopened { .. })
    ));
    // It has served its file, and fails when it closes it.
    let full = "trap 'echo qemu-nbd: No space left >&2; exit 1' TERM";
    let mut server = stand_in(full, &directory.path().join("d"));
    server.met().unwrap();
    let error = server.end().unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("QEMU did not close it as it should: "),
        "{said}"
    );
    assert!(said.ends_with("No space left"), "{said}");
    assert_eq!(error.kind(), ErrorKind::Io);
}

/// A pipe would be full, and the server would wait for somebody to read from it.
#[test]
fn a_server_that_says_much_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let talks = "trap 'echo qemu-nbd: last >&2; exit 1' TERM\n\
                 i=0; while [ $i -lt 3000 ]; do echo qemu-nbd: line $i of many, each of them long enough >&2; i=$((i + 1)); done";
    let mut server = stand_in(talks, &directory.path().join("a"));
    server.met().unwrap();
    let said = server.end().unwrap_err().to_string();
    assert!(
        said.contains("; line 2999 of many, each of them long enough; ")
            && said.ends_with("; last"),
        "{said}"
    );
    assert!(!said.contains("line 0 of many"), "{said}");
}

#[test]
fn a_server_that_is_never_told_what_to_serve_ends() {
    let server = Server::start(&[OsString::from("/nonexistent")], Command::spawn).unwrap();
    server.end().unwrap();
    // One that cannot start says so.
    let mut server = Server::start(&[OsString::from("/nonexistent")], Command::spawn).unwrap();
    let mut connection = server.serve(Path::new("/x")).unwrap();
    // Nobody is left who could accept it.
    assert!(matches!(connection.read(&mut [0]), Ok(0) | Err(_)));
    let said = server.end().unwrap_err().to_string();
    assert!(said.contains("/nonexistent"), "{said}");
}
