//! QEMU's server of disks, for tests.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared by test programs, none of which uses all; one that cannot go on fails"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// A running `qemu-nbd`; ended when dropped.
pub struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    /// Starts `command`, which ends in `qemu-nbd` and its options, on `file`, and waits until it
    /// listens.
    pub fn start(mut command: Command, file: &Path) -> Self {
        let socket = file.with_extension("socket");
        command.arg("-k").arg(&socket).arg(file);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} (Debian: qemu-utils): {error}"));
        for _ in 0..1000 {
            if listens(&socket) {
                return Server { child, socket };
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{command:?} ended: {status}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{command:?} does not listen");
    }

    /// A server of a raw image that goes on when its client leaves.
    pub fn of_raw(options: &[&str], file: &Path) -> Self {
        let mut qemu_nbd = Command::new("qemu-nbd");
        qemu_nbd
            .args(["-t", "-f", "raw", "-e", "2", "-x", "lab"])
            .args(options);
        Server::start(qemu_nbd, file)
    }

    /// The address of an export of it.
    pub fn address(&self, export: &str) -> String {
        format!("nbd+unix:///{export}?socket={}", self.socket.display())
    }

    /// Waits until it ended because its client left.
    pub fn wait(mut self) {
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Whether somebody accepts connections at a socket, by what the kernel says of it: its name is there
/// a moment before, and a connection made to try it would be the only one that the server serves.
fn listens(socket: &Path) -> bool {
    const ACCEPTS: &str = "00010000";
    let name = socket.to_str().unwrap();
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.get(3) == Some(&ACCEPTS) && words.get(7) == Some(&name)
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Runs a tool that must succeed, and returns what it said.
pub fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{name} (Debian: qemu-utils): {error}"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {said}");
    said
}
