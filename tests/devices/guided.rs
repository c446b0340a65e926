//! The guided way in a terminal of 80 columns and 24 lines, made by tmux.

use crate::loops::LoopDevice;
use crate::program::{Bench, sha256, text};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The program in a terminal; gone with the value.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Starts the program without a command on a terminal of that kind.
    fn start(bench: &Bench, kind: &str) -> Self {
        // A server that is being ended keeps its socket for a moment.
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let terminal = Terminal {
            socket: bench.path(&format!("tmux-{number}")),
        };
        let program = env!("CARGO_BIN_EXE_bootbank");
        let state = bench.path("state");
        let line = format!(
            "env TERM={kind} NO_COLOR=1 XDG_STATE_HOME={} {program}; echo \"ended with $?\"; exec cat",
            text(&state)
        );
        let size = ["-x", "80", "-y", "24"];
        let mut arguments = vec!["-f", "/dev/null", "new-session", "-d"];
        arguments.extend(size);
        arguments.push(&line);
        let started = terminal.tmux(&arguments);
        assert!(started.status.success(), "{started:?}");
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(arguments);
        tmux.env("LC_ALL", "C.UTF-8").env("SHELL", "/bin/sh");
        tmux.output()
            .expect("tmux is missing: scripts/test.sh installs it")
    }

    /// What was shown so far, lines that were wrapped put together again.
    fn shown(&self) -> String {
        let captured = self.tmux(&["capture-pane", "-p", "-J", "-S", "-2000"]);
        let lines = String::from_utf8(captured.stdout).unwrap();
        let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
        lines.join("\n").trim_end().to_owned()
    }

    /// Waits until this is shown, and returns all that was.
    #[track_caller]
    fn waits_for(&self, wanted: &str) -> String {
        for _ in 0..600 {
            let shown = self.shown();
            if shown.contains(wanted) {
                return shown;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("no `{wanted}` in\n{}", self.shown());
    }

    fn types(&self, keys: &[&str]) {
        let mut arguments = vec!["send-keys"];
        arguments.extend(keys);
        assert!(self.tmux(&arguments).status.success());
    }

    /// Takes an option of the question that is on the screen, by its number.
    #[track_caller]
    fn takes(&self, option: &str) {
        let shown = self.shown();
        let mut lines = shown.lines().rev();
        let line = lines.find(|line| line.contains(option));
        let line = line.unwrap_or_else(|| panic!("no `{option}` in\n{shown}"));
        let number = line.trim_start_matches(['>', '^', 'v', ' ']);
        let number = number.split(' ').next().unwrap();
        self.types(&[number, "Enter"]);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// What differs from run to run, and from machine to machine, is left out: temporary names, times,
/// and whose the medium is, which `info` says last.
fn settled(shown: &str, bench: &Bench) -> String {
    let undo = bench.undo_directory();
    let undo_file = regex_lite::Regex::new(&format!("{}/[^ ]*", text(&undo))).unwrap();
    let time = regex_lite::Regex::new(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d").unwrap();
    let shown = undo_file.replace_all(shown, "UNDO-FILE");
    let shown = time.replace_all(&shown, "TIME");
    let whose = regex_lite::Regex::new("\n[^\n]*\n\\? What is to be done").unwrap();
    let shown = whose.replace_all(&shown, "\nWHOSE\n? What is to be done");
    shown.trim().to_owned()
}

const WHAT: &str = "What is to be done?";

/// Chooses the disk, and waits for what can be done about it.
fn choose(terminal: &Terminal, node: &str) -> String {
    terminal.waits_for("Which medium?");
    terminal.takes(&format!("{node}: "));
    let shown = terminal.waits_for("End\n");
    shown[shown
        .rfind("> Which medium?")
        .or(shown.rfind("Which medium?"))
        .unwrap()..]
        .to_owned()
}

#[test]
fn a_medium_is_repaired_by_numbers_and_the_change_undone_again() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-usb-passthru");
    let before = sha256(&image);
    let Some(device) = LoopDevice::attach_as(251, &image) else {
        return;
    };
    let node = text(device.node());
    let terminal = Terminal::start(&bench, "vt100");
    let chosen = choose(&terminal, node);
    insta::assert_snapshot!("chosen", settled(&chosen, &bench));
    terminal.takes("Give all 2 passed-through devices back");
    terminal.waits_for("2  Yes, write it");
    let asked = terminal.shown();
    insta::assert_snapshot!(
        "asked",
        settled(&asked[asked.rfind(WHAT).unwrap()..], &bench)
    );
    assert_eq!(sha256(&image), before);
    terminal.takes("Yes, write it");
    let written = terminal.waits_for("ended with 0");
    insta::assert_snapshot!(
        "written",
        settled(&written[written.rfind("Write this to").unwrap()..], &bench)
    );
    assert_ne!(sha256(&image), before);
    drop(terminal);

    let terminal = Terminal::start(&bench, "vt100");
    choose(&terminal, node);
    terminal.takes("Undo the last change: fix");
    terminal.waits_for("2  Yes, write it");
    terminal.takes("Yes, write it");
    terminal.waits_for("ended with 0");
    assert_eq!(sha256(&image), before);
    drop(terminal);

    // What is undone is not offered to be undone again.
    let terminal = Terminal::start(&bench, "vt100");
    let chosen = choose(&terminal, node);
    assert!(!chosen.contains("Undo the last change"), "{chosen}");
}

#[test]
fn ctrl_c_at_any_question_leaves_every_byte() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-usb-passthru");
    let before = sha256(&image);
    let Some(device) = LoopDevice::attach_as(252, &image) else {
        return;
    };
    let node = text(device.node());
    for questions in 0..3 {
        let terminal = Terminal::start(&bench, "linux");
        terminal.waits_for("Which medium?");
        if questions > 0 {
            choose(&terminal, node);
        }
        if questions > 1 {
            terminal.takes("Give all 2 passed-through devices back");
            terminal.waits_for("2  Yes, write it");
        }
        terminal.types(&["C-c"]);
        let shown = terminal.waits_for("ended with");
        assert!(
            shown.contains("interrupted; nothing was written"),
            "{shown}"
        );
        assert!(shown.contains("ended with 130"), "{shown}");
        assert_eq!(sha256(&image), before, "{questions}");
        assert_eq!(bench.undo_files().len(), 0, "{questions}");
    }
}

#[test]
fn no_is_the_answer_that_enter_gives_and_the_arrow_keys_do_as_well() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-usb-passthru");
    let before = sha256(&image);
    let Some(device) = LoopDevice::attach_as(253, &image) else {
        return;
    };
    let terminal = Terminal::start(&bench, "xterm");
    choose(&terminal, text(device.node()));
    // Nothing tells whose the medium is: the first wish is to give everything back.
    terminal.types(&["Down", "Up", "Enter"]);
    terminal.waits_for("2  Yes, write it");
    terminal.types(&["Enter"]);
    terminal.waits_for("Nothing was written.");
    assert_eq!(sha256(&image), before);
    assert_eq!(bench.undo_files().len(), 0);
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_is_asked_for_numbers() {
    let bench = Bench::new();
    let image = bench.bundled("esxi67-usb-passthru");
    let before = sha256(&image);
    let Some(device) = LoopDevice::attach_as(254, &image) else {
        return;
    };
    let terminal = Terminal::start(&bench, "dumb");
    terminal.waits_for("Number, or only Enter to go back:");
    terminal.takes(&format!("{}: ", text(device.node())));
    terminal.waits_for(WHAT);
    terminal.waits_for("  End\nNumber, or only Enter");
    terminal.types(&["77", "Enter"]);
    terminal.waits_for("A number from 1 to ");
    terminal.takes("Give all 2 passed-through devices back");
    terminal.waits_for("2  Yes, write it");
    terminal.types(&["2", "Enter"]);
    let shown = terminal.waits_for("ended with 0");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    assert_ne!(sha256(&image), before);
}

#[test]
fn without_a_terminal_the_help_is_shown() {
    let bench = Bench::new();
    let shown = bench.run::<&str>(&[]).exits(2);
    shown.says("Usage: bootbank");
    let missing = bench.run(&["--verbose"]).exits(2);
    assert!(
        missing.stderr.contains("requires a subcommand"),
        "{missing:#?}"
    );
}
