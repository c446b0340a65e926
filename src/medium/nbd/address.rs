//! Where an export is: the URIs of
//! <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md>, without TLS.

use super::NbdError;
use percent_encoding::percent_decode;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// The port of a server whose address names none.
const DEFAULT_PORT: u16 = 10809;

/// Longest name of an export in bytes, as the protocol has it.
const LONGEST_NAME: usize = 4096;

/// Who serves an export.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Server {
    /// A process on this machine that listens on this Unix-domain socket.
    Unix(PathBuf),
    /// One on the network.
    Tcp {
        /// Name or address of its machine.
        host: String,
        /// Number of the port it listens on.
        port: u16,
    },
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Unix(socket) => write!(f, "{}", socket.display()),
            Server::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Server::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// Where an export is.
///
/// ```
/// # use bootbank::medium::nbd::{Address, Server};
/// let typed = "nbd+unix:///lab?socket=/run/lab.sock".as_ref();
/// let address = Address::parse(typed).expect("begins like one")?;
/// assert_eq!(address.server, Server::Unix("/run/lab.sock".into()));
/// assert_eq!(address.export, "lab");
/// # Ok::<(), bootbank::medium::nbd::NbdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// Who serves it.
    pub server: Server,
    /// Its name there, which may be empty.
    pub export: String,
}

impl Address {
    /// Whether a target's name is, or is meant to be, an address of an export.
    pub fn is_one(name: &Path) -> bool {
        scheme(name).is_some()
    }

    /// Reads `nbd://HOST[:PORT]/EXPORT` or `nbd+unix:///EXPORT?socket=PATH`; `None` for a name that
    /// does not begin like one.
    pub fn parse(name: &Path) -> Option<Result<Self, NbdError>> {
        let (scheme, rest) = scheme(name)?;
        Some(match scheme.to_ascii_lowercase().as_slice() {
            b"nbd" => Self::of_tcp(rest),
            b"nbd+unix" => Self::of_unix(rest),
            b"nbds" | b"nbds+unix" => Err(NbdError::Tls),
            _ => Err(NbdError::Address(
                "it begins neither with nbd:// nor with nbd+unix://",
            )),
        })
    }

    fn of_tcp(rest: &[u8]) -> Result<Self, NbdError> {
        let (authority, path, query) = parts(rest);
        socket_of(query)?.map_or(Ok(()), |_| {
            Err(NbdError::Address("a socket belongs to nbd+unix://"))
        })?;
        let authority = std::str::from_utf8(authority)
            .map_err(|_| NbdError::Address("the name of the host is not text"))?;
        let machine = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
        let (host, port) = match machine.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6
                    .split_once(']')
                    .ok_or(NbdError::Address("a [ has no ] that belongs to it"))?;
                match (rest, rest.strip_prefix(':')) {
                    ("", _) => (host, None),
                    (_, Some(port)) => (host, Some(port)),
                    _ => {
                        return Err(NbdError::Address(
                            "a ] is followed by something else than :PORT",
                        ));
                    }
                }
            }
            None => match machine.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (machine, None),
            },
        };
        let port = port.map_or(Ok(DEFAULT_PORT), |port| {
            let number = port.parse().ok().filter(|number| *number != 0);
            number.ok_or(NbdError::Address("the port is no number up to 65535"))
        })?;
        if host.is_empty() {
            return Err(NbdError::Address("it names no host"));
        }
        Ok(Address {
            server: Server::Tcp {
                host: host.to_ascii_lowercase(),
                port,
            },
            export: export_of(path)?,
        })
    }

    fn of_unix(rest: &[u8]) -> Result<Self, NbdError> {
        let (authority, path, query) = parts(rest);
        if !authority.is_empty() {
            return Err(NbdError::Address(
                "nbd+unix: is followed by three slashes, then the name of the export",
            ));
        }
        let socket = socket_of(query)?.ok_or(NbdError::Address(
            "it names no socket; that is at the end: ?socket=PATH",
        ))?;
        Ok(Address {
            server: Server::Unix(socket),
            export: export_of(path)?,
        })
    }

    /// What a copy of the export is called in a directory of copies.
    pub fn file_name(&self) -> &str {
        let last = self.export.rsplit('/').next().unwrap_or_default();
        match last {
            "" | "." | ".." => "export",
            name => name,
        }
    }
}

