//! The guided way: `bootbank` without a command, on a terminal.
//!
//! It knows nothing of media. What `scan`, `info` and the other commands tell it shows, and what a
//! person chooses it hands to the command that does it, which it prints as well. Each of them is a
//! process of its own ([`Again`]), confined as if it had been typed; this one, which reads no medium,
//! cannot be confined and still start them.
//!
//! Nothing is written before a person has seen the change and said yes; Ctrl-C at any question, or
//! while something is only looked at, leaves everything as it was.

mod found;
mod wishes;

use crate::cli::process::{Again, Needs, is_stream};
use crate::cli::report::{Exit, Failure};
use crate::cli::session::{CommonArgs, Run, Session};
use crate::cli::terminal::{Choice, Ui, quoted, quoted_path, shown};
use crate::diagnosis::{Found, Verdict};
use found::Medium;
use std::io::IsTerminal as _;
use std::path::Path;
use wishes::Wish;

/// The guided way.
#[derive(Clone, Copy, Debug)]
pub struct Guide;

impl Guide {
    /// Where there is a person at a terminal who can be shown things and asked.
    pub fn for_person(common: &CommonArgs) -> Option<Self> {
        let is_a_person = Ui::can_ask() && std::io::stdout().is_terminal() && !common.json;
        let reads_input = common.recovery_key.as_deref().is_some_and(is_stream);
        (is_a_person && !reads_input).then_some(Guide)
    }
}

impl Run for Guide {
    fn first_target(&self) -> Option<&Path> {
        None
    }

    fn only_looks(&self) -> bool {
        // Each command that is started says itself which options it does not take.
        true
    }

    fn starts_itself(&self) -> bool {
        true
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn run(&self, session: &Session) -> Result<Exit, Failure> {
        let way = Way {
            session,
            again: Again::new(&session.program.options),
        };
        way.go()
    }
}

/// What comes after something was done about a medium.
enum Next {
    /// Something else about the same.
    Same,
    /// Another medium.
    Another,
    /// The end.
    End(Exit),
}

struct Way<'s> {
    session: &'s Session,
    again: Again,
}

