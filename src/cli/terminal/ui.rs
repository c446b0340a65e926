//! Everything a person sees: data on standard output, talk on standard error, questions on a
//! terminal.

use super::gate::Gate;
use super::standard;
use super::style::{ERROR, HINT, WARNING, styled};
use super::text::{shown, tame};
use super::turns::{Said, Turns};
use anstream::AutoStream;
use clap::ValueEnum;
use indicatif::ProgressBar;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use std::io::{self, BufRead as _, IsTerminal as _, StdoutLock, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// How long a question waits before it looks for a signal again.
const LOOK_AGAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// `--color`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The end of a target's turn.
struct Done<'u>(&'u Ui);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.turns.done(|said| self.0.say_now(said));
    }
}

/// How much is said, and where it goes. Shared by threads; a line is never torn.
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: u8,
    pub(super) color: anstream::ColorChoice,
    gate: Gate,
    /// Held while anything is written; the progress bar is drawn around what is.
    pub(super) bar: Mutex<Option<ProgressBar>>,
    /// Nobody reads standard output any more.
    stdout_gone: AtomicBool,
    /// Why standard output could not be written, where it was not for want of a reader.
    stdout_failed: Mutex<Option<io::Error>>,
    stdout_taken: AtomicBool,
    pub(super) brief: AtomicBool,
    turns: Turns,
}

impl Ui {
    /// As the options ask for.
    pub fn new(json: bool, quiet: bool, verbose: u8, color: ColorChoice, gate: Gate) -> Self {
        let color = match color {
            ColorChoice::Auto => anstream::ColorChoice::Auto,
            ColorChoice::Always => anstream::ColorChoice::Always,
            ColorChoice::Never => anstream::ColorChoice::Never,
        };
        Ui {
            json,
            quiet,
            verbose,
            color,
            gate,
            bar: Mutex::new(None),
            stdout_gone: AtomicBool::new(false),
            stdout_failed: Mutex::new(None),
            stdout_taken: AtomicBool::new(false),
            brief: AtomicBool::new(false),
            turns: Turns::default(),
        }
    }

    /// From now on standard output carries the bytes of an image, and text goes to standard
    /// error.
    pub fn give_stdout_away(&self) {
        self.stdout_taken.store(true, Ordering::Relaxed);
    }

    /// Whether one line is all that is said of each target: there are several, and nobody
    /// asked for more.
    pub fn is_brief(&self) -> bool {
        self.verbose == 0 && self.brief.load(Ordering::Relaxed)
    }