/// The part before `://` where it is one of NBD's, in whatever letters (RFC 3986, 3.1), and the part behind it.
fn scheme(name: &Path) -> Option<(&[u8], &[u8])> {
    let name = name.as_os_str().as_bytes();
    let end = name.windows(3).position(|three| three == b"://")?;
    let scheme = &name[..end];
    let is_nbd = scheme
        .get(..3)
        .is_some_and(|it| it.eq_ignore_ascii_case(b"nbd"));
    is_nbd.then(|| (scheme, &name[end + 3..]))
}

/// Authority, path without its first slash, and query.
fn parts(rest: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let split = |text: &'_ [u8], at: u8| text.iter().position(|byte| *byte == at);
    let (before, query) = match split(rest, b'?') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, &rest[rest.len()..]),
    };
    match split(before, b'/') {
        Some(at) => (&before[..at], &before[at + 1..], query),
        None => (before, &before[before.len()..], query),
    }
}

/// The socket in a query, which may hold nothing else.
fn socket_of(query: &[u8]) -> Result<Option<PathBuf>, NbdError> {
    let mut socket = None;
    for pair in query
        .split(|byte| *byte == b'&')
        .filter(|it| !it.is_empty())
    {
        if pair.starts_with(b"tls-") {
            return Err(NbdError::Tls);
        }
        let Some(value) = pair.strip_prefix(b"socket=") else {
            return Err(NbdError::Address(
                "it has a part behind the ? other than socket=PATH",
            ));
        };
        let path: Vec<u8> = percent_decode(value).collect();
        if path.is_empty() || socket.is_some() {
            return Err(NbdError::Address("it must name one socket"));
        }
        socket = Some(PathBuf::from(OsString::from_vec(path)));
    }
    Ok(socket)
}

fn export_of(path: &[u8]) -> Result<String, NbdError> {
    let name = percent_decode(path).decode_utf8();
    let name = name.map_err(|_| NbdError::Address("the name of the export is not UTF-8"))?;
    if name.len() > LONGEST_NAME || name.contains('\0') {
        return Err(NbdError::Address(
            "the name of the export cannot be that of one",
        ));
    }
    Ok(name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, String), String> {
        let address = Address::parse(text.as_ref()).ok_or("none")?;
        let address = address.map_err(|error| error.to_string())?;
        Ok((address.server.to_string(), address.export))
    }

    #[test]
    fn an_address_names_a_server_and_an_export() {
        for (text, server, export) in [
            ("nbd://lab", "lab:10809", ""),
            ("nbd://LAB/", "lab:10809", ""),
            ("nbd://lab:10/a/b", "lab:10", "a/b"),
            ("nbd://me@lab/x", "lab:10809", "x"),
            ("nbd://[::1]:7/x", "[::1]:7", "x"),
            ("nbd://[fe80::1]", "[fe80::1]:10809", ""),
            ("nbd+unix:///?socket=/run/x", "/run/x", ""),
            ("nbd+unix:///a%20b?socket=/run/x%3Fy", "/run/x?y", "a b"),
            ("nbd+unix:///n?socket=rel/x", "rel/x", "n"),
        ] {
            let expected = Ok((server.to_owned(), export.to_owned()));
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_from_one_that_is_wrong() {
        for text in ["stick.img", "/dev/sda", "nbd", "nbd:x", "./nbd://x", ""] {
            assert!(!Address::is_one(text.as_ref()), "{text}");
        }
        for text in [
            "nbd://",
            "nbd:///x",
            "nbd://lab:0/x",
            "nbd://lab:65536",
            "nbd://lab:x",
            "nbd://[::1",
            "nbd://[::1]10999/x",
            "nbd://[::1].lab/x",
            "nbd://lab/x?socket=/run/x",
            "nbd+unix:///x",
            "nbd+unix:///x?socket=",
            "nbd+unix:///x?socket=/a&socket=/b",
            "nbd+unix://lab/x?socket=/a",
            "nbd+unix:///x?sock=/a",
            "nbd+unix:///%00?socket=/a",
            "nbd+unix:///%ff?socket=/a",
            "nbd+vsock://1/x",
        ] {
            assert!(parse(text).is_err_and(|text| text != "none"), "{text}");
        }
        for text in [
            "nbds://lab/x",
            "nbds+unix:///x?socket=/a",
            "nbd://lab/x?tls-certificates=/y",
        ] {
            assert!(parse(text).is_err_and(|said| said.contains("TLS")));
        }
    }

    #[test]
    fn a_copy_is_called_by_the_last_part_of_the_exports_name() {
        for (text, name) in [
            ("nbd://h/a/b", "b"),
            ("nbd://h", "export"),
            ("nbd://h/..", "export"),
        ] {
            let address = Address::parse(text.as_ref()).unwrap().unwrap();
            assert_eq!(address.file_name(), name);
        }
    }
}
