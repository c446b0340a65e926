//! What to do next, for each error that has an answer.

mod medium;

pub use medium::FILE_TOO_LARGE;
pub(super) use medium::medium_hint;

use super::cures::type_command;
use crate::bank::BankError;
use crate::cli::terminal::quoted;
use crate::commit::{CommitError, UndoError};
use crate::edit::{CONFIG_STORE, ESX_CONF, EditError, SelectError, Unmatched};
use crate::error::ErrorKind;
use crate::fat::FatError;
use crate::medium::MediumError;
use crate::ownership::OwnershipError;
use crate::partition::{OtherTable, PartitionFault, TableChoice, TableError};
use crate::state::archive::ArchiveError;
use crate::state::gzip::GzipError;
use crate::state::{StateError, StateFault};
use crate::stick::{Cause, Cure, Error, OtherType};
use crate::target::Kind;
use std::{io, iter};

/// What to do about an error of a stick.
pub(super) fn hint(error: &Error) -> Option<String> {
    if has_vanished(error) {
        return Some(GONE.to_owned());
    }
    if is_failing(error) {
        let meanwhile = match error.partition() {
            Some(_) => {
                "; if this bank is the one that boots next, `bootbank bank use N STICK` lets the host start from another meanwhile"
            }
            None => "",
        };
        return Some(format!("{FAILING}{meanwhile}"));
    }
    let on_medium = error.partition().is_some();
    let text = match &error.cause {
        Cause::Table(error) => return table_hint(error),
        Cause::NoWholeBank(
            TableError::Partition {
                fault: PartitionFault::PastEnd { .. },
                ..
            }
            | TableError::EbrPastEnd { .. },
        ) => {
            "the medium is cut off before the end of its first bank, or its table is for a larger one; make the image again from the medium, or from a whole copy"
        }
        Cause::NoWholeBank(error) => return table_hint(error),
        Cause::Fat(error) | Cause::Bank(BankError::Fat(error)) => return fat_hint(error),
        Cause::State(error) => return state_hint(error, on_medium),
        Cause::Unopened(error) => return hint(error),
        Cause::NothingLeft { error, .. } => return hint_beside_rest(error),
        Cause::OtherTable { other, .. } => return Some(other_table_hint(other)),
        Cause::OtherType(found) => return other_type_hint(found),
        Cause::Edit(error) => edit_hint(error)?,
        Cause::Undo(error) => undo_hint(error)?,
        Cause::Commit(error) => commit_hint(error)?,
        cause => bank_hint(cause)?,
    };
    Some(text.to_owned())
}

/// The same where what is left was read, or was to be.
pub(super) fn hint_beside_rest(error: &Error) -> Option<String> {
    match &error.cause {
        Cause::State(state) if state.kind() == ErrorKind::Damaged => {
            Some(cure_of_damage(error.partition().is_some()).to_owned())
        }
        _ => hint(error),
    }
}

/// What to do first where a device is no longer there.
pub(super) const GONE: &str =
    "the device is gone: connect it again, at another port if need be, or start its server again";

/// Whether what an error comes from is that the device is no longer there.
fn has_vanished(error: &Error) -> bool {
    if let Cause::Commit(CommitError::Failed(failure)) = &error.cause {
        return MediumError::has_vanished(&failure.source);
    }
    let causes = iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref())
        .any(MediumError::has_vanished)
}

/// What to do where sectors of a medium cannot be read.
pub(super) const FAILING: &str = "sectors of this medium cannot be read: copy what can be read to another medium or to an image file, for example with ddrescue, and work on that";

/// Whether what an error comes from is that sectors cannot be read. Those that cannot be written are another matter:
/// another run can pass over them.
fn is_failing(error: &Error) -> bool {
    if matches!(error.cause, Cause::Commit(_)) {
        return false;
    }
    let causes = iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes
        .filter_map(|cause| cause.downcast_ref())
        .any(MediumError::is_of_sectors)
}

/// What to do about banks in partitions of another type.
fn other_type_hint(found: &[OtherType]) -> Option<String> {
    let Some(Cure::GiveType { partitions, kind }) = OtherType::cure(found) else {
        return None;
    };
    let command = type_command(&partitions, kind, "COPY");
    Some(format!(
        "bootbank does not change tables; on a copy of the medium {command} gives the type of a bank"
    ))
}

