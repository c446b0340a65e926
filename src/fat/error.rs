//! What can be wrong with a FAT volume, or stand in the way of changing one.

use crate::commit::PlanError;
use crate::error::{ErrorKind, counted};
use crate::medium::MediumError;
use std::io;

/// Why a volume could not be read or a change to it not be planned. Offsets are in bytes from
/// the volume's start; files are named by their path in the volume.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// The medium did not give up some bytes.
    #[error(
        "cannot read {} of the FAT volume at byte {offset}: {source}",
        counted(len, "byte")
    )]
    Read {
        /// First byte asked for.
        offset: u64,
        /// Number of bytes asked for.
        len: usize,
        /// What the medium reported.
        source: io::Error,
    },
    /// A field of the boot sector has a value no volume can have.
    #[error("the boot sector is wrong: {field} {value} {problem}")]
    BootField {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A field of the boot sector has a value that is possible but not handled.
    #[error("the boot sector has {field} {value}; bootbank handles only {handled}")]
    Layout {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
        /// The values that are.
        handled: &'static str,
    },
    /// The volume was made for a disk of another sector size; ESXi does not boot from it.
    #[error("the volume has sectors of {volume} bytes, but the disk has sectors of {disk} bytes")]
    SectorSize {
        /// Bytes per sector of the boot sector.
        volume: u16,
        /// The disk's logical sector size in bytes.
        disk: u32,
    },
    /// The volume has too many clusters for FAT16.
    #[error("the volume is FAT32 ({clusters} clusters); bootbank handles only FAT12 and FAT16")]
    Fat32 {
        /// Number of clusters.
        clusters: u64,
    },
    /// The FAT has no entry for some of the clusters.
    #[error(
        "a FAT of {} is too small for {clusters} clusters{}",
        counted(sectors, "sector"),
        if *fats == 1 { "; the boot sector tells of one copy of the FAT, and ESXi makes two" } else { "" }
    )]
    FatTooSmall {
        /// Sectors of one copy.
        sectors: u16,
        /// Number of clusters.
        clusters: u16,
        /// Copies of it by the boot sector.
        fats: u32,
    },
    /// The volume does not fit its partition.
    #[error("the volume needs {needed} bytes, but its partition has {available}")]
    PastPartition {
        /// Size of the volume by its boot sector.
        needed: u64,
        /// Size of the partition.
        available: u64,
    },
    /// The partition does not fit the medium.
    #[error("the partition ends at byte {end}, but the medium ends at {size}")]
    PastMedium {
        /// End of the partition in bytes from the medium's start.
        end: u64,
        /// Size of the medium.
        size: u64,
    },
    /// The first directory slot of that name, the one ESXi's loader takes, is no file.
    #[error("the first directory slot named {name} (byte {offset}) is {what}, not a file")]
    NotAFile {
        /// Name of the file looked for.
        name: String,
        /// Where the slot is.
        offset: u64,
        /// What it is instead.
        what: &'static str,
    },
    /// Two directory slots have the same 8.3 name.
    #[error("two directory slots are named {name} (bytes {first} and {second})")]
    DuplicateName {
        /// The name they share.
        name: String,
        /// Where the first one is.
        first: u64,
        /// Where the second one is.
        second: u64,
    },
    /// The upper half of the first cluster's number, unused in FAT12 and FAT16, is not 0;
    /// ESXi's loader would take it as part of the number.
    #[error("the directory entry of {file} has {high:#06x} in bytes 20 and 21, which must be 0")]
    HighCluster {
        /// Path of the file.
        file: String,
        /// Value of the two bytes.
        high: u16,
    },
    /// The directory entry points at a cluster that does not exist.
    #[error("{file} begins at cluster {cluster}, but the volume has clusters 2 to {last}")]
    FirstCluster {
        /// Path of the file or directory.
        file: String,
        /// First cluster by its directory entry.
        cluster: u16,
        /// Number of the last cluster.
        last: u16,
    },
    /// The chain goes on at a cluster that does not exist.
    #[error("the chain of {file} goes from cluster {cluster} to {next}, which does not exist")]
    ChainOutOfRange {
        /// Path of the file or directory.
        file: String,
        /// The last cluster that exists.
        cluster: u16,
        /// The one it points at.
        next: u16,
    },
    /// The chain runs into a cluster the FAT says is free.
    #[error("the chain of {file} runs into cluster {cluster}, which is free")]
    ChainFree {
        /// Path of the file or directory.
        file: String,
        /// The free cluster.
        cluster: u16,
    },
    /// The chain runs into a cluster marked as bad.
    #[error("the chain of {file} runs into cluster {cluster}, which is marked as bad")]
    ChainBad {
        /// Path of the file or directory.
        file: String,
        /// The bad cluster.
        cluster: u16,
    },
    /// The chain comes back to a cluster it already went through.
    #[error("the chain of {file} loops back to cluster {cluster}")]
    ChainLoop {
        /// Path of the file or directory.
        file: String,
        /// The cluster met twice.
        cluster: u16,
    },
    /// A cluster belongs to two files.
    #[error("cluster {cluster} belongs to both {file} and {other}")]
    ChainsCross {
        /// Path of the file met later.
        file: String,
        /// Path of the file met first.
        other: String,
        /// The cluster both hold.
        cluster: u16,
    },
    /// The chain ends before the file does.
    #[error(
        "{file} has {}, but its chain of {} holds {held}",
        counted(size, "byte"),
        counted(clusters, "cluster")
    )]
    ChainShort {
        /// Path of the file.
        file: String,
        /// Size by its directory entry in bytes.
        size: u32,
        /// Length of its chain.
        clusters: usize,
        /// Bytes these hold.
        held: u64,
    },
    /// The copies of the FAT differ about a cluster in use.
    #[error(
        "the copies of the FAT differ for cluster {cluster} of {file}: {first:#x} and {second:#x}"
    )]
    CopiesDiffer {
        /// Path of the file or directory.
        file: String,
        /// The cluster.
        cluster: u16,
        /// Its entry in the first copy.
        first: u16,
        /// Its entry in the second copy.
        second: u16,
    },
    /// The entry `.` or `..` of a directory points elsewhere or is out of place.
    #[error(
        "an entry . or .. of {directory} (byte {offset}) is out of place or points to cluster {cluster}"
    )]
    DotEntry {
        /// Path of the directory.
        directory: String,
        /// Where the slot is.
        offset: u64,
        /// Where it points.
        cluster: u16,
    },
    /// A directory goes on behind its end: readers disagree about what is in it.
    #[error(
        "{directory} holds an entry (byte {offset}) after its end: some systems see it and others do not"
    )]
    EntryAfterEnd {
        /// Path of the directory.
        directory: String,
        /// Where in the directory's content the entry is.
        offset: usize,
    },
    /// A volume label, or part of a long name, that refers to a cluster.
    #[error(
        "{directory} holds a label or part of a long name (byte {offset}) that points to cluster {cluster}: some systems take it for a file"
    )]
    LabelWithCluster {
        /// Path of the directory.
        directory: String,
        /// Where the slot is.
        offset: u64,
        /// Where it points.
        cluster: u16,
    },
    /// There is more directory than any bank has.
    #[error(
        "with {directory}, the directories of the volume take {bytes} bytes, more than the limit of {limit}"
    )]
    DirectoryTooLarge {
        /// Path of the directory at which the limit was met.
        directory: String,
        /// Bytes of directory so far.
        bytes: u64,
        /// Most bytes that are read.
        limit: u64,
    },
    /// A file is larger than the caller wants in memory.
    #[error("{file} has {}, more than the limit of {limit}", counted(size, "byte"))]
    FileTooLarge {
        /// Path of the file.
        file: String,
        /// Its size in bytes.
        size: u32,
        /// The limit in bytes.
        limit: u64,
    },
    /// There are not enough free clusters for a second copy.
    #[error(
        "no room: the new content needs {} of {cluster_bytes} bytes, but the bank has {free}{}",
        counted(needed, "free cluster"),
        not_used(*left_out)
    )]
    NoRoom {
        /// Clusters needed, all files of the volume together.
        needed: u64,
        /// Clusters free in every copy of the FAT, less those left out.
        free: u64,
        /// Free clusters left out, because they are to be avoided or cannot be read.
        left_out: u64,
        /// Bytes of one cluster.
        cluster_bytes: u64,
        /// Whether it would fit over the files that are there.
        fits_in_place: bool,
    },
    /// A file that is there is overwritten in place, and this one is new or goes.
    #[error("{file} {}, and in place files that are there are written over", if *is_new { "is new" } else { "is to go" })]
    NotOver {
        /// Path of the file.
        file: String,
        /// Whether it is new.
        is_new: bool,
    },
    /// The new content does not fit the clusters the file already has.
    #[error(
        "the new content of {file} needs {}, but the file has {have}",
        counted(needed, "cluster")
    )]
    NoFit {
        /// Path of the file.
        file: String,
        /// Clusters needed.
        needed: u64,
        /// Clusters of its chain.
        have: u64,
    },
    /// The file cannot be written over, because some of it is where nothing new is to go.
    #[error("{file} is in sectors that are to be avoided, so it cannot be written over")]
    Avoided {
        /// Path of the file.
        file: String,
    },
    /// A file that is there would be emptied, which an overwriting in place could not do, or the content is
    /// longer than a FAT volume can hold.
    #[error(
        "the new content of {file} has {}; a file that is there is not given content of that size",
        counted(size, "byte")
    )]
    ContentSize {
        /// Path of the file.
        file: String,
        /// Length of the content.
        size: usize,
    },
    /// A file to be replaced is not, or not once, in the volume's root directory.
    #[error("{file} is not in the root directory, or is there twice")]
    NotInRoot {
        /// Name of the file.
        file: String,
    },
    /// A file to be made has a name that the loader could not find.
    #[error(
        "{file} is not a name of at most 8 characters and an extension of at most 3: the loader finds no other"
    )]
    NotAShortName {
        /// The name.
        file: String,
    },
    /// A file to be made has a name that is taken.
    #[error("the root directory has an entry named {file} already")]
    NameTaken {
        /// The name.
        file: String,
    },
    /// The root directory has no slot for another file.
    #[error("no room in the root directory: {needed} more entries are needed and {free} are free")]
    NoSlot {
        /// Entries needed.
        needed: usize,
        /// Entries free.
        free: usize,
    },
    /// The change cannot be described.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The finished plan would change something it must not. A defect of this program, found
    /// before anything was written.
    #[error("the plan was rejected, because {what} (byte {offset})")]
    Rejected {
        /// What the plan would do.
        what: String,
        /// Where.
        offset: u64,
    },
    /// The medium could not be read for the second FAT reader.
    #[error("cannot read for the second FAT reader: {what}")]
    SecondReaderRead {
        /// What it was reading, and what the medium reported.
        what: String,
    },
    /// The second FAT reader does not agree about the finished plan.
    #[error("the second FAT reader disagrees: {what}")]
    SecondReader {
        /// What it met.
        what: String,
    },
}

