//! FAT volumes made by mkfs.fat and filled by mtools, and what those tools say of them.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "shared by test programs, none of which uses all; one that cannot go on fails"
)]

use bootbank::fat::Volume;
use bootbank::medium::ReadAt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The identity every volume made here gets.
pub const UUID: [u8; 16] = *b"\x73\x74\x07\xaf\x13\x3c\xef\x28\xf7\x7b\x82\xe5\x08\x44\x1f\x1d";

/// How a volume is formatted.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    pub name: &'static str,
    pub fat_bits: u32,
    pub sector_size: u32,
    pub sectors_per_cluster: u32,
    pub kib: u32,
    pub fats: u32,
}

/// One of each kind: both widths, both sector sizes, small and large clusters, one FAT.
pub const FORMATS: [Format; 7] = [
    format("fat12", 12, 512, 1, 512, 2),
    format("fat12 of large clusters", 12, 512, 16, 4096, 2),
    format("fat12 of 4096-byte sectors", 12, 4096, 1, 4096, 2),
    format("fat12 with one FAT", 12, 512, 2, 1024, 1),
    format("fat16", 16, 512, 1, 2600, 2),
    format("fat16 of larger clusters", 16, 512, 4, 9000, 2),
    format("fat16 of 4096-byte sectors", 16, 4096, 1, 20_000, 2),
];

const fn format(
    name: &'static str,
    fat_bits: u32,
    sector_size: u32,
    sectors_per_cluster: u32,
    kib: u32,
    fats: u32,
) -> Format {
    Format {
        name,
        fat_bits,
        sector_size,
        sectors_per_cluster,
        kib,
        fats,
    }
}

/// Opens a medium that is one volume from end to end.
pub fn open(medium: &dyn ReadAt, format: Format) -> Volume<'_> {
    Volume::open(medium, 0..medium.size(), format.sector_size).expect("a sound boot sector")
}

/// A volume in a file of a private directory, together with what was put into it.
pub struct Made {
    directory: tempfile::TempDir,
    pub format: Format,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Made {
    /// An empty volume of that format, with the identity in its second sector.
    pub fn empty(format: Format) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = Made {
            directory,
            format,
            files: BTreeMap::new(),
        };
        let image = std::fs::File::create(made.image()).unwrap();
        image.set_len(u64::from(format.kib) * 1024).unwrap();
        let arguments = format!(
            "-F {} -S {} -s {} -f {} -R 2 -r 512 -n BANK --invariant",
            format.fat_bits, format.sector_size, format.sectors_per_cluster, format.fats
        );
        let mut mkfs = Command::new("mkfs.fat");
        succeed(mkfs.args(arguments.split(' ')).arg(made.image()));
        let mut bytes = made.bytes();
        let second = format.sector_size as usize;
        bytes[second..second + 16].copy_from_slice(b"VMWARE FAT16    ");
        bytes[second + 16..second + 32].copy_from_slice(&UUID);
        std::fs::write(made.image(), bytes).unwrap();
        made
    }

    /// A bank as other systems leave it: fragmented, with a folder and long names in it, and
    /// a `state.tgz` of `state` bytes somewhere between.
    pub fn bank(format: Format, state: usize) -> Self {
        let mut made = Made::empty(format);
        let cluster = (format.sector_size * format.sectors_per_cluster) as usize;
        made.put("boot.cfg", &pattern(200, 1));
        for index in 0..8 {
            made.put(&format!("gap{index}.v00"), &pattern(cluster + 1, 2));
        }
        for index in [0, 2, 4, 6] {
            made.delete(&format!("gap{index}.v00"));
        }
        made.put("state.tgz", &pattern(state, 3));
        made.put("local.tgz", &pattern(cluster * 2, 4));
        let folder = "System Volume Information";
        made.run(
            Command::new("mmd")
                .arg("-i")
                .arg(made.image())
                .arg(format!("::{folder}")),
        );
        made.put(
            &format!("{folder}/a long name indeed.txt"),
            &pattern(cluster * 3, 5),
        );
        made
    }

