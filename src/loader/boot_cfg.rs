//! boot.cfg as ESXi's own loader reads it.
//!
//! The file is read twice at boot: by safeboot, which chooses the bank (`build`, `updated`,
//! `bootstate`, `quickboot`), and by mboot, which loads the kernel and its modules. Both use
//! one parser, known from the loader's published source and from running it on probe files:
//!
//! - lines end at LF; a NUL ends a line's text; runs of blanks (CR among them) become one
//!   space and are trimmed; `#` begins a comment line
//! - the key is all before the first `=`, so a space before the `=` belongs to it
//! - a key is compared without case, and also sets an option whose name it only begins
//!   (`u=1` sets `updated`), the first in the loader's order
//! - the last line that sets an option counts; an empty value unsets it
//! - a number is digits, since 8.0 U1 with an optional leading `-`; anything else rejects the file
//! - there is no quoting; unknown keys are ignored
//!
//! Nothing is refused here: what the loader would trip over is listed as problems; `choice` and
//! `load` draw the conclusions.

mod reader;

use super::choice::UPGRADING;
use super::options::{EARLY_NUMBERS, is_of_safeboot, is_space};
use super::{Generation, path};
use reader::Reader;

/// The names of the file that holds the VMkernel.
const VMKERNELS: [&str; 3] = ["k.b00", "k.z", "vmk.gz"];

/// The loader rewrites the bootstate digit within this many bytes and no further.
const REWRITABLE: usize = 512;

/// One entry of the `modules` list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Module {
    /// File, relative to `prefix` or to the directory of boot.cfg.
    pub path: String,
    /// What follows the file name, up to the next `---`; empty without options.
    pub options: String,
    /// The file's name as it stands in the list, which need not be text.
    raw: Vec<u8>,
    /// Whether the list goes on with a NUL where the name ends.
    at_nul: bool,
}

impl Module {
    /// What is left of the name where the text of boot.cfg ends in it or behind it.
    pub(super) fn broken_off(&self) -> Option<String> {
        broken_off(&self.raw, self.at_nul)
    }
}

