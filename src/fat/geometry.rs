//! The boot sector of a FAT12 or FAT16 volume, checked before anything is computed from it.
//!
//! Where ESXi's own loader and Microsoft's description differ, the stricter of the two counts:
//! a volume that passes here is one every reader agrees about. Hidden sectors, media byte,
//! type string and the 55AA signature are not looked at, as that loader does not either.

use super::FatError;
use crate::bytes::{array, le16, le32};
use std::ops::Range;

/// Bytes of a directory slot.
pub(super) const SLOT_BYTES: u64 = 32;

/// Bytes of the boot sector that carry fields.
pub(super) const BOOT_FIELDS: usize = 62;

/// Most clusters a FAT12 volume can have; one more makes it FAT16.
const MAX_FAT12_CLUSTERS: u64 = 4084;

/// Most clusters a FAT16 volume can have; one more makes it FAT32.
const MAX_FAT16_CLUSTERS: u64 = 65524;

/// Width of the entries of the file allocation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FatKind {
    /// 12 bits, up to 4084 clusters.
    Fat12,
    /// 16 bits, 4085 to 65524 clusters.
    Fat16,
}

impl FatKind {
    /// Bits of one entry.
    pub fn bits(self) -> u32 {
        match self {
            FatKind::Fat12 => 12,
            FatKind::Fat16 => 16,
        }
    }
}

/// Number of a cluster that exists in its volume: 2 to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(u16);

impl ClusterId {
    /// The number as the FAT and directory entries hold it.
    pub fn get(self) -> u16 {
        self.0
    }

    /// The one with that number, which came from one that exists.
    pub(super) fn at_index(index: usize) -> Self {
        ClusterId(u16::try_from(index).unwrap_or(u16::MAX))
    }

    /// The number as an index.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl std::fmt::Display for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Where everything in the volume is. Offsets are in bytes from the volume's first byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    sector_size: u32,
    sectors_per_cluster: u32,
    reserved_sectors: u32,
    fats: u32,
    sectors_per_fat: u32,
    root_entries: u32,
    total_sectors: u64,
    clusters: u16,
    kind: FatKind,
}

impl Geometry {
    /// Reads the fields of `boot`, the volume's first sector. `sector_size` is the disk's
    /// logical sector size and `available` the partition's size, both in bytes.
    ///
    /// # Errors
    /// [`FatError::BootField`] names the field that cannot be, [`FatError::SectorSize`],
    /// [`FatError::FatTooSmall`] and [`FatError::PastPartition`] what does not fit together;
    /// [`FatError::Fat32`] and [`FatError::Layout`] what may be sound but is not handled.
    pub fn parse(boot: &[u8], sector_size: u32, available: u64) -> Result<Self, FatError> {
        let fields = Fields::read(boot).ok_or(FatError::PastPartition {
            needed: BOOT_FIELDS as u64,
            available,
        })?;
        fields.check_each(sector_size)?;
        let sectors = fields.total_sectors()?;
        let needed = sectors * u64::from(sector_size);
        if needed > available {
            return Err(FatError::PastPartition { needed, available });
        }
        let root_sectors = u64::from(fields.root_entries) * SLOT_BYTES / u64::from(sector_size);
        let before_data = u64::from(fields.reserved)
            + u64::from(fields.fats) * u64::from(fields.sectors_per_fat)
            + root_sectors;
        let clusters = sectors.saturating_sub(before_data) / u64::from(fields.sectors_per_cluster);
        let (kind, clusters) = match clusters {
            0 => return Err(bad("total sectors", sectors, "leaves no cluster for data")),
            1..=MAX_FAT12_CLUSTERS => (FatKind::Fat12, clusters),
            _ if clusters <= MAX_FAT16_CLUSTERS => (FatKind::Fat16, clusters),
            _ => return Err(FatError::Fat32 { clusters }),
        };
        let geometry = Geometry {
            sector_size,
            sectors_per_cluster: u32::from(fields.sectors_per_cluster),
            reserved_sectors: u32::from(fields.reserved),
            fats: u32::from(fields.fats),
            sectors_per_fat: u32::from(fields.sectors_per_fat),
            root_entries: u32::from(fields.root_entries),
            total_sectors: sectors,
            clusters: u16::try_from(clusters).map_err(|_| FatError::Fat32 { clusters })?,
            kind,
        };
        if geometry.fat_bytes_used() > geometry.fat_bytes() {
            return Err(FatError::FatTooSmall {
                sectors: fields.sectors_per_fat,
                clusters: geometry.clusters,
                fats: geometry.fats,
            });
        }
        Ok(geometry)
    }

    /// Logical sector size in bytes.
    pub fn sector_size(&self) -> u32 {
        self.sector_size
    }