/// The words about free clusters that are left out; none where all are used.
fn not_used(left_out: u64) -> String {
    match left_out {
        0 => String::new(),
        1 => "; 1 more is left out, because it is to be avoided or cannot be read".to_owned(),
        _ => format!(
            "; {left_out} more are left out, because they are to be avoided or cannot be read"
        ),
    }
}

impl FatError {
    /// Whether the device is no longer there.
    pub(super) fn has_vanished(&self) -> bool {
        matches!(self, FatError::Read { source, .. } if MediumError::has_vanished(source))
    }

    /// The file, or the directory, that the message names as where it was met.
    pub fn file(&self) -> Option<&str> {
        use FatError as E;
        match self {
            E::NotAFile { name: file, .. }
            | E::HighCluster { file, .. }
            | E::FirstCluster { file, .. }
            | E::ChainOutOfRange { file, .. }
            | E::ChainFree { file, .. }
            | E::ChainBad { file, .. }
            | E::ChainLoop { file, .. }
            | E::ChainsCross { file, .. }
            | E::ChainShort { file, .. }
            | E::CopiesDiffer { file, .. }
            | E::FileTooLarge { file, .. }
            | E::NotOver { file, .. }
            | E::NoFit { file, .. }
            | E::Avoided { file }
            | E::ContentSize { file, .. }
            | E::NotInRoot { file }
            | E::NotAShortName { file }
            | E::NameTaken { file } => Some(file),
            E::DotEntry { directory, .. }
            | E::EntryAfterEnd { directory, .. }
            | E::LabelWithCluster { directory, .. }
            | E::DirectoryTooLarge { directory, .. } => Some(directory),
            _ => None,
        }
    }

