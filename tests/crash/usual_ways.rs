//! The usual ways to replace a file of a bank, judged like this program's own way: `mcopy -o`,
//! the fatfs crate's overwrite, and a temporary file renamed with it.
//!
//! None of them asks for a sync before it is done, so any subset of the sectors they change can
//! be what a cut leaves. Which sectors mcopy changes is taken from the volume before and after;
//! what the crate writes is recorded, so it is also cut after each write, in order. States are
//! chosen as in `replay.rs`.

use crate::judges::{Scratch, run};
use crate::media::Event;
use crate::replay::{Cow, Epoch, as_sectors, each_state, epochs};
use crate::sticks::{FIX, Image};
use crate::table;
use bootbank::fat::Volume;
use bootbank::medium::ReadAt;
use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::process::Command;

const NAME: &str = "state.tgz";
const SECTOR: usize = 512;

/// Shows states to a judge.
type Each<'e> = dyn FnMut(&mut dyn FnMut(&Cow<'_>)) + 'e;

/// One bank as an image of its own, its state before and after, and where its data area begins.
struct Bank {
    image: Image,
    old: Vec<u8>,
    new: Vec<u8>,
    data: u64,
}

impl Bank {
    fn new() -> Self {
        let stick = Image::bundled("esxi67-fresh");
        let range = stick.layout().volumes[&5].clone();
        let fixed = Cow::new(&stick.bytes, SECTOR);
        let set = stick.fix(&stick.bytes, FIX).unwrap();
        assert!(
            bootbank::commit::run(&fixed, &set, &|| false)
                .unwrap()
                .unfinished
                .is_none()
        );
        let image = stick.with(stick.bytes[range.start as usize..range.end as usize].to_vec());
        let volume = Volume::open(&image.bytes, 0..image.bytes.size(), SECTOR as u32).unwrap();
        let data = volume.geometry().data_range().start / SECTOR as u64;
        let name = (5, NAME);
        Bank {
            old: stick.states(&stick.bytes).unwrap()[&name].clone(),
            new: stick.states(&fixed).unwrap()[&name].clone(),
            data,
            image,
        }
    }

    /// Whether our reader finds the old state or the new one.
    fn holds(&self, medium: &dyn ReadAt) -> bool {
        let read = || {
            let volume = Volume::open(medium, 0..medium.size(), SECTOR as u32).ok()?;
            let entry = volume.find(NAME).ok()??;
            volume.read_file(&entry, 1 << 24).ok()
        };
        read().is_some_and(|content| content == self.old || content == self.new)
    }

    /// States, those with the configuration lost or corrupt, and of these the ones fsck.fat
    /// finds nothing wrong with.
    fn count(&self, each: &mut Each<'_>) -> [usize; 3] {
        let mut scratch = Scratch::new(&self.image, 0..self.image.bytes.size());
        let mut counts = [0; 3];
        each(&mut |state| {
            counts[0] += 1;
            if self.holds(state) {
                return;
            }
            // Where ours refuses, as with two entries of one name, mtools may still find it.
            scratch.set(state);
            let by_mtools = scratch.content(NAME).unwrap_or_default();
            if by_mtools != self.old && by_mtools != self.new {
                counts[1] += 1;
                counts[2] += usize::from(scratch.is_clean());
            }
        });
        counts
    }

    fn any_subset(&self, epochs: &[Epoch]) -> [usize; 3] {
        self.count(&mut |judge| {
            let is_data = |lba| lba >= self.data;
            each_state(
                &self.image.bytes,
                SECTOR,
                epochs,
                &is_data,
                &mut |state, _| judge(state),
            );
        })
    }

    fn in_order(&self, log: &[Event]) -> [usize; 3] {
        self.count(&mut |judge| {
            let medium = Cow::new(&self.image.bytes, SECTOR);
            let mut now = BTreeMap::new();
            let mut last = None;
            judge(&medium);
            for event in log {
                let Event::Write { offset, data } = event else {
                    continue;
                };
                for (lba, content) in as_sectors(&self.image.bytes, &mut now, *offset, data, SECTOR)
                {
                    // Writes to one sector in a row reach the medium as one.
                    if last.is_some_and(|last| last != lba) {
                        judge(&medium);
                    }
                    medium.put(lba, &content);
                    last = Some(lba);
                }
            }
            judge(&medium);
        })
    }