    /// Bytes of one cluster.
    pub fn cluster_bytes(&self) -> u64 {
        u64::from(self.sectors_per_cluster) * u64::from(self.sector_size)
    }

    /// Number of clusters.
    pub fn clusters(&self) -> u16 {
        self.clusters
    }

    /// Width of the FAT's entries.
    pub fn kind(&self) -> FatKind {
        self.kind
    }

    /// Number of copies of the FAT: 2, or 1 on volumes other systems made.
    pub fn fats(&self) -> u32 {
        self.fats
    }

    /// Sectors before the first FAT, the boot sector among them.
    pub fn reserved_sectors(&self) -> u32 {
        self.reserved_sectors
    }

    /// Slots of the root directory.
    pub fn root_entries(&self) -> u32 {
        self.root_entries
    }

    /// Bytes the volume spans, as its boot sector says.
    pub fn total_bytes(&self) -> u64 {
        self.total_sectors * u64::from(self.sector_size)
    }

    /// Where each copy of the FAT is.
    pub fn fat_ranges(&self) -> Vec<Range<u64>> {
        let start = u64::from(self.reserved_sectors) * u64::from(self.sector_size);
        (0..u64::from(self.fats))
            .map(|copy| start + copy * self.fat_bytes())
            .map(|start| start..start + self.fat_bytes())
            .collect()
    }

    /// Where the root directory is.
    pub fn root_range(&self) -> Range<u64> {
        let start = u64::from(self.reserved_sectors) * u64::from(self.sector_size)
            + u64::from(self.fats) * self.fat_bytes();
        start..start + u64::from(self.root_entries) * SLOT_BYTES
    }

    /// Where the clusters are.
    pub fn data_range(&self) -> Range<u64> {
        let start = self.root_range().end;
        start..start + u64::from(self.clusters) * self.cluster_bytes()
    }

    /// Where `cluster` begins.
    pub fn cluster_offset(&self, cluster: ClusterId) -> u64 {
        self.data_range().start + u64::from(cluster.0 - 2) * self.cluster_bytes()
    }

    /// The cluster of that number; `None` for 0, 1 and what lies past the last one.
    pub fn cluster(&self, number: u16) -> Option<ClusterId> {
        (2..=self.last_cluster())
            .contains(&number)
            .then_some(ClusterId(number))
    }

    /// The cluster that holds the byte at `offset`.
    pub(super) fn cluster_at(&self, offset: u64) -> Option<ClusterId> {
        let within = offset.checked_sub(self.data_range().start)?;
        let number = (within / self.cluster_bytes()).checked_add(2)?;
        self.cluster(u16::try_from(number).ok()?)
    }

    /// Every cluster, lowest first.
    #[cfg(test)]
    pub(super) fn all_clusters(&self) -> impl Iterator<Item = ClusterId> + use<> {
        (2..=self.last_cluster()).map(ClusterId)
    }

    /// How many clusters `bytes` take up.
    pub(super) fn clusters_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.cluster_bytes())
    }

    /// Number of the last cluster: at most 65525, so it fits.
    pub(super) fn last_cluster(&self) -> u16 {
        self.clusters + 1
    }

    /// Bytes of one copy of the FAT that hold entries of clusters, in whole sectors. A FAT is
    /// often some sectors longer; the rest is never read nor written.
    pub(super) fn fat_bytes_used(&self) -> u64 {
        let bits = (u64::from(self.clusters) + 2) * u64::from(self.kind.bits());
        bits.div_ceil(8)
            .next_multiple_of(u64::from(self.sector_size))
    }

    fn fat_bytes(&self) -> u64 {
        u64::from(self.sectors_per_fat) * u64::from(self.sector_size)
    }
}

fn bad(field: &'static str, value: u64, problem: &'static str) -> FatError {
    FatError::BootField {
        field,
        value,
        problem,
    }
}

/// The fields as they stand in the boot sector.
struct Fields {
    sector_size: u16,
    sectors_per_cluster: u8,
    reserved: u16,
    fats: u8,
    root_entries: u16,
    total_16: u16,
    sectors_per_fat: u16,
    total_32: u32,
    /// Where FAT32 has the length of a FAT.
    sectors_per_fat_32: u32,
}

impl Fields {
    fn read(boot: &[u8]) -> Option<Self> {
        let [sectors_per_cluster] = array(boot, 13)?;
        let [fats] = array(boot, 16)?;
        Some(Fields {
            sector_size: le16(boot, 11)?,
            sectors_per_cluster,
            reserved: le16(boot, 14)?,
            fats,
            root_entries: le16(boot, 17)?,
            total_16: le16(boot, 19)?,
            sectors_per_fat: le16(boot, 22)?,
            total_32: le32(boot, 32)?,
            sectors_per_fat_32: le32(boot, 36)?,
        })
    }