/// What to do about an error that is of the banks, or of what was asked of them.
fn bank_hint(cause: &Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::Bank(BankError::BootCfgTooLarge(_)) => {
            "nothing was written; no host writes a boot.cfg of that size: where another bank is whole, `bootbank bank copy FROM TO STICK` makes this one a copy of it"
        }
        Cause::NoSuchFile => "`bootbank ls STICK` lists the files",
        Cause::NoBanks => {
            "the command, or the path, is about banks, so it takes an image file or a whole disk"
        }
        Cause::NoBank(_) => {
            "is this an ESXi boot medium? bootbank needs the whole disk, not one partition of it"
        }
        Cause::Installer(_) => {
            "name the medium that ESXi was installed to: the installer holds no configuration"
        }
        Cause::Cut(_) => {
            "what is there can be read, and nothing is written; make the image again from the medium, or from a whole copy"
        }
        Cause::StandIn { .. } => "--bank N looks into another bank",
        Cause::UnpackedTogether { .. } => {
            "--bank N works on one bank at a time; --max-unpacked SIZE allows more"
        }
        Cause::HeldTogether { .. } => {
            "nothing was written; if that size is right, allow it with --max-unpacked SIZE: half of it is enough for SIZE"
        }
        Cause::OwnWay => {
            "`bootbank bootcfg set` and `bootbank kernelopt modify` change boot.cfg; `bootbank state import` puts a state in"
        }
        Cause::Loaded => "take it out of modules= first: `bootbank bootcfg set STICK modules ...`",
        Cause::NotLookedAt(_) => {
            "which banks the loader looks at goes by the numbers in the partition table, and bootbank does not change tables: \
             give the banks their numbers back on a copy of the medium, with `sgdisk --transpose` for a GPT"
        }
        Cause::WouldStop(_) => {
            "`bootbank verify STICK` says where the loader would stop; `bootbank bank use` goes on all the same with --even-if-broken, `bank copy` does not"
        }
        Cause::SettingsUnread(_) => {
            "`bootbank state copy FROM TO STICK` gives the bank the state of another; `bootbank bank use` goes on all the same with --even-if-broken"
        }
        Cause::NoSuchBank { .. } => "`bootbank info` lists the banks",
        Cause::NoState {
            elsewhere: true, ..
        } => "another bank holds one: `bootbank info` shows which",
        Cause::NoneBoots(_) => "name a bank by its partition number: --bank N",
        Cause::ChangedSince { files, .. }
            if matches!(files.cause, Cause::Undo(UndoError::InPieces)) =>
        {
            "let the other bank boot next, with `bootbank bank use`; then name the undo file of this change: `bootbank undo FILE STICK`"
        }
        Cause::ChangedSince { .. } => {
            "if there was a later change, undo that first, with its own undo file; if you are sure that this is the right medium and that newer data on it may be lost, use --force, then check the volume with fsck.fat"
        }
        Cause::Expectation(_) => {
            "nothing was written; the plan file is for another medium, or this one was changed already"
        }
        Cause::Verification(_) => {
            "this is a bug in bootbank, or a kind of volume it does not know: please report it"
        }
        _ => return None,
    })
}

fn edit_hint(error: &EditError) -> Option<&'static str> {
    Some(match error {
        EditError::Missing { path: CONFIG_STORE } => {
            "hosts keep settings there from 7.0 on; for older ones: `bootbank conf list` shows the settings in esx.conf, `bootbank info` the release"
        }
        EditError::Ownership {
            source: OwnershipError::OddLine { .. },
            ..
        } => {
            "nothing was written; edit that line by hand first: `bootbank get` takes etc/vmware/esx.conf out, `bootbank put` puts it back"
        }
        EditError::Missing { path: ESX_CONF } => {
            "`bootbank store list` shows the settings in the ConfigStore, `bootbank ls` every file"
        }
        EditError::Select(SelectError::Ambiguous { .. }) => {
            "name one of them by its key, with `raw:` in front, or by its whole address; `bootbank pci list` lists every device"
        }
        EditError::Unmatched(Unmatched::NewDevice(SelectError::OnlyDecimal { .. })) => {
            "type the address as lspci and esxcli show it; `dec:` in front takes it as decimal"
        }
        EditError::Select(_)
        | EditError::Unmatched(Unmatched::Device(_) | Unmatched::NewDevice(_)) => {
            "`bootbank pci list` lists every device; an address is read as hexadecimal unless `dec:` or `raw:` is in front"
        }
        EditError::Unmatched(Unmatched::Row { others: 1.., .. }) => {
            "name the row with -i: `bootbank store list` lists every one"
        }
        EditError::Unmatched(Unmatched::Row { .. }) => "`bootbank store list` lists every row",
        EditError::Empty => {
            "`bootbank state import` puts a configuration in; on a medium `bootbank state copy` does too, and --bank N chooses another bank"
        }
        EditError::HostUnknown { .. } => {
            "nothing was written; set it once on a host of this release, and make the image from that one; or leave it out"
        }
        EditError::Ownership {
            source: OwnershipError::RowValue { .. },
            ..
        } => {
            "`bootbank store get` shows the row, and `bootbank store set` with --column puts the column right"
        }
        EditError::Sidecar { .. } => {
            "the host was not shut down cleanly; start it and shut it down once, or make the change on the host"
        }
        _ => return None,
    })
}

