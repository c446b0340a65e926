//! The command line: what was asked, and what a person or a script gets to see.
//!
//! Tables, JSON, questions, file names and the clock live here and nowhere below. From the top
//! down, each room imports only those after it: `guided/` is what there is without a command,
//! `commands/` has a file for each command, `change/` is the way every writing command goes, `session/` one run of the program with its targets,
//! `process/` what the process may do, `report/` errors in words, `terminal/` the words themselves.

mod change;
mod commands;
mod guided;
mod process;
mod report;
mod session;
mod terminal;

use crate::host::Host;
use crate::secrets::Guarded;
use crate::state::KeyCache;
use clap::error::ErrorKind;
use clap::{
    ArgMatches, Args as _, CommandFactory as _, FromArgMatches as _, Parser, ValueEnum as _,
};
use commands::Command;
use guided::Guide;
use process::{Interrupt, Links, Outputs, check_means, confine_to, is_stream, take_stdin};
use report::{ERROR, Exit, Failure};
use session::{
    Common, CommonArgs, Program, Run, Schema, Session, check_no_key_on_stdin, key_store, keys,
};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use terminal::{ColorChoice, Gate, Ui, standard};

/// Edit VMware ESXi boot media at block level, without mounting them.
#[derive(Debug, Parser)]
#[command(name = "bootbank", version, max_term_width = 100)]
#[command(after_help = "\
Examples:
  bootbank                              on a terminal: show what is attached, and ask what to do
  bootbank scan                         find ESXi boot media among the attached disks
  bootbank info stick.img               show what is on it, and which bank boots next
  bootbank fix stick.img                give every passed-through device back to the VMkernel
  bootbank fix -o fixed.img stick.img   the same on a copy; stick.img stays as it is
  bootbank undo FILE stick.img          put back what a change replaced

STICK is an image file, a block device such as /dev/sdX, a virtual disk (qcow2, VMDK, VHD, VHDX, VDI; QEMU must \
be installed), or an NBD export: nbd+unix:///NAME?socket=PATH, nbd://HOST:PORT/NAME.

Power the host off before you change its boot medium: a running host overwrites the change from \
memory.

Exit codes:
  0    done, or nothing to do
  1    --check or diff found a difference
  2    wrong usage: an argument is missing or wrong, contradicts another or names what is not there,
       or -y is missing where nobody can be asked
  3    refused for safety: the medium is in use, may not be written or has no room, the state is
       sealed by a TPM, the undo file does not match
  4    damaged, unsupported or not understood; verify found errors
  5    I/O error; if writing had begun, the message says what each bank holds and names the undo
       file
  6    some of several targets failed; or the devices that could be given back were, and a line that
       may pass through another was left
  130  interrupted before anything took effect; of several targets some may be changed, and those
       say so
With 1 to 4 nothing was written to the medium.")]
struct Cli {
    /// What to do; without one, on a terminal, bootbank shows what is attached and asks
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Runs the program on the arguments of the process.
pub fn main() -> ExitCode {
    let parsed = parsed_alone().map_or_else(|| typed(&described().try_get_matches()?), Ok);
    let parsed = parsed.and_then(|(cli, words)| {
        let command: Box<dyn Run> = match (cli.command, Guide::for_person(&cli.common)) {
            (Some(command), _) => Box::new(command),
            (None, Some(guide)) => Box::new(guide),
            (None, None) => return Err(no_command()),
        };
        Ok((command, cli.common, words))
    });
    let (command, common, words) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are no errors and come here too; clap knows which is which.
            if !error.use_stderr() {
                return said_itself(&error).into();
            }
            say_usage(&error);
            return Exit::Usage.into();
        }
    };
    run(command, &common, words).into()
}

/// What was typed, by the description of the one command that it names; `None` where it makes no sense by
/// that alone. What is parsed so is parsed alike by the whole description: the program has no arguments
/// of its own but options, so a word that is no command fails here.
fn parsed_alone() -> Option<(Cli, String)> {
    let words = options_typed().map(|word| word.to_string_lossy().into_owned());
    let program = described_alone(&words.collect::<Vec<_>>())?;
    typed(&program.try_get_matches().ok()?).ok()
}

/// What was typed, and the command without its arguments.
fn typed(matches: &ArgMatches) -> Result<(Cli, String), clap::Error> {
    Ok((Cli::from_arg_matches(matches)?, command_words(matches)))
}