    /// The number of clusters where it is a FAT32 volume: its root directory is in some of them. Where the length of
    /// a FAT leaves none, it is that of no FAT32, and there are at most as many as the volume has room for.
    fn clusters_of_fat32(&self) -> u64 {
        let sectors = u64::from(self.total_32).max(self.total_16.into());
        let fats = u64::from(self.fats) * u64::from(self.sectors_per_fat_32);
        let data = sectors.saturating_sub(u64::from(self.reserved) + fats);
        let per_cluster = u64::from(self.sectors_per_cluster);
        match data / per_cluster {
            0 => sectors / per_cluster,
            clusters => clusters,
        }
    }

    /// What can be said of each field by itself.
    fn check_each(&self, sector_size: u32) -> Result<(), FatError> {
        let size = self.sector_size;
        if !size.is_power_of_two() || !(512..=4096).contains(&size) {
            let problem = "is not 512, 1024, 2048 or 4096";
            return Err(bad("bytes per sector", size.into(), problem));
        }
        if u32::from(size) != sector_size {
            return Err(FatError::SectorSize {
                volume: size,
                disk: sector_size,
            });
        }
        if !self.sectors_per_cluster.is_power_of_two() {
            let value = self.sectors_per_cluster.into();
            return Err(bad("sectors per cluster", value, "is not a power of two"));
        }
        if self.reserved == 0 {
            let problem = "leaves no room for the boot sector";
            return Err(bad("reserved sectors", 0, problem));
        }
        if self.fats == 0 {
            return Err(bad("number of FATs", 0, "leaves no FAT"));
        }
        if self.fats > 2 {
            return Err(FatError::Layout {
                field: "number of FATs",
                value: self.fats.into(),
                handled: "1 or 2",
            });
        }
        if self.sectors_per_fat == 0 {
            let clusters = self.clusters_of_fat32();
            return Err(FatError::Fat32 { clusters });
        }
        if self.root_entries == 0 {
            return Err(bad("root entries", 0, "leaves no root directory"));
        }
        if !(u64::from(self.root_entries) * SLOT_BYTES).is_multiple_of(size.into()) {
            return Err(FatError::Layout {
                field: "root entries",
                value: self.root_entries.into(),
                handled: "a number that fills whole sectors",
            });
        }
        Ok(())
    }

