//! A medium to be looked into: as it is, or unpacked on the way.

use super::Session;
use crate::cli::report::{Exit, Failure};
use crate::medium::{MediumError, OutputFile, ReadAt, Target};
use crate::target::{Kind, TooMuch, unpack};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// A medium to be looked into.
pub enum Source {
    /// As it is.
    Target(Box<Target>),
    /// A packed image, unpacked into a file that has no name.
    Unpacked(OutputFile),
}

impl Source {
    /// The medium as it was named; `None` where it was unpacked.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Source::Target(target) => Some(target),
            Source::Unpacked(_) => None,
        }
    }

    /// Logical sector size in bytes, where it has one.
    pub fn logical_sector_size(&self) -> Option<u32> {
        self.target()?.logical_sector_size()
    }
}

impl ReadAt for Source {
    fn size(&self) -> u64 {
        match self {
            Source::Target(target) => target.size(),
            Source::Unpacked(file) => file.size(),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Source::Target(target) => target.read_at(buf, offset),
            Source::Unpacked(file) => file.read_at(buf, offset),
        }
    }

    fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        match self {
            Source::Target(target) => target.read_vec(offset, len),
            Source::Unpacked(file) => file.read_vec(offset, len),
        }
    }
}

impl Session {
    /// Opens a medium to be looked into. A packed image is unpacked into the directory for temporary
    /// files.
    ///
    /// # Errors
    /// What keeps it from being opened or unpacked.
    pub fn open_source(&self, path: &Path) -> Result<Source, Failure> {
        let Kind::Packed(content) = Kind::of(path, &self.host)? else {
            let target = self.open_read(path)?;
            return Ok(Source::Target(Box::new(target)));
        };
        let directory = std::env::temp_dir();
        self.ui.detail(&format!(
            "{}: unpacked into a temporary file in {}",
            path.display(),
            directory.display()
        ));
        let proceed = &mut |_| {
            if self.interrupt.requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let bounds = self.common.bounds();
        let scratch = self.outputs.take_scratch(&directory);
        let unpacked = scratch.and_then(|scratch| unpack(path, content, bounds, scratch, proceed));
        unpacked.map(Source::Unpacked).map_err(|error| match &error {
            MediumError::Interrupted { .. } => {
                Failure::refused("interrupted").exit_with(Exit::Interrupted)
            }
            MediumError::NoSpace { .. } | MediumError::Io { .. } => Failure::from(error).hint(format!(
                "a packed image is unpacked into a temporary file in {}; TMPDIR names another directory",
                directory.display()
            )),
            _ => unpack_failure(error, path),
        })
    }
}

/// Why a packed image was not unpacked to its end.
pub fn unpack_failure(error: MediumError, path: &Path) -> Failure {
    let too_much = match &error {
        MediumError::Unpack { source } => TooMuch::in_error(source),
        _ => None,
    };
    let Some(too_much) = too_much else {
        return Failure::from(error).path(path);
    };
    let text = format!("{}: {too_much}", path.display());
    Failure::refused(text).path(path).hint(match too_much {
        TooMuch::BehindTheTable { .. } => {
            "nothing was written; if that is right, unpack the image first and work on that"
        }
        TooMuch::Data { .. } => {
            "nothing was written; if that size is right, allow it with --max-image SIZE"
        }
    })
}