/// Something in a boot.cfg that the loader trips over or that readers disagree about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootCfgProblem {
    /// A number safeboot cannot read: the whole bank is dropped.
    #[error("line {line}: {key} is {value:?}, not a number, so the loader skips the bank")]
    Rejected {
        /// Line, from 1.
        line: usize,
        /// Option the line sets.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A number mboot cannot read: the bank is chosen, and then its boot stops.
    #[error("line {line}: {key} is {value:?}, not a number, so the boot stops")]
    Fatal {
        /// Line, from 1.
        line: usize,
        /// Option the line sets.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// A number that does not fit the loader's 32 bits.
    #[error("line {line}: {key} is {value}, which does not fit in 32 bits")]
    OutOfRange {
        /// Line, from 1.
        line: usize,
        /// Option the line sets.
        key: &'static str,
        /// Its value.
        value: String,
    },
    /// One option set by several lines; the last is believed.
    #[error("line {line}: {key} is set again; the last line counts")]
    Duplicate {
        /// Line, from 1.
        line: usize,
        /// Option the line sets.
        key: &'static str,
    },
    /// A line whose key is only the beginning of an option's name, and sets it.
    #[error("line {line}: the loader reads {written:?} as {key}")]
    PrefixKey {
        /// Line, from 1.
        line: usize,
        /// Key as written.
        written: String,
        /// Option it sets.
        key: &'static str,
    },
    /// A line that would set an option but for a blank or a byte order mark.
    #[error("line {line}: the loader does not see {key} because of {because}")]
    Unseen {
        /// Line, from 1.
        line: usize,
        /// Option the line seems to set.
        key: &'static str,
        /// What hides it.
        because: &'static str,
    },
}

impl BootCfgProblem {
    /// Whether it hides a line that seems to set this option.
    pub fn hides(&self, option: &str) -> bool {
        matches!(self, BootCfgProblem::Unseen { key, .. } if key.eq_ignore_ascii_case(option))
    }

    /// Line, from 1.
    pub fn line(&self) -> usize {
        match self {
            BootCfgProblem::Rejected { line, .. }
            | BootCfgProblem::Fatal { line, .. }
            | BootCfgProblem::OutOfRange { line, .. }
            | BootCfgProblem::Duplicate { line, .. }
            | BootCfgProblem::PrefixKey { line, .. }
            | BootCfgProblem::Unseen { line, .. } => *line,
        }
    }
}

/// A boot.cfg: its bytes, and what the loader makes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BootCfg {
    raw: Vec<u8>,
    /// `build`, such as `6.7.0-8169922`; `None` where missing or empty.
    pub build: Option<String>,
    /// `updated`, the number that ranks the banks, in the loader's 32 bits; 0 where missing.
    pub updated: u32,
    /// `bootstate`: 0 valid, 1 upgrading, 2 dirty, 3 invalid; 0 where missing.
    pub bootstate: i32,
    /// `quickboot` is other than 0: a bank for one use, never booted by the loader.
    pub quickboot: bool,
    /// `title`.
    pub title: Option<String>,
    /// `prefix`, the directory that kernel and modules are relative to.
    pub prefix: Option<String>,
    /// `kernel`.
    pub kernel: Option<String>,
    /// `kernelopt`, blanks merged as the loader does.
    pub kernelopt: Option<String>,
    /// `modules`, in the order of the list.
    pub modules: Vec<Module>,
    /// `acpitables`, in the order of the list: loaded like modules, by 8.0 and later.
    pub acpi_tables: Vec<Module>,
    /// `skip` is other than 0: mboot of 8.0 U1 and later refuses to go on.
    pub skip: bool,
    /// What the loader trips over, and what readers disagree about, in line order.
    pub problems: Vec<BootCfgProblem>,
    /// Options set by a line, with a value or without.
    set: Vec<&'static str>,
    /// Numbers with a minus, by line: before 8.0 U1 the loader takes them for none.
    signed: Vec<(usize, &'static str, String)>,
    kernel_raw: Vec<u8>,
    kernel_at_nul: bool,
    prefix_raw: Vec<u8>,
}

impl BootCfg {
    /// Reads a boot.cfg. Bytes that are not UTF-8 are shown as U+FFFD; [`BootCfg::raw`] keeps them.
    pub fn parse(bytes: &[u8]) -> BootCfg {
        let mut reader = Reader::default();
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            reader.line(number, line);
        }
        let mut cfg = reader.cfg;
        cfg.raw = bytes.to_vec();
        cfg
    }

    /// The bytes of the file.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The first problem for which safeboot drops the bank, if there is one.
    pub fn rejected_by(&self, generation: Generation) -> Option<BootCfgProblem> {
        let mut problems = self.problems.iter();
        let of_all = problems.find(|problem| matches!(problem, BootCfgProblem::Rejected { .. }));
        let signed = self.signed_for(generation, is_of_safeboot);
        let signed = signed.map(|(line, key, value)| BootCfgProblem::Rejected { line, key, value });
        of_all
            .cloned()
            .into_iter()
            .chain(signed)
            .min_by_key(BootCfgProblem::line)
    }

    /// The first problem for which mboot stops after the bank has been chosen, if there is one.
    /// An option that the generation does not know is passed over.
    pub fn fatal_to(&self, generation: Generation) -> Option<BootCfgProblem> {
        let known = |key: &str| generation >= Generation::From80U1 || EARLY_NUMBERS.contains(&key);
        let of_all = self.problems.iter().find(|problem| match problem {
            BootCfgProblem::Fatal { key, .. } => known(key),
            _ => false,
        });
        let signed = self.signed_for(generation, |key| !is_of_safeboot(key) && known(key));
        let signed = signed.map(|(line, key, value)| BootCfgProblem::Fatal { line, key, value });
        of_all
            .cloned()
            .into_iter()
            .chain(signed)
            .min_by_key(BootCfgProblem::line)
    }

    /// The first negative number, where the generation knows none.
    fn signed_for(
        &self,
        generation: Generation,
        counts: impl Fn(&str) -> bool,
    ) -> Option<(usize, &'static str, String)> {
        let mut signed = self.signed.iter();
        let first = signed.find(|(_, key, _)| generation < Generation::From80U1 && counts(key));
        first.cloned()
    }

    /// Whether `modules` lists the VMkernel, under a name that it has had: k.b00 from 5.0 on, k.z in 4.1, vmk.gz before.
    /// What `kernel` names is what starts it.
    pub fn lists_vmkernel(&self) -> bool {
        VMKERNELS.iter().any(|name| self.lists_module(name))
    }

    /// Whether a module's name is one that the VMkernel has had.
    pub fn is_vmkernel(name: &str) -> bool {
        VMKERNELS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Whether an upgrade put the bank there, which has not been booted yet.
    pub fn awaits_first_boot(&self) -> bool {
        self.bootstate == UPGRADING
    }

    /// Whether `modules` loads the file `name` of the bank's root directory, by the names under
    /// which the loader looks for files: case is ignored, and `prefix` is part of them.
    pub fn lists_module(&self, name: &str) -> bool {
        self.place_of_module(name).is_some()
    }

    /// Where in `modules` the file `name` stands, counted from 0, the last time it does: of two files
    /// that hold the same, the host takes what the later one holds.
    pub(crate) fn place_of_module(&self, name: &str) -> Option<usize> {
        let wanted = path::short_name(name.as_bytes());
        let mut modules = self.modules.iter();
        modules.rposition(|module| self.short_name_of(&module.raw) == wanted)
    }

    /// Whether the loader reads the file `name` of the bank's root directory: as the kernel, or as
    /// a module.
    pub fn loads(&self, name: &str) -> bool {
        let is_kernel = self.kernel_short_name() == path::short_name(name.as_bytes());
        (self.kernel.is_some() && is_kernel) || self.lists_module(name)
    }

    /// Where the first byte stands that no text has, leaving out NULs that fill up the end.
    /// The loader reads on behind it; whoever wrote the file did not mean it.
    pub fn binary_at(&self) -> Option<usize> {
        let filled = self.raw.iter().rposition(|&byte| byte != 0);
        let text = self.raw.get(..filled.map_or(0, |last| last + 1))?;
        text.iter()
            .position(|&byte| matches!(byte, 0..=0x08 | 0x0e..=0x1f | 0x7f))
    }

    /// Whether a line sets the option, with a value or without.
    pub(super) fn sets(&self, key: &str) -> bool {
        self.set.contains(&key)
    }

    /// What the loader had read when it rejected the file at `line`, from 1.
    pub(super) fn before_line(&self, line: usize) -> BootCfg {
        let lines = self.raw.split(|&byte| byte == b'\n');
        let lines: Vec<&[u8]> = lines.take(line.saturating_sub(1)).collect();
        BootCfg::parse(&lines.join(&b'\n'))
    }

    /// What is left of the kernel's name where the text of boot.cfg ends in it or behind it.
    pub(super) fn kernel_broken_off(&self) -> Option<String> {
        broken_off(&self.kernel_raw, self.kernel_at_nul)
    }

    /// The eleven bytes by which the loader looks for the kernel.
    pub(super) fn kernel_short_name(&self) -> [u8; path::SHORT] {
        self.short_name_of(&self.kernel_raw)
    }

    /// The eleven bytes by which the loader looks for a file of a list.
    pub(super) fn module_short_name(&self, module: &Module) -> [u8; path::SHORT] {
        self.short_name_of(&module.raw)
    }

    fn short_name_of(&self, name: &[u8]) -> [u8; path::SHORT] {
        path::short_name(&path::join(&self.prefix_raw, name))
    }

    /// Byte position of the bootstate digit that the loader overwrites at boot: that of the
    /// FIRST line that spells `bootstate` out, while the value believed is that of the last.
    /// `None` where the loader finds no digit 0 to 3 within the first 512 bytes; it then drops
    /// a bank whose state it has to change.
    pub fn bootstate_digit_at(&self) -> Option<usize> {
        bootstate_digit_at(&self.raw)
    }

    /// The file once the loader has rewritten its `bootstate`, a digit; `None` where there is none to
    /// rewrite.
    pub(super) fn in_state(&self, state: i32) -> Option<BootCfg> {
        let digit = char::from_digit(u32::try_from(state).ok()?, 10)?;
        let mut raw = self.raw.clone();
        *raw.get_mut(self.bootstate_digit_at()?)? = u8::try_from(digit).ok()?;
        Some(BootCfg::parse(&raw))
    }

    /// `prefix`, where it has the loader look for files in another directory than the bank's root directory.
    pub(super) fn other_directory(&self) -> Option<&str> {
        const ANY: &[u8] = b"a";
        let elsewhere = self.short_name_of(ANY) != path::short_name(ANY);
        self.prefix.as_deref().filter(|_| elsewhere)
    }
}

/// The text at the beginning of a name, where binary data is behind it, in the name itself or from a NUL on.
fn broken_off(name: &[u8], at_nul: bool) -> Option<String> {
    let text = name.iter().take_while(|byte| byte.is_ascii_graphic());
    let text: String = text.map(|&byte| char::from(byte)).collect();
    (at_nul || text.len() < name.len()).then_some(text)
}

/// See [`BootCfg::bootstate_digit_at`].
pub(crate) fn bootstate_digit_at(raw: &[u8]) -> Option<usize> {
    const KEY: &[u8] = b"bootstate";
    let reach = raw.get(..REWRITABLE).unwrap_or(raw);
    let skip_blanks = |from: usize| {
        let rest = reach.get(from..)?;
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        Some(from + blanks.count())
    };
    let value_at = reach
        .windows(KEY.len())
        .enumerate()
        .filter(|(_, window)| window.eq_ignore_ascii_case(KEY))
        .filter(|&(at, _)| {
            let before = reach[..at].rsplit(|&byte| byte == b'\n').next();
            before.is_some_and(|before| before.iter().copied().all(is_space))
        })
        .find_map(|(at, _)| {
            let equals = skip_blanks(at + KEY.len())?;
            (reach.get(equals) == Some(&b'=')).then(|| skip_blanks(equals + 1))?
        })?;
    matches!(reach.get(value_at), Some(b'0'..=b'3')).then_some(value_at)
}

#[cfg(test)]
mod tests;