/// The program with the one command that is among `words`.
fn described_alone(words: &[String]) -> Option<clap::Command> {
    let program = CommonArgs::augment_args(clap::Command::new("bootbank"));
    Command::add_alone(program, words)
}

/// The program as it is described to whoever asks, or mistyped something: in colour or not, as `--color`
/// says, which is not parsed by then.
fn described() -> clap::Command {
    let options: Vec<OsString> = options_typed().collect();
    let value = options.iter().enumerate().find_map(|(at, option)| {
        let option = option.to_str()?;
        match option.strip_prefix("--color")? {
            "" => options.get(at + 1)?.to_str(),
            value => value.strip_prefix('='),
        }
    });
    // A word that is none is refused by the parser.
    let color = value.and_then(|value| clap::ColorChoice::from_str(value, false).ok());
    Cli::command().color(color.unwrap_or_default())
}

/// The arguments of the process up to the end of options.
fn options_typed() -> impl Iterator<Item = OsString> {
    let arguments = std::env::args_os().skip(1);
    arguments.take_while(|argument| argument != "--")
}

/// Prints what was asked about the program itself. Nobody who stops reading misses anything.
fn said_itself(text: &clap::Error) -> Exit {
    let printed = standard::stdout().map(drop).and_then(|()| text.print());
    match printed.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let ui = Ui::new(false, false, 0, ColorChoice::Never, Gate::new(false));
            let failure = Failure::io(format!("cannot write to standard output: {error}"));
            failure.say(&ui, "");
            failure.exit()
        }
        _ => Exit::Done,
    }
}

/// What there is to say to a command line without a command, where nobody can be asked.
fn no_command() -> clap::Error {
    let program = described().subcommand_required(true);
    let parsed = program.arg_required_else_help(true).try_get_matches();
    parsed
        .err()
        .unwrap_or_else(|| described().error(ErrorKind::MissingSubcommand, "a command is missing"))
}

/// The command without its arguments, which may be secret: `conf set`.
fn command_words(matches: &ArgMatches) -> String {
    let mut words = Vec::new();
    let mut at = matches;
    while let Some((word, further)) = at.subcommand() {
        words.push(word);
        at = further;
    }
    words.join(" ")
}

/// A command line that makes no sense, as an object too where `--json` is on it. What is quoted of it
/// may be a secret.
fn say_usage(error: &clap::Error) {
    let ui = Ui::new(
        options_typed().any(|option| option == "--json"),
        false,
        0,
        ColorChoice::Never,
        Gate::new(false),
    );
    let text = Guarded::of(error.render().to_string());
    if text.is_secret() {
        ui.lines(text.veiled().trim_end())
    } else {
        drop(error.print())
    }
    let text = text.veiled();
    let (message, hint) = text.split_once("\n\n").unwrap_or((&text, ""));
    let failure = Failure::usage(message.trim_start_matches("error: ").trim());
    let failure = match hint.trim() {
        "" => failure,
        hint => failure.hint(hint),
    };
    ui.json(&failure.in_json(ERROR, ""));
}

/// Carries out one command. What goes wrong before any target is looked at is said here; the
/// rest is reported target by target.
fn run(mut command: Box<dyn Run>, typed: &CommonArgs, command_words: String) -> Exit {
    let gate = Gate::new(typed.show_secrets);
    let ui = Ui::new(typed.json, typed.quiet, typed.verbose, typed.color, gate);
    let target = command.first_target();
    let target = target.map_or(String::new(), |target| target.display().to_string());
    let say = |ui: &Ui, failure: Failure| {
        failure.say(ui, "");
        ui.json(&failure.in_json(ERROR, &target));
        failure.exit()
    };
    let (common, keys, interrupt) = match prepare(command.as_mut(), typed) {
        Ok(prepared) => prepared,
        Err(failure) => return say(&ui, failure),
    };
    let mut needs = command.needs();
    // A build that counts which lines run (`scripts/coverage`) writes them to a file at its end.
    let sandbox = !typed.no_sandbox && !cfg!(coverage);
    let links = Links::connect(&mut needs, sandbox, &Host::default());
    let (host, outputs) = match command.starts_itself() {
        true => {
            ui.detail(
                "this process opens no medium: it starts another for each, which confines itself",
            );
            (Host::default(), Outputs::default())
        }
        false => confine_to(needs, sandbox, &ui),
    };
    let local = host.machine();
    let session = Session {
        host,
        outputs,
        links,
        ui,
        common,
        keys,
        interrupt,
        program: Program {
            command: Cli::command,
            schemas,
            command_words,
            options: typed.typed_again(),
        },
        local,
    };
    let exit = command.run(&session);
    let exit = exit.unwrap_or_else(|failure| say(&session.ui, failure));
    close(session, exit)
}