fn undo_hint(error: &UndoError) -> Option<&'static str> {
    Some(match error {
        UndoError::TooManyParts { .. } => {
            "nothing was written; -o FILE writes a changed copy, which needs no undo file"
        }
        UndoError::NotAnUndoFile(_) => {
            "name the undo file first, then the medium: bootbank undo FILE STICK"
        }
        _ => return None,
    })
}

fn commit_hint(error: &CommitError) -> Option<&'static str> {
    Some(match error {
        CommitError::Changed { .. } => {
            "another program is writing to this medium; stop it, and run the command again"
        }
        CommitError::Replaced { .. } | CommitError::ReplacedMeanwhile { .. } => {
            "another program put something else in its place; find out which of the two files you mean"
        }
        CommitError::Interrupted { .. } => {
            "run the command again, or free the leftovers with `bootbank reclaim`"
        }
        CommitError::Failed(failure) if is_full(&failure.source) => NO_ROOM_OUTSIDE,
        _ => return None,
    })
}

/// An image may be sparse, so that a write to it takes room of the file system it is in.
const NO_ROOM_OUTSIDE: &str =
    "the file system that holds the image is full: make room there, and run it again";

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// What to do about a medium on a disk whose sectors have another size than its table is for.
pub(super) fn other_sectors_hint(found: u32) -> String {
    format!(
        "no host boots this medium from a disk with such sectors; copy it to a file to look into it, or attach that file with `losetup --sector-size {found}`"
    )
}

/// What to do where the loader's table is broken and another one is whole.
fn other_table_hint(other: &OtherTable) -> String {
    let table = match other.choice {
        TableChoice::Backup => "backup",
        _ => "gpt",
    };
    let restore = match other.restore {
        Some(restore) => format!(
            "to restore it, keep a copy of the medium, then: {}; meanwhile ",
            restore.commands("STICK")
        ),
        None => String::new(),
    };
    format!(
        "{restore}`bootbank info --table {table} STICK` and the other commands that only look read the medium by it"
    )
}

fn table_hint(error: &TableError) -> Option<String> {
    let text = match error {
        TableError::SectorSizeWrong { found, .. } => {
            return Some(format!(
                "leave the option out, or use --sector-size {found}"
            ));
        }
        TableError::SectorSizeAmbiguous => {
            "name the right one: --sector-size 512 or --sector-size 4096"
        }
        TableError::NoGpt { .. } | TableError::BackupGpt(_) => {
            "leave --table out: then the table is read that ESXi's loader uses"
        }
        TableError::Gpt(_) | TableError::NotProtective { .. } => {
            "ESXi's own loader refuses this table too, so the medium does not boot; bootbank does not repair tables"
        }
        TableError::Partition {
            fault: PartitionFault::PastEnd { .. },
            ..
        }
        | TableError::EbrPastEnd { .. } => {
            "nothing was written: the medium is cut off, or its table is for a larger one; `bootbank info` and the other commands that only look read the banks that are there"
        }
        TableError::WithoutLength { .. } => {
            "bootbank does not repair tables; on a copy, sfdisk gives the entry its length, or deletes it"
        }
        TableError::BackupOverlap(_) => {
            "the medium boots all the same; repair its partition table first, for example with gdisk on a copy"
        }
        TableError::GptHeaderSize { .. }
        | TableError::GptEntrySize { .. }
        | TableError::GptEntryCount { .. }
        | TableError::GptReadersDisagree(_) => {
            "bootbank does not repair tables; on a copy, `sfdisk --dump COPY > table` and `sfdisk COPY < table` write this one again in the usual form"
        }
        TableError::Partition { .. }
        | TableError::LogicalOutsideExtended { .. }
        | TableError::NestedExtended { .. }
        | TableError::EbrLoop { .. }
        | TableError::EbrChainTooLong { .. }
        | TableError::EbrSignature { .. }
        | TableError::EbrOutsideExtended { .. } => {
            "bootbank does not repair tables; correct this one on a copy, for example with sfdisk, or take an earlier copy of the medium"
        }
        TableError::Read { .. } => return None,
        _ => Kind::TAKEN,
    };
    Some(text.to_owned())
}

