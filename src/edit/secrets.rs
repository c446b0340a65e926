//! Which files and fields hold secrets, so that they are not shown unasked.

/// Parts of paths that are known to hold keys, password hashes or tokens.
const SECRET_PATHS: [&str; 13] = [
    "shadow",
    "ssh_host_",
    ".key",
    "_key",
    "encryption.info",
    "state.tgz",
    "local.tgz",
    "keystore",
    "keytab",
    "random-seed",
    "license.cfg",
    "vpxa.cfg",
    "opasswd",
];

/// Parts of the names of settings that are known to hold secrets.
const SECRET_NAMES: [&str; 8] = [
    "password", "passwd", "secret", "private", "_key", "chap", "license", "token",
];

/// Whether the file is known to hold keys, password hashes or the like. Public keys and
/// certificates are none.
pub fn is_secret_path(path: &str) -> bool {
    !path.ends_with(".pub") && SECRET_PATHS.iter().any(|secret| path.contains(secret))
}

/// Whether a setting of this name is known to hold a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}
