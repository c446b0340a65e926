//! Which files and fields hold secrets, so that they are not shown unasked.

use serde_json::Value;

/// Shown in place of a secret.
pub(super) const HIDDEN: &str = "(hidden)";

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
const SECRET_NAMES: [&str; 9] = [
    "password", "passwd", "secret", "private", "_key", "chap", "license", "token", "hash",
];

/// Whether the file is known to hold keys, password hashes or the like. Public keys and
/// certificates are none.
pub fn is_secret_path(path: &str) -> bool {
    !path.ends_with(".pub") && SECRET_PATHS.iter().any(|secret| path.contains(secret))
}

/// Whether a setting of this name is known to hold a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES.iter().any(|secret| name.contains(secret))
}

/// Kernel options as they are reported: the value of each that is known to hold a secret, a
/// recovery key above all, is hidden.
pub fn kernel_options_shown(options: &str) -> String {
    let shown = |option: &str| match option.split_once('=') {
        Some((name, _)) if is_secret_option(name) => format!("{name}={HIDDEN}"),
        _ => option.to_owned(),
    };
    let options: Vec<String> = options.split(' ').map(shown).collect();
    options.join(" ")
}

/// Whether a kernel option of this name holds a secret: `encryptionRecoveryKey`.
pub fn is_secret_option(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    is_secret_name(&name) || name.contains("recoverykey")
}

/// The text of a boot.cfg as it is reported, secrets of its kernel options hidden.
pub(super) fn lines_shown(text: &str) -> String {
    let lines = text.split('\n').map(|line| match line.contains('=') {
        true => kernel_options_shown_in_line(line),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The key of the line itself is no option: `kernelopt=a=b c`.
fn kernel_options_shown_in_line(line: &str) -> String {
    match line.split_once('=') {
        Some((key, value)) => format!("{key}={}", kernel_options_shown(value)),
        None => line.to_owned(),
    }
}

/// The value of a setting as it is reported: hidden where the setting is known to hold a secret.
pub(super) fn shown_value(name: &str, value: String) -> String {
    match is_secret_name(name) {
        true => HIDDEN.to_owned(),
        false => value,
    }
}

/// The same of a value in JSON: what its members' names say are secrets is hidden.
pub(super) fn shown_json(name: &str, json: String) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(&json) else {
        return shown_value(name, json);
    };
    if redact(&mut value) {
        value.to_string()
    } else if value.is_object() {
        json
    } else {
        shown_value(name, json)
    }
}

/// Hides the members whose names say that they are secrets; whether there were any.
pub(super) fn redact(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            let mut found = false;
            for (name, member) in members {
                if is_secret_name(name) && (member.is_string() || member.is_array()) {
                    *member = HIDDEN.into();
                    found = true;
                } else {
                    found |= redact(member);
                }
            }
            found
        }
        Value::Array(items) => items
            .iter_mut()
            .fold(false, |found, item| redact(item) | found),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_key_is_hidden_in_kernel_options_and_in_the_lines_that_hold_them() {
        let options = "quiet encryptionRecoveryKey=478269-000011 x=1";
        let hidden = "quiet encryptionRecoveryKey=(hidden) x=1";
        assert_eq!(kernel_options_shown(options), hidden);
        let text = format!("a=b\nkernelopt={options}\nbuild=1\n");
        assert_eq!(
            lines_shown(&text),
            format!("a=b\nkernelopt={hidden}\nbuild=1\n")
        );
        assert_eq!(
            lines_shown("KERNELOPT=encryptionRecoveryKey=1"),
            "KERNELOPT=encryptionRecoveryKey=(hidden)"
        );
    }
}
