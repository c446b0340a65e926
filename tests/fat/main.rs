//! FAT volumes made by mkfs.fat and mtools, and judged by them and fsck.fat: what is read, what is
//! refused, what new content changes, and what a cut leaves.

#![allow(
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the volumes are small, and a test that cannot go on fails"
)]

#[path = "../common/crash.rs"]
mod crash;
mod cuts;
mod damage;
#[path = "../common/fat_victim.rs"]
mod fat_victim;
#[path = "../common/fat_volume.rs"]
mod fat_volume;
mod judging;
mod leftovers;
mod replace;
mod worn;

use bootbank::commit::{Phase, Planner, WriteSet};
use bootbank::fat::{Action, FatError, FileChange, Method, judge, replace, replace_in_place};
use fat_victim::Victim;
use fat_volume::{Format, open};

/// Most bytes of a file that is read.
const LIMIT: u64 = 1 << 20;

/// A lie, how it is told, and words of the error it must be met with.
type Lie = (&'static str, fn(&mut Victim), &'static str);

/// A judged plan that gives root files new content.
fn plan(
    bytes: &[u8],
    format: Format,
    method: Method,
    contents: &[(&str, &[u8])],
) -> Result<WriteSet, FatError> {
    let volume = open(&bytes, format);
    let reach = volume.check()?;
    let mut files = Vec::new();
    for (name, content) in contents {
        let entry = volume.find(name)?.expect(name);
        let why = format!("new content of {name}");
        files.push(FileChange {
            entry,
            action: Action::Replace(content.to_vec().into()),
            why,
        });
    }
    let mut planner = Planner::new(&bytes, format.sector_size);
    match method {
        Method::SecondCopy => replace(&volume, &reach, &mut planner, 5, &files)?,
        Method::InPlace => replace_in_place(&volume, &reach, &mut planner, 5, &files)?,
    }
    let set = planner.finish();
    judge(&volume, &reach, &set, &files, method)?;
    Ok(set)
}

/// The bytes after every step.
fn done(bytes: &[u8], set: &WriteSet) -> Vec<u8> {
    let mut after = bytes.to_vec();
    crash::apply_all(&mut after, set);
    after
}

fn phases(set: &WriteSet) -> Vec<Phase> {
    set.steps().iter().map(|step| step.phase).collect()
}

/// Bytes of a cluster.
fn cluster(format: Format) -> usize {
    (format.sector_size * format.sectors_per_cluster) as usize
}
