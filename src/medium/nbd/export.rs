//! An export as a medium: a connection with a socket below.
//!
//! Nothing here claims an export: the protocol has no locks, so it is the server that keeps others
//! out (`qemu-nbd` serves one client unless told otherwise, and locks the image file below).

use super::{Address, Connection, NbdError, Server};
use crate::host::Host;
use crate::medium::{
    Access, Identity, ImageFormat, MediumError, ReadAt, ReadOnlyReason, TargetKind, check_range,
};
use std::fs::File;
use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long is waited for a server to say anything, or to take what is said to it. A flush of a slow disk takes
/// seconds.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// What an export is called here, which need not be the name it has at its server.
#[derive(Clone, Debug)]
pub(in crate::medium) struct Place {
    pub(in crate::medium) path: PathBuf,
    pub(in crate::medium) identity: Identity,
    pub(in crate::medium) kind: TargetKind,
}

/// An export of an NBD server.
#[derive(Debug)]
pub struct Export {
    /// A socket. A `File` reads and writes one as well as the type it was made by, and needs to
    /// know neither its family nor more of the system than a process keeps that has confined itself.
    connection: Mutex<Connection<File>>,
    place: Place,
    access: Access,
    size: u64,
}

impl Export {
    /// Connects to the server that `path` is the address of, and finds out whether the export can be had as
    /// `access` says. For a program that may open no connection later: the connection serves any number of
    /// targets made from it ([`Target::Export`](crate::medium::Target::Export),
    /// [`ClaimedTarget::from_export`](crate::medium::ClaimedTarget::from_export)).
    ///
    /// # Errors
    /// [`MediumError::Nbd`], and [`MediumError::ReadOnly`] where the server takes no writes.
    pub fn connect(path: &Path, access: Access) -> Result<Arc<Self>, MediumError> {
        let failed = |source| MediumError::Nbd {
            path: path.to_owned(),
            source,
        };
        let address = Address::parse(path)
            .unwrap_or(Err(NbdError::Address("it does not begin with nbd")))
            .map_err(failed)?;
        let socket = dial(&address.server).map_err(|error| failed(NbdError::Unreachable(error)))?;
        let place = Place {
            path: path.to_owned(),
            identity: identity_of(&address),
            kind: TargetKind::Export,
        };
        Self::negotiate(socket, &address.export, place, access)
    }

    /// Takes a connected socket at whose other end a server is about to serve the virtual disk in the file `path`
    /// as the export without a name. How long is waited for it is up to whoever made the socket.
    ///
    /// # Errors
    /// As [`Export::connect`]; nothing by the name of `path`.
    pub fn of_virtual_disk(
        stream: UnixStream,
        path: &Path,
        access: Access,
        host: &Host,
    ) -> Result<Arc<Self>, MediumError> {
        let place = Place {
            path: path.to_owned(),
            identity: Identity::of(path, host)?,
            kind: TargetKind::VirtualDisk,
        };
        Self::negotiate(stream.into(), "", place, access)
    }

    fn negotiate(
        socket: OwnedFd,
        export: &str,
        place: Place,
        access: Access,
    ) -> Result<Arc<Self>, MediumError> {
        let failed = |source| MediumError::Nbd {
            path: place.path.clone(),
            source,
        };
        let mut connection = Connection::negotiate(File::from(socket), export).map_err(failed)?;
        let facts = connection.facts();
        if facts.size == 0 {
            return Err(MediumError::Empty { path: place.path });
        }
        if access == Access::Write && facts.read_only {
            return Err(MediumError::ReadOnly {
                path: place.path,
                why: ReadOnlyReason::Server,
            });
        }
        if access == Access::Write && !facts.can_flush {
            return Err(failed(NbdError::NoFlush));
        }
        let mut first = [0; ImageFormat::SNIFF_LEN];
        let len = usize::try_from(facts.size).map_or(first.len(), |size| size.min(first.len()));
        match connection.read(&mut first[..len], 0) {
            // What cannot be read is told of by where it is needed.
            Ok(()) | Err(NbdError::Request(_)) => {}
            Err(error) => return Err(failed(error)),
        }
        match ImageFormat::sniff(&first[..len]) {
            ImageFormat::Raw => {}
            format => {
                return Err(MediumError::Compressed {
                    path: place.path,
                    format,
                });
            }
        }
        Ok(Arc::new(Export {
            connection: Mutex::new(connection),
            place,
            access,
            size: facts.size,
        }))
    }

    /// The name it was opened by: an address, or the file that holds a virtual disk.
    pub fn path(&self) -> &Path {
        &self.place.path
    }

    /// Which medium it is.
    pub fn identity(&self) -> Identity {
        self.place.identity.clone()
    }

    /// An export somebody else serves, or a virtual disk that is served for this process.
    pub fn kind(&self) -> TargetKind {
        self.place.kind
    }

    /// Whether it was opened to be changed.
    pub fn access(&self) -> Access {
        self.access
    }

    /// [`crate::medium::WriteAt::write_at`] of a claimed export.
    pub(in crate::medium) fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        check_range(offset, data.len(), self.size)?;
        let written = self.connection().write(data, offset);
        written.map_err(|error| self.explain("writing", Some(offset), error))
    }

    /// [`crate::medium::WriteAt::sync`] of a claimed export: `NBD_CMD_FLUSH`.
    pub(in crate::medium) fn sync(&self) -> io::Result<()> {
        let flushed = self.connection().flush();
        flushed.map_err(|error| self.explain("syncing", None, error))
    }

    fn connection(&self) -> MutexGuard<'_, Connection<File>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn explain(&self, op: &'static str, offset: Option<u64>, error: NbdError) -> io::Error {
        match error {
            NbdError::Request(error) => error,
            error @ NbdError::Lost(_) => io::Error::other(MediumError::Vanished {
                path: self.place.path.clone(),
                op,
                offset,
                source: io::Error::other(error),
            }),
            error => io::Error::other(error),
        }
    }
}

impl ReadAt for Export {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.size)?;
        let read = self.connection().read(buf, offset);
        read.map_err(|error| self.explain("reading", Some(offset), error))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // Whatever matters was flushed; a server that is gone already misses nothing.
        let _ = self.connection().disconnect();
    }
}

/// Which medium an address leads to. A socket is known by its full name, whatever links lead to it.
pub(in crate::medium) fn identity_of(address: &Address) -> Identity {
    let server = match &address.server {
        Server::Unix(socket) => {
            let full = socket.canonicalize();
            full.unwrap_or_else(|_| socket.clone())
        }
        tcp => PathBuf::from(tcp.to_string()),
    };
    Identity::Export {
        server,
        name: address.export.clone(),
    }
}

fn dial(server: &Server) -> io::Result<OwnedFd> {
    match server {
        Server::Unix(socket) => {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(stream.into())
        }
        Server::Tcp { host, port } => {
            let stream = dial_tcp(host, *port)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.set_write_timeout(Some(TIMEOUT))?;
            Ok(stream.into())
        }
    }
}

fn dial_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
