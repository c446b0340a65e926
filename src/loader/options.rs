//! The options that the loader's two programs read from boot.cfg, by name: which there are, which of
//! them hold numbers, and which one a line sets.

/// Options of safeboot, in the order in which it tries them.
pub(super) const SAFEBOOT: [(&str, ValueKind); 4] = [
    ("build", ValueKind::Text),
    ("updated", ValueKind::Number),
    ("bootstate", ValueKind::Number),
    ("quickboot", ValueKind::Number),
];

/// Options of mboot, in the order in which it tries them.
pub(super) const MBOOT: [(&str, ValueKind); 16] = [
    ("kernel", ValueKind::Text),
    ("kernelopt", ValueKind::Text),
    ("modules", ValueKind::Text),
    ("title", ValueKind::Text),
    ("prefix", ValueKind::Text),
    ("nobootif", ValueKind::Number),
    ("timeout", ValueKind::Number),
    ("noquirks", ValueKind::Number),
    ("norts", ValueKind::Number),
    ("crypto", ValueKind::Text),
    ("runtimewd", ValueKind::Number),
    ("tftpblksize", ValueKind::Number),
    ("acpitables", ValueKind::Text),
    ("runtimewdtimeout", ValueKind::Number),
    ("skip", ValueKind::Number),
    ("errtimeout", ValueKind::Number),
];

/// Those of mboot's numbers that every release knows.
pub(super) const EARLY_NUMBERS: [&str; 4] = ["nobootif", "timeout", "noquirks", "norts"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    Number,
}

pub(super) fn is_of_safeboot(key: &str) -> bool {
    SAFEBOOT.iter().any(|&(name, _)| name == key)
}

/// The option a line with this key sets: the first whose name begins with it.
pub(super) fn option_set_by(
    options: &[(&'static str, ValueKind)],
    key: &[u8],
) -> Option<(&'static str, ValueKind)> {
    options.iter().copied().find(|(name, _)| {
        name.as_bytes()
            .get(..key.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(key))
    })
}

/// The setting of that name, without case, and whether its value is a number.
pub(crate) fn option_named(name: &str) -> Option<(&'static str, bool)> {
    let mut options = SAFEBOOT.iter().chain(&MBOOT);
    let (key, kind) = options.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
    Some((key, *kind == ValueKind::Number))
}

/// Every setting the loader knows.
pub(crate) fn option_names() -> impl Iterator<Item = &'static str> {
    SAFEBOOT.iter().chain(&MBOOT).map(|(name, _)| *name)
}

/// Whether a line with the key `written` sets the setting `key`.
pub(crate) fn sets(written: &[u8], key: &str) -> bool {
    let set = [
        option_set_by(&SAFEBOOT, written),
        option_set_by(&MBOOT, written),
    ];
    set.into_iter().flatten().any(|(name, _)| name == key)
}

/// C's `isspace`, which also counts the vertical tab.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