    fn recorded(&self, change: &dyn Fn(&fatfs::FileSystem<&mut Disk>)) -> Vec<Event> {
        let mut disk = Disk {
            bytes: self.image.bytes.clone(),
            at: 0,
            log: Vec::new(),
        };
        let files = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new()).unwrap();
        change(&files);
        files.unmount().unwrap();
        disk.log
    }
}

/// A volume the crate writes to, with what it wrote.
struct Disk {
    bytes: Vec<u8>,
    at: u64,
    log: Vec<Event>,
}

impl Read for Disk {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = (&self.bytes[self.at as usize..]).read(buf)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Disk {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.bytes[self.at as usize..][..data.len()].copy_from_slice(data);
        self.log.push(Event::Write {
            offset: self.at,
            data: data.to_vec(),
        });
        self.at += data.len() as u64;
        Ok(data.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Disk {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut cursor = io::Cursor::new(&self.bytes);
        cursor.set_position(self.at);
        self.at = cursor.seek(to)?;
        Ok(self.at)
    }
}

#[test]
fn mcopy_over_the_file_loses_configurations() {
    let bank = Bank::new();
    let scratch = Scratch::new(&bank.image, 0..bank.image.bytes.size());
    let source = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(source.path(), &bank.new).unwrap();
    let mut mcopy = Command::new("mcopy");
    let mcopy = mcopy.args(["-o", "-m", "-i"]).arg(scratch.path());
    let output = run(mcopy.arg(source.path()).arg(format!("::{NAME}")));
    assert!(output.status.success(), "{output:?}");
    let after = std::fs::read(scratch.path()).unwrap();
    let pairs = bank.image.bytes.chunks(SECTOR).zip(after.chunks(SECTOR));
    let changed = (0..).zip(pairs).filter(|(_, (old, new))| old != new);
    let changed: Epoch = changed.map(|(lba, (_, new))| (lba, new.to_vec())).collect();
    table::expect("`mcopy -o`, any subset", &bank.any_subset(&[changed]));
}

#[test]
fn the_fatfs_crate_overwriting_the_file_loses_configurations() {
    let bank = Bank::new();
    let log = bank.recorded(&|files| {
        let mut file = files.root_dir().open_file(NAME).unwrap();
        file.truncate().unwrap();
        file.write_all(&bank.new).unwrap();
        file.flush().unwrap();
    });
    table::expect("fatfs overwrite, in order", &bank.in_order(&log));
    let epochs = epochs(&bank.image.bytes, &log, SECTOR);
    table::expect("fatfs overwrite, any subset", &bank.any_subset(&epochs));
}

#[test]
fn the_fatfs_crate_renaming_a_temporary_file_loses_configurations() {
    let bank = Bank::new();
    let log = bank.recorded(&|files| {
        let root = files.root_dir();
        let mut file = root.create_file("state.new").unwrap();
        file.write_all(&bank.new).unwrap();
        file.flush().unwrap();
        drop(file);
        root.remove(NAME).unwrap();
        root.rename("state.new", &root, NAME).unwrap();
    });
    table::expect(
        "fatfs temporary file and rename, in order",
        &bank.in_order(&log),
    );
    let epochs = epochs(&bank.image.bytes, &log, SECTOR);
    let counts = bank.any_subset(&epochs);
    table::expect("fatfs temporary file and rename, any subset", &counts);
}

#[test]
fn this_program_by_the_same_judge_loses_none() {
    let stick = Image::bundled("esxi67-fresh");
    let bank = Bank::new();
    let start = stick.layout().volumes[&5].start;
    let set = stick.fix(&stick.bytes, FIX).unwrap();
    let recorder = crate::media::Recorder::new(stick.bytes.clone());
    assert!(
        bootbank::commit::run(&recorder, &set, &|| false)
            .unwrap()
            .unfinished
            .is_none()
    );
    let on_volume = |event| match event {
        Event::Write { offset, data } => Event::Write {
            offset: offset - start,
            data,
        },
        Event::Sync => Event::Sync,
    };
    let log: Vec<Event> = recorder.log().into_iter().map(on_volume).collect();
    table::expect("bootbank, in order", &bank.in_order(&log));
    let epochs = epochs(&bank.image.bytes, &log, SECTOR);
    table::expect(
        "bootbank, any subset since the last sync",
        &bank.any_subset(&epochs),
    );
}
