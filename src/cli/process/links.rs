//! Connections to media that another process holds. They are made before the process confines
//! itself, which leaves it no way to open another; what is open serves until the end.

use super::Needs;
use super::qemu::{Cache, Qemu, Server, format_of};
use crate::host::Host;
use crate::medium::nbd::{Address, Export, NbdError};
use crate::medium::virtual_disk::{DiskFormat, VirtualDiskError};
use crate::medium::{Access, ClaimedTarget, MediumError, Target, open_path};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// So many virtual disks are opened by one run: for each of them there is a process.
const MOST_DISKS: usize = 32;

/// The media of a run: those that are connected to, and the way to all others.
#[derive(Debug, Default)]
pub struct Links {
    by_name: BTreeMap<PathBuf, Link>,
}

/// A medium that is connected to.
#[derive(Debug)]
struct Open {
    export: Arc<Export>,
    /// The server, where it is one of this process.
    server: Option<Server>,
    /// A server that waits for a copy of a virtual disk, or why there can be no copy.
    of_copy: Mutex<Option<Result<Server, VirtualDiskError>>>,
}

impl Open {
    fn of_export(export: Arc<Export>) -> Self {
        Open {
            export,
            server: None,
            of_copy: Mutex::default(),
        }
    }

    /// Looks at a virtual disk, starts a server for it, and another one where a copy of it is to be made.
    fn virtual_disk(
        qemu: Option<&Qemu>,
        (path, format): (&Path, DiskFormat),
        access: Access,
        needs: &Needs,
        host: &Host,
    ) -> Result<Self, MediumError> {
        let failed = |error: VirtualDiskError| explained(error, path, host);
        let qemu = qemu.ok_or_else(|| failed(VirtualDiskError::NoQemu { format }))?;
        // What is looked at is what is held, whatever has the name then.
        let file = open_path(path).map_err(|error| MediumError::io("open", path, error))?;
        let info = qemu
            .inspect(path, format, access, needs.even_with_snapshots)
            .map_err(failed)?;
        let files = match access {
            Access::Read => Vec::new(),
            Access::Write => info.open_files(file).map_err(failed)?,
        };
        let (export, server) = serve(qemu, (path, format), &files, access, host)?;
        let of_copy = needs.copies.then(|| {
            info.check(path, Access::Write, true)?;
            info.check_one_file(path)?;
            // The copy has no name, and what is held does not get at the files of a process that is not.
            qemu.server(format, Access::Write, Cache::WriteThrough, None)
        });
        Ok(Open {
            export,
            server: Some(server),
            of_copy: Mutex::new(of_copy),
        })
    }
}

#[derive(Debug)]
enum Link {
    Open(Open),
    /// Why there is none, until somebody asks.
    Failed(Mutex<Option<MediumError>>),
}

impl Links {
    /// Connects to every NBD export, and starts a server for every virtual disk, among what is read
    /// and changed. What goes wrong is said when the target is opened. With `sandbox` a server can change nothing
    /// else, but for that of a copy.
    pub fn connect(needs: &mut Needs, sandbox: bool, host: &Host) -> Self {
        let mut links = Links::default();
        let qemu = Qemu::find(sandbox);
        for (path, access) in accesses(needs) {
            if links.by_name.contains_key(&path) {
                continue;
            }
            let opened = if Address::is_one(&path) {
                Export::connect(&path, access).map(Open::of_export)
            } else if needs.leaves_packed {
                continue;
            } else if let Some(format) = format_of(&path) {
                // Who writes to it is the server.
                needs.only_read(&path);
                let room = links.room();
                room.map_err(|error| explained(error, &path, host))
                    .and_then(|()| {
                        Open::virtual_disk(qemu.as_ref(), (&path, format), access, needs, host)
                    })
            } else {
                continue;
            };
            let link = match opened {
                Ok(open) => Link::Open(open),
                Err(error) => Link::Failed(Mutex::new(Some(error))),
            };
            links.by_name.insert(path, link);
        }
        links
    }

    /// Whether one more virtual disk can be opened.
    fn room(&self) -> Result<(), VirtualDiskError> {
        let served = |link: &&Link| matches!(link, Link::Open(open) if open.server.is_some());
        if self.by_name.values().filter(served).count() < MOST_DISKS {
            Ok(())
        } else {
            Err(VirtualDiskError::TooMany { most: MOST_DISKS })
        }
    }

