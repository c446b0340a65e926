//! Bundled images, and what each writing command makes of a medium in any state.

use bootbank::commit::{About, IfDifferent, Undo, WriteSet};
use bootbank::edit::{Context, Devices, Edit, FileEdit, OwnerEdit};
use bootbank::fat::{FatKind, Method};
use bootbank::medium::ReadAt;
use bootbank::ownership::Owner;
use bootbank::state::{KeyCache, Limits};
use bootbank::stick::{BankChoice, Error, Plan, Request, Settings, Stick, UndoPlan, plan_undo};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

/// A bundled image, unpacked.
pub struct Image {
    pub bytes: Vec<u8>,
    pub sector: usize,
    pub keys: KeyCache,
}

/// Where files are kept on an image, and which sectors hold their content.
pub struct Layout {
    /// By partition: where its volume lies, in bytes.
    pub volumes: BTreeMap<u32, Range<u64>>,
    /// Data areas, in sectors.
    pub data: Vec<Range<u64>>,
}

/// A file of a bank, by partition and name.
pub type FileName = (u32, &'static str);

/// A member large enough for the state to need fewer clusters without it.
pub const HOST_KEY: &str = "etc/ssh/ssh_host_rsa_key";

pub const FIX: Method = Method::SecondCopy;

impl Image {
    pub fn bundled(name: &str) -> Self {
        let path = format!("{}/testimages/{name}.img.gz", env!("CARGO_MANIFEST_DIR"));
        let packed = std::fs::read(Path::new(&path)).expect(&path);
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_end(&mut bytes)
            .expect(&path);
        let sector = if name == "esxi67-4kn" { 4096 } else { 512 };
        Image {
            bytes,
            sector,
            keys: KeyCache::new(),
        }
    }

    /// The same with no room for a second copy: every free cluster of FAT16 banks is marked bad,
    /// in both copies of the FAT, so that what changes is still the old files alone.
    pub fn full(name: &str) -> Self {
        let image = Image::bundled(name);
        let mut bytes = image.bytes.clone();
        let stick = image.open(&image.bytes).expect("a sound image");
        for slot in stick.slots() {
            let volume = slot.opened().expect("a sound bank").volume();
            assert_eq!(volume.geometry().kind(), FatKind::Fat16);
            let reach = volume.check().expect("a sound bank");
            for fat in volume.geometry().fat_ranges() {
                for cluster in reach.free().iter() {
                    let at = volume.start() + fat.start + 2 * u64::from(cluster.get());
                    let at = usize::try_from(at).expect("it is in memory");
                    bytes[at..at + 2].copy_from_slice(&0xfff7u16.to_le_bytes());
                }
            }
        }
        drop(stick);
        Image { bytes, ..image }
    }

    pub fn open<'m>(&self, medium: &'m dyn ReadAt) -> Result<Stick<'m, '_>, Error> {
        Stick::open(medium, &self.settings())
    }

    fn settings(&self) -> Settings<'_> {
        Settings {
            sector_size: u32::try_from(self.sector).ok(),
            limits: Limits::default(),
            keys: &self.keys,
        }
    }

    pub fn layout(&self) -> Layout {
        let stick = self.open(&self.bytes).expect("a sound image");
        let mut layout = Layout {
            volumes: BTreeMap::new(),
            data: Vec::new(),
        };
        for slot in stick.slots() {
            let volume = slot.opened().expect("a sound bank").volume();
            let start = volume.start();
            let range = start..start + volume.geometry().total_bytes();
            layout.volumes.insert(slot.partition, range);
            let data = volume.geometry().data_range();
            let lba = |at: u64| (start + at) / self.sector as u64;
            layout.data.push(lba(data.start)..lba(data.end));
        }
        layout
    }

    /// The content of every state file, each read as the loader would.
    pub fn states(&self, medium: &dyn ReadAt) -> Result<BTreeMap<FileName, Vec<u8>>, Error> {
        let stick = self.open(medium)?;
        let mut states = BTreeMap::new();
        for slot in stick.slots() {
            for file in &slot.states {
                let content = stick.read(slot, &file.entry)?;
                let mut known = ["state.tgz", "local.tgz"].into_iter();
                let name = known.find(|name| *name == file.name).unwrap();
                states.insert((slot.partition, name), content);
            }
        }
        Ok(states)
    }

    /// What `fix` comes to on a medium.
    pub fn fix(&self, medium: &dyn ReadAt, method: Method) -> Result<WriteSet, Error> {
        let devices = Devices::PassedThrough;
        let owner = Owner::Vmkernel;
        self.edit(medium, OwnerEdit { devices, owner }, method)
    }

    /// What `pci set -d DEVICE -e true|false` comes to.
    pub fn pci_set(
        &self,
        medium: &dyn ReadAt,
        device: &str,
        passthru: bool,
    ) -> Result<WriteSet, Error> {
        let devices = Devices::Named(vec![device.parse().expect("an address")]);
        let owner = if passthru {
            Owner::Passthru
        } else {
            Owner::Vmkernel
        };
        self.edit(medium, OwnerEdit { devices, owner }, FIX)
    }

    /// What `rm PATH` comes to.
    pub fn rm(&self, medium: &dyn ReadAt, path: &str, method: Method) -> Result<WriteSet, Error> {
        let edit = Edit::File(FileEdit::Remove {
            path: path.to_owned(),
            absent_ok: false,
        });
        let plan = self.open(medium)?.plan(&[edit], request(method))?;
        Ok(plan.set)
    }

    /// What `undo` comes to.
    pub fn undo(&self, medium: &dyn ReadAt, undo: &Undo) -> Result<UndoPlan, Error> {
        plan_undo(medium, undo, &self.settings(), IfDifferent::Refuse)
    }

    /// What `reclaim` comes to.
    pub fn reclaim(&self, medium: &dyn ReadAt) -> Result<WriteSet, Error> {
        let stick = self.open(medium)?;
        stick.plan_reclaim(request(FIX)).map(|plan: Plan| plan.set)
    }

    fn edit(
        &self,
        medium: &dyn ReadAt,
        edit: OwnerEdit,
        method: Method,
    ) -> Result<WriteSet, Error> {
        let stick = self.open(medium)?;
        let plan = stick.plan(&[Edit::Owner(edit)], request(method))?;
        Ok(plan.set)
    }

    /// The undo file of a run, written and read again.
    pub fn undo_file(&self, set: &WriteSet) -> Undo {
        let undo = Undo {
            set: set.clone(),
            medium_size: self.bytes.len() as u64,
            damaged: Default::default(),
            about: About::default(),
        };
        let file = undo.to_bytes().expect("an undo file");
        Undo::from_bytes(&file).expect("the undo file just written")
    }

    /// The same stick holding something else.
    pub fn with(&self, bytes: Vec<u8>) -> Image {
        Image {
            bytes,
            sector: self.sector,
            keys: KeyCache::new(),
        }
    }
}

impl Layout {
    pub fn is_data(&self, lba: u64) -> bool {
        self.data.iter().any(|range| range.contains(&lba))
    }
}

pub fn request(method: Method) -> Request {
    Request {
        banks: BankChoice::All,
        method,
        context: Context::default(),
    }
}
