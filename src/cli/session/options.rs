//! The options every command understands: what is typed, and what it means, checked once.

use crate::bytes::without_mark;
use crate::cli::process;
use crate::cli::report::Failure;
use crate::cli::terminal::ColorChoice;
use crate::partition::TableChoice;
use crate::state::{Budget, KeyCache, Limits, RecoveryKey};
use crate::stick::{BankChoice, Look};
use crate::target::Bounds;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum as _};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// `--bank` where it is not given.
const ALL_BANKS: &str = "all";
/// `--max-unpacked` where it is not given.
const MAX_UNPACKED: &str = "64M";
/// `--max-image` where it is not given.
const MAX_IMAGE: &str = "16G";

/// What every command understands.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// Which banks: all of them, the one that boots next, or the one on partition N
    #[arg(long, global = true, value_name = "all|next|N", default_value = ALL_BANKS)]
    pub bank: String,
    /// Logical sector size of image files (default: detected)
    #[arg(long, global = true, value_name = "512|4096")]
    pub sector_size: Option<u32>,
    /// Largest size an archive may unpack to, in bytes or with K, M or G. All archives that are held
    /// at a time, of all targets, may take twice as much. Modules, which are copied and compared as they are, may
    /// have 512M in any case, and all files of a bank that is copied twice that
    #[arg(long, global = true, value_name = "SIZE", default_value = MAX_UNPACKED)]
    pub max_unpacked: String,
    /// Most data a packed image may unpack to, in bytes or with K, M or G; zeros do not count
    #[arg(long, global = true, value_name = "SIZE", default_value = MAX_IMAGE)]
    pub max_image: String,
    /// Look by another table than the one ESXi's loader uses: a GPT behind a damaged MBR, or the
    /// backup GPT (commands that only look)
    #[arg(long, global = true, value_name = "gpt|backup")]
    pub table: Option<OtherTable>,
    /// Go on past damage and read what is left; what was not whole is said at the end, with exit
    /// code 4 (commands that only look, but verify)
    #[arg(long, global = true)]
    pub rescue: bool,
    /// How many targets to work on at once (default: 1; for changes of files, as many as there are
    /// processors). Where a question may be asked, it is one
    #[arg(short, long, global = true, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
    /// Open a sealed state with its recovery key, which is in this file; - is standard input.
    /// BOOTBANK_RECOVERY_KEY_FILE names a file for every run. The whole output of `esxcli system
    /// settings encryption recovery list` will do
    #[arg(long, global = true, value_name = "FILE|-")]
    pub recovery_key: Option<PathBuf>,
    /// The encryption.info that opens a local.tgz.ve (default: the one beside it)
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Show passwords, keys, password hashes and other secrets, which are hidden otherwise
    #[arg(long, global = true)]
    pub show_secrets: bool,
    /// Write JSON Lines to standard output, one object per target
    #[arg(long, global = true)]
    pub json: bool,
    /// Say less
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Keep every right this process has. Otherwise it can get at nothing but the files named, make no
    /// connection and start no program. For kernels where that goes wrong; only with media you trust
    #[arg(long, global = true)]
    pub no_sandbox: bool,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t = ColorChoice::Auto,
        value_name = "WHEN"
    )]
    pub color: ColorChoice,
}