    /// Opens a target to be read.
    ///
    /// # Errors
    /// As [`Target::open_read`].
    pub fn open_read(&self, path: &Path, host: &Host) -> Result<Target, MediumError> {
        match self.export(path)? {
            Some(export) => Ok(Target::Export(export)),
            None => Target::open_read(path, host),
        }
    }

    /// Opens a target to be changed.
    ///
    /// # Errors
    /// As [`ClaimedTarget::open`].
    pub fn claim(&self, path: &Path, host: &Host) -> Result<ClaimedTarget, MediumError> {
        match self.export(path)? {
            Some(export) => ClaimedTarget::from_export(export),
            None => ClaimedTarget::open(path, host),
        }
    }

    /// The export of that name, where it is one; the reason why it is not connected is told once.
    fn export(&self, path: &Path) -> Result<Option<Arc<Export>>, MediumError> {
        match self.by_name.get(path) {
            Some(Link::Open(open)) => Ok(Some(Arc::clone(&open.export))),
            Some(Link::Failed(why)) => {
                let why = why.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(why.unwrap_or_else(|| not_connected(path)))
            }
            // It is too late to connect now.
            None if Address::is_one(path) => Err(not_connected(path)),
            None => Ok(None),
        }
    }

    /// The server that waits for a copy of this virtual disk; `None` for what is none.
    ///
    /// # Errors
    /// Why a copy of the file would not be a copy of the disk, or could not be changed.
    pub fn server_of_copy(&self, path: &Path) -> Result<Option<Server>, MediumError> {
        let Some(Link::Open(Open { of_copy, .. })) = self.by_name.get(path) else {
            return Ok(None);
        };
        let waiting = of_copy
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        waiting.transpose().map_err(|error| error.in_file(path))
    }

    /// Takes leave of every server, and waits until those of this process have closed their files.
    /// Returns what went wrong with that; nothing that was flushed is lost by it.
    pub fn close(self) -> Vec<MediumError> {
        let mut servers = Vec::new();
        for (path, link) in self.by_name {
            if let Link::Open(open) = link {
                servers.extend(open.server.map(|server| (path, server)));
            }
        }
        let ended = servers.into_iter().map(|(path, server)| {
            let ended = server.end();
            ended.map_err(|error| error.in_file(&path))
        });
        ended.filter_map(Result::err).collect()
    }
}

/// Starts a server for the virtual disk in a file and connects to it.
fn serve(
    qemu: &Qemu,
    (path, format): (&Path, DiskFormat),
    writes: &[File],
    access: Access,
    host: &Host,
) -> Result<(Arc<Export>, Server), MediumError> {
    let failed = |error: VirtualDiskError| explained(error, path, host);
    let mut server = qemu
        .server(format, access, Cache::for_file(path), Some(writes))
        .map_err(failed)?;
    let connection = server.serve(path).map_err(failed)?;
    match Export::of_virtual_disk(connection, path, access, host) {
        Ok(export) => {
            server.met().map_err(failed)?;
            Ok((export, server))
        }
        // A server that cannot open the file says why and ends.
        Err(error @ MediumError::Nbd { .. }) => Err(match server.end() {
            Err(said) => failed(said),
            Ok(()) => error,
        }),
        Err(error) => Err(error),
    }
}

fn not_connected(path: &Path) -> MediumError {
    MediumError::Nbd {
        path: path.to_owned(),
        source: NbdError::Unreachable(io::ErrorKind::NotConnected.into()),
    }
}

/// An error of QEMU; where it says that another process has the file, with that.
fn explained(error: VirtualDiskError, path: &Path, host: &Host) -> MediumError {
    match error {
        VirtualDiskError::Locked => MediumError::locked_by_users(path, host),
        error => error.in_file(path),
    }
}

/// What is to be opened, and for what: what is changed is opened only once.
fn accesses(needs: &Needs) -> Vec<(PathBuf, Access)> {
    let writes = needs.writes.iter().map(|path| (path, Access::Write));
    let reads = needs.reads.iter().map(|path| (path, Access::Read));
    let both = writes.chain(reads);
    both.map(|(path, access)| (path.clone(), access)).collect()
}
