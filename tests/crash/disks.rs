//! Virtual disks, with the program or QEMU's server below it killed, or the power cut below both: QEMU
//! finds the disk sound, mtools finds the old state or the new one in it, and the same command again
//! makes the change. Who is killed is told by strace's count of its calls, as long as one is left;
//! what the server does is also recorded, and cut wherever it can be.

use crate::export::{CALLS, events};
use crate::judges::{Scratch, run};
use crate::media::Event;
use crate::qemu::tool;
use crate::sticks::{FIX, Image};
use bootbank::commit::run as commit;
use std::os::unix::fs::{FileExt as _, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

const NAME: &str = "state.tgz";
const BANK: u32 = 5;

/// A virtual disk of a bundled image in a directory of its own, and what its bank may hold.
struct Disk {
    directory: tempfile::TempDir,
    format: &'static str,
    image: Image,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Bootbank,
    Server,
}

/// What a bank was found to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Old,
    New,
}

impl Disk {
    fn new(format: &'static str) -> Self {
        let image = Image::bundled("esxi67-fresh");
        let state = |image: &Image| image.states(&image.bytes).unwrap()[&(BANK, NAME)].clone();
        let medium = crate::replay::Cow::new(&image.bytes, image.sector);
        assert!(
            commit(&medium, &image.fix(&image.bytes, FIX).unwrap(), &|| false)
                .unwrap()
                .unfinished
                .is_none()
        );
        let changed = image.with(medium.bytes(0..image.bytes.len() as u64));
        let disk = Disk {
            directory: tempfile::tempdir().unwrap(),
            format,
            old: state(&image),
            new: state(&changed),
            image,
        };
        std::fs::write(disk.at("raw"), &disk.image.bytes).unwrap();
        let words = ["convert", "-f", "raw", "-O", format];
        let files = [disk.at("raw"), disk.at("fresh")];
        let files = files.iter().map(|file| file.to_str().unwrap());
        tool(
            "qemu-img",
            &words.into_iter().chain(files).collect::<Vec<_>>(),
        );
        disk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A fresh disk for a run.
    fn reset(&self) {
        std::fs::copy(self.at("fresh"), self.at("disk")).unwrap();
    }

    /// Changes the disk; whoever is to be killed is at that call of that name.
    fn change(&self, kill: Option<(Victim, &str, usize)>) -> std::process::Output {
        let killing = |call: &str, number: usize| {
            [
                format!("trace={call}"),
                format!("inject={call}:signal=KILL:when={number}"),
            ]
        };
        let bootbank = env!("CARGO_BIN_EXE_bootbank");
        let mut command = Command::new(bootbank);
        match kill {
            None => {}
            Some((Victim::Bootbank, call, number)) => {
                command = Command::new("strace");
                // What bootbank starts is not followed.
                for expression in killing(call, number) {
                    command.arg("-e").arg(expression);
                }
                command.args(["-qq", "-o", "/dev/null", bootbank]);
            }
            Some((Victim::Server, call, number)) => {
                let [trace, inject] = killing(call, number);
                self.trace_server(
                    &mut command,
                    &format!("-o /dev/null -e {trace} -e {inject}"),
                );
            }
        }
        self.run(command)
    }

    fn run(&self, mut command: Command) -> std::process::Output {
        let undo = self.at("undo");
        let _ = std::fs::remove_file(&undo);
        command.args(["fix", "--no-input", "-z"]).arg(undo);
        run(command.arg(self.at("disk")))
    }

    /// Puts strace with these options between bootbank and the server. The server is handed its
    /// socket by the number of its process.
    fn trace_server(&self, command: &mut Command, options: &str) {
        let real = tool("sh", &["-c", "command -v qemu-nbd"]);
        let directory = self.at("bin");
        let between = directory.join("qemu-nbd");
        std::fs::create_dir_all(&directory).unwrap();
        let script = format!(
            "#!/bin/sh\nexec strace -f -qq {options} sh -c 'LISTEN_PID=$$ exec {} \"$@\"' sh \"$@\"\n",
            real.trim()
        );
        std::fs::write(&between, script).unwrap();
        std::fs::set_permissions(&between, PermissionsExt::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", directory.display()));
    }

    /// What the server does to the file of the disk in a whole run.
    fn recorded(&self) -> Vec<Event> {
        self.reset();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootbank"));
        let log = self.at("log");
        let options = format!("-xx -s 99999999 -e {CALLS} -o {}", log.display());
        self.trace_server(&mut command, &options);
        // Held to the disk, strace could not write down what it sees.
        command.arg("--no-sandbox");
        let done = self.run(command);
        assert!(done.status.success(), "{done:?}");
        self.wait_for_servers("recorded");
        events(&std::fs::read_to_string(log).unwrap())
    }

    /// Judges the file as it is with these of the recorded writes in it.
    fn judge_with(&self, writes: &[&Event], context: &str) -> Holds {
        std::fs::copy(self.at("fresh"), self.at("disk")).unwrap();
        let file = std::fs::File::options()
            .write(true)
            .open(self.at("disk"))
            .unwrap();
        for event in writes {
            if let Event::Write { offset, data } = event {
                file.write_all_at(data, *offset).unwrap();
            }
        }
        self.judge(context)
    }

    /// Waits until no server has the disk any more, and judges it.
    fn judge(&self, context: &str) -> Holds {
        let disk = self.at("disk");
        let disk = disk.to_str().unwrap();
        self.wait_for_servers(context);
        let mut check = Command::new("qemu-img");
        let output = run(check.args(["check", "-f", self.format, disk]));
        // 3: clusters that nothing refers to, which cost room and nothing else. 63: QEMU has no check
        // for this format.
        let is_sound = match output.status.code() {
            Some(63) => self.format == "vpc",
            code => matches!(code, Some(0 | 3)),
        };
        assert!(is_sound, "{context}: {output:?}");
        let raw = self.at("judged");
        tool(
            "qemu-img",
            &[
                "convert",
                "-f",
                self.format,
                "-O",
                "raw",
                disk,
                raw.to_str().unwrap(),
            ],
        );
        let bytes = std::fs::read(raw).unwrap();
        let range = self.image.layout().volumes[&BANK].clone();
        let found = Scratch::new(&self.image.with(bytes), range).content(NAME);
        match found {
            Some(state) if state == self.old => Holds::Old,
            Some(state) if state == self.new => Holds::New,
            _ => panic!("{context}: neither old nor new"),
        }
    }

    fn wait_for_servers(&self, context: &str) {
        let place = self.directory.path().to_str().unwrap().to_owned();
        let mut left = Vec::new();
        for _ in 0..1000 {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let lines = processes.filter_map(|it| std::fs::read(it.path().join("cmdline")).ok());
            let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
            left = lines
                .filter(|line| line.contains("qemu-nbd") && line.contains(&place))
                .collect();
            if left.is_empty() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{context}: {left:?}");
    }

    /// Kills at the first call of that name, the second, and so on, until a run gets through; how
    /// often the bank held old and new.
    fn kill_at_each(&self, victim: Victim, call: &str) -> (usize, usize) {
        let (mut old, mut new) = (0, 0);
        for number in 1.. {
            let context = format!("{} {victim:?} {call} {number}", self.format);
            assert!(number < 400, "{context}: no end");
            self.reset();
            let output = self.change(Some((victim, call, number)));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let through = output.status.success();
            match self.judge(&context) {
                Holds::Old => old += 1,
                Holds::New => new += 1,
            }
            if victim == Victim::Server && !through {
                assert!(
                    matches!(output.status.code(), Some(4 | 5)),
                    "{context}: {said}"
                );
            }
            let again = self.change(None);
            assert!(again.status.success(), "{context}: {again:?}");
            assert_eq!(self.judge(&context), Holds::New);
            if through && !said.contains("warning") {
                break;
            }
        }
        (old, new)
    }
}

/// What is taken for cut between two syncs of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cuts {
    /// Each beginning of what it wrote: its death leaves that.
    InOrder,
    /// Every subset of what it wrote: a power cut leaves one of those.
    AnySubset,
}

/// Every state that a cut can leave of the file. Returns how many held the old state and how many the
/// new one; a disk that is not sound fails.
fn cut_anywhere(format: &'static str, cuts: Cuts) -> (usize, usize) {
    let disk = Disk::new(format);
    let log = disk.recorded();
    let (mut old, mut new) = (0, 0);
    let mut durable: Vec<&Event> = Vec::new();
    let steps: Vec<&[Event]> = log.split(|event| *event == Event::Sync).collect();
    for (at, step) in steps.iter().enumerate() {
        assert!(step.len() <= 6, "{} writes without a sync", step.len());
        let whole = (1usize << step.len()) - 1;
        let is_cut = |subset: &usize| cuts == Cuts::AnySubset || (subset + 1).is_power_of_two();
        // The whole of a step is where the next one begins.
        let is_new = |subset: &usize| *subset < whole || at + 1 == steps.len();
        for subset in (0..=whole).filter(is_cut).filter(is_new) {
            let chosen = step.iter().enumerate();
            let chosen = chosen.filter(|(bit, _)| subset >> bit & 1 == 1);
            let chosen = chosen.map(|(_, event)| event);
            let writes: Vec<&Event> = durable.iter().copied().chain(chosen).collect();
            let context = format!("{format}, step {at}, writes {subset:b}");
            match disk.judge_with(&writes, &context) {
                Holds::Old => old += 1,
                Holds::New => new += 1,
            }
        }
        durable.extend(*step);
    }
    (old, new)
}

/// QEMU orders what it writes of a qcow2 file, so that not even a power cut makes it unsound; for the
/// other formats that is so where the machine stays up.
#[test]
fn a_virtual_disk_is_sound_and_old_or_new_wherever_what_its_server_does_is_cut() {
    if !crate::skipping::may_trace() {
        return;
    }
    // How many states there are is up to the release of QEMU; docs/crash-safety.md has some counts.
    for (format, cuts) in [
        ("qcow2", Cuts::AnySubset),
        ("qcow2", Cuts::InOrder),
        ("vmdk", Cuts::InOrder),
        ("vhdx", Cuts::InOrder),
        ("vdi", Cuts::InOrder),
        ("vpc", Cuts::InOrder),
    ] {
        let (old, new) = cut_anywhere(format, cuts);
        eprintln!(
            "{format}, {cuts:?}: {} states, {old} old, {new} new",
            old + new
        );
        assert!(old > 0 && new > 0, "{format}: {old} {new}");
    }
}

fn judged(format: &'static str, victim: Victim, calls: &[&str]) {
    if !crate::skipping::may_trace() {
        return;
    }
    let disk = Disk::new(format);
    disk.reset();
    let done = disk.change(None);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(disk.judge("a whole run"), Holds::New);
    for call in calls {
        let (old, new) = disk.kill_at_each(victim, call);
        eprintln!("{format}, {victim:?} killed at {call}: {old} old, {new} new");
        assert!(old > 0 && new > 0, "{old} {new}");
    }
}

#[test]
fn a_qcow2_disk_is_sound_and_old_or_new_wherever_bootbank_is_killed() {
    judged("qcow2", Victim::Bootbank, &["write"]);
}

#[test]
fn a_qcow2_disk_is_sound_and_old_or_new_when_its_server_is_killed() {
    judged("qcow2", Victim::Server, &["pwrite64", "fdatasync"]);
}

#[test]
fn a_vmdk_disk_is_sound_and_old_or_new_wherever_bootbank_is_killed() {
    judged("vmdk", Victim::Bootbank, &["write"]);
}

#[test]
fn a_vmdk_disk_is_sound_and_old_or_new_when_its_server_is_killed() {
    judged("vmdk", Victim::Server, &["pwrite64", "fdatasync"]);
}