impl CommonArgs {
    /// The options as they are typed for another process of this program that does a part of what
    /// was asked for. What is said as objects and how many targets at once is its own affair.
    pub fn typed_again(&self) -> Vec<OsString> {
        let CommonArgs {
            bank,
            sector_size,
            max_unpacked,
            max_image,
            table,
            rescue,
            jobs: _,
            recovery_key,
            key_file,
            show_secrets,
            json: _,
            quiet,
            verbose,
            no_sandbox,
            color,
        } = self;
        let word = |choice: Option<PossibleValue>| {
            let word = choice.map(|choice| choice.get_name().to_owned());
            word.map(OsString::from)
        };
        let unlike = |given: &str, usual: &str| (given != usual).then(|| OsString::from(given));
        let color = Some(*color).filter(|color| *color != ColorChoice::Auto);
        let values = [
            ("--bank", unlike(bank, ALL_BANKS)),
            ("--max-unpacked", unlike(max_unpacked, MAX_UNPACKED)),
            ("--max-image", unlike(max_image, MAX_IMAGE)),
            (
                "--sector-size",
                sector_size.map(|size| size.to_string().into()),
            ),
            (
                "--table",
                table.and_then(|table| word(table.to_possible_value())),
            ),
            ("--recovery-key", recovery_key.clone().map(OsString::from)),
            ("--key-file", key_file.clone().map(OsString::from)),
            (
                "--color",
                color.and_then(|color| word(color.to_possible_value())),
            ),
        ];
        let flags = [
            ("--rescue", *rescue),
            ("--show-secrets", *show_secrets),
            ("--quiet", *quiet),
            ("--no-sandbox", *no_sandbox),
        ];
        let mut typed = Vec::new();
        for (option, value) in values {
            if let Some(value) = value {
                typed.extend([OsString::from(option), value]);
            }
        }
        let given = flags.into_iter().filter(|(_, given)| *given);
        typed.extend(given.map(|(option, _)| OsString::from(option)));
        typed.extend((0..*verbose).map(|_| OsString::from("-v")));
        typed
    }
}

/// A table to look by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OtherTable {
    /// The primary GPT, whatever the MBR says
    Gpt,
    /// The backup GPT at the end of the medium
    Backup,
}

/// The options every command shares.
#[derive(Clone, Debug)]
pub struct Common {
    /// How a command that only looks looks.
    pub look: Look,
    /// Which banks.
    pub bank: BankChoice,
    /// Logical sector size of image files in bytes, where given.
    pub sector_size: Option<u32>,
    /// Limits for unpacked archives: of each, and of all that are held at a time.
    pub limits: Limits,
    /// Most bytes of data a packed image may unpack to.
    pub max_image: u64,
    /// Targets treated at once.
    pub jobs: Option<usize>,
    /// The content of `--key-file`.
    pub key_store: Option<Vec<u8>>,
}

/// What all archives may take that are held at a time, in units of the limit for one.
const HELD_AT_A_TIME: u64 = 2;

impl Common {
    /// # Errors
    /// A value that is none of those the option knows.
    pub fn new(args: &CommonArgs) -> Result<Self, Failure> {
        Ok(Common {
            look: Look {
                table: match args.table {
                    None => TableChoice::Loader,
                    Some(OtherTable::Gpt) => TableChoice::Gpt,
                    Some(OtherTable::Backup) => TableChoice::Backup,
                },
                rescue: args.rescue,
            },
            bank: bank(&args.bank)?,
            sector_size: sector_size(args.sector_size)?,
            limits: limits(bytes("--max-unpacked", &args.max_unpacked)?),
            max_image: bytes("--max-image", &args.max_image)?,
            jobs: args.jobs.map(usize::from),
            key_store: None,
        })
    }
}

