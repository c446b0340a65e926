//! The files of a host as lines of bytes: some changed, every other byte kept. `None` where nothing
//! changes. A comment may be in any encoding.

use crate::bytes::line_ending;
use std::collections::HashMap;

/// `etc/hosts` with the host's own lines naming it as it is called now: only the words that are its
/// old name change, whole or without the domain. Other names, spaces and comments stay.
pub(super) fn renamed(hosts: &[u8], old: &str, whole: &str, short: &str) -> Option<Vec<u8>> {
    let lines = hosts.split_inclusive(|byte| *byte == b'\n');
    let lines = lines.map(|line| line_renamed(line, &HostName::of(old), whole, short));
    changed(hosts, lines.collect::<Vec<_>>().concat())
}

/// `etc/hosts` without the lines that name a host called one of `names`; loopback lines and comments stay.
pub(super) fn without_lines_of(hosts: &[u8], names: &[String]) -> Option<Vec<u8>> {
    let lines = hosts.split_inclusive(|byte| *byte == b'\n');
    let is_of_it = |line: &&[u8]| {
        let line = HostsLine::parse(line);
        let mut names = names.iter().filter(|name| !name.is_empty());
        names.any(|name| line.is_of(&HostName::of(name)))
    };
    let kept = lines.filter(|line| !is_of_it(line));
    changed(hosts, kept.collect::<Vec<_>>().concat())
}

/// What a host is called, with its domain or without.
struct HostName<'n> {
    known: &'n str,
    short: &'n str,
}

impl<'n> HostName<'n> {
    fn of(known: &'n str) -> Self {
        HostName {
            known,
            short: known.split('.').next().unwrap_or_default(),
        }
    }

    fn has_domain(&self) -> bool {
        self.known.len() > self.short.len()
    }

    /// Whether `name` is it in some domain.
    fn is_in_a_domain(&self, name: &[u8]) -> bool {
        let mut labels = name.splitn(2, |byte| *byte == b'.');
        let label = labels.next().filter(|_| labels.next().is_some());
        label.is_some_and(|label| label.eq_ignore_ascii_case(self.short.as_bytes()))
    }

    /// Whether `name` is it as a whole. Of a host whose domain is not known, a line may know it.
    fn is_whole(&self, name: &[u8]) -> bool {
        if self.has_domain() {
            name.eq_ignore_ascii_case(self.known.as_bytes())
        } else {
            self.is_in_a_domain(name)
        }
    }

    fn is_short(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.short.as_bytes())
    }
}

/// A line of `etc/hosts`.
struct HostsLine<'l> {
    /// Up to its comment.
    fields: &'l [u8],
    comment: &'l [u8],
    address: &'l [u8],
    names: Vec<&'l [u8]>,
}

impl<'l> HostsLine<'l> {
    fn parse(line: &'l [u8]) -> Self {
        let comment = line.iter().position(|byte| *byte == b'#');
        let (fields, comment) = line
            .split_at_checked(comment.unwrap_or(line.len()))
            .unwrap_or((line, b""));
        let mut words = words(fields);
        HostsLine {
            fields,
            comment,
            address: words.next().unwrap_or_default(),
            names: words.collect(),
        }
    }

    fn has(&self, is_it: impl Fn(&[u8]) -> bool) -> bool {
        self.names.iter().any(|name| is_it(name))
    }

    /// Whether it gives an address to this host, other than that of the loopback. With another domain it is
    /// another host's, and so may be one whose domain is not known.
    fn is_of(&self, host: &HostName<'_>) -> bool {
        let is_loopback = self.address.starts_with(b"127.") || self.address == b"::1";
        let has_short = self.has(|name| host.is_short(name));
        let is_named = if host.has_domain() {
            let in_other_domain = self.has(|name| host.is_in_a_domain(name));
            self.has(|name| host.is_whole(name)) || (has_short && !in_other_domain)
        } else {
            has_short
        };
        is_named && !is_loopback
    }
}

