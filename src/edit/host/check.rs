//! Whether values are possible at all, before any state is looked at.

use super::HostEdit;
use crate::edit::EditError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Longest name of a host, and of a part of it, in bytes (RFC 1035).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Longest line of an authorized_keys that sshd reads.
const MAX_KEY: usize = 8192;

impl HostEdit {
    /// Checks the values for themselves.
    ///
    /// # Errors
    /// [`EditError::HostValue`] for the first that no host can have.
    pub fn check(&self) -> Result<(), EditError> {
        let names = self.name.iter().map(|name| ("name", name));
        let domains = self.domain.iter().map(|domain| ("domain", domain));
        for (what, name) in names.chain(domains) {
            check_name(name).map_err(|why| EditError::HostValue { what, why })?;
        }
        for server in &self.ntp {
            check_server(server).map_err(|why| EditError::HostValue { what: "ntp", why })?;
        }
        for key in &self.ssh_keys {
            let what = "ssh-key";
            check_key(key).map_err(|why| EditError::HostValue { what, why })?;
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_made_of = |label: &str| {
        label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !name.split('.').all(is_made_of) {
        return Err(format!(
            "{name:?} is not made of letters, digits, `-` and `.`, with a letter or a digit at both ends of each part"
        ));
    }
    let longest = name.split('.').map(str::len).max().unwrap_or_default();
    if longest > MAX_LABEL {
        return Err(format!(
            "{name:?} has a part of {longest} characters between its dots, and a host takes at most {MAX_LABEL}"
        ));
    }
    if name.len() > MAX_NAME {
        let len = name.len();
        return Err(format!(
            "{name:?} has {len} characters, and a host takes at most {MAX_NAME}"
        ));
    }
    Ok(())
}

fn check_server(server: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b".-:_".contains(&b);
    if server.is_empty() || server.len() > MAX_NAME || !server.bytes().all(fits) {
        return Err(format!("{server:?} is no name and no address of a server"));
    }
    Ok(())
}

/// A public key as OpenSSH writes it: kind, base64, and what it is called. Options in front are
/// not taken.
fn check_key(key: &str) -> Result<(), String> {
    const KINDS: [&str; 3] = ["ssh-", "ecdsa-", "sk-"];
    if key.contains("PRIVATE KEY") {
        let why = "this is a private key, which stays with its owner; name the public one, in the file that ends in .pub";
        return Err(why.to_owned());
    }
    let mut words = key.split(' ');
    let kind = words.next().unwrap_or_default();
    let body = words.next().and_then(|body| BASE64.decode(body).ok());
    // The body repeats the kind behind its length.
    let repeats = body.is_some_and(|body| {
        body.get(4..)
            .is_some_and(|b| b.starts_with(kind.as_bytes()))
    });
    let is_line = !key.contains(|c: char| c.is_control());
    if key.len() > MAX_KEY
        || !is_line
        || !repeats
        || !KINDS.iter().any(|known| kind.starts_with(known))
    {
        let shown: String = key.chars().take(40).collect();
        return Err(format!(
            "{shown:?} is no public key as ssh-keygen writes it"
        ));
    }
    Ok(())
}
