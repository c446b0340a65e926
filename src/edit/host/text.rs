//! The files of a host as texts: one line changed, every other byte kept. `None` where nothing
//! changes, or the file is no text.

/// `etc/hosts` with the host's own lines naming it as it is called now.
pub(super) fn renamed(hosts: &[u8], old: &str, whole: &str, short: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(hosts).ok()?;
    let names = if whole == short {
        short.to_owned()
    } else {
        format!("{whole} {short}")
    };
    let line = |line: &str| {
        let bare = line.trim_end();
        let (address, rest) = bare.split_once([' ', '\t'])?;
        let is_own = rest.split_whitespace().any(|word| word == old);
        let is_loopback = address.starts_with("127.") || address == "::1";
        let ending = line.get(bare.len()..).unwrap_or_default();
        (is_own && !is_loopback && !address.starts_with('#'))
            .then(|| format!("{address}\t{names}{ending}"))
    };
    changed(
        text,
        text.split_inclusive('\n')
            .map(|it| line(it).unwrap_or_else(|| it.to_owned())),
    )
}

/// `etc/ntp.conf` with these servers in place of those it has.
pub(super) fn with_servers(ntp_conf: &[u8], servers: &[String]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(ntp_conf).ok()?;
    let mut new = servers
        .iter()
        .map(|server| format!("server {server}\n"))
        .collect::<String>();
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n') {
        let word = line.split_whitespace().next();
        if matches!(word, Some("server" | "pool")) {
            lines.push(std::mem::take(&mut new));
        } else {
            lines.push(line.to_owned());
        }
    }
    if !new.is_empty() && !text.is_empty() && !text.ends_with('\n') {
        lines.push("\n".to_owned());
    }
    lines.push(new);
    changed(text, lines.into_iter())
}

/// `authorized_keys` with those of `keys` it does not hold yet at its end. A key is told by kind
/// and body; what it is called does not matter.
pub(super) fn with_keys(old: &[u8], keys: &[String]) -> Option<Vec<u8>> {
    let body = |line: &str| {
        line.split(' ')
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let text = String::from_utf8_lossy(old);
    let mut held: Vec<Vec<String>> = text.lines().map(body).collect();
    let mut new = old.to_vec();
    for key in keys {
        if held.contains(&body(key)) {
            continue;
        }
        if !new.is_empty() && !new.ends_with(b"\n") {
            new.push(b'\n');
        }
        new.extend_from_slice(key.as_bytes());
        new.push(b'\n');
        held.push(body(key));
    }
    (new != old).then_some(new)
}

fn changed(text: &str, lines: impl Iterator<Item = String>) -> Option<Vec<u8>> {
    let new: String = lines.collect();
    (new != text).then(|| new.into_bytes())
}