/// Puts away what a run used; `exit` is how it went until then.
fn close(session: Session, mut exit: Exit) -> Exit {
    let Session {
        ui, links, outputs, ..
    } = session;
    outputs.close();
    for error in links.close() {
        Failure::from(error).say(&ui, "");
        exit = exit.or_io();
    }
    match ui.stdout_failure() {
        None => exit,
        Some(error) => {
            let text = format!(
                "cannot write to standard output: {error}; any change that was made is kept"
            );
            Failure::io(text).say(&ui, "");
            exit.or_io()
        }
    }
}

/// What has to be known before the process confines itself.
fn prepare(
    command: &mut dyn Run,
    typed: &CommonArgs,
) -> Result<(Common, KeyCache, Interrupt), Failure> {
    check_means()?;
    let interrupt = Interrupt::listen()
        .map_err(|error| Failure::io(format!("cannot listen for signals: {error}")))?;
    let mut common = Common::new(typed)?;
    if !command.only_looks() {
        common.check_for_change()?;
    }
    if command.starts_itself() {
        check_no_key_on_stdin(typed)?;
    }
    let key_from_stdin = typed.recovery_key.as_deref().is_some_and(is_stream);
    if let Some(targets) = command.targets_mut() {
        if key_from_stdin && targets.is_listed_on_stdin() {
            take_stdin()?;
        }
        targets.add_listed()?;
    }
    // A command without a target opens nothing.
    let opens = command.first_target().is_some() || command.targets_mut().is_some();
    let keys = if opens { keys(typed)? } else { KeyCache::new() };
    common.key_store = key_store(typed)?;
    command.prepare()?;
    Ok((common, keys, interrupt))
}

/// The schemas of every object the program reads or writes, by name.
fn schemas() -> Vec<Schema> {
    let mut all = Command::schemas();
    all.push(Schema::of::<change::ChangeObject>("change"));
    all.push(Schema::of::<report::FailedObject>("error"));
    all.sort_by_key(|schema| schema.name);
    all
}

#[cfg(test)]
mod tests {
    use super::{Cli, described_alone};
    use clap::CommandFactory as _;

    /// The leaves below `command`, as they are typed, with what each takes.
    fn leaves(command: &clap::Command, typed: &[String]) -> Vec<(Vec<String>, String)> {
        let below: Vec<_> = command.get_subcommands().collect();
        if below.is_empty() {
            // Where help lists them says nothing of how they are parsed.
            let arguments = command
                .get_arguments()
                .map(|it| it.clone().display_order(0));
            let arguments: Vec<_> = arguments.collect();
            return vec![(typed.to_vec(), format!("{arguments:?}"))];
        }
        let further = |command: &clap::Command| {
            let typed = [typed, &[command.get_name().to_owned()]].concat();
            leaves(command, &typed)
        };
        let below = below.into_iter().filter(|it| it.get_name() != "help");
        below.flat_map(further).collect()
    }

    #[test]
    fn a_command_described_alone_takes_what_it_takes_among_the_others() {
        let mut all = Cli::command();
        all.build();
        let all = leaves(&all, &[]);
        assert!(all.len() > 40, "{}", all.len());
        for (typed, arguments) in all {
            let mut alone = described_alone(&typed).unwrap();
            alone.build();
            assert_eq!(leaves(&alone, &[]), [(typed, arguments)]);
        }
    }

    #[test]
    fn what_names_no_command_is_left_to_the_whole_description() {
        let alone = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(ToString::to_string).collect();
            let parsed = described_alone(&words)?
                .try_get_matches_from([&["bootbank".into()], &*words].concat());
            parsed
                .ok()
                .map(|matches| matches.subcommand_name().map(ToOwned::to_owned))
        };
        let info = Some(Some("info".to_owned()));
        assert_eq!(alone(&["info", "fix"]), info);
        assert_eq!(alone(&["--json", "info", "x"]), info);
        for other in [
            &["--recovery-key", "info", "fix", "x"][..],
            &["inf", "x"],
            &["x", "info"],
            &["conf"],
            &["conf", "--bank", "set"],
            &["info", "--help"],
            &["help", "info"],
            &["conf", "x"],
            &["conf", "info", "x"],
            &["--version", "info", "x"],
            &[],
        ] {
            assert_eq!(alone(other), None, "{other:?}");
        }
    }
}
