//! A FAT volume opened for reading: boot sector, FATs and root directory in memory.
//!
//! Files are found and read as ESXi's own loader does: in the root directory only, by the
//! first slot whose eleven name bytes match, through the first copy of the FAT. What that
//! loader would stop at is an error here, and so is what it would silently take the wrong
//! way: a second slot of the same name, or a label in the file's place.

use super::FatError;
use super::cluster_set::ClusterSet;
use super::directory::{Entry, SLOT_LEN, entries, free_slots, short_name};
use super::geometry::{BOOT_FIELDS, ClusterId, FatKind, Geometry};
use super::known_head::KnownHead;
use super::table::{FatTable, Link};
use crate::bytes::{array, le16, le32};
use crate::medium::{ReadAt, Window};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

/// First bytes of the second sector of volumes VMware formatted.
pub(super) const MAGIC: &[u8; 16] = b"VMWARE FAT16    ";

/// The identity VMware gives a volume, in its second sector behind the magic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VolumeUuid(pub [u8; 16]);

impl fmt::Display for VolumeUuid {
    /// The spelling of `/vmfs/volumes`: two words, a half-word and six bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = le32(&self.0, 0).unwrap_or_default();
        let second = le32(&self.0, 4).unwrap_or_default();
        let third = le16(&self.0, 8).unwrap_or_default();
        write!(f, "{first:08x}-{second:08x}-{third:04x}-")?;
        self.0[10..]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Marks other systems leave on a volume that was not unmounted, or did not read well. They
/// are reported and kept; ESXi's loader ignores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirtyMarks {
    /// The boot sector says the volume was in use (Linux sets this).
    pub boot_sector: bool,
    /// The FAT says the volume was in use (Windows sets this; FAT16 only).
    pub fat: bool,
    /// The FAT says an I/O error was met (FAT16 only).
    pub io_error: bool,
}

/// A FAT12 or FAT16 volume on a medium.
#[derive(Clone)]
pub struct Volume<'m> {
    medium: &'m dyn ReadAt,
    window: Window<&'m dyn ReadAt>,
    geometry: Geometry,
    boot: Vec<u8>,
    fats: Vec<FatTable>,
    root: Vec<u8>,
}

impl fmt::Debug for Volume<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volume")
            .field("start", &self.window.start())
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

impl<'m> Volume<'m> {
    /// Opens the volume in `partition` (bytes on the medium) of a disk whose logical sectors
    /// are `sector_size` bytes. Reads two sectors, the used part of each FAT and the root
    /// directory, each once; walks nothing.
    ///
    /// # Errors
    /// Those of [`Geometry::parse`], [`FatError::PastMedium`] and [`FatError::Read`].
    pub fn open(
        medium: &'m dyn ReadAt,
        partition: Range<u64>,
        sector_size: u32,
    ) -> Result<Self, FatError> {
        let window = window(medium, &partition)?;
        let head = (u64::from(sector_size) * 2).max(BOOT_FIELDS as u64);
        let boot = read(&window, 0..head.min(window.size()))?;
        let geometry = Geometry::parse(&boot, sector_size, window.size())?;
        let mut fats = Vec::new();
        for range in geometry.fat_ranges() {
            let bytes = read(
                &window,
                range.start..range.start + geometry.fat_bytes_used(),
            )?;
            fats.push(FatTable::new(geometry.kind(), bytes));
        }
        let root = read(&window, geometry.root_range())?;
        Ok(Volume {
            medium,
            window,
            geometry,
            boot,
            fats,
            root,
        })
    }

    /// Where everything in the volume is.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Byte position of the volume on its medium.
    pub fn start(&self) -> u64 {
        self.window.start()
    }

    /// The identity VMware gave the volume; `None` for volumes others made, and for those
    /// with a single reserved sector, which ESXi's loader takes for none of its own either.
    pub fn vmware_uuid(&self) -> Option<VolumeUuid> {
        uuid_in(&self.boot, self.geometry.sector_size())
    }

    /// The label: of the root directory, else of the boot sector.
    pub fn label(&self) -> Option<String> {
        let in_root = self
            .slots()
            .find(Entry::is_label)
            .map(|slot| slot.raw_name());
        let in_boot = (self.boot.get(38) == Some(&0x29))
            .then(|| array::<11>(&self.boot, 43))
            .flatten();
        let label = in_root.or(in_boot)?;
        let text = String::from_utf8_lossy(&label);
        let text = text.trim_end_matches([' ', '\0']);
        (!text.is_empty() && text != "NO NAME").then(|| text.to_owned())
    }

