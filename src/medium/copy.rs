//! A patched copy in the making: a new file that gets its name when it is complete.
//!
//! It is filled without a name, synced once, and given its name. Where the file system has no files
//! without a name (FAT, NFS) it has one of its own in the same directory, and a cut leaves that
//! other file (`.bootbank-….partial`), never half an output. Blocks of zeros are not written, so the
//! copy takes no more room than what is on the disk, however the source was stored.
//!
//! Nobody else can open a file without a name, so nobody can cut it short: once it is complete, it
//! is the one kind of file here that is read through a mapping ([`super::map`]).

use super::map::Mapping;
use super::naming::{
    create_error, directory_of, final_place, link, rename, rename_to_new, sync_directory,
    under_a_free_name, without_a_name,
};
use super::sparse::{check_length, next_data};
use super::{Identity, MediumError, ReadAt, Target, WriteAt, check_range};
use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Granularity of holes in bytes.
const BLOCK: usize = 4096;
const ZEROS: [u8; BLOCK] = [0; BLOCK];

/// Bytes held at once while copying.
const CHUNK: usize = 1 << 20;

/// A new file that nobody sees until it is published, and that is removed if it never is.
#[derive(Debug)]
pub struct OutputFile {
    file: File,
    name: Name,
    path: PathBuf,
    /// The file that publishing replaces.
    replaces: Option<Identity>,
    force: bool,
    size: u64,
}

/// A file that is complete and was never given a name: it is read, by many reads, and then gone.
#[derive(Debug)]
pub struct CompleteFile {
    file: OutputFile,
    mapping: Option<Mapping>,
}

/// What a file in the making is called.
#[derive(Debug)]
enum Name {
    /// Nothing yet.
    None,
    /// This, until it is published.
    Partial(PathBuf),
    /// What it is to be called.
    Final,
}

impl OutputFile {
    /// Begins a file that is to be called `path`, with permission bits `mode` less the umask. A
    /// file that has the name already is replaced with `force`, and stays as it is until then;
    /// where it is a link, what it leads to is replaced.
    ///
    /// # Errors
    /// [`MediumError::Exists`] without `force`; a directory or device of that name; what the
    /// operating system reported.
    pub fn create(path: &Path, force: bool, mode: u32) -> Result<Self, MediumError> {
        let (path, replaces) = final_place(path, force)?;
        let mode = Mode::from_raw_mode(mode & 0o666);
        let (file, name) = match without_a_name(&path, mode) {
            Some(file) => (file, Name::None),
            None => {
                let made = under_a_free_name(&path, |partial| {
                    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
                    rustix::fs::open(partial, flags | OFlags::NOFOLLOW, mode)
                });
                let (file, partial) = made.map_err(|errno| create_error(&path, errno))?;
                (file.into(), Name::Partial(partial))
            }
        };
        Ok(OutputFile {
            file,
            name,
            path,
            replaces,
            force,
            size: 0,
        })
    }

    /// Whether it leaves nothing behind should this process end now, and can be opened by nobody
    /// else.
    pub fn has_no_name(&self) -> bool {
        matches!(self.name, Name::None)
    }

    /// Whether publishing replaces this file.
    pub(super) fn is_to_replace(&self, file: &Identity) -> bool {
        self.replaces.as_ref() == Some(file)
    }

    /// Whether publishing replaces a file.
    pub fn replaces_a_file(&self) -> bool {
        self.replaces.is_some()
    }

    /// All of it is written, and it is only read from now on: through a mapping, where nobody else
    /// can open it.
    pub fn complete(self) -> CompleteFile {
        let unseen = self.has_no_name();
        let mapping = unseen.then(|| Mapping::of_own(&self.file, self.size));
        CompleteFile {
            mapping: mapping.flatten(),
            file: self,
        }
    }