impl Common {
    /// How much comes out of a packed image at the most.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            sector_size: self.sector_size,
            data: self.max_image,
        }
    }

    /// Refuses the options that are about banks, or about the sectors of a medium, for a state file.
    ///
    /// # Errors
    /// The first of them, with what it is for.
    pub fn check_for_state_file(&self) -> Result<(), Failure> {
        let (option, does) = match self {
            Common { bank, .. } if *bank != BankChoice::All => ("--bank", "chooses a bank"),
            Common { look, .. } if look.table != TableChoice::Loader => {
                ("--table", "chooses a partition table")
            }
            Common {
                sector_size: Some(_),
                ..
            } => ("--sector-size", "is about the sectors of a disk"),
            _ => return Ok(()),
        };
        Err(Failure::usage(format!(
            "{option} {does}, and this is a state file, which has none"
        ))
        .hint(format!("leave {option} out")))
    }

    /// Refuses `--bank` for a command that names its banks itself.
    ///
    /// # Errors
    /// It was given.
    pub fn check_without_bank(&self) -> Result<(), Failure> {
        match self.bank {
            BankChoice::All => Ok(()),
            _ => Err(
                Failure::usage("--bank chooses banks, and this command takes no choice")
                    .hint("leave --bank out"),
            ),
        }
    }

    /// Refuses what only a command that looks can do.
    ///
    /// # Errors
    /// An option that would have a change made from what is damaged.
    pub fn check_for_change(&self) -> Result<(), Failure> {
        self.look_option().map_or(Ok(()), |option| {
            Err(Failure::usage(format!(
                "{option} is for commands that only look: nothing is changed on a damaged medium"
            )))
        })
    }

    /// Refuses the options that say how one medium is read, for a command that looks at many as the loader does.
    ///
    /// # Errors
    /// One of them was given.
    pub fn check_for_scan(&self) -> Result<(), Failure> {
        self.look_option().map_or(Ok(()), |option| {
            let failure = Failure::usage(format!(
                "{option} is about one medium, and scan looks at each as ESXi's loader does"
            ));
            Err(failure.hint(format!(
                "`bootbank info STICK`, with {option}, looks at one"
            )))
        })
    }

    /// That nobody asks for what is left of a damaged state where damage is what is looked for.
    ///
    /// # Errors
    /// It was asked for.
    pub fn check_for_verify(&self) -> Result<(), Failure> {
        if !self.look.rescue {
            return Ok(());
        }
        let failure = Failure::usage(
            "verify names what is damaged, and takes no --rescue, which reads what is left of it",
        );
        Err(failure.hint("`bootbank info --rescue STICK` shows what is left, and `bootbank get --rescue` takes a file out"))
    }

    /// The option by which a medium is read in another way than the loader reads it.
    fn look_option(&self) -> Option<&'static str> {
        match self.look {
            Look { rescue: true, .. } => Some("--rescue"),
            Look {
                table: TableChoice::Loader,
                ..
            } => None,
            _ => Some("--table"),
        }
    }
}

/// Names a file with a recovery key, so that a script need not name it each time.
const RECOVERY_KEY_FILE: &str = "BOOTBANK_RECOVERY_KEY_FILE";

/// The file with the recovery key, and what names it.
fn recovery_key_file(args: &CommonArgs) -> Option<(PathBuf, &'static str)> {
    if let Some(path) = &args.recovery_key {
        return Some((path.clone(), "--recovery-key"));
    }
    let path = std::env::var_os(RECOVERY_KEY_FILE).filter(|path| !path.is_empty())?;
    Some((PathBuf::from(path), RECOVERY_KEY_FILE))
}

/// Refuses a key on standard input, which the processes that a command starts for each medium do not
/// have.
///
/// # Errors
/// Usage, with what names standard input.
pub fn check_no_key_on_stdin(args: &CommonArgs) -> Result<(), Failure> {
    let store = args.key_file.clone().map(|path| (path, "--key-file"));
    let mut files = recovery_key_file(args).into_iter().chain(store);
    match files.find(|(path, _)| process::is_stream(path)) {
        None => Ok(()),
        Some((_, named_by)) => Err(Failure::usage(format!(
            "the key is read anew for each medium: name a file with {named_by}, not standard input"
        ))),
    }
}

/// The keys a run begins with: none, or the recovery key. Read before the process confines itself,
/// and before any target is looked at.
///
/// # Errors
/// A file that cannot be read, or a text that is no recovery key.
pub fn keys(args: &CommonArgs) -> Result<KeyCache, Failure> {
    let Some((path, named_by)) = recovery_key_file(args) else {
        return Ok(KeyCache::new());
    };
    let key = recovery_key(&path);
    let key =
        key.map_err(|failure| failure.and_hint(&format!("the file is named by {named_by}")))?;
    Ok(KeyCache::with_recovery_key(key))
}

/// The content of `--key-file`, read before the process confines itself.
///
/// # Errors
/// A file that cannot be read.
pub fn key_store(args: &CommonArgs) -> Result<Option<Vec<u8>>, Failure> {
    args.key_file.as_deref().map(process::bytes).transpose()
}