    /// The volume id of the boot sector, a number made when the volume was formatted.
    pub fn volume_id(&self) -> Option<u32> {
        let present = matches!(self.boot.get(38), Some(0x28 | 0x29));
        present.then(|| le32(&self.boot, 39)).flatten()
    }

    /// The media byte of the boot sector. ESXi's loader ignores it.
    pub fn media_byte(&self) -> u8 {
        self.boot.get(21).copied().unwrap_or_default()
    }

    /// Whether the media byte is one of those that Linux and mtools take: F0, or F8 and above.
    pub fn has_usual_media_byte(&self) -> bool {
        matches!(self.media_byte(), 0xf0 | 0xf8..)
    }

    /// What the volume says about how it was left.
    pub fn dirty_marks(&self) -> DirtyMarks {
        let mark = self.fats.first().map_or(u16::MAX, |fat| fat.raw(1));
        let wide = self.geometry.kind() == FatKind::Fat16;
        let flags = self.boot.get(37).copied().unwrap_or_default();
        DirtyMarks {
            boot_sector: self.volume_id().is_some() && flags & 1 != 0,
            fat: wide && mark & 0x8000 == 0,
            io_error: wide && mark & 0x4000 == 0,
        }
    }

    /// Files and directories of the root directory, in their order.
    pub fn files(&self) -> impl Iterator<Item = Entry> + '_ {
        self.slots().filter(Entry::owns_clusters)
    }

    /// The file of that name in the root directory, as ESXi's loader would find it; `None`
    /// where it would find none.
    ///
    /// # Errors
    /// [`FatError::NotAFile`], [`FatError::DuplicateName`], [`FatError::HighCluster`] and
    /// [`FatError::FirstCluster`].
    pub fn find(&self, name: &str) -> Result<Option<Entry>, FatError> {
        let Some(short) = short_name(name) else {
            return Ok(None);
        };
        let mut named = self.slots().filter(|slot| slot.raw_name() == short);
        let Some(entry) = named.next() else {
            return Ok(None);
        };
        if let Some(what) = entry.not_a_file() {
            return Err(FatError::NotAFile {
                name: name.to_owned(),
                offset: entry.offset(),
                what,
            });
        }
        if let Some(second) = named.find(Entry::owns_clusters) {
            return Err(FatError::DuplicateName {
                name: name.to_owned(),
                first: entry.offset(),
                second: second.offset(),
            });
        }
        if entry.high_cluster() != 0 {
            return Err(FatError::HighCluster {
                file: entry.name(),
                high: entry.high_cluster(),
            });
        }
        if entry.size() > 0 && self.geometry.cluster(entry.first_cluster()).is_none() {
            return Err(self.no_first_cluster(&entry, entry.name()));
        }
        Ok(Some(entry))
    }

    /// The clusters of a file, first to last, by the first copy of the FAT. May be longer than
    /// the file needs.
    ///
    /// # Errors
    /// [`FatError::FirstCluster`], the `Chain…` errors.
    pub fn chain(&self, entry: &Entry) -> Result<Vec<ClusterId>, FatError> {
        let name = || entry.name();
        let mut seen = ClusterSet::default();
        self.follow(entry, &name, &mut |cluster| {
            if seen.insert(cluster) {
                Ok(())
            } else {
                Err(FatError::ChainLoop {
                    file: name(),
                    cluster: cluster.get(),
                })
            }
        })
    }

    /// The content of a file, read one run of clusters at a time. `limit` is in bytes.
    ///
    /// # Errors
    /// [`FatError::FileTooLarge`], those of [`Volume::chain`], [`FatError::Read`].
    pub fn read_file(&self, entry: &Entry, limit: u64) -> Result<Vec<u8>, FatError> {
        let size = u64::from(entry.size());
        // A size that the chain does not hold is damage, not a large file.
        let chain = self.chain(entry)?;
        if size > limit {
            return Err(FatError::FileTooLarge {
                file: entry.name(),
                size: entry.size(),
                limit,
            });
        }
        self.read_chain(&chain, size)
    }

    /// The first bytes of a file, at most `len` of them.
    ///
    /// # Errors
    /// As [`Volume::read_file`].
    pub fn read_start(&self, entry: &Entry, len: u64) -> Result<Vec<u8>, FatError> {
        let chain = self.chain(entry)?;
        self.read_chain(&chain, u64::from(entry.size()).min(len))
    }

    /// Entries for files that are not there yet, each a name and an entry to take times and
    /// attributes from, in free slots of the root directory. Their content is given by the change
    /// that makes them.
    ///
    /// # Errors
    /// [`FatError::NotAShortName`]; [`FatError::NameTaken`] where any slot has that name, be it a
    /// label; [`FatError::NoSlot`].
    pub fn new_entries(&self, names: &[(&str, &Entry)]) -> Result<Vec<Entry>, FatError> {
        let root = self.geometry.root_range().start;
        let free = free_slots(&self.root);
        if free.len() < names.len() {
            return Err(FatError::NoSlot {
                needed: names.len(),
                free: free.len(),
            });
        }
        let mut taken: BTreeSet<[u8; 11]> = self.slots().map(|entry| entry.raw_name()).collect();
        let new = names.iter().zip(free).map(|((name, like), at)| {
            let entry = Entry::new_file(name, root + at as u64, like);
            let entry = entry.ok_or_else(|| FatError::NotAShortName {
                file: (*name).to_owned(),
            })?;
            if taken.insert(entry.raw_name()) {
                Ok(entry)
            } else {
                Err(FatError::NameTaken { file: entry.name() })
            }
        });
        new.collect()
    }

    /// What a plan may change of this volume, as byte ranges of the medium: the copies of the FAT,
    /// the root directory and the data area. The boot sector and the identity are never in it.
    pub fn declared_ranges(&self) -> Vec<Range<u64>> {
        let mut ranges = self.geometry.fat_ranges();
        ranges.extend([self.geometry.root_range(), self.geometry.data_range()]);
        let on_medium = |range: Range<u64>| self.start() + range.start..self.start() + range.end;
        ranges.into_iter().map(on_medium).collect()
    }

    /// The medium with what was read of this volume served from memory, so that reading the
    /// volume again, for instance with a write set laid over it, costs no second read.
    pub fn known_head(&self) -> KnownHead<'_> {
        let fats = self
            .geometry
            .fat_ranges()
            .into_iter()
            .map(|range| range.start);
        let mut parts = vec![(0, self.boot.as_slice())];
        parts.extend(fats.zip(self.fats.iter().map(FatTable::bytes)));
        parts.push((self.geometry.root_range().start, &self.root));
        for (offset, _) in &mut parts {
            *offset += self.start();
        }
        KnownHead {
            medium: self.medium,
            parts,
        }
    }

    /// Follows the chain of `entry` through the first copy of the FAT. `claim` sees each
    /// cluster before the chain goes on; it must reject one met before.
    pub(super) fn follow(
        &self,
        entry: &Entry,
        path: &dyn Fn() -> String,
        claim: &mut dyn FnMut(ClusterId) -> Result<(), FatError>,
    ) -> Result<Vec<ClusterId>, FatError> {
        let size = entry.size();
        if size == 0 && entry.first_cluster() == 0 && !entry.is_directory() {
            return Ok(Vec::new());
        }
        let mut next = self.geometry.cluster(entry.first_cluster());
        if next.is_none() {
            return Err(self.no_first_cluster(entry, path()));
        }
        let mut chain = Vec::new();
        while let Some(cluster) = next {
            claim(cluster)?;
            chain.push(cluster);
            next = self.next_of(cluster, path)?;
        }
        let held = chain.len() as u64 * self.geometry.cluster_bytes();
        if held < u64::from(size) {
            return Err(FatError::ChainShort {
                file: path(),
                size,
                clusters: chain.len(),
                held,
            });
        }
        Ok(chain)
    }

    /// Where on the volume the first `bytes` of a chain are, neighbouring clusters together.
    pub(super) fn runs(&self, chain: &[ClusterId], bytes: u64) -> Vec<Range<u64>> {
        let mut runs: Vec<Range<u64>> = Vec::new();
        let mut left = bytes;
        for &cluster in chain {
            let len = left.min(self.geometry.cluster_bytes());
            if len == 0 {
                break;
            }
            left -= len;
            let start = self.geometry.cluster_offset(cluster);
            match runs.last_mut() {
                Some(run) if run.end == start => run.end += len,
                _ => runs.push(start..start + len),
            }
        }
        runs
    }

    pub(super) fn read_chain(&self, chain: &[ClusterId], bytes: u64) -> Result<Vec<u8>, FatError> {
        let runs = self.runs(chain, bytes);
        if let [run] = runs.as_slice() {
            return read(&self.window, run.clone());
        }
        // No longer than the chain, which was followed.
        let mut content = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        for run in runs {
            content.extend(read(&self.window, run)?);
        }
        Ok(content)
    }

    pub(super) fn fats(&self) -> &[FatTable] {
        &self.fats
    }

    /// The first two sectors.
    pub(super) fn boot(&self) -> &[u8] {
        &self.boot
    }

    pub(super) fn root(&self) -> &[u8] {
        &self.root
    }

    /// The slots in use of the root directory, labels and long names among them.
    pub(super) fn slots(&self) -> impl Iterator<Item = Entry> + '_ {
        let start = self.geometry.root_range().start;
        entries(&self.root, move |at| start + at as u64)
    }

    /// The slots of the long name that lies before an entry of the root directory, in bytes from
    /// the volume's start.
    pub(super) fn long_name_slots(&self, entry: &Entry) -> Vec<u64> {
        let mut slots = Vec::new();
        let before = self.slots().filter(|slot| slot.offset() <= entry.offset());
        for slot in before {
            if slot.offset() == entry.offset() {
                return slots;
            }
            let goes_on = slots
                .last()
                .is_none_or(|last| last + SLOT_LEN as u64 == slot.offset());
            if !slot.is_long_name() || !goes_on {
                slots.clear();
            }
            if slot.is_long_name() {
                slots.push(slot.offset());
            }
        }
        Vec::new()
    }

    pub(super) fn window(&self) -> &Window<&'m dyn ReadAt> {
        &self.window
    }

    fn next_of(
        &self,
        cluster: ClusterId,
        path: &dyn Fn() -> String,
    ) -> Result<Option<ClusterId>, FatError> {
        let link = self.fats.first().map_or(Link::Bad, |fat| fat.link(cluster));
        match link {
            Link::End => Ok(None),
            Link::Next(next) => match self.geometry.cluster(next) {
                Some(next) => Ok(Some(next)),
                None => Err(FatError::ChainOutOfRange {
                    file: path(),
                    cluster: cluster.get(),
                    next,
                }),
            },
            Link::Free => Err(FatError::ChainFree {
                file: path(),
                cluster: cluster.get(),
            }),
            Link::Bad => Err(FatError::ChainBad {
                file: path(),
                cluster: cluster.get(),
            }),
        }
    }

    fn no_first_cluster(&self, entry: &Entry, file: String) -> FatError {
        FatError::FirstCluster {
            file,
            cluster: entry.first_cluster(),
            last: self.geometry.last_cluster(),
        }
    }
}