    fn total_sectors(&self) -> Result<u64, FatError> {
        match (u64::from(self.total_16), u64::from(self.total_32)) {
            (0, 0) => Err(bad("total sectors", 0, "leaves no volume")),
            (0, sectors) | (sectors, 0) => Ok(sectors),
            (short, long) if short == long => Ok(long),
            (_, long) => {
                let problem = "contradicts the 16-bit field of the same meaning";
                Err(bad("total sectors (32 bits)", long, problem))
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// The boot sector of a volume of 512-byte sectors, one per cluster, without a file.
    fn boot_with(clusters: u16) -> Vec<u8> {
        let sectors_per_fat = (clusters + 2).div_ceil(256);
        let total = 2 + 2 * sectors_per_fat + 32 + clusters;
        let mut boot = vec![0; 512];
        for (at, bytes) in [
            (11, &512u16.to_le_bytes()[..]),
            (13, &[1]),
            (14, &2u16.to_le_bytes()),
            (16, &[2]),
            (17, &512u16.to_le_bytes()),
            (19, &total.to_le_bytes()),
            (22, &sectors_per_fat.to_le_bytes()),
        ] {
            boot[at..at + bytes.len()].copy_from_slice(bytes);
        }
        boot
    }

    /// The geometry of such a volume.
    pub(in crate::fat) fn geometry_with(clusters: u16) -> Geometry {
        Geometry::parse(&boot_with(clusters), 512, u64::MAX).expect("a sound boot sector")
    }

    #[test]
    fn positions_follow_from_the_fields() {
        let geometry = geometry_with(5000);
        assert_eq!(geometry.fat_ranges(), [1024..11264, 11264..21504]);
        assert_eq!(geometry.root_range(), 21504..37888);
        assert_eq!(geometry.data_range(), 37888..37888 + 5000 * 512);
        assert_eq!(geometry.clusters(), 5000);
        let first = geometry.cluster(2).unwrap();
        assert_eq!(geometry.cluster_offset(first), 37888);
        assert_eq!(geometry.cluster_at(37888 + 511), Some(first));
        assert_eq!(geometry.cluster_at(37887), None);
    }

    #[test]
    fn only_clusters_that_exist_have_an_id() {
        let geometry = geometry_with(5000);
        for (number, exists) in [
            (0, false),
            (1, false),
            (2, true),
            (5001, true),
            (5002, false),
        ] {
            assert_eq!(geometry.cluster(number).is_some(), exists, "{number}");
        }
        assert_eq!(geometry.cluster(2).unwrap().to_string(), "2");
    }

    #[test]
    fn the_number_of_clusters_alone_decides_the_width() {
        assert_eq!(geometry_with(4084).kind(), FatKind::Fat12);
        assert_eq!(geometry_with(4085).kind(), FatKind::Fat16);
    }

    #[test]
    fn a_field_that_cannot_be_is_named_with_its_value() {
        use ErrorKind::{Damaged, Unsupported};
        let cases: &[(usize, &[u8], ErrorKind, &str)] = &[
            (11, &[0, 0], Damaged, "bytes per sector 0 "),
            (11, &[0, 1], Damaged, "bytes per sector 256 "),
            (11, &[1, 2], Damaged, "bytes per sector 513 "),
            (11, &[0, 0x20], Damaged, "bytes per sector 8192 "),
            (11, &[0, 8], Unsupported, "2048 bytes"),
            (13, &[0], Damaged, "sectors per cluster 0 "),
            (13, &[3], Damaged, "sectors per cluster 3 "),
            (14, &[0, 0], Damaged, "reserved sectors 0 "),
            (16, &[0], Damaged, "number of FATs 0 "),
            (16, &[3], Unsupported, "number of FATs 3"),
            (17, &[0, 0], Damaged, "root entries 0 "),
            (17, &[1, 2], Unsupported, "root entries 513"),
            (19, &[0, 0], Damaged, "total sectors 0 "),
            (19, &[9, 0], Damaged, "total sectors 9 "),
            (22, &[0, 0], Unsupported, "FAT32"),
            (22, &[1, 0], Damaged, "a FAT of 1 sector is"),
            (32, &[9, 0, 0, 0], Damaged, "total sectors (32 bits) 9 "),
        ];
        for (at, bytes, kind, words) in cases {
            let mut boot = boot_with(5000);
            boot[*at..at + bytes.len()].copy_from_slice(bytes);
            let error = Geometry::parse(&boot, 512, u64::MAX).expect_err(words);
            assert_eq!(error.kind(), *kind, "{error}");
            assert!(error.to_string().contains(words), "{error} lacks {words}");
        }
    }

    #[test]
    fn a_volume_larger_than_its_partition_is_damage() {
        let boot = boot_with(5000);
        let needed = geometry_with(5000).total_bytes();
        assert!(Geometry::parse(&boot, 512, needed).is_ok());
        let error = Geometry::parse(&boot, 512, needed - 1).expect_err("one byte too few");
        assert!(matches!(error, FatError::PastPartition { .. }), "{error}");
        let error = Geometry::parse(&boot[..61], 512, 61).expect_err("cut");
        assert!(matches!(error, FatError::PastPartition { .. }), "{error}");
    }

    #[test]
    fn too_many_clusters_for_fat16_is_fat32() {
        let mut boot = boot_with(5000);
        boot[19..21].fill(0);
        boot[32..36].copy_from_slice(&70_000u32.to_le_bytes());
        boot[22..24].copy_from_slice(&300u16.to_le_bytes());
        let error = Geometry::parse(&boot, 512, u64::MAX).expect_err("FAT32");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("FAT32"), "{error}");
    }

    /// The length of a FAT is elsewhere in FAT32, and there is no root directory before the clusters.
    #[test]
    fn the_clusters_of_a_fat32_volume_are_counted_behind_its_fats() {
        let mut boot = boot_with(5000);
        boot[17..21].fill(0);
        boot[22..24].fill(0);
        boot[14..16].copy_from_slice(&32u16.to_le_bytes());
        boot[32..36].copy_from_slice(&204_800u32.to_le_bytes());
        boot[36..40].copy_from_slice(&1_576u32.to_le_bytes());
        let error = Geometry::parse(&boot, 512, u64::MAX).expect_err("FAT32");
        let per_cluster = u64::from(boot[13]);
        let clusters = (204_800 - 32 - u64::from(boot[16]) * 1_576) / per_cluster;
        let FatError::Fat32 { clusters: counted } = error else {
            panic!("{error}")
        };
        assert_eq!(counted, clusters);
    }

    proptest::proptest! {
        #[test]
        fn no_boot_sector_panics_and_what_passes_lies_inside(
            fields in proptest::collection::vec(proptest::num::u8::ANY, 62),
            available in 0u64..1 << 40,
        ) {
            if let Ok(geometry) = Geometry::parse(&fields, 512, available) {
                proptest::prop_assert!(geometry.data_range().end <= geometry.total_bytes());
                proptest::prop_assert!(geometry.total_bytes() <= available);
            }
        }
    }
}