fn fat_hint(error: &FatError) -> Option<String> {
    let text = match error {
        FatError::NoRoom {
            fits_in_place: true,
            ..
        } => {
            "nothing was written; --in-place writes over the old file instead, which is safe on a copy (-o FILE); on the medium a cut halfway leaves the host unbootable until `bootbank undo`"
        }
        FatError::NotAFile { .. } => {
            "nothing was written; bootbank changes the files in the root directory of a bank, and no directories"
        }
        FatError::FileTooLarge { .. } => {
            "nothing was written; if that size is right, allow it with --max-unpacked SIZE"
        }
        FatError::PastPartition { .. } => {
            "nothing was written; the boot sector of the volume or the partition table is wrong, and fsck.fat repairs neither: an earlier copy of the medium shows which"
        }
        FatError::BootField { .. } | FatError::FatTooSmall { .. } => {
            "nothing was written; fsck.fat does not repair a boot sector: it can be taken from an earlier copy of the medium"
        }
        _ if error.kind() == ErrorKind::Damaged => {
            "nothing was written; repair the volume first, for example with fsck.fat on a copy"
        }
        _ => return None,
    };
    Some(text.to_owned())
}

/// What cures a state that is damaged.
fn cure_of_damage(on_medium: bool) -> &'static str {
    if on_medium {
        "the state of the other bank, where that is whole, cures it: `bootbank state copy FROM TO STICK`; so does an older state \
         from a backup: `bootbank state import STICK FILE`"
    } else {
        "an older backup is what cures it"
    }
}

fn state_hint(error: &StateError, on_medium: bool) -> Option<String> {
    let text = match &error.fault {
        StateFault::Sealed { .. } if on_medium => {
            "the key is in the host's TPM, not on this medium; with the host's recovery key in a file, --recovery-key FILE opens \
             the state; without it, make the change on the running host, or install ESXi anew and keep the datastores"
        }
        StateFault::Sealed { .. } => {
            "the key is in the host's TPM; with the host's recovery key in a file, --recovery-key FILE opens the state; without it, \
             make the change on the running host"
        }
        StateFault::Archive(ArchiveError::LinkedTo { path, link }) => {
            return Some(format!(
                "nothing was written; remove the link first: `bootbank rm STICK {}`, then {} can go; `bootbank seal --without NAME` leaves out the operation that removes it",
                quoted(link),
                quoted(path)
            ));
        }
        StateFault::Archive(ArchiveError::PaxOverride { .. } | ArchiveError::GlobalPax { .. })
            if on_medium =>
        {
            "no host writes such records: `bootbank state export` takes the state out; pack it again with tar --format=gnu, and put it in with `bootbank state import`"
        }
        StateFault::Archive(ArchiveError::PaxOverride { .. } | ArchiveError::GlobalPax { .. }) => {
            "no host writes such records: unpack the state, and pack it again with tar --format=gnu"
        }
        StateFault::NoKeyBeside => {
            "put the encryption.info of the same state.tgz beside it, or name it with --key-file FILE"
        }
        StateFault::Manifest { .. } => "unpack it with tar, and work on the state.tgz inside",
        StateFault::NoConfiguration => Kind::TAKEN,
        StateFault::RecoveryKey(_) => {
            "name the file with this host's recovery key by --recovery-key FILE: \
             `esxcli system settings encryption recovery list` shows it while the host runs. If it is the right one, \
             please report it: how the key of a sealed host is made was never seen on a real one"
        }
        StateFault::Gzip(GzipError::OverLimit { .. }) => {
            "nothing was written; if that size is right, allow it with --max-unpacked SIZE"
        }
        StateFault::Gzip(GzipError::OverBudget { .. }) => {
            "nothing was written; --max-unpacked SIZE allows more, and --bank N works on one bank of a medium at a time"
        }
        StateFault::Gzip(GzipError::NoMemory { .. }) => {
            "nothing was written; run it where there is more memory, or raise the limit (ulimit -v)"
        }
        StateFault::Gzip(GzipError::SecondMember { .. } | GzipError::TrailingBytes { .. })
            if !on_medium =>
        {
            "a host writes one gzip member and nothing behind it; nothing may be lost: `gzip -dc` unpacks all that is in it, and `gzip -n` packs that again"
        }
        // A key file that is none is not what a backup cures.
        StateFault::KeyStore(_) if !on_medium => return None,
        _ if error.kind() == ErrorKind::Damaged => {
            let cure = cure_of_damage(on_medium);
            return Some(format!(
                "{cure}; with --rescue, commands that only look read what is left of it"
            ));
        }
        _ => return None,
    };
    Some(text.to_owned())
}