pub(super) fn window<'m>(
    medium: &'m dyn ReadAt,
    partition: &Range<u64>,
) -> Result<Window<&'m dyn ReadAt>, FatError> {
    let len = partition.end.saturating_sub(partition.start);
    Window::new(medium, partition.start, len).ok_or(FatError::PastMedium {
        end: partition.end,
        size: medium.size(),
    })
}

pub(super) fn read(window: &Window<&dyn ReadAt>, range: Range<u64>) -> Result<Vec<u8>, FatError> {
    let offset = range.start;
    let len = usize::try_from(range.end.saturating_sub(offset)).unwrap_or(usize::MAX);
    window
        .read_vec(offset, len)
        .map_err(|source| FatError::Read {
            offset,
            len,
            source,
        })
}

/// What of `boot` is behind its first sector.
pub(super) fn second_sector(boot: &[u8], sector_size: u32) -> Option<&[u8]> {
    boot.get(sector_size as usize..)
}

pub(super) fn uuid_in(boot: &[u8], sector_size: u32) -> Option<VolumeUuid> {
    let reserved = le16(boot, 14)?;
    let second = second_sector(boot, sector_size)?;
    let magic = reserved >= 2 && second.starts_with(MAGIC);
    magic
        .then(|| array(second, MAGIC.len()).map(VolumeUuid))
        .flatten()
}
