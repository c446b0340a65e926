//! The `fatfs` crate as a second, independent FAT reader, over a medium it cannot write to.
//!
//! That crate trusts what it reads. It is only shown volumes that passed [`Geometry::parse`]
//! and [`Volume::check`], which rule out what its version 0.3.6 would stumble over:
//!
//! | damage | what it would do | ruled out by |
//! |---|---|---|
//! | FAT32, more FATs than two | other code paths, overflow in the size of all FATs | `Geometry::parse` |
//! | volume larger than the partition, FAT too small | accepts it, fails on a later read | `Geometry::parse` |
//! | root entries that fill no whole sectors | reads slots past the root directory | `Geometry::parse` |
//! | file or chain with cluster 1 | subtracts 2 from it: panic or wrap | `ChainOutOfRange`, `FirstCluster` |
//! | cluster past the end | reads elsewhere | the same |
//! | looping directory chain | never ends | `ChainLoop` |
//! | subdirectory with first cluster 0 | opens the root directory in its place, endless walk | `FirstCluster` |
//! | directory within itself | endless walk | `ChainsCross` |
//! | file of more bytes than its chain | silently shorter | `ChainShort` |
//!
//! Dates, attributes and long names are decoded by it without a way to panic. It demands the
//! signature 55AA and the unused one of the two fields for the number of sectors to be 0,
//! which ESXi's loader does not: it is shown both. Sectors of 512 to 4096 bytes are fine.
//!
//! [`Geometry::parse`]: super::Geometry::parse
//! [`Volume::check`]: super::Volume::check

use super::FatError;
use super::reach::Reach;
use super::volume::Volume;
use crate::medium::{MediumError, ReadAt, Window};
use fatfs::{DirEntry, FileSystem, FsOptions};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Bytes read at once where the crate asks for a few, and where those cannot be had.
const BLOCK: u64 = 4096;
const SECTOR: u64 = 512;

type Dir<'f, 'm> = fatfs::Dir<'f, ReadOnly<'m>>;

/// Holds what the crate finds in a checked volume against `reach`: every directory with the
/// same entries in the same order, every file seekable to its full length, and the files whose
/// content is known (by index among the nodes) byte for byte. That is asked for one file at a time.
pub(super) fn agree<'c>(
    volume: &Volume<'_>,
    reach: &Reach,
    content_of: &dyn Fn(usize) -> Result<Option<Cow<'c, [u8]>>, FatError>,
) -> Result<(), FatError> {
    let disk = ReadOnly::new(*volume.window());
    let fs = FileSystem::new(disk, FsOptions::new()).map_err(|error| failed("opening", &error))?;
    let mut children = vec![Vec::new(); reach.nodes().len() + 1];
    for (index, node) in reach.nodes().iter().enumerate() {
        children[node.parent().map_or(0, |parent| parent + 1)].push(index);
    }
    let mut directories: VecDeque<(usize, Dir<'_, '_>)> = VecDeque::from([(0, fs.root_dir())]);
    while let Some((at, directory)) = directories.pop_front() {
        let mut expected = children[at].iter();
        for entry in directory.iter() {
            let entry = entry.map_err(|error| failed("a directory", &error))?;
            if matches!(entry.short_file_name_as_bytes(), b"." | b"..") {
                continue;
            }
            let Some(&index) = expected.next() else {
                return Err(differs(&entry.short_file_name(), "exists"));
            };
            if entry.is_dir() {
                compare(&entry, reach, index)?;
                directories.push_back((index + 1, entry.to_dir()));
            } else {
                compare(&entry, reach, index)?;
                read_through(&entry, reach, index, content_of(index)?.as_deref())?;
            }
        }
        if let Some(&index) = expected.next() {
            return Err(differs(&reach.path(index), "does not exist"));
        }
    }
    Ok(())
}

fn compare(
    entry: &DirEntry<'_, ReadOnly<'_>>,
    reach: &Reach,
    index: usize,
) -> Result<(), FatError> {
    let ours = reach.nodes()[index].entry();
    let same_name = entry.short_file_name_as_bytes() == dotted(&ours.raw_name());
    let same_kind = entry.is_dir() == ours.is_directory();
    let same_size = entry.is_dir() || entry.len() == u64::from(ours.size());
    let same_attributes = entry.attributes().bits() == ours.attributes() & 0x3f;
    if same_name && same_kind && same_size && same_attributes {
        return Ok(());
    }
    let what = format!(
        "has {} bytes and is named {}",
        entry.len(),
        entry.short_file_name()
    );
    Err(differs(&reach.path(index), &what))
}