    /// Begins a file in `directory` that never gets a name, for its owner alone: gone when it is
    /// closed, whatever happens.
    ///
    /// # Errors
    /// What the operating system reported.
    pub fn scratch(directory: &Path) -> Result<Self, MediumError> {
        let file = tempfile::tempfile_in(directory)
            .map_err(|error| MediumError::io("make a temporary file in", directory, error))?;
        Ok(OutputFile {
            file,
            name: Name::None,
            path: directory.to_owned(),
            replaces: None,
            force: false,
            size: 0,
        })
    }

    /// The directory in which a file that is to be called `path` is made.
    pub fn directory_for(path: &Path) -> PathBuf {
        match path.canonicalize() {
            Ok(full) if full.is_dir() => full,
            Ok(full) => directory_of(&full),
            Err(_) => directory_of(path),
        }
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The name it will have.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name under which another process of the same user can open it before it has its own.
    pub fn partial_path(&self) -> PathBuf {
        match &self.name {
            Name::None => PathBuf::from(format!(
                "/proc/{}/fd/{}",
                std::process::id(),
                self.file.as_raw_fd()
            )),
            Name::Partial(partial) => partial.clone(),
            Name::Final => self.path.clone(),
        }
    }

    /// Copies all of a medium into this file, by sharing its blocks where the file system can.
    /// `progress` is told the position reached, in bytes, and may break the copy off.
    ///
    /// # Errors
    /// [`MediumError::SameFile`] where publishing would replace the source itself,
    /// [`MediumError::NoSpace`], [`MediumError::Interrupted`], and what the operating system
    /// reported.
    pub fn fill_from(
        &mut self,
        source: &Target,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<(), MediumError> {
        if self.replaces == Some(source.identity()) {
            let path = self.path.clone();
            return Err(MediumError::SameFile { path });
        }
        let size = source.size();
        let file = source.file();
        let failed = |error| MediumError::io("copy", source.path(), error);
        if file.is_none_or(|file| rustix::fs::ioctl_ficlone(&self.file, file).is_err()) {
            let mut buf = vec![0; CHUNK];
            let mut position = 0;
            while let Some(data) = next_data(file, position, size).map_err(failed)? {
                position = data.start;
                while position < data.end {
                    let rest = usize::try_from(data.end - position).unwrap_or(CHUNK);
                    let piece = &mut buf[..rest.min(CHUNK)];
                    source.read_at(piece, position).map_err(failed)?;
                    self.write_sparse(piece, position)?;
                    position += piece.len() as u64;
                    self.report(progress, position)?;
                }
            }
        }
        // What was cut off meanwhile must not become zeros.
        file.map_or(Ok(()), |file| check_length(file, size))
            .map_err(failed)?;
        self.set_size(size)?;
        self.report(progress, size)
    }

    /// Fills this file with all a reader gives: an unpacked image. `progress` as for
    /// [`OutputFile::fill_from`]. Returns the number of bytes.
    ///
    /// # Errors
    /// As [`OutputFile::fill_from`]; what the reader reported is a [`MediumError::Unpack`].
    pub fn fill_from_reader(
        &mut self,
        reader: &mut dyn Read,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<u64, MediumError> {
        let mut buf = Vec::with_capacity(CHUNK);
        let mut position = 0;
        loop {
            buf.clear();
            let mut chunk = (&mut *reader).take(CHUNK as u64);
            let got = chunk
                .read_to_end(&mut buf)
                .map_err(|source| MediumError::Unpack { source })?;
            if got == 0 {
                break;
            }
            self.write_sparse(&buf, position)?;
            position += got as u64;
            self.report(progress, position)?;
        }
        self.set_size(position)?;
        Ok(position)
    }

    /// Syncs the file, gives it its name, and syncs the directory. Not every file system can do that last one, and not
    /// everyone who may make files in a directory may open it: then a cut leaves either the name or nothing.
    ///
    /// # Errors
    /// [`MediumError::Exists`] where a file of that name appeared meanwhile and there is no
    /// `force`; what the operating system reported. The file is then gone. [`MediumError::NotDurable`] where it
    /// has its name and the directory could not be synced.
    pub fn publish(mut self) -> Result<(), MediumError> {
        self.file
            .sync_all()
            .map_err(|error| self.write_error(error))?;
        self.give_name()
            .map_err(|errno| create_error(&self.path, errno))?;
        self.name = Name::Final;
        match sync_directory(&directory_of(&self.path)) {
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {
                let path = self.path.clone();
                Err(MediumError::NotDurable {
                    path,
                    source: error,
                })
            }
            _ => Ok(()),
        }
    }

    /// Gives the file the name it is to have.
    fn give_name(&mut self) -> Result<(), Errno> {
        if self.has_no_name() {
            match link(&self.file, &self.path) {
                Err(Errno::EXIST) if self.force => {}
                linked => return linked,
            }
            // A link takes no other's place; a rename does.
            let linked = under_a_free_name(&self.path, |partial| link(&self.file, partial));
            self.name = Name::Partial(linked?.1);
        }
        match &self.name {
            Name::Partial(partial) if self.force => {
                rename(partial, &self.path, RenameFlags::empty())
            }
            Name::Partial(partial) => rename_to_new(partial, &self.path),
            Name::None | Name::Final => Ok(()),
        }
    }

    /// Writes what is not zero; the file is still all holes at and after `position`.
    fn write_sparse(&mut self, bytes: &[u8], position: u64) -> Result<(), MediumError> {
        let is_zero = |block: &[u8]| ZEROS.starts_with(block);
        let mut at = position;
        for run in bytes
            .chunks(BLOCK)
            .collect::<Vec<_>>()
            .chunk_by(|left, right| is_zero(left) == is_zero(right))
        {
            let len: usize = run.iter().map(|block| block.len()).sum();
            if !run.first().is_some_and(|block| is_zero(block)) {
                let start = usize::try_from(at - position).unwrap_or(bytes.len());
                let data = bytes.get(start..start + len).unwrap_or_default();
                self.file
                    .write_all_at(data, at)
                    .map_err(|error| self.write_error(error))?;
            }
            at += len as u64;
        }
        Ok(())
    }

    fn set_size(&mut self, size: u64) -> Result<(), MediumError> {
        self.file
            .set_len(size)
            .map_err(|error| self.write_error(error))?;
        self.size = size;
        Ok(())
    }

    fn report(
        &self,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
        position: u64,
    ) -> Result<(), MediumError> {
        match progress(position) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(MediumError::Interrupted {
                path: self.path.clone(),
            }),
        }
    }

    /// What an error of a write to this file means.
    pub fn write_error(&self, source: io::Error) -> MediumError {
        let path = self.path.clone();
        match Errno::from_io_error(&source) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => {
                MediumError::NoSpace { path, source }
            }
            _ => MediumError::io("write", &path, source),
        }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Name::Partial(partial) = &self.name {
            let _ = std::fs::remove_file(partial);
        }
    }
}

impl ReadAt for OutputFile {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.size)?;
        self.file.read_exact_at(buf, offset)
    }
}

impl CompleteFile {
    /// Whether it is read through a mapping.
    pub fn is_mapped(&self) -> bool {
        self.mapping.is_some()
    }
}

impl ReadAt for CompleteFile {
    fn size(&self) -> u64 {
        self.file.size
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.file.size)?;
        match &self.mapping {
            Some(mapping) => mapping.read_at(&self.file.file, buf, offset),
            None => self.file.read_at(buf, offset),
        }
    }
}

/// A file without a name has nothing to lose, so nothing is synced before it is published.
impl WriteAt for OutputFile {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        check_range(offset, data.len(), self.size)?;
        self.file.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buf, offset)
    }
}

/// Appends: for a copy that is packed on its way.
impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.size)?;
        self.size = self.size.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
