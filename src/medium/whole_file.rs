//! A file that is read as a whole and replaced as a whole: a state that is in no bank.
//!
//! Its new content goes into a new file beside it, which is synced and then takes its name
//! ([`OutputFile`]): at every cut the name leads to the old content or to the new one. Mode, owner
//! and access list are kept. Other names of the same file (hard links) keep the old content.

use super::copy::OutputFile;
use super::image::{claim, lock_shared};
use super::node::Node;
use super::{Access, Identity, MediumError};
use crate::host::Host;
use rustix::fs::{Gid, Mode, Uid, XattrFlags};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The extended attribute that holds an access list.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// A regular file, open and locked until this value is dropped, with all its bytes.
#[derive(Debug)]
pub struct WholeFile {
    file: File,
    path: PathBuf,
    bytes: Vec<u8>,
    identity: Identity,
}

impl WholeFile {
    /// Reads a file of at most `limit` bytes, under a shared lock where the file system has locks.
    ///
    /// # Errors
    /// Each reason it cannot be had is its own variant of [`MediumError`].
    pub fn open_read(path: &Path, host: &Host, limit: u64) -> Result<Self, MediumError> {
        let node = Node::look_up(path, host)?;
        let file = node.open_file(Access::Read)?;
        lock_shared(&node, &file)?;
        Self::new(&node, file, limit)
    }

    /// The same for a file that is to be replaced: no other run of this program has it.
    ///
    /// # Errors
    /// As [`WholeFile::open_read`].
    pub fn claim(path: &Path, host: &Host, limit: u64) -> Result<Self, MediumError> {
        let node = Node::look_up(path, host)?;
        let file = node.open_file(Access::Write)?;
        claim(&node, &file)?;
        let claimed = Self::new(&node, file, limit)?;
        // Another run may have put its result in place between the look and the lock.
        claimed.check_name()?;
        Ok(claimed)
    }

    fn new(node: &Node<'_>, file: File, limit: u64) -> Result<Self, MediumError> {
        let mut bytes = Vec::new();
        (&file)
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|source| node.io_error("read", source))?;
        let path = node.path().to_owned();
        match bytes.len() as u64 {
            0 => Err(MediumError::Empty { path }),
            len if len > limit => Err(MediumError::TooLarge { path, limit }),
            _ => Ok(WholeFile {
                file,
                path,
                bytes,
                identity: node.file_identity(),
            }),
        }
    }

    /// Its content as it was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The name it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Which file it is.
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Gives a claimed file new content: it is written into `new`, an empty
    /// [`OutputFile::create_like`] of this file.
    ///
    /// # Errors
    /// [`MediumError::ChangedSince`], [`MediumError::NoSpace`] and what the operating system reported.
    /// The name leads to the old content then. With [`MediumError::NotDurable`] it leads to the new one, and may
    /// lead to the old one again after a power cut.
    pub fn replace(&self, mut new: OutputFile, content: &[u8]) -> Result<(), MediumError> {
        // A link may lead elsewhere than when the one or the other followed it.
        if !new.is_to_replace(&self.identity) {
            return Err(self.changed());
        }
        new.write_all(content)
            .map_err(|error| new.write_error(error))?;
        self.check_unchanged()?;
        new.publish()
    }

    /// That the file still holds what was read, and still has its name.
    fn check_unchanged(&self) -> Result<(), MediumError> {
        let mut now = vec![0; self.bytes.len()];
        let read = self.file.read_exact_at(&mut now, 0);
        let len = self
            .file
            .metadata()
            .map_err(|error| self.failed(error))?
            .len();
        if read.is_err() || len != now.len() as u64 || now != self.bytes {
            return Err(self.changed());
        }
        self.check_name()
    }

    fn check_name(&self) -> Result<(), MediumError> {
        let there = std::fs::metadata(&self.path).ok();
        match there.map(|found| Identity::of_file(&found)) {
            Some(found) if found == self.identity => Ok(()),
            _ => Err(self.changed()),
        }
    }

    fn changed(&self) -> MediumError {
        let path = self.path.clone();
        MediumError::ChangedSince { path }
    }

    fn failed(&self, source: io::Error) -> MediumError {
        MediumError::Io {
            op: "read",
            path: self.path.clone(),
            source,
        }
    }
}

impl OutputFile {
    /// Begins a file that is to take the place of the one called `path`, and has its owner, its access
    /// list and its permission bits.
    ///
    /// # Errors
    /// As [`OutputFile::create`]; [`MediumError::NotKept`].
    pub fn create_like(path: &Path) -> Result<Self, MediumError> {
        let new = OutputFile::create(path, true, 0o600)?;
        let like = || -> io::Result<()> {
            let old = File::open(path)?;
            keep(&old, &old.metadata()?, new.file())
        };
        like().map_err(|source| MediumError::NotKept {
            path: path.to_owned(),
            source,
        })?;
        Ok(new)
    }

    /// The same without a change of owner, access list or mode: where the new file would not have those of
    /// the old one by itself, there is none.
    ///
    /// # Errors
    /// As [`OutputFile::create_like`].
    pub fn create_if_like(path: &Path) -> Result<Self, MediumError> {
        let not_kept = |source| MediumError::NotKept {
            path: path.to_owned(),
            source,
        };
        let of = |file: &File| -> io::Result<_> {
            let it = file.metadata()?;
            Ok((it.mode() & 0o7777, it.uid(), it.gid(), access_list(file)?))
        };
        let old = File::open(path)
            .and_then(|old| of(&old))
            .map_err(not_kept)?;
        let new = OutputFile::create(path, true, old.0)?;
        if of(new.file()).map_err(not_kept)? == old {
            Ok(new)
        } else {
            Err(not_kept(io::Error::other("the sandbox does not allow it")))
        }
    }
}

/// Gives a new file the owner, the access list and the mode of an old one, in this order: a change
/// of owner takes bits of the mode away.
fn keep(old: &File, metadata: &Metadata, new: &File) -> io::Result<()> {
    let own = new.metadata()?;
    if (own.uid(), own.gid()) != (metadata.uid(), metadata.gid()) {
        let owner = Some(Uid::from_raw(metadata.uid()));
        rustix::fs::fchown(new, owner, Some(Gid::from_raw(metadata.gid())))?;
    }
    match access_list(old)? {
        Some(list) => rustix::fs::fsetxattr(new, ACCESS_LIST, &list, XattrFlags::empty())?,
        // Without one there must not be the one that the directory gives to new files.
        None => match rustix::fs::fremovexattr(new, ACCESS_LIST) {
            Ok(()) | Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno.into()),
        },
    }
    rustix::fs::fchmod(new, Mode::from_raw_mode(metadata.mode() & 0o7777))?;
    Ok(())
}

/// Who else may do what with a file, as the kernel keeps it; `None` where the mode says it all.
fn access_list(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut list = vec![0; 64 << 10];
    match rustix::fs::fgetxattr(file, ACCESS_LIST, &mut list[..]) {
        Ok(len) => {
            list.truncate(len);
            Ok(Some(list))
        }
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