/// Seeks to the end of a file, and compares its content where it is known.
fn read_through(
    entry: &DirEntry<'_, ReadOnly<'_>>,
    reach: &Reach,
    index: usize,
    content: Option<&[u8]>,
) -> Result<(), FatError> {
    let mut file = entry.to_file();
    let path = || reach.path(index);
    let end = file
        .seek(SeekFrom::End(0))
        .map_err(|error| failed(&path(), &error))?;
    if end != entry.len() {
        return Err(differs(&path(), &format!("ends at byte {end}")));
    }
    let Some(mut expected) = content else {
        return Ok(());
    };
    file.seek(SeekFrom::Start(0))
        .map_err(|error| failed(&path(), &error))?;
    let mut buf = vec![0; 1 << 16];
    loop {
        let len = file
            .read(&mut buf)
            .map_err(|error| failed(&path(), &error))?;
        let Some(now) = expected.split_off(..len) else {
            return Err(differs(&path(), "is longer than its new content"));
        };
        if now != &buf[..len] {
            return Err(differs(&path(), "does not hold its new content"));
        }
        if len == 0 {
            break;
        }
    }
    if expected.is_empty() {
        Ok(())
    } else {
        Err(differs(&path(), "is shorter than its new content"))
    }
}

/// The eleven name bytes as the crate writes them: base, dot, extension, 05 for E5 undone.
fn dotted(raw: &[u8; 11]) -> Vec<u8> {
    let used = |part: &[u8]| {
        part.iter()
            .rposition(|&byte| byte != b' ')
            .map_or(0, |at| at + 1)
    };
    let (base, extension) = raw.split_at(8);
    let mut name = base[..used(base)].to_vec();
    let extension = &extension[..used(extension)];
    if !extension.is_empty() {
        name.push(b'.');
        name.extend(extension);
    }
    if let Some(first) = name.first_mut().filter(|first| **first == 0x05) {
        *first = 0xe5;
    }
    name
}

fn failed(at: &str, error: &io::Error) -> FatError {
    let what = format!("{at}: {error}");
    // The crate's own errors carry no errno.
    let of_the_medium = error
        .get_ref()
        .is_some_and(|inner| inner.is::<MediumError>());
    if error.raw_os_error().is_some() || of_the_medium {
        return FatError::SecondReaderRead { what };
    }
    FatError::SecondReader { what }
}

fn differs(file: &str, what: &str) -> FatError {
    FatError::SecondReader {
        what: format!("for it {file} {what}"),
    }
}

/// A volume as a file that cannot be written. Small reads are served from one block.
struct ReadOnly<'m> {
    window: Window<&'m dyn ReadAt>,
    position: u64,
    block: Vec<u8>,
    block_start: u64,
}

impl<'m> ReadOnly<'m> {
    fn new(window: Window<&'m dyn ReadAt>) -> Self {
        ReadOnly {
            window,
            position: 0,
            block: Vec::new(),
            block_start: 0,
        }
    }

    /// Makes `block` the one that holds the current position.
    fn load(&mut self) -> io::Result<()> {
        let start = self.position - self.position % BLOCK;
        let end = self.block_start + self.block.len() as u64;
        if (self.block_start..end).contains(&self.position) {
            return Ok(());
        }
        // A sector that cannot be read is none of the crate's business unless it asks for it.
        let sector_start = self.position - self.position % SECTOR;
        let (block, start) = match self.read_block(start, BLOCK) {
            Ok(block) => (block, start),
            Err(_) => (self.read_block(sector_start, SECTOR)?, sector_start),
        };
        self.block = block;
        self.block_start = start;
        Ok(())
    }

    fn read_block(&self, start: u64, len: u64) -> io::Result<Vec<u8>> {
        let len = len.min(self.window.size() - start);
        let len = usize::try_from(len).unwrap_or(0);
        let mut block = self.window.read_vec(start, len)?;
        if start == 0 {
            as_the_crate_wants(&mut block);
        }
        Ok(block)
    }
}

/// What the crate demands of a boot sector and ESXi's loader does not look at.
fn as_the_crate_wants(boot: &mut [u8]) {
    if let Some(signature) = boot.get_mut(510..512) {
        signature.copy_from_slice(&[0x55, 0xaa]);
    }
    let short_total = boot.get(19..21).is_some_and(|field| field != [0, 0]);
    if let Some(long_total) = boot.get_mut(32..36).filter(|_| short_total) {
        long_total.fill(0);
    }
}