    /// Whether less is to be said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether more is to be said.
    pub fn is_verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Whether there is a terminal to ask a person on.
    pub fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether text on standard output is before the eyes of whoever is asked.
    pub fn shows_text(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// The gate that whatever comes from a medium passes on its way to be shown.
    pub fn gate(&self) -> Gate {
        self.gate
    }

    /// Warns on a terminal of secrets among what was asked for and goes to standard output.
    pub fn warn_of_secrets(&self, name: &str) {
        if io::stdout().is_terminal() {
            self.warn(&format!("{name} holds secrets of the host"));
        }
    }

    /// Whether standard output carries JSON Lines instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text to standard output; nothing with `--json`.
    pub fn text(&self, text: &str) {
        self.text_through(self.gate, text);
    }

    /// The same through a gate of its own.
    pub fn text_through(&self, gate: Gate, text: &str) {
        if self.stdout_taken.load(Ordering::Relaxed) {
            self.lines(text.trim_end_matches('\n'));
        } else if !self.json {
            self.data(tame(&gate.last(text)).as_bytes());
        }
    }

    /// Writes a single value that was asked for: on a terminal as it is to be `shown`, and as it is to
    /// whatever else standard output is; nothing with `--json`.
    pub fn value_through(&self, gate: Gate, shown: &str, as_it_is: &str) {
        if self.json || io::stdout().is_terminal() {
            self.text_through(gate, shown);
        } else {
            let said = Said::Value(gate.last(as_it_is).as_bytes().to_vec());
            self.turns.say(said, |said| self.say_now(said));
        }
    }

    /// Writes one object as a line of JSON; nothing without `--json`.
    pub fn json(&self, object: &impl Serialize) {
        self.json_through(self.gate, object);
    }

    /// The same through a gate of its own.
    pub fn json_through(&self, gate: Gate, object: &impl Serialize) {
        if self.json {
            let mut line = gate.json(object);
            line.push(b'\n');
            self.data(&line);
        }
    }

    /// Writes bytes to standard output, colours left out where they are not wanted. What goes wrong
    /// stops nothing, least of all a change half way; [`Ui::stdout_failure`] tells of it at the end.
    pub fn data(&self, bytes: &[u8]) {
        let said = Said::Data(bytes.to_vec());
        self.turns.say(said, |said| self.say_now(said));
    }

    /// Several targets are worked on at once from now on: what is said of them is said in their order.
    pub fn begin_turns(&self) {
        self.turns.begin();
    }

    /// Does what there is to do for the target of this number, counted from 0.
    pub fn in_turn<T>(&self, number: usize, treat: impl FnOnce() -> T) -> T {
        self.turns.take(number);
        // Those behind it are heard even if this one came to a bad end.
        let _done = Done(self);
        treat()
    }

    fn say_now(&self, said: Said) {
        match said {
            Said::Data(bytes) => self.put_out(|stdout| {
                let mut stdout = AutoStream::new(stdout, self.color);
                stdout.write_all(&bytes).and_then(|()| stdout.flush())
            }),
            Said::Value(bytes) => {
                self.put_out(|mut stdout| stdout.write_all(&bytes).and_then(|()| stdout.flush()))
            }
            Said::Talk(line) => self.beside_the_bar(|| {
                let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
                // Nobody to tell is no reason to stop.
                let _ = writeln!(stderr, "{}", tame(&line));
            }),
        }
    }

    fn put_out(&self, write: impl FnOnce(StdoutLock<'static>) -> io::Result<()>) {
        self.beside_the_bar(|| {
            if self.stdout_gone.load(Ordering::Relaxed) {
                return;
            }
            let written = standard::stdout().and_then(write);
            if let Err(error) = written {
                self.stdout_gone.store(true, Ordering::Relaxed);
                if error.kind() != io::ErrorKind::BrokenPipe {
                    let failed = self.stdout_failed.lock();
                    let mut failed = failed.unwrap_or_else(PoisonError::into_inner);
                    failed.get_or_insert(error);
                }
            }
        });
    }

    /// Why what was to be shown is not all there, a reader that went away excepted.
    pub fn stdout_failure(&self) -> Option<io::Error> {
        self.stdout_failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Writes the bytes of a file to standard output, untouched by colour handling.
    ///
    /// # Errors
    /// What the operating system reported, a reader that went away excepted.
    pub fn file(&self, bytes: &[u8]) -> io::Result<()> {
        let written = standard::stdout()
            .and_then(|mut stdout| stdout.write_all(bytes).and_then(|()| stdout.flush()));
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// Says something on standard error, unless `-q`: one line, whatever the names in it hold.
    pub fn say(&self, text: &str) {
        self.lines(&shown(text));
    }

    /// Says several lines on standard error, unless `-q`. Names in them are made safe before.
    pub fn lines(&self, text: &str) {
        if !self.quiet {
            self.talk(text);
        }
    }

    /// Says something on standard error with `-v`: one line.
    pub fn detail(&self, text: &str) {
        if self.verbose > 0 {
            self.talk(&shown(text));
        }
    }

    /// A warning: said unless `-q`, in one line.
    pub fn warn(&self, text: &str) {
        self.lines(&format!("{} {}", styled("warning:", WARNING), shown(text)));
    }

    /// An error and what to do about it, each in one line: always said.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        self.talk(&format!("{} {}", styled("error:", ERROR), shown(message)));
        if let Some(hint) = hint {
            // The program's own words, with commands to be run as they are.
            self.talk_as_is(&format!("{} {}", styled("hint:", HINT), shown(hint)));
        }
    }

    /// Asks a yes-or-no question on the terminal; `None` where there is none to ask, or
    /// `interrupted` became true instead of an answer.
    pub fn ask(&self, question: &str, interrupted: &dyn Fn() -> bool) -> Option<bool> {
        if !Self::can_ask() {
            return None;
        }
        let answer = self.answer(&format!("{question} [y/N] "), interrupted)?;
        Some(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }

    /// The line that is typed in answer to a question; `None` where `interrupted` became true
    /// instead. What cannot be read is an empty line.
    pub(super) fn answer(&self, question: &str, interrupted: &dyn Fn() -> bool) -> Option<String> {
        self.beside_the_bar(|| {
            let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
            let _ = write!(stderr, "{}", self.gate.last(question));
            let _ = stderr.flush();
            let stdin = io::stdin();
            loop {
                if interrupted() {
                    let _ = writeln!(stderr);
                    return None;
                }
                let mut wanted = [PollFd::new(&stdin, PollFlags::IN)];
                match poll(&mut wanted, Some(&LOOK_AGAIN)) {
                    Ok(0) | Err(rustix::io::Errno::INTR) => {}
                    _ => break,
                }
            }
            let mut answer = String::new();
            let answered = stdin.lock().read_line(&mut answer).is_ok();
            Some(if answered { answer } else { String::new() })
        })
    }

    /// Does something with the terminal while the progress bar is out of the way and nobody
    /// else writes.
    pub(super) fn beside_the_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn talk(&self, text: &str) {
        self.talk_as_is(&self.gate.last(text));
    }

    pub(super) fn talk_as_is(&self, text: &str) {
        let said = Said::Talk(text.to_owned());
        self.turns.say(said, |said| self.say_now(said));
    }
}
