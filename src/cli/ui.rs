//! Everything a person sees: data on standard output, talk on standard error, questions on a
//! terminal.

use super::args::ColorChoice;
use super::signals::Interrupt;
use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// How long a question waits before it looks for a signal again.
const LOOK_AGAIN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// How much is said, and where it goes. Shared by threads; a line is never torn.
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: u8,
    color: anstream::ColorChoice,
    /// Held while anything is written; the progress bar is drawn around what is.
    bar: Mutex<Option<ProgressBar>>,
    /// Nobody reads standard output any more.
    stdout_gone: AtomicBool,
    /// Why standard output could not be written, where it was not for want of a reader.
    stdout_failed: Mutex<Option<io::Error>>,
    stdout_taken: AtomicBool,
    brief: AtomicBool,
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
            bar: Mutex::new(None),
            stdout_gone: AtomicBool::new(false),
            stdout_failed: Mutex::new(None),
            stdout_taken: AtomicBool::new(false),
            brief: AtomicBool::new(false),
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

    /// Whether there is a terminal to ask a person on.
    pub fn can_ask() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Whether text on standard output is before the eyes of whoever is asked.
    pub fn shows_text(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Whether standard output carries JSON Lines instead of text.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Writes text to standard output; nothing with `--json`.
    pub fn text(&self, text: &str) {
        if self.stdout_taken.load(Ordering::Relaxed) {
            self.say(text.trim_end_matches('\n'));
        } else if !self.json {
            self.data(tame(text).as_bytes());
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

    /// Writes bytes to standard output, colours left out where they are not wanted. What goes wrong
    /// stops nothing, least of all a change half way; [`Ui::stdout_failure`] tells of it at the end.
    pub fn data(&self, bytes: &[u8]) {
        self.beside_the_bar(|| {
            if self.stdout_gone.load(Ordering::Relaxed) {
                return;
            }
            let mut stdout = AutoStream::new(io::stdout().lock(), self.color);
            let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
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

    /// Asks a yes-or-no question on the terminal; `None` where there is none to ask, or a
    /// signal came instead of an answer.
    pub fn ask(&self, question: &str, interrupt: &Interrupt) -> Option<bool> {
        if !Self::can_ask() {
            return None;
        }
        self.beside_the_bar(|| {
            let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
            let _ = write!(stderr, "{question} [y/N] ");
            let _ = stderr.flush();
            let stdin = io::stdin();
            loop {
                if interrupt.requested() {
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
            Some(answered && matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
        })
    }

    /// Shows on a terminal how many of several targets are done.
    pub fn begin_targets(&self, targets: usize) {
        if targets > 1 {
            self.brief.store(true, Ordering::Relaxed);
            self.show_bar(targets as u64, "{pos}/{len} [{bar:30}] {eta} left");
        }
    }

    /// One more target is done.
    pub fn target_done(&self) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.inc(1);
        }
    }

    /// Shows on a terminal how far the copy of a single target is.
    pub fn begin_bytes(&self, length: u64) {
        if !self.brief.load(Ordering::Relaxed) {
            self.show_bar(length, "{bytes}/{total_bytes} [{bar:30}] {eta} left");
        }
    }

    /// The copy has come to this byte.
    pub fn bytes_done(&self, position: u64) {
        if self.brief.load(Ordering::Relaxed) {
            return;
        }
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.set_position(position);
        }
    }

    /// The copy of a single target is done.
    pub fn end_bytes(&self) {
        if !self.brief.load(Ordering::Relaxed) {
            self.end_progress();
        }
    }

    /// Takes the progress bar away.
    pub fn end_progress(&self) {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    fn show_bar(&self, length: u64, template: &str) {
        if self.quiet || !io::stderr().is_terminal() {
            return;
        }
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let bar = bar.with_style(style.progress_chars("=> "));
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }

    /// Does something with the terminal while the progress bar is out of the way and nobody
    /// else writes.
    fn beside_the_bar<T>(&self, write: impl FnOnce() -> T) -> T {
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn talk(&self, text: &str) {
        self.beside_the_bar(|| {
            let mut stderr = AutoStream::new(io::stderr().lock(), self.color);
            // Nobody to tell is no reason to stop.
            let _ = writeln!(stderr, "{}", tame(text));
        });
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

/// A word of a command that is printed to be run: quoted where a shell would read it otherwise.
pub fn quoted(word: &str) -> Cow<'_, str> {
    // Only a NUL cannot be quoted, and none is in the name of a file.
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}

/// Text in a style; the streams strip it where colour is not wanted.
pub fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// The widest a column gets, in characters. A longer cell is shown whole and pushes what follows it
/// out of line: what a medium says must not decide how much is padded.
const WIDEST: usize = 60;

/// Rows as aligned columns, two blanks apart, without trailing blanks.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let len = |cell: &String| cell.chars().count();
    let width = |column: usize| {
        let lens = rows.iter().filter_map(|row| row.get(column)).map(len);
        lens.filter(|len| *len <= WIDEST).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let start = text.len();
        for (cell, width) in row.iter().zip(&widths) {
            if text.len() > start {
                text.push_str("  ");
            }
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(len(cell))));
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
    text
}

/// The last gate before a terminal, for names of files above all: lets through line breaks and what
/// [`styled`] makes, and shows every other control character as an escape.
fn tame(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let style = rest.strip_prefix("\u{1b}[").and_then(|style| {
            let end = style.find(|c: char| !c.is_ascii_digit() && c != ';')?;
            style[end..].starts_with('m').then_some(2 + end + 1)
        });
        let len = style.unwrap_or(character.len_utf8());
        let (now, later) = rest.split_at(len);
        if style.is_some() || character == '\n' {
            safe.push_str(now);
        } else {
            safe.push_str(&shown(now));
        }
        rest = later;
    }
    safe
}

/// Text from a medium made safe to show: control characters, which could drive a terminal, and
/// marks that make text read in another order than it is written become visible escapes.
pub fn shown(text: &str) -> String {
    let reorders = |character| matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || reorders(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_are_aligned_and_end_with_their_last_character() {
        let rows = [row(&["a", "bb", ""]), row(&["ccc", "d", "e"])];
        assert_eq!(table(&rows), "a    bb\nccc  d   e\n");
    }

    /// What is in a cell comes from the medium: 70,000 characters once made the program panic,
    /// and one long name among thousands of devices took gigabytes to pad the others.
    #[test]
    fn a_cell_of_any_length_is_shown_whole_and_widens_no_column() {
        let long = "x".repeat(70_000);
        let rows = [row(&[&long, "b"]), row(&["a", "b"])];
        assert_eq!(table(&rows), format!("{long}  b\na  b\n"));
    }

    #[test]
    fn a_word_of_a_command_is_quoted_where_a_shell_would_split_it() {
        assert_eq!(quoted("a.img"), "a.img");
        assert_eq!(quoted("my stick.img"), "'my stick.img'");
        assert_eq!(quoted("it's"), "\"it's\"");
    }
}