impl Read for ReadOnly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.window.size().saturating_sub(self.position);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if len == 0 {
            return Ok(0);
        }
        let len = if len as u64 >= BLOCK {
            self.window.read_at(&mut buf[..len], self.position)?;
            len
        } else {
            self.load()?;
            let within = usize::try_from(self.position - self.block_start).unwrap_or(usize::MAX);
            let known = self.block.get(within..).unwrap_or_default();
            let len = len.min(known.len());
            buf[..len].copy_from_slice(&known[..len]);
            len
        };
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for ReadOnly<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.window.size().checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Write for ReadOnly<'_> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A medium of which one sector cannot be read.
    struct Worn {
        bytes: Vec<u8>,
        bad: std::ops::Range<u64>,
    }

    impl ReadAt for Worn {
        fn size(&self) -> u64 {
            self.bytes.size()
        }

        fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
            let end = offset + buf.len() as u64;
            if offset < self.bad.end && end > self.bad.start {
                return Err(io::Error::from_raw_os_error(5));
            }
            self.bytes.read_at(buf, offset)
        }
    }

    #[test]
    fn a_sector_that_cannot_be_read_spoils_none_of_those_around_it() {
        let bad = 9 * SECTOR..10 * SECTOR;
        let bytes: Vec<u8> = (0..=250).cycle().take(1 << 14).collect();
        let worn = Worn {
            bytes: bytes.clone(),
            bad: bad.clone(),
        };
        let window = Window::new(&worn as &dyn ReadAt, 0, bytes.size());
        let mut disk = ReadOnly::new(window.unwrap());
        for (at, expected) in bytes.iter().enumerate().skip(512).step_by(5) {
            let at = at as u64;
            let mut buf = [0];
            disk.seek(SeekFrom::Start(at)).unwrap();
            match disk.read_exact(&mut buf) {
                Ok(()) => assert_eq!(buf[0], *expected),
                Err(error) => assert!(bad.contains(&at), "byte {at}: {error}"),
            }
            assert!(!bad.contains(&at) || disk.read_exact(&mut buf).is_err());
        }
    }

    /// A volume with one file, made by the crate, and where that file's entry is.
    fn volume_with_a_file() -> (Vec<u8>, usize) {
        let mut disk = io::Cursor::new(vec![0; 8 << 20]);
        fatfs::format_volume(&mut disk, fatfs::FormatVolumeOptions::new()).unwrap();
        let fs = FileSystem::new(&mut disk, FsOptions::new()).unwrap();
        let mut file = fs.root_dir().create_file("A.TXT").unwrap();
        file.write_all(b"content").unwrap();
        drop(file);
        fs.unmount().unwrap();
        let bytes = disk.into_inner();
        let name = b"A       TXT";
        let at = bytes.windows(name.len()).position(|it| it == name);
        (bytes, at.unwrap())
    }

    /// What a change of one byte of an entry makes of a volume is another directory than the one that was read.
    #[test]
    fn an_entry_that_is_not_the_one_that_was_read_is_met() {
        let (bytes, entry) = volume_with_a_file();
        fn volume(bytes: &dyn ReadAt) -> Volume<'_> {
            Volume::open(bytes, 0..8 << 20, 512).unwrap()
        }
        let whole = volume(&bytes);
        let reach = whole.check().unwrap();
        let unknown = |_| Ok(None);
        agree(&whole, &reach, &unknown).unwrap();
        const NAME: usize = 0;
        const ATTRIBUTES: usize = 11;
        const SIZE: usize = 28;
        for (what, at, byte) in [
            ("name", NAME, b'B'),
            ("attributes", ATTRIBUTES, 0x01),
            ("kind", ATTRIBUTES, 0x10),
            ("size", SIZE, 9),
        ] {
            let mut other = bytes.clone();
            other[entry + at] = byte;
            let found = agree(&volume(&other), &reach, &unknown);
            assert!(
                matches!(found, Err(FatError::SecondReader { .. })),
                "{what}: {found:?}"
            );
        }
    }

    #[test]
    fn an_error_of_the_medium_is_told_from_one_of_the_volume() {
        let gone = MediumError::Empty {
            path: std::path::PathBuf::from("x"),
        };
        for (error, of_the_medium) in [
            (io::Error::from_raw_os_error(5), true),
            (io::Error::other(gone), true),
            (io::Error::other("no such cluster"), false),
            (io::ErrorKind::UnexpectedEof.into(), false),
        ] {
            let told = failed("a.txt", &error);
            let is_read = matches!(told, FatError::SecondReaderRead { .. });
            assert_eq!(is_read, of_the_medium, "{error}");
        }
    }
}
