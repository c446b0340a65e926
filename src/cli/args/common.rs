//! What can be typed with several commands: targets, and how a change is made.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// The targets of a command that takes many.
#[derive(Debug, Args)]
pub struct TargetArgs {
    /// Image files or block devices
    #[arg(required_unless_present = "from_file", value_name = "STICK")]
    pub sticks: Vec<PathBuf>,
    /// Read more targets from a file, one on each line; `-` reads them from standard input
    #[arg(long, value_name = "LIST|-")]
    pub from_file: Option<PathBuf>,
}

/// What every command understands.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// Which banks: all that hold a state, the one that boots next, or a partition number
    #[arg(long, global = true, value_name = "all|next|N", default_value = "all")]
    pub bank: String,
    /// Logical sector size of image files (detected when absent)
    #[arg(long, global = true, value_name = "512|4096")]
    pub sector_size: Option<u32>,
    /// Limit for an unpacked archive, in bytes or with K, M, G
    #[arg(long, global = true, value_name = "SIZE", default_value = "256M")]
    pub max_unpacked: String,
    /// How many targets to treat at once
    #[arg(short, long, global = true, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// JSON Lines on standard output, one object per target
    #[arg(long, global = true)]
    pub json: bool,
    /// Say less
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more (repeatable)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colour
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub color: ColorChoice,
}

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

/// What every writing command understands.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// Plan, verify, print; write nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Show the change of the configuration as a unified diff
    #[arg(long)]
    pub diff: bool,
    /// Exit 1 if something would change; write nothing
    #[arg(long)]
    pub check: bool,
    /// Leave the target alone and write a patched copy: a file, packed where its name ends in .gz or
    /// .zst; a directory (DIR/), needed for several targets; or - for standard output. The target
    /// may then be a compressed image (.gz, .zst, .xz)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an existing output file
    #[arg(long)]
    pub force: bool,
    /// Where the undo file goes (default: a file in $XDG_STATE_HOME/bootbank/undo)
    #[arg(short = 'z', long, value_name = "FILE", conflicts_with = "no_undo")]
    pub undo_file: Option<PathBuf>,
    /// Make no undo file
    #[arg(long)]
    pub no_undo: bool,
    /// Where a bank has no room for a second copy of a file: write over the old one. A cut in
    /// the middle leaves the host unbootable until `bootbank undo`
    #[arg(long)]
    pub in_place: bool,
    /// Ask nothing, go ahead
    #[arg(short, long)]
    pub yes: bool,
    /// Never ask, as where there is no terminal: image files are changed, block devices and changes
    /// in place need -y
    #[arg(long)]
    pub no_input: bool,
}
