//! What can be typed for the commands that look into a configuration and change it.

use super::common::ChangeArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `bootbank conf ...`
#[derive(Debug, Subcommand)]
pub enum ConfCommand {
    /// List the settings of esx.conf
    #[command(after_help = "\
Examples:
  bootbank conf list stick.img                  all of them
  bootbank conf list stick.img /system          those at and below /system
  bootbank conf list stick.img '*/mac'          those whose whole key fits the pattern")]
    List {
        /// Image file or block device
        stick: PathBuf,
        /// A key, for it and those below it, or a pattern with * and ?
        key: Option<String>,
    },
    /// Write the value of one key to standard output
    #[command(after_help = "\
Examples:
  bootbank conf get stick.img /system/uuid")]
    Get {
        /// Image file or block device
        stick: PathBuf,
        /// The whole key
        key: String,
    },
    /// Set one key; a new one goes beside its siblings
    #[command(after_help = "\
Examples:
  bootbank conf set stick.img /adv/Misc/HostName esx7.example.org
  bootbank conf set -n --diff stick.img /system/uuid \"\"")]
    Set {
        /// Image file or block device
        stick: PathBuf,
        /// The whole key
        key: String,
        /// Its value; the format has no way to write a double quote
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Take out one key
    #[command(after_help = "\
Examples:
  bootbank conf unset stick.img /adv/Misc/HostName")]
    Unset {
        /// Image file or block device
        stick: PathBuf,
        /// The whole key
        key: String,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

impl ConfCommand {
    /// The medium it is about.
    pub fn stick(&self) -> &PathBuf {
        match self {
            ConfCommand::List { stick, .. }
            | ConfCommand::Get { stick, .. }
            | ConfCommand::Set { stick, .. }
            | ConfCommand::Unset { stick, .. } => stick,
        }
    }
}

/// A row of the ConfigStore, or part of its name.
#[derive(Debug, Args)]
pub struct RowArgs {
    /// Component, `esx`
    #[arg(short, long, value_name = "C")]
    pub component: Option<String>,
    /// Configuration group, `hardware`
    #[arg(short, long, value_name = "G")]
    pub group: Option<String>,
    /// Key, `pci_devices`
    #[arg(short, long, value_name = "K")]
    pub key: Option<String>,
    /// Identifier, of settings there are several of
    #[arg(short, long, value_name = "ID")]
    pub id: Option<String>,
}

/// `--column`
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ColumnArg {
    /// What the system configured by itself.
    Auto,
    /// What the user set.
    User,
    /// What the host must not lose.
    Vital,
    /// What the host keeps for a while.
    Cached,
    /// What is wanted.
    Desired,
}

/// `bootbank store ...`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// List rows of the ConfigStore
    #[command(after_help = "\
Examples:
  bootbank store list stick.img -c esx -g hardware
  bootbank store list --json stick.img")]
    List {
        /// Image file or block device
        stick: PathBuf,
        #[command(flatten)]
        row: RowArgs,
    },
    /// Write one value of a row to standard output, as JSON
    #[command(after_help = "\
Examples:
  bootbank store get stick.img -c esx -g hardware -k pci_devices -i 0000:00:14.0")]
    Get {
        /// Image file or block device
        stick: PathBuf,
        #[command(flatten)]
        row: RowArgs,
        /// Which column (default: the user's, or the only one with a value)
        #[arg(long, value_enum)]
        column: Option<ColumnArg>,
    },
    /// Set one value of a row, checked against the host's own schema
    #[command(after_help = "\
Examples:
  bootbank store set stick.img -c esx -g system -k keyboard '{\"layout\":\"German\"}'
  bootbank store set stick.img -c esx -g network -k firewall -f firewall.json")]
    Set {
        /// Image file or block device
        stick: PathBuf,
        #[command(flatten)]
        row: RowArgs,
        /// The value, as JSON
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        value: Option<String>,
        /// Read the value from a file, or from standard input with -
        #[arg(short, long, value_name = "FILE|-")]
        file: Option<PathBuf>,
        /// Which column
        #[arg(long, value_enum, default_value = "user")]
        column: ColumnArg,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Delete a row
    #[command(after_help = "\
Examples:
  bootbank store delete stick.img -c esx -g hardware -k pci_devices -i 0000:00:14.0")]
    Delete {
        /// Image file or block device
        stick: PathBuf,
        #[command(flatten)]
        row: RowArgs,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

impl StoreCommand {
    /// The medium it is about.
    pub fn stick(&self) -> &PathBuf {
        match self {
            StoreCommand::List { stick, .. }
            | StoreCommand::Get { stick, .. }
            | StoreCommand::Set { stick, .. }
            | StoreCommand::Delete { stick, .. } => stick,
        }
    }
}

/// `bootbank kernelopt ...`
#[derive(Debug, Subcommand)]
pub enum KerneloptCommand {
    /// Show the kernel options of each bank
    #[command(after_help = "\
Examples:
  bootbank kernelopt show stick.img")]
    Show {
        /// Image file or block device
        stick: PathBuf,
    },
    /// Change kernel options; options that are as wanted already stay as they are
    #[command(after_help = "\
Examples:
  bootbank kernelopt modify stick.img -a allowLegacyCPU=true
  bootbank kernelopt modify stick.img -d runweasel -r systemMediaSize=max=systemMediaSize=min")]
    Modify {
        /// Image file or block device
        stick: PathBuf,
        /// Append this option unless it is there (repeatable)
        #[arg(short, long, value_name = "X")]
        append: Vec<String>,
        /// Delete this option (repeatable)
        #[arg(short = 'd', long, value_name = "X")]
        delete: Vec<String>,
        /// Put NEW in place of OLD (repeatable); where OLD has a = itself, OLD and NEW are the
        /// halves that have equally many
        #[arg(short, long, value_name = "OLD=NEW")]
        replace: Vec<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

impl KerneloptCommand {
    /// The medium it is about.
    pub fn stick(&self) -> &PathBuf {
        match self {
            KerneloptCommand::Show { stick, .. } | KerneloptCommand::Modify { stick, .. } => stick,
        }
    }
}

/// `bootbank get`
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Image file or block device
    pub stick: PathBuf,
    /// A path as seen on the host, or a bank's file (bank:boot.cfg, bank5:state.tgz)
    pub path: String,
    /// Where to write it; - is standard output
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

/// `bootbank put`
#[derive(Debug, Args)]
pub struct PutArgs {
    /// Image file or block device
    pub stick: PathBuf,
    /// What to put in; - is standard input
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
    /// A path as seen on the host (etc/motd)
    pub path: String,
    /// Permission bits of a new file, octal (default: 0644); one that is there keeps its own
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `bootbank rm`
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Image file or block device
    pub stick: PathBuf,
    /// A path as seen on the host
    pub path: String,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `bootbank diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Image file, block device, state.tgz, local.tgz or configBundle.tgz
    pub a: PathBuf,
    /// The other one
    pub b: PathBuf,
    /// Show keys, password hashes and other secrets
    #[arg(long)]
    pub show_secrets: bool,
}

/// `bootbank state ...`
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Copy the state out, as the one file it is; every layer of it is checked
    #[command(after_help = "\
Examples:
  bootbank state export stick.img state.tgz
  bootbank state export --bank 6 stick.img - | ssh host 'cat > state.tgz'")]
    Export {
        /// Image file, block device, or a configBundle.tgz
        stick: PathBuf,
        /// Where to write it; - is standard output
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
        /// Replace an existing file
        #[arg(long)]
        force: bool,
    },
    /// Put a state in place of the banks' own; it is checked first, and must be of the same
    /// generation of ESXi
    #[command(after_help = "\
Examples:
  bootbank state import stick.img state.tgz
  bootbank state import -n stick.img configBundle.tgz")]
    Import {
        /// Image file or block device
        stick: PathBuf,
        /// A state.tgz or configBundle.tgz; - is standard input
        #[arg(value_name = "FILE|-")]
        file: PathBuf,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

impl StateCommand {
    /// The medium it is about.
    pub fn stick(&self) -> &PathBuf {
        match self {
            StateCommand::Export { stick, .. } | StateCommand::Import { stick, .. } => stick,
        }
    }
}

/// `bootbank seal`
#[derive(Debug, Args)]
pub struct SealArgs {
    /// Image files or block devices
    #[arg(value_name = "STICK", required_unless_present_any = ["list_operations", "from_file"])]
    pub sticks: Vec<PathBuf>,
    /// Read more targets from a file, one on each line; `-` reads them from standard input
    #[arg(long, value_name = "LIST|-")]
    pub from_file: Option<PathBuf>,
    /// List every operation: what it removes, and what the host does at its next boot
    #[arg(long)]
    pub list_operations: bool,
    /// Do only these operations
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        conflicts_with = "with"
    )]
    pub only: Vec<String>,
    /// Do these as well as those that are on by default
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub with: Vec<String>,
    /// Leave these out
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub without: Vec<String>,
    #[command(flatten)]
    pub change: ChangeArgs,
}
