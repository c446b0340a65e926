//! What is left of an archive that is cut off or damaged: its members up to the damage.
//!
//! The bytes up to the damage are ended as an archive ends and then read by the strict reader, so
//! that a member which is found here is one that every reader would find.

use super::scan::BLOCK;
use super::{Archive, ArchiveError, Member};

/// Attempts at ending the archive before it is given up. Each leaves out one header that cannot be
/// read, and two in a row belong to one member at most.
const MAX_ATTEMPTS: usize = 8;

/// An archive of which the end, or all from some place on, is missing.
#[derive(Clone, Debug)]
pub struct Salvaged {
    archive: Archive,
    /// Bytes of it that were there; behind them are zeros.
    have: usize,
    fault: Option<ArchiveError>,
}

impl Archive {
    /// Locates the members of as much of an archive as there is. Where the last one lacks some of
    /// its data, zeros stand for that, up to a length of `limit` bytes in all.
    ///
    /// # Errors
    /// [`ArchiveError`] where no member can be made out, or there are too many.
    pub fn salvage(bytes: Vec<u8>, limit: u64) -> Result<Salvaged, ArchiveError> {
        let mut bytes = bytes;
        let mut have = bytes.len();
        let mut fault = None;
        for _ in 0..MAX_ATTEMPTS {
            let (error, returned) = match Archive::parse_or_return(bytes.into()) {
                Ok(archive) if archive.members.is_empty() && fault.is_some() => {
                    return Err(fault.unwrap_or(ArchiveError::NoEnd { offset: 0 }));
                }
                Ok(archive) => {
                    return Ok(Salvaged {
                        archive,
                        have,
                        fault,
                    });
                }
                Err(failed) => failed,
            };
            bytes = returned.into();
            let Some(offset) = error.offset() else {
                return Err(error);
            };
            let end = match padded_end(&error, limit) {
                Some(end) if end > bytes.len() => end,
                // The header cannot be read, or its data are too long to be filled up.
                _ => {
                    have = have.min(offset);
                    offset
                }
            };
            bytes.resize(end, 0);
            bytes.resize(end.saturating_add(2 * BLOCK), 0);
            fault.get_or_insert(error);
        }
        Err(fault.unwrap_or(ArchiveError::NoEnd { offset: 0 }))
    }
}

/// Where the data of a member end that are longer than the archive, their padding included.
fn padded_end(error: &ArchiveError, limit: u64) -> Option<usize> {
    let ArchiveError::PastEnd { offset, size, .. } = error else {
        return None;
    };
    let end = (*offset as u64)
        .checked_add(BLOCK as u64)?
        .checked_add(*size)?
        .checked_next_multiple_of(BLOCK as u64)?;
    usize::try_from(end).ok().filter(|_| end <= limit)
}

impl Salvaged {
    /// The members, as the strict reader finds them.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// What ended it early; `None` where the archive is complete.
    pub fn fault(&self) -> Option<&ArchiveError> {
        self.fault.as_ref()
    }

    /// Bytes of a member's data that are there.
    pub fn present(&self, member: &Member) -> usize {
        let data = &member.raw.data;
        self.have.min(data.end).saturating_sub(data.start)
    }

    /// The bytes of a file as far as they are there, and the member they belong to.
    ///
    /// # Errors
    /// As [`Archive::content`].
    pub fn content(
        &self,
        path: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<Option<(&Member, &[u8])>, ArchiveError> {
        let path = path.as_ref();
        let (Some(bytes), Some(member)) =
            (self.archive.content(path)?, self.archive.resolve(path)?)
        else {
            return Ok(None);
        };
        let present = bytes.get(..self.present(member)).unwrap_or(bytes);
        Ok(Some((member, present)))
    }
}
