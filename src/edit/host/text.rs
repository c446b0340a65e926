//! The files of a host as texts: one line changed, every other byte kept. `None` where nothing
//! changes, or the file is no text.

/// `etc/hosts` with the host's own lines naming it as it is called now: only the words that are its
/// old name change, whole or without the domain. Other names, spaces and comments stay.
pub(super) fn renamed(hosts: &[u8], old: &str, whole: &str, short: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(hosts).ok()?;
    let lines = text.split_inclusive('\n');
    changed(
        text,
        lines.map(|line| line_renamed(line, old, whole, short)),
    )
}

fn line_renamed(line: &str, old: &str, whole: &str, short: &str) -> String {
    let (fields, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
    let mut words = fields.split_whitespace();
    let address = words.next().unwrap_or_default();
    let names: Vec<&str> = words.collect();
    let old_short = old.split('.').next().unwrap_or_default();
    let in_a_domain = |name: &str| {
        let label = name.split_once('.').map(|(label, _)| label);
        label.is_some_and(|label| label.eq_ignore_ascii_case(old_short))
    };
    // Of a host whose domain was not known the line may know it.
    let is_whole = |name: &str| match old.contains('.') {
        true => name.eq_ignore_ascii_case(old),
        false => in_a_domain(name),
    };
    let is_short = |name: &str| name.eq_ignore_ascii_case(old_short);
    let has_whole = names.iter().any(|name| is_whole(name));
    let has_short = names.iter().any(|name| is_short(name));
    // With another domain it is another host's.
    let is_own = has_whole || (has_short && !names.iter().any(|name| in_a_domain(name)));
    let is_loopback = address.starts_with("127.") || address == "::1";
    if !is_own || is_loopback {
        return line.to_owned();
    }
    // A name that stood alone, and now has a domain, is found with it and without.
    let stands_for_both = !has_whole && !old.contains('.') && whole != short;
    let mut is_address = true;
    let pieces = fields.split_inclusive(char::is_whitespace).map(|piece| {
        let name = piece.trim_end();
        let space = piece.get(name.len()..).unwrap_or_default();
        match name {
            "" => piece.to_owned(),
            _ if std::mem::take(&mut is_address) => piece.to_owned(),
            name if is_whole(name) => format!("{whole}{space}"),
            name if is_short(name) && stands_for_both => format!("{whole} {short}{space}"),
            name if is_short(name) => format!("{short}{space}"),
            _ => piece.to_owned(),
        }
    });
    pieces.chain(std::iter::once(comment.to_owned())).collect()
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