fn recovery_key(path: &Path) -> Result<RecoveryKey, Failure> {
    let content = Zeroizing::new(process::bytes(path)?);
    let text = String::from_utf8_lossy(without_mark(&content));
    RecoveryKey::parse(&text)
        .map_err(|error| Failure::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The limits of a run, with one budget for all its threads.
fn limits(max_unpacked: u64) -> Limits {
    let budget = Budget::new(max_unpacked.saturating_mul(HELD_AT_A_TIME));
    Limits {
        max_unpacked,
        budget: Some(budget),
    }
}

fn bank(text: &str) -> Result<BankChoice, Failure> {
    match text {
        ALL_BANKS => Ok(BankChoice::All),
        "next" => Ok(BankChoice::Next),
        number => number.parse().map(BankChoice::Partition).map_err(|_| {
            Failure::usage(format!(
                "--bank takes `all`, `next` or a partition number, not `{text}`"
            ))
        }),
    }
}

fn sector_size(given: Option<u32>) -> Result<Option<u32>, Failure> {
    match given {
        None | Some(512 | 4096) => Ok(given),
        Some(other) => Err(Failure::usage(format!(
            "--sector-size takes 512 or 4096, not {other}"
        ))),
    }
}

/// The number of bytes that an option names, with an optional K, M or G (powers of 1024).
fn bytes(option: &str, text: &str) -> Result<u64, Failure> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let bytes = digits.parse().ok().and_then(|n: u64| n.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| {
        Failure::usage(format!(
            "{option} takes a number of bytes, such as 67108864 or 64M, not `{text}`"
        ))
    })
}

/// The number of a bank's partition, where a command takes it before the medium.
///
/// # Errors
/// A text that is no number: the medium, mostly, named first.
pub fn bank_number(text: &str) -> Result<u32, String> {
    let number = text.parse();
    number.map_err(|_| {
        "the number of a bank's partition comes first, such as 5, and the medium after it"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, expected) in [("1", 1), ("4K", 4096), ("256M", 256 << 20), ("2g", 2 << 30)] {
            assert_eq!(bytes("--max-unpacked", text).ok(), Some(expected), "{text}");
        }
        for text in [
            "",
            "M",
            "-1",
            "0",
            "1T",
            "99999999999999999999",
            "20000000000G",
            "1.5G",
        ] {
            assert!(bytes("--max-unpacked", text).is_err(), "{text}");
        }
    }

    #[test]
    fn typed_again_is_what_differs_from_the_defaults() {
        #[derive(clap::Parser)]
        struct Typed {
            #[command(flatten)]
            common: CommonArgs,
        }
        let again = |typed: &[&str]| {
            let line = [&["bootbank"], typed].concat();
            let typed = <Typed as clap::Parser>::try_parse_from(line).unwrap();
            let again = typed.common.typed_again();
            let words = again.iter().map(|word| word.to_str().unwrap());
            words.map(str::to_owned).collect::<Vec<String>>()
        };
        let nothing: [&[&str]; 4] = [
            &[],
            &["--bank", "all", "--color", "auto"],
            &["--max-unpacked", "64M", "--max-image", "16G"],
            &["--json", "--jobs", "3"],
        ];
        for typed in nothing {
            assert_eq!(again(typed), Vec::<String>::new(), "{typed:?}");
        }
        // In the order in which they are typed again.
        let all = "--bank next --max-unpacked 1M --max-image 2G --sector-size 4096 --table backup \
            --recovery-key key --key-file info --color never --rescue --show-secrets --quiet --no-sandbox -v -v";
        let all: Vec<&str> = all.split_whitespace().collect();
        assert_eq!(again(&all), all);
    }

    #[test]
    fn banks_are_all_next_or_a_number() {
        assert_eq!(bank("all").ok(), Some(BankChoice::All));
        assert_eq!(bank("next").ok(), Some(BankChoice::Next));
        assert_eq!(bank("6").ok(), Some(BankChoice::Partition(6)));
        assert!(bank("both").is_err());
    }
}
