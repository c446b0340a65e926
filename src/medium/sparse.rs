//! Reading all of a medium without reading its holes.

use super::{ReadAt, Target, check_range};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

/// A medium read from end to end: what its file system says is a hole is zeros without being
/// read.
#[derive(Clone, Copy, Debug)]
pub struct SparseReads<'t>(&'t Target);

impl<'t> SparseReads<'t> {
    /// The medium of `target`.
    pub fn new(target: &'t Target) -> Self {
        SparseReads(target)
    }
}

impl ReadAt for SparseReads<'_> {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        check_range(offset, buf.len(), self.size())?;
        let Some(file) = self.0.file() else {
            return self.0.read_at(buf, offset);
        };
        let end = offset + buf.len() as u64;
        let mut position = offset;
        let mut rest = buf;
        while !rest.is_empty() {
            let data = next_data(Some(file), position, end)?.unwrap_or(end..end);
            let hole = usize::try_from(data.start - position).map_err(io::Error::other)?;
            let (zeros, later) = rest.split_at_mut(hole.min(rest.len()));
            zeros.fill(0);
            let len = usize::try_from(data.end.min(end) - data.start).map_err(io::Error::other)?;
            let (piece, later) = later.split_at_mut(len.min(later.len()));
            file.read_exact_at(piece, data.start)?;
            rest = later;
            position = data.end.min(end);
        }
        Ok(())
    }
}

/// The next range of a file that is not a hole, from `position` on; all of what is left where
/// there is no file, or a file system that does not tell.
///
/// # Errors
/// A file that has become shorter than `size`: behind its end is no hole.
pub(super) fn next_data(
    file: Option<&File>,
    position: u64,
    size: u64,
) -> io::Result<Option<Range<u64>>> {
    if position >= size {
        return Ok(None);
    }
    let Some(file) = file else {
        return Ok(Some(position..size));
    };
    let data = match rustix::fs::seek(file, SeekFrom::Data(position)) {
        Ok(start) if start >= size => None,
        Ok(start) => {
            let hole = rustix::fs::seek(file, SeekFrom::Hole(start));
            Some(start..hole.unwrap_or(size).clamp(start + 1, size))
        }
        Err(Errno::NXIO) => None,
        Err(_) => Some(position..size),
    };
    if data.is_none() {
        check_length(file, size)?;
    }
    Ok(data)
}

/// Whether a regular file is still as long as it was.
///
/// # Errors
/// It is shorter.
pub(super) fn check_length(file: &File, size: u64) -> io::Result<()> {
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.len() < size {
        Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!(
                "it was cut off meanwhile, from {size} bytes to {}",
                metadata.len()
            ),
        ))
    } else {
        Ok(())
    }
}