fn line_renamed(line: &[u8], old: &HostName<'_>, whole: &str, short: &str) -> Vec<u8> {
    let parsed = HostsLine::parse(line);
    if !parsed.is_of(old) {
        return line.to_owned();
    }
    let has_whole = parsed.has(|name| old.is_whole(name));
    // A name that stood alone, and now has a domain, is found with it and without.
    let stands_for_both = !has_whole && !old.has_domain() && whole != short;
    let mut is_address = true;
    let pieces = parsed
        .fields
        .split_inclusive(u8::is_ascii_whitespace)
        .map(|piece| {
            let name = piece.trim_ascii_end();
            let space = piece.get(name.len()..).unwrap_or_default();
            let named = |new: String| [new.as_bytes(), space].concat();
            match name {
                b"" => piece.to_owned(),
                _ if std::mem::take(&mut is_address) => piece.to_owned(),
                name if old.is_whole(name) => named(whole.to_owned()),
                name if old.is_short(name) && stands_for_both => named(format!("{whole} {short}")),
                // Without a domain both are one name, and the end of the line is all that stays of the second.
                name if old.is_short(name) && has_whole && whole == short => {
                    let end = space.iter().filter(|byte| matches!(byte, b'\r' | b'\n'));
                    end.copied().collect()
                }
                name if old.is_short(name) => named(short.to_owned()),
                _ => piece.to_owned(),
            }
        });
    let pieces = pieces.chain(std::iter::once(parsed.comment.to_owned()));
    pieces.collect::<Vec<_>>().concat()
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let words = line.split(u8::is_ascii_whitespace);
    words.filter(|word| !word.is_empty())
}

/// `etc/ntp.conf` with these servers in place of those it has. The line of one that stays is kept as
/// it is, with its options, and where it is unless the order is another.
pub(super) fn with_servers(ntp_conf: &[u8], servers: &[String]) -> Option<Vec<u8>> {
    let lines = ntp_conf.split_inclusive(|byte| *byte == b'\n');
    let mut kept: HashMap<&[u8], &[u8]> = HashMap::new();
    for line in lines.clone() {
        if let Some(server) = server_of(line) {
            kept.entry(server).or_insert(line);
        }
    }
    let kept = |server: &String| kept.get(server.as_bytes()).copied();
    let places = servers.iter().map(String::as_bytes).zip(0_usize..);
    let places: HashMap<&[u8], usize> = places.collect();
    let mut file = Lines {
        out: Vec::new(),
        end: line_ending(ntp_conf).as_bytes(),
    };
    let left = servers.iter().map(|server| (server, kept(server)));
    let mut left = left.enumerate().peekable();
    for line in lines {
        let Some(server) = server_of(line) else {
            file.push(line);
            continue;
        };
        // All up to the one of this line, and behind it those that are new.
        let place = places.get(server).copied();
        while let Some((_, (server, line))) =
            left.next_if(|(at, (_, line))| Some(*at) <= place || line.is_none())
        {
            file.push_server(server, line);
        }
    }
    for (_, (server, line)) in left {
        file.push_server(server, line);
    }
    changed(ntp_conf, file.out)
}

/// The server that a line of `ntp.conf` names.
fn server_of(line: &[u8]) -> Option<&[u8]> {
    let mut words = words(line);
    words
        .next()
        .filter(|word| matches!(*word, b"server" | b"pool"))?;
    // Before the server it may say by which protocol its name is looked up.
    let mut words = words.skip_while(|word| matches!(*word, b"-4" | b"-6"));
    Some(words.next().unwrap_or_default())
}

/// A file as it is put together, line by line.
struct Lines {
    out: Vec<u8>,
    end: &'static [u8],
}

impl Lines {
    fn push(&mut self, line: &[u8]) {
        if !self.out.is_empty() && !self.out.ends_with(b"\n") {
            self.out.extend_from_slice(self.end);
        }
        self.out.extend_from_slice(line);
    }

    fn push_server(&mut self, server: &str, kept: Option<&[u8]>) {
        match kept {
            Some(line) => self.push(line),
            None => self.push(&[b"server ", server.as_bytes(), self.end].concat()),
        }
    }
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
    changed(old, new)
}

fn changed(old: &[u8], new: Vec<u8>) -> Option<Vec<u8>> {
    (new != old).then_some(new)
}