    /// What the error means to whoever has to act on it.
    pub fn kind(&self) -> ErrorKind {
        use FatError as E;
        match self {
            E::Read { .. } | E::SecondReaderRead { .. } => ErrorKind::Io,
            E::Layout { .. }
            | E::SectorSize { .. }
            | E::Fat32 { .. }
            | E::DirectoryTooLarge { .. } => ErrorKind::Unsupported,
            E::FileTooLarge { .. }
            | E::NoRoom { .. }
            | E::NotOver { .. }
            | E::NoFit { .. }
            | E::Avoided { .. }
            | E::ContentSize { .. }
            | E::NotInRoot { .. }
            | E::NameTaken { .. }
            | E::NoSlot { .. }
            | E::Rejected { .. }
            | E::SecondReader { .. } => ErrorKind::Refused,
            E::NotAShortName { .. } => ErrorKind::Usage,
            E::Plan(error) => error.kind(),
            E::BootField { .. }
            | E::FatTooSmall { .. }
            | E::PastPartition { .. }
            | E::PastMedium { .. }
            | E::NotAFile { .. }
            | E::DuplicateName { .. }
            | E::HighCluster { .. }
            | E::FirstCluster { .. }
            | E::ChainOutOfRange { .. }
            | E::ChainFree { .. }
            | E::ChainBad { .. }
            | E::ChainLoop { .. }
            | E::ChainsCross { .. }
            | E::ChainShort { .. }
            | E::CopiesDiffer { .. }
            | E::DotEntry { .. }
            | E::EntryAfterEnd { .. }
            | E::LabelWithCluster { .. } => ErrorKind::Damaged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_that_are_left_out_are_told_as_many_as_there_are() {
        assert_eq!(not_used(0), "");
        let one = "; 1 more is left out, because it is to be avoided or cannot be read";
        assert_eq!(not_used(1), one);
        let some = "; 2 more are left out, because they are to be avoided or cannot be read";
        assert_eq!(not_used(2), some);
    }
}
