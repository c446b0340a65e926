//! What can be typed: the command line as clap reads it.
//!
//! Nothing is decided here; `options.rs` turns what was typed into what it means.

mod common;
mod content;

pub use common::{ChangeArgs, ColorChoice, CommonArgs, TargetArgs};
pub use content::*;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// Edit VMware ESXi boot media at block level, without mounting them.
#[derive(Debug, Parser)]
#[command(name = "bootbank", version, max_term_width = 100)]
#[command(after_help = "\
Examples:
  bootbank info stick.img               what is on it, and which bank boots next
  bootbank fix stick.img                give every passed-through device back to the VMkernel
  bootbank fix -o fixed.img stick.img   the same on a copy; stick.img stays as it is
  bootbank undo FILE stick.img          put back, byte for byte, what a change replaced

The host must be powered off while its boot medium is changed: a running host overwrites the
change from memory.

Exit codes:
  0    done, or already so
  1    --check or diff: differs
  2    the request cannot be meant
  3    refused for safety: in use, sealed by a TPM, not enough room, an undo file that does not match
  4    damaged, unsupported or not understood; verify found errors
  5    I/O error; the message says whether the bank holds old or new, and names the undo file
  6    some of several targets failed
  130  interrupted before anything took effect
With 1 to 4 nothing has been written.")]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the partition table, the banks, which one boots next, and what their states are
    #[command(after_help = "\
Examples:
  bootbank info stick.img
  bootbank info --json *.img | jq -r '.banks[] | select(.boots_next).build'")]
    Info(SticksArgs),
    /// Check every layer from the partition table to the last archive member; write nothing
    #[command(after_help = "\