    pub fn put(&mut self, path: &str, content: &[u8]) {
        let source = self.directory.path().join("source");
        std::fs::write(&source, content).unwrap();
        let mut mcopy = Command::new("mcopy");
        mcopy.args(["-o", "-i"]).arg(self.image()).arg(source);
        self.run(mcopy.arg(format!("::{path}")));
        self.files.insert(path.to_owned(), content.to_vec());
    }

    /// Makes a directory.
    #[allow(dead_code, reason = "shared; not all of it is used everywhere")]
    pub fn make_directory(&mut self, path: &str) {
        let mut mmd = Command::new("mmd");
        self.run(mmd.arg("-i").arg(self.image()).arg(format!("::{path}")));
    }

    pub fn delete(&mut self, path: &str) {
        let image = self.image();
        self.run(
            Command::new("mdel")
                .arg("-i")
                .arg(image)
                .arg(format!("::{path}")),
        );
        self.files.remove(path);
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.image()).unwrap()
    }

    /// Puts `bytes` in the volume's place, for the tools to judge.
    pub fn judge(&self, bytes: &[u8]) -> Judged<'_> {
        std::fs::write(self.image(), bytes).unwrap();
        Judged { made: self }
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("volume.img")
    }

    fn run(&self, command: &mut Command) {
        succeed(command);
    }
}

/// A volume as the outside tools see it.
pub struct Judged<'m> {
    made: &'m Made,
}

impl Judged<'_> {
    /// Content of a file by mtools.
    pub fn content(&self, path: &str) -> Vec<u8> {
        let mut mtype = Command::new("mtype");
        succeed(
            mtype
                .arg("-i")
                .arg(self.made.image())
                .arg(format!("::{path}")),
        )
        .stdout
    }

    /// Every file but those of `changed` holds what was put into it.
    pub fn others_are_untouched(&self, changed: &[&str]) {
        for (path, content) in &self.made.files {
            if !changed.contains(&path.as_str()) {
                assert!(self.content(path) == *content, "{path} has changed");
            }
        }
    }

    /// fsck.fat finds nothing to say.
    pub fn is_clean(&self) {
        succeed(Command::new("fsck.fat").arg("-n").arg(self.made.image()));
    }

    /// The volume after fsck.fat has repaired it without asking, as ESXi does at shutdown.
    pub fn repaired(&self) -> Vec<u8> {
        let mut fsck = Command::new("fsck.fat");
        let output = run(fsck.arg("-a").arg(self.made.image()));
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1)), "fsck.fat -a: {output:?}");
        self.made.bytes()
    }

    /// Path of the image, for other tools.
    pub fn image(&self) -> PathBuf {
        self.made.image()
    }
}

/// Bytes that differ from those of every other `kind`, and from sector to sector.
pub fn pattern(len: usize, kind: u8) -> Vec<u8> {
    let byte = |at: usize| (at / 256) as u8 ^ (at as u8).wrapping_mul(31) ^ kind.wrapping_mul(57);
    (0..len).map(byte).collect()
}

/// Sets an entry of one copy of the FAT, without the help of the code under test.
pub fn set_fat_entry(bytes: &mut [u8], format: Format, fat: usize, cluster: u16, value: u16) {
    let cluster = usize::from(cluster);
    if format.fat_bits == 16 {
        bytes[fat + cluster * 2..][..2].copy_from_slice(&value.to_le_bytes());
        return;
    }
    for nibble in 0..3 {
        let at = cluster * 3 + nibble;
        let shift = at % 2 * 4;
        let bits = (value >> (nibble * 4) & 0xf) as u8;
        let byte = &mut bytes[fat + at / 2];
        *byte = *byte & !(0xf << shift) | bits << shift;
    }
}

fn run(command: &mut Command) -> Output {
    let program = Path::new(command.get_program()).display().to_string();
    command
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"))
}

fn succeed(command: &mut Command) -> Output {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
