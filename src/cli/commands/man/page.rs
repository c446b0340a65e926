//! One manual page. `clap_mangen` writes what clap knows; what the help texts say besides, by
//! headings and lines kept as they are, becomes sections as `man-pages(7)` names them.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use std::io;

/// Heading of the block of the main help text that lists exit codes.
const EXIT_CODES: &str = "Exit codes";

/// What the program reads from its environment: names, and what for.
const ENVIRONMENT: [(&str, &str); 5] = [
    (
        "XDG_STATE_HOME",
        "Undo files go to bootbank/undo below this directory; ~/.local/state without it.",
    ),
    (
        "BOOTBANK_RECOVERY_KEY_FILE",
        "File with the recovery key of a sealed state, for every run.",
    ),
    (
        "SOURCE_DATE_EPOCH",
        "Time for what needs a new one, in seconds since 1970: members that are added to a state.",
    ),
    ("NO_COLOR", "Without colour, unless --color says otherwise."),
    ("TMPDIR", "Where packed images are unpacked to."),
];

/// The page of one command, and what it takes from the others.
pub struct Page {
    command: Command,
    /// Lines of the main help text about exit codes.
    exit_codes: Vec<String>,
    /// Names of related pages.
    see_also: Vec<String>,
}

/// The pages of `program` and its commands, hidden ones left out.
pub fn all(program: Command) -> Vec<Page> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let exit_codes = blocks(&program)
        .into_iter()
        .find(|block| block.heading.as_deref() == Some(EXIT_CODES))
        .map_or_else(Vec::new, |block| block.lines);
    let mut pages = Vec::new();
    add(&program, None, &exit_codes, &mut pages);
    pages
}

fn add(command: &Command, parent: Option<&Command>, exit_codes: &[String], into: &mut Vec<Page>) {
    let visible = |it: &&Command| !it.is_hide_set();
    let own: Vec<&Command> = command.get_subcommands().filter(visible).collect();
    // The main page names every command; a page of a group's command names the others of the group.
    let group = parent.filter(|_| is_in_group(parent));
    let others = group.into_iter().flat_map(Command::get_subcommands);
    let others = others.filter(|it| visible(it) && it.get_name() != command.get_name());
    let related = parent.into_iter().chain(own.iter().copied()).chain(others);
    let see_also = related.map(page_name).collect();
    into.push(Page {
        command: command.clone(),
        exit_codes: exit_codes.to_vec(),
        see_also,
    });
    for sub in own {
        add(sub, Some(command), exit_codes, into);
    }
}

/// Whether this is a command with commands of its own, and not the program.
fn is_in_group(parent: Option<&Command>) -> bool {
    parent.is_some_and(|it| it.get_bin_name().is_some_and(|name| name.contains(' ')))
}

fn page_name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

impl Page {
    /// Name of its file.
    pub fn file_name(&self) -> String {
        format!("{}.1", page_name(&self.command))
    }

    /// The page in roff.
    ///
    /// # Errors
    /// What writing to memory reports.
    pub fn render(&self) -> io::Result<Vec<u8>> {
        let mut page = Vec::new();
        let version = concat!("bootbank ", env!("CARGO_PKG_VERSION"));
        let man = Man::new(self.command.clone()).source(version);
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if self.command.has_subcommands() {
            man.render_subcommands_section(&mut page)?;
        }
        self.rest().to_writer(&mut page)?;
        Ok(page)
    }

    fn rest(&self) -> Roff {
        let mut roff = Roff::new();
        let (mut notes, mut as_they_are) = (Vec::new(), Vec::new());
        for block in blocks(&self.command) {
            match &block.heading {
                Some(heading) if heading == EXIT_CODES => {}
                Some(_) => as_they_are.push(block),
                None => notes.push(block.lines.join(" ")),
            }
        }
        if !notes.is_empty() {
            roff.control("SH", ["NOTES"]);
        }
        for note in notes {
            roff.text([roman(note)]);
        }
        roff.control("SH", ["EXIT STATUS"]);
        keep_lines(&mut roff, &self.exit_codes);
        self.files(&mut roff);
        if !is_in_group(Some(&self.command)) && self.command.has_subcommands() {
            roff.control("SH", ["ENVIRONMENT"]);
            for (name, what_for) in ENVIRONMENT {
                roff.control("TP", []);
                roff.text([bold(name)]);
                roff.text([roman(what_for)]);
            }
        }
        for block in as_they_are {
            let heading = block.heading.unwrap_or_default().to_uppercase();
            roff.control("SH", [heading.as_str()]);
            keep_lines(&mut roff, &block.lines);
        }
        if !self.see_also.is_empty() {
            roff.control("SH", ["SEE ALSO"]);
            for (at, name) in self.see_also.iter().enumerate() {
                let comma = if at + 1 < self.see_also.len() {
                    ","
                } else {
                    ""
                };
                roff.control("BR", [name.as_str(), &format!("(1){comma}")]);
            }
        }
        roff
    }

    /// Where what it leaves behind is found.
    fn files(&self, roff: &mut Roff) {
        let keeps_undo = |it: &clap::Arg| it.get_id() == "undo_file";
        if !self.command.get_arguments().any(keeps_undo) && is_in_group(Some(&self.command)) {
            return;
        }
        roff.control("SH", ["FILES"]);
        roff.control("TP", []);
        roff.text([bold("$XDG_STATE_HOME/bootbank/undo")]);
        roff.text([roman(
            "Undo files, one for each changed target, readable for their owner only: they hold what \
             was replaced, passwords and keys included. ~/.local/state/bootbank/undo where \
             XDG_STATE_HOME is not set.",
        )]);
    }
}

/// Lines of a help text that belong together.
struct Block {
    /// The line before them, without its colon.
    heading: Option<String>,
    lines: Vec<String>,
}

/// What the help text of a command says after the options, cut at empty lines. A block whose first
/// line ends in a colon has a heading, and its lines are kept as they are.
fn blocks(command: &Command) -> Vec<Block> {
    let text = command.get_after_long_help().or(command.get_after_help());
    let text = text.map(ToString::to_string).unwrap_or_default();
    let block = |paragraph: &str| {
        let mut lines: Vec<String> = paragraph.lines().map(str::to_owned).collect();
        let heading = lines.first().and_then(|line| line.strip_suffix(':'));
        let heading = heading.map(str::to_owned);
        if heading.is_some() {
            lines.remove(0);
        }
        Block { heading, lines }
    };
    text.split("\n\n")
        .filter(|it| !it.is_empty())
        .map(block)
        .collect()
}

fn keep_lines(roff: &mut Roff, lines: &[String]) {
    roff.control("EX", []);
    for line in lines {
        roff.text([roman(line.as_str())]);
    }
    roff.control("EE", []);
}
