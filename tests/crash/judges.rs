//! What programs that share no code with this one say of a volume in some state: mtools,
//! gzip, GNU tar and fsck.fat.

use crate::replay::Cow;
use crate::sticks::Image;
use bootbank::fat::Volume;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

/// One volume in a file of its own, made to hold one state after the other.
pub struct Scratch {
    directory: tempfile::TempDir,
    range: Range<u64>,
    /// Where its data area begins.
    data: u64,
    /// What the file holds now.
    bytes: Vec<u8>,
    /// Sectors of the medium in which it may differ from the image.
    dirty: BTreeSet<u64>,
}

impl Scratch {
    pub fn new(image: &Image, range: Range<u64>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let bytes = image.bytes[range.start as usize..range.end as usize].to_vec();
        let volume = Volume::open(&image.bytes, range.clone(), image.sector as u32).unwrap();
        let scratch = Scratch {
            directory,
            data: volume.geometry().data_range().start,
            range,
            bytes,
            dirty: BTreeSet::new(),
        };
        std::fs::write(scratch.path(), &scratch.bytes).unwrap();
        scratch
    }

    /// Puts the state of `medium` into the file.
    pub fn set(&mut self, medium: &Cow<'_>) {
        let size = medium.sector_size();
        let file = File::options().write(true).open(self.path()).unwrap();
        let kept = medium.kept();
        self.dirty.extend(kept.keys());
        for lba in &self.dirty {
            let start = lba * size as u64;
            if !self.range.contains(&start) {
                continue;
            }
            let at = (start - self.range.start) as usize;
            let wanted = match kept.get(lba) {
                Some(sector) => sector,
                None => &medium.base()[start as usize..][..size],
            };
            if self.bytes[at..at + size] != *wanted {
                file.write_all_at(wanted, at as u64).unwrap();
                self.bytes[at..at + size].copy_from_slice(wanted);
            }
        }
        self.dirty = kept.into_keys().collect();
    }

    /// The content of a file by mtools; `None` where mtools finds none or cannot read it.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let mut mtype = Command::new("mtype");
        let output = run(mtype.arg("-i").arg(self.path()).arg(format!("::{name}")));
        output.status.success().then_some(output.stdout)
    }

    /// Every file of the root directory but those of `except`, by mtools.
    pub fn others(&self, except: &[&str]) -> BTreeMap<String, Vec<u8>> {
        let out = tempfile::tempdir().unwrap();
        let mut mcopy = Command::new("mcopy");
        let output = run(mcopy
            .args(["-n", "-i"])
            .arg(self.path())
            .arg("::*")
            .arg(out.path()));
        assert!(output.status.success(), "{output:?}");
        let entries = std::fs::read_dir(out.path()).unwrap();
        let files = entries.map(|entry| entry.unwrap());
        let files = files.map(|entry| {
            let content = std::fs::read(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), content)
        });
        files
            .filter(|(name, _)| !except.contains(&name.as_str()))
            .collect()
    }

    /// Makes a folder in the root directory, by mtools.
    pub fn make_folder(&self, name: &str) {
        let mut mmd = Command::new("mmd");
        let output = run(mmd.arg("-i").arg(self.path()).arg(format!("::{name}")));
        assert!(output.status.success(), "{output:?}");
    }

    /// Whether fsck.fat has nothing to say.
    pub fn is_clean(&self) -> bool {
        let mut fsck = Command::new("fsck.fat");
        run(fsck.arg("-n").arg(self.path())).status.success()
    }

    /// Lets fsck.fat repair the volume without asking, as the host does at shutdown, and puts
    /// what it changed into `medium`.
    pub fn repair(&mut self, medium: &Cow<'_>) {
        let mut fsck = Command::new("fsck.fat");
        let output = run(fsck.arg("-a").arg(self.path()));
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "fsck.fat -a: {output:?}");
        // It repairs the head; none of the volumes has a folder.
        self.take_up_to(self.data, medium);
    }

    /// Puts what a program changed in the file into `medium`, which was the same before.
    pub fn take(&mut self, medium: &Cow<'_>) {
        self.take_up_to(self.range.end - self.range.start, medium);
    }

    fn take_up_to(&mut self, end: u64, medium: &Cow<'_>) {
        let mut after = vec![0; end as usize];
        let file = File::open(self.path()).unwrap();
        file.read_exact_at(&mut after, 0).unwrap();
        let size = medium.sector_size();
        let first = self.range.start / size as u64;
        let pairs = self.bytes.chunks(size).zip(after.chunks(size));
        for (lba, (old, new)) in (first..).zip(pairs) {
            if old != new {
                medium.put(lba, new);
                self.dirty.insert(lba);
            }
        }
        self.bytes[..after.len()].copy_from_slice(&after);
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("volume.img")
    }
}

/// GNU tar's list of what a state holds, through gzip: every layer that is an archive.
pub fn list_state(bytes: &[u8]) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.tgz");
    std::fs::write(&path, bytes).unwrap();
    let gzip = run(Command::new("gzip").args(["-t", "-S", ".tgz"]).arg(&path));
    assert!(gzip.status.success(), "{gzip:?}");
    let list = run(Command::new("tar").arg("-tzf").arg(&path));
    assert!(list.status.success(), "{list:?}");
    let names = String::from_utf8(list.stdout).unwrap();
    let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
    if names.iter().any(|name| name == "local.tgz") {
        let mut tar = Command::new("tar");
        let inner = run(tar.arg("-xzOf").arg(&path).arg("local.tgz"));
        names.extend(list_state(&inner.stdout));
    }
    names
}

pub fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
}