Examples:
  bootbank verify stick.img
  bootbank verify -q images/*.img            only what is wrong")]
    Verify(SticksArgs),
    /// Give passed-through devices back to the VMkernel
    #[command(after_help = "\
Examples:
  bootbank fix stick.img                     all of them
  bootbank fix -d 0000:00:1a.7 stick.img     one, by its lspci address
  bootbank fix -n --diff stick.img           show what would change
  bootbank fix --check *.img                 exit 1 if any would change")]
    Fix(FixArgs),
    /// List devices and set who owns them
    #[command(subcommand)]
    Pci(PciCommand),
    /// List what a bank and its state hold
    #[command(after_help = "\
Examples:
  bootbank ls stick.img                      all of it
  bootbank ls stick.img etc/ssh              one directory, as seen on the host
  bootbank ls stick.img bank:                the files of the bank that boots next")]
    Ls(LsArgs),
    /// Write one file to standard output
    #[command(after_help = "\
Examples:
  bootbank cat stick.img etc/vmware/esx.conf
  bootbank cat stick.img bank5:boot.cfg")]
    Cat(CatArgs),
    /// Copy one file out
    #[command(after_help = "\
Examples:
  bootbank get stick.img etc/vmware/esx.conf esx.conf
  bootbank get stick.img bank:state.tgz - | tar -tzf -")]
    Get(GetArgs),
    /// Put one file into the configuration
    #[command(after_help = "\
Examples:
  bootbank put stick.img motd etc/motd
  bootbank put -n --diff stick.img hosts etc/hosts")]
    Put(PutArgs),
    /// Take one file out of the configuration
    #[command(after_help = "\
Examples:
  bootbank rm stick.img etc/ssh/ssh_host_rsa_key")]
    Rm(RmArgs),
    /// Show and change the settings of esx.conf
    #[command(subcommand)]
    Conf(ConfCommand),
    /// Show and change the rows of the ConfigStore
    #[command(subcommand)]
    Store(StoreCommand),
    /// Show and change the kernel options of the banks
    #[command(subcommand)]
    Kernelopt(KerneloptCommand),
    /// Compare two sticks, images or states by what they configure; exit 1 if they differ
    #[command(after_help = "\
Examples:
  bootbank diff before.img after.img
  bootbank diff stick.img state.tgz          a stick against a state")]
    Diff(DiffArgs),
    /// Copy the state of a bank out as one file, or put one in
    #[command(subcommand)]
    State(StateCommand),
    /// Make the edits that a plan declares
    #[command(after_help = "\
Examples:
  bootbank apply plan.toml stick.img                      one image
  bootbank apply --check plan.toml images/*.img           exit 1 if any differs from the plan
  bootbank apply --host-map hosts.csv plan.toml *.img     {name} in the plan differs for each

A plan:
  [expect]
  build = \"6.7.0\"                                       refuse media of other builds
  [[device]]
  address = \"0000:00:1a.7\"                              or \"passed-through\": every one that is
  owner = \"vmkernel\"
  [conf]
  set = { \"/adv/Misc/HostName\" = \"{name}.lab\" }       {name}: that column of the host map
  [[file]]
  path = \"etc/motd\"
  text = \"Welcome to {name}\\n\"")]
    Apply(ApplyArgs),
    /// Make a cloned image nobody's: what identifies a host is removed, listed one by one
    #[command(after_help = "\
Examples:
  bootbank seal --list-operations
  bootbank seal -n --diff golden.img
  bootbank seal --with licence --without host-name -o sealed.img golden.img")]
    Seal(SealArgs),
    /// Put back, byte for byte, what a change replaced
    #[command(after_help = "\
Examples:
  bootbank undo x.undo                       on the medium the change was made to
  bootbank undo x.undo /dev/sdX              on this one
  bootbank undo -n x.undo                    show what would be put back")]
    Undo(UndoArgs),
    /// Free what an interrupted run left allocated to nothing
    #[command(after_help = "\
Examples:
  bootbank reclaim stick.img
  bootbank reclaim --check *.img             exit 1 if anything is left over")]
    Reclaim(ReclaimArgs),
    /// Write manual pages
    #[command(after_help = "\
Examples:
  bootbank man ~/.local/share/man/man1")]
    Man(ManArgs),
    /// Write the completions of a shell to standard output
    #[command(after_help = "\
Examples:
  bootbank completions bash > ~/.local/share/bash-completion/completions/bootbank")]
    Completions(CompletionsArgs),
    /// Write the JSON schema of an output, or of a plan file, to standard output
    #[command(after_help = "\
Examples:
  bootbank schema                            the names there are
  bootbank schema change > change.json")]
    Schema(SchemaArgs),
    /// Write this reference as Markdown
    #[command(hide = true)]
    Reference,
}

impl Command {
    /// The targets named, and the list that names more, of commands that take many.
    pub fn targets_mut(&mut self) -> Option<(&mut Vec<PathBuf>, &mut Option<PathBuf>)> {
        let targets = match self {
            Command::Info(args) | Command::Verify(args) | Command::Pci(PciCommand::List(args)) => {
                &mut args.targets
            }
            Command::Fix(args) => &mut args.targets,
            Command::Pci(PciCommand::Set(args)) => &mut args.targets,
            Command::Apply(args) => &mut args.targets,
            Command::Reclaim(args) => &mut args.targets,
            Command::Seal(args) => return Some((&mut args.sticks, &mut args.from_file)),
            _ => return None,
        };
        Some((&mut targets.sticks, &mut targets.from_file))
    }
}

impl Command {
    /// The first medium that is named, of those there are.
    pub fn first_target(&self) -> Option<PathBuf> {
        let first = match self {
            Command::Info(args) | Command::Verify(args) | Command::Pci(PciCommand::List(args)) => {
                args.targets.sticks.first()
            }
            Command::Fix(args) => args.targets.sticks.first(),
            Command::Pci(PciCommand::Set(args)) => args.targets.sticks.first(),
            Command::Apply(args) => args.targets.sticks.first(),
            Command::Reclaim(args) => args.targets.sticks.first(),
            Command::Seal(args) => args.sticks.first(),
            Command::Ls(args) => Some(&args.stick),
            Command::Cat(args) => Some(&args.stick),
            Command::Get(args) => Some(&args.stick),
            Command::Put(args) => Some(&args.stick),
            Command::Rm(args) => Some(&args.stick),
            Command::Conf(command) => Some(command.stick()),
            Command::Store(command) => Some(command.stick()),
            Command::Kernelopt(command) => Some(command.stick()),
            Command::State(command) => Some(command.stick()),
            Command::Diff(args) => Some(&args.a),
            Command::Undo(args) => args.stick.as_ref(),
            Command::Man(_) | Command::Completions(_) | Command::Schema(_) | Command::Reference => {
                None
            }
        };
        first.cloned()
    }
}

/// `bootbank pci ...`
#[derive(Debug, Subcommand)]
pub enum PciCommand {
    /// List every device the state names, its owner, and its address in every spelling
    #[command(after_help = "\
Examples:
  bootbank pci list stick.img
  bootbank pci list --json stick.img | jq '.banks[].devices[] | select(.passthrough).key'")]
    List(SticksArgs),
    /// Set whether devices are passed through, as `esxcli hardware pci pcipassthru set`
    #[command(after_help = "\
Examples:
  bootbank pci set stick.img -d 0000:00:1a.7 -e false     back to the VMkernel
  bootbank pci set stick.img -d raw:000:26.7 -e true      passed through, by the raw key")]
    Set(PciSetArgs),
}

/// Commands that only look.
#[derive(Debug, Args)]
pub struct SticksArgs {
    #[command(flatten)]
    pub targets: TargetArgs,
}

/// `bootbank fix`
#[derive(Debug, Args)]
pub struct FixArgs {
    #[command(flatten)]
    pub targets: TargetArgs,
    /// Only this device: raw key, lspci, esxcli or decimal spelling; `raw:`, `hex:` or `dec:`
    /// before it chooses the reading (repeatable; default: every passed-through device)
    #[arg(short, long = "device", value_name = "ADDR")]
    pub device: Vec<String>,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `bootbank pci set`
#[derive(Debug, Args)]
pub struct PciSetArgs {
    #[command(flatten)]
    pub targets: TargetArgs,
    /// The device: raw key, lspci, esxcli or decimal spelling; `raw:`, `hex:` or `dec:` before
    /// it chooses the reading (repeatable)
    #[arg(short, long = "device", value_name = "ADDR", required = true)]
    pub device: Vec<String>,
    /// true: passed through to virtual machines; false: owned by the VMkernel
    #[arg(short, long, value_name = "true|false", action = clap::ArgAction::Set)]
    pub enable: bool,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `bootbank ls`
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Image file or block device
    pub stick: PathBuf,
    /// `bank:` or `bankN:` for a bank's files, or a directory as seen on the host
    pub path: Option<String>,
}

/// `bootbank cat`
#[derive(Debug, Args)]
pub struct CatArgs {
    /// Image file or block device
    pub stick: PathBuf,
    /// A path as seen on the host (etc/vmware/esx.conf), or a bank's file (bank:boot.cfg,
    /// bank5:boot.cfg)
    pub path: String,
}

/// `bootbank undo`
#[derive(Debug, Args)]
pub struct UndoArgs {
    /// The undo file a change left
    pub file: PathBuf,
    /// The medium; default: the path the undo file was made for
    pub stick: Option<PathBuf>,
    /// Put sectors back whatever was written to them since
    #[arg(long)]
    pub force: bool,
    /// Plan and print; write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Accepted as with other commands; undo never asks
    #[arg(short, long)]
    pub yes: bool,
    /// The bytes of the undo file, read once.
    #[arg(skip)]
    pub bytes: Vec<u8>,
}

/// `bootbank reclaim`
#[derive(Debug, Args)]
pub struct ReclaimArgs {
    #[command(flatten)]
    pub targets: TargetArgs,
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// `bootbank man`
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Directory for the pages; made if it is not there
    pub dir: PathBuf,
}

/// `bootbank completions`
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: Shell,
}

/// `bootbank schema`
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which (default: list the names)
    pub name: Option<String>,
}

/// `bootbank apply`
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan; - is standard input
    #[arg(value_name = "PLAN.toml")]
    pub plan: PathBuf,
    #[command(flatten)]
    pub targets: TargetArgs,
    /// Values for each target, as CSV with a heading; the columns image, serial, bank-uuid and
    /// system-uuid say which row is for which, {name} in the plan stands for the column `name`
    #[arg(long, value_name = "HOSTS.csv")]
    pub host_map: Option<PathBuf>,
    #[command(flatten)]
    pub change: ChangeArgs,
    /// The text of the plan, read once: a pipe has no second reading.
    #[arg(skip)]
    pub text: String,
}
