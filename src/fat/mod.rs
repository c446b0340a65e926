//! FAT12 and FAT16 volumes: reading them, judging them, and a file's new content as steps.
//!
//! [`Volume`] is a volume opened: its boot sector is checked, its FATs and root directory are
//! in memory, and files of the root directory can be read as ESXi's loader reads them.
//! [`Volume::check`] walks every directory and yields a [`Reach`]: what is in use and what an
//! interrupted run left over. [`replace()`], [`replace_in_place`] and [`reclaim`] describe
//! changes as steps of sectors, and [`judge()`] holds a finished plan against what it may do,
//! with the `fatfs` crate as a second, independent reader. Nothing here writes.

mod cluster_set;
mod directory;
mod error;
mod geometry;
mod glance;
mod judge;
mod judge_undo;
mod known_head;
mod marks;
mod reach;
mod replace;
mod room;
mod salvage;
mod second_reader;
mod subdirectory;
mod table;
mod volume;

pub use cluster_set::ClusterSet;
pub use directory::Entry;
pub use error::FatError;
pub use geometry::{ClusterId, FatKind, Geometry};
pub(crate) use glance::root_holds;
pub use glance::vmware_uuid;
pub use judge::judge;
pub use judge_undo::{Restored, judge_undo};
pub use known_head::KnownHead;
pub(crate) use marks::MARK_AT;
pub use marks::{judge_marks, mark_clean};
pub use reach::{Leftovers, Node, Reach};
pub use replace::{Action, FileChange, Method, reclaim, replace, replace_in_place};
pub use salvage::Salvage;
pub use volume::{DirtyMarks, Volume, VolumeUuid};