impl Way<'_> {
    fn go(&self) -> Result<Exit, Failure> {
        let ui = &self.session.ui;
        ui.lines("Looking for ESXi boot media. Nothing is written before you say so; Ctrl-C ends at any time.");
        loop {
            let disks = found::disks(&self.again)?;
            let count = disks.len();
            let none = Found::Other(String::new()).as_str();
            let is_medium = |disk: &Medium| disk.verdict != none;
            let media: Vec<Medium> = disks.into_iter().filter(is_medium).collect();
            if media.is_empty() {
                ui.lines(&none_in_words(count));
                return Ok(Exit::Done);
            }
            let Some(medium) = self.medium(&media)? else {
                return Ok(Exit::Done);
            };
            if let Some(exit) = self.stay_with(medium)? {
                return Ok(exit);
            }
        }
    }

    /// Which medium it is about; `None` to end.
    fn medium<'m>(&self, media: &'m [Medium]) -> Result<Option<&'m Medium>, Failure> {
        let mut options: Vec<String> = media.iter().map(in_one_line).collect();
        options.push("None of them: end".to_owned());
        let taken = self.choose("Which medium?", &options)?;
        Ok(taken.and_then(|at| media.get(at)))
    }

    /// All that is done about one medium; `None` to go on with another.
    fn stay_with(&self, medium: &Medium) -> Result<Option<Exit>, Failure> {
        if let Some(trouble) = &medium.error {
            self.session
                .ui
                .error(&shown(&trouble.message), trouble.hint.as_deref());
            // What is damaged can be looked at; what cannot be opened cannot.
            if medium.verdict != Verdict::Damaged(String::new()).as_str() {
                return Ok(None);
            }
        } else {
            self.look(&["info", &medium.target])?;
        }
        loop {
            match self.wish(medium)? {
                Next::Same => {}
                Next::Another => return Ok(None),
                Next::End(exit) => return Ok(Some(exit)),
            }
        }
    }

    fn wish(&self, medium: &Medium) -> Result<Next, Failure> {
        let banks = found::banks(&self.again, &medium.target)?;
        let undo = found::undo_of_last(&self.again, medium)?;
        let wishes = wishes::wishes(medium, &banks, undo.as_ref());
        let mut options: Vec<String> = wishes.iter().map(|wish| wish.words.clone()).collect();
        options.extend(["Look at another medium".to_owned(), "End".to_owned()]);
        let Some(at) = self.choose("What is to be done?", &options)? else {
            return Ok(Next::Another);
        };
        match wishes.get(at) {
            None if at == wishes.len() => Ok(Next::Another),
            None => Ok(Next::End(Exit::Done)),
            Some(wish) => self.carry_out(wish, medium),
        }
    }

    fn carry_out(&self, wish: &Wish, medium: &Medium) -> Result<Next, Failure> {
        let command: Vec<&str> = wish.command.iter().map(String::as_str).collect();
        let with = |options: &[&'static str]| {
            let mut line = command.clone();
            line.extend(options);
            line.push(&medium.target);
            line
        };
        let Some(preview) = wish.preview else {
            self.say_command(&command, medium);
            self.look(&with(&[]))?;
            return Ok(Next::Same);
        };
        match self.look(&with(preview))? {
            Exit::Differs => {}
            // An undo has no exit code for what there is to put back.
            Exit::Done if found::would_change(&self.again, &with(preview))? => {}
            Exit::Done => {
                self.session.ui.lines("There is nothing to change.");
                return Ok(Next::Same);
            }
            _ => return Ok(Next::Same),
        }
        self.say_command(&command, medium);
        let question = format!("Write this to {} ({})?", medium.target, medium.in_words());
        let answers = ["No, leave everything as it is", "Yes, write it"].map(str::to_owned);
        if self.choose(&question, &answers)? != Some(1) {
            self.session.ui.lines("Nothing was written.");
            return Ok(Next::Same);
        }
        let held = self.session.interrupt.working();
        let exit = self.again.run(&with(&["--yes"]))?;
        drop(held);
        Ok(Next::End(exit))
    }

    /// Says which command line does the same.
    fn say_command(&self, command: &[&str], medium: &Medium) {
        let target = quoted_path(Path::new(&medium.target));
        let options = self.session.program.options.iter();
        let words = options.map(|word| quoted(&word.to_string_lossy()).into_owned());
        let words = words.chain(command.iter().map(|word| (*word).to_owned()));
        let line: Vec<String> = words.chain([target]).collect();
        self.session
            .ui
            .lines(&format!("The same by hand: bootbank {}", line.join(" ")));
    }

    /// Runs a command that only looks, on the terminal.
    fn look(&self, arguments: &[&str]) -> Result<Exit, Failure> {
        // A Ctrl-C is for the command as well, which ends at once.
        let held = self.session.interrupt.working();
        let exit = self.again.run(arguments)?;
        drop(held);
        if self.session.interrupt.requested() || exit == Exit::Interrupted {
            Err(interrupted())
        } else {
            Ok(exit)
        }
    }

    /// A question; `None` where it was left.
    fn choose(&self, question: &str, options: &[String]) -> Result<Option<usize>, Failure> {
        let interrupt = &self.session.interrupt;
        let held = interrupt.working();
        let choice = self
            .session
            .ui
            .choose(question, options, &|| interrupt.requested());
        drop(held);
        match choice {
            Choice::Taken(at) => Ok(Some(at)),
            Choice::Left => Ok(None),
            Choice::Interrupted => Err(interrupted()),
        }
    }
}

/// `/dev/sdb: SanDisk Cruzer Fit, serial 4C53, 7.5 GiB, host esx7.lab: boots, 2 devices passed through`
fn in_one_line(medium: &Medium) -> String {
    let about = medium.in_words();
    let verdict = &medium.verdict;
    let boots = Verdict::Boots.as_str();
    match wishes::passed_in_words(medium).filter(|_| verdict == boots) {
        Some(passed) => format!("{}: {about}: {verdict}, {passed}", medium.target),
        None => format!("{}: {about}: {verdict}", medium.target),
    }
}

fn none_in_words(disks: usize) -> String {
    let looked = match disks {
        0 => "There is no disk to look at.".to_owned(),
        1 => "No ESXi boot medium found: the one disk that is attached is none.".to_owned(),
        many => format!("No ESXi boot medium found among {many} disks."),
    };
    format!(
        "{looked} Plug it in and start bootbank again. `bootbank info FILE` looks into an image, `bootbank --help` lists every command."
    )
}

fn interrupted() -> Failure {
    Failure::refused("interrupted; nothing was written").exit_with(Exit::Interrupted)
}
