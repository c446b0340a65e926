//! The loader's parser, line by line.

use super::{BootCfg, BootCfgProblem, Module};
use crate::loader::options::{MBOOT, SAFEBOOT, ValueKind, is_of_safeboot, is_space, option_set_by};

/// Reads lines one after the other into `cfg`.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) cfg: BootCfg,
}

impl Reader {
    pub(super) fn line(&mut self, line: usize, bytes: &[u8]) {
        let text = merge_spaces(bytes);
        if text.starts_with(b"#") {
            return;
        }
        let Some(equals) = text.iter().position(|&byte| byte == b'=') else {
            return;
        };
        let (key, value) = (&text[..equals], &text[equals + 1..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let [safeboot, mboot] = [option_set_by(&SAFEBOOT, key), option_set_by(&MBOOT, key)];
        for (name, kind) in [safeboot, mboot].into_iter().flatten() {
            self.set(line, name, kind, key, value);
            if bytes.contains(&0) {
                self.note_nul(name);
            }
        }
        if safeboot.is_none() && mboot.is_none() {
            self.note_unseen(line, key);
        }
    }

    fn set(
        &mut self,
        line: usize,
        key: &'static str,
        kind: ValueKind,
        written: &[u8],
        value: &[u8],
    ) {
        let problems = &mut self.cfg.problems;
        if written.len() < key.len() {
            let written = String::from_utf8_lossy(written).into_owned();
            problems.push(BootCfgProblem::PrefixKey { line, written, key });
        }
        if self.cfg.set.contains(&key) {
            problems.push(BootCfgProblem::Duplicate { line, key });
        } else {
            self.cfg.set.push(key);
        }
        match kind {
            ValueKind::Text => self.set_text(key, value),
            ValueKind::Number => self.set_number(line, key, &String::from_utf8_lossy(value)),
        }
    }

    fn set_text(&mut self, key: &'static str, value: &[u8]) {
        let text = (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned());
        let cfg = &mut self.cfg;
        match key {
            "prefix" => cfg.prefix_raw = value.to_vec(),
            "kernel" => {
                cfg.kernel_raw = value.to_vec();
                cfg.kernel_at_nul = false;
            }
            _ => {}
        }
        match key {
            "build" => cfg.build = text,
            "title" => cfg.title = text,
            "prefix" => cfg.prefix = text,
            "kernel" => cfg.kernel = text,
            "kernelopt" => cfg.kernelopt = text,
            "modules" => cfg.modules = modules(value),
            "acpitables" => cfg.acpi_tables = modules(value),
            _ => {}
        }
    }

    /// The line that set the option ends in a NUL.
    fn note_nul(&mut self, key: &'static str) {
        let cfg = &mut self.cfg;
        let last = match key {
            "kernel" => {
                cfg.kernel_at_nul = true;
                return;
            }
            "modules" => cfg.modules.last_mut(),
            "acpitables" => cfg.acpi_tables.last_mut(),
            _ => return,
        };
        if let Some(module) = last {
            module.at_nul = true;
        }
    }

    fn set_number(&mut self, line: usize, key: &'static str, value: &str) {
        let problems = &mut self.cfg.problems;
        let digits = value.strip_prefix('-').unwrap_or(value);
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = value.to_owned();
            problems.push(if is_of_safeboot(key) {
                BootCfgProblem::Rejected { line, key, value }
            } else {
                BootCfgProblem::Fatal { line, key, value }
            });
            return;
        }
        if digits.len() < value.len() {
            self.cfg.signed.push((line, key, value.to_owned()));
        }
        let problems = &mut self.cfg.problems;
        let magnitude = digits.bytes().fold(0_i64, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(i64::from(digit - b'0'))
        });
        let number = if digits.len() < value.len() {
            // Past the smallest number there is, the loader's own stays there.
            magnitude
                .checked_neg()
                .filter(|_| magnitude < i64::MAX)
                .unwrap_or(i64::MIN)
        } else {
            magnitude
        };
        let fits = i32::try_from(number).is_ok() || u32::try_from(number).is_ok();
        if !fits {
            let value = value.to_owned();
            problems.push(BootCfgProblem::OutOfRange { line, key, value });
        }
        let low: [u8; 4] = crate::bytes::array(&number.to_le_bytes(), 0).unwrap_or_default();
        match key {
            "updated" => self.cfg.updated = u32::from_le_bytes(low),
            "bootstate" => self.cfg.bootstate = i32::from_le_bytes(low),
            "quickboot" => self.cfg.quickboot = low != [0; 4],
            "skip" => self.cfg.skip = low != [0; 4],
            _ => {}
        }
    }

    /// Lines people believe in and the loader does not.
    fn note_unseen(&mut self, line: usize, key: &[u8]) {
        let (bare, because) = if let Some(rest) = key.strip_prefix(b"\xEF\xBB\xBF") {
            (rest, "a byte order mark")
        } else {
            (key, "a space before the =")
        };
        let bare = bare.trim_ascii_end();
        let named = SAFEBOOT.iter().chain(&MBOOT);
        for &(key, _) in named.filter(|(name, _)| name.as_bytes().eq_ignore_ascii_case(bare)) {
            let problem = BootCfgProblem::Unseen { line, key, because };
            self.cfg.problems.push(problem);
        }
    }
}

/// The text of a line up to a NUL, trimmed, each run of blanks as one space.
fn merge_spaces(line: &[u8]) -> Vec<u8> {
    let text = line.split(|&byte| byte == 0).next().unwrap_or_default();
    let words = text.split(|&byte| is_space(byte));
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

/// Splits `a x --- b --- c`. Like the loader, skips one more byte after a separator that has
/// nothing before it.
fn modules(list: &[u8]) -> Vec<Module> {
    const SEPARATOR: &[u8] = b"---";
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut modules = Vec::new();
    let mut rest = list.trim_ascii_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(SEPARATOR) {
            rest = after.get(1..).unwrap_or_default();
        } else {
            let mut windows = rest.windows(SEPARATOR.len());
            let end = windows.position(|window| window == SEPARATOR);
            let item = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let item = item.trim_ascii_end();
            let blank = item.iter().position(|&byte| byte == b' ');
            let (path, options) = item.split_at(blank.unwrap_or(item.len()));
            modules.push(Module {
                path: text(path),
                options: text(options.trim_ascii_start()),
                raw: path.to_vec(),
                at_nul: false,
            });
            let after = end.and_then(|end| end.checked_add(SEPARATOR.len()));
            rest = after.and_then(|at| rest.get(at..)).unwrap_or_default();
        }
        rest = rest.trim_ascii_start();
    }
    modules
}
