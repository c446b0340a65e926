//! Everything a person sees: data on standard output, talk on standard error, questions on a
//! terminal.

use super::args::ColorChoice;
use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much is said, and where it goes. Shared by threads; a line is never torn.
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: u8,
    color: anstream::ColorChoice,
    lock: Mutex<()>,
    stdout_gone: AtomicBool,
}

impl Ui {
    /// As the options ask for.
    pub fn new(json: bool, quiet: bool, verbose: u8, color: ColorChoice) -> Self {
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
            lock: Mutex::new(()),
            stdout_gone: AtomicBool::new(false),
        }
    }

    /// Whether standard output carries JSON Lines instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text to standard output; nothing with `--json`.
    pub fn text(&self, text: &str) {
        if !self.json {
            self.data(text.as_bytes());
        }
    }

    /// Writes one object as a line of JSON; nothing without `--json`.
    pub fn json(&self, object: &impl Serialize) {
        if self.json {
            let mut line = serde_json::to_vec(object).unwrap_or_default();
            line.push(b'\n');
            self.data(&line);
        }
    }

    /// Writes bytes to standard output as they are. A reader that went away is remembered and
    /// otherwise ignored: it must not stop a change half way.
    pub fn data(&self, bytes: &[u8]) {
        let _one_at_a_time = self.lock.lock();
        if self.stdout_gone.load(Ordering::Relaxed) {
            return;
        }
        let mut stdout = AutoStream::new(io::stdout().lock(), self.color);
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        if written.is_err() {
            self.stdout_gone.store(true, Ordering::Relaxed);
        }
    }

    /// Writes the bytes of a file to standard output, untouched by colour handling.
    ///
    /// # Errors
    /// What the operating system reported, a reader that went away excepted.
    pub fn file(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    /// Says something on standard error, unless `-q`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.talk(text);
        }
    }

    /// Says something on standard error with `-v`.
    pub fn detail(&self, text: &str) {
        if self.verbose > 0 {
            self.talk(text);
        }
    }

    /// A warning: said unless `-q`.
    pub fn warn(&self, text: &str) {
        self.say(&format!("{} {text}", styled("warning:", WARNING)));
    }

    /// An error and what to do about it: always said.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        self.talk(&format!("{} {message}", styled("error:", ERROR)));
        if let Some(hint) = hint {
            self.talk(&format!("{} {hint}", styled("hint:", HINT)));
        }
    }

    /// Asks a yes-or-no question on the terminal; `None` where there is none to ask.
    pub fn ask(&self, question: &str) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let _one_at_a_time = self.lock.lock();
        let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
        let _ = write!(stderr, "{question} [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        let answered = io::stdin().lock().read_line(&mut answer).is_ok();
        Some(answered && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
    }

    fn talk(&self, text: &str) {
        let _one_at_a_time = self.lock.lock();
        let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
        // Nobody to tell is no reason to stop.
        let _ = writeln!(stderr, "{text}");
    }
}

/// Style of what went wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Style of what deserves attention.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Style of what to do next, and of lines a diff adds.
pub const HINT: Style = AnsiColor::Green.on_default();
/// Style of lines a diff removes.
pub const REMOVED: Style = AnsiColor::Red.on_default();
/// Style of headings.
pub const HEADING: Style = Style::new().bold();

/// Text in a style; the streams strip it where colour is not wanted.
pub fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Rows as aligned columns, two blanks apart, without trailing blanks.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<String> = cells
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Text from a medium made safe to show: control characters, which could drive a terminal,
/// become visible escapes.
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}
