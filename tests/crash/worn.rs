//! Runs on a medium with sectors that can be read and not written, as worn flash has them.

use crate::replay::Cow;
use crate::sticks::{FIX, Image};
use bootbank::commit::{CommitError, Failure, Phase, WriteSet, run};
use bootbank::edit::{Devices, Edit, OwnerEdit};
use bootbank::fat::Method;
use bootbank::medium::{Lba, ReadAt, WriteAt};
use bootbank::ownership::Owner;
use bootbank::stick::{Error, Plan};
use std::io;
use std::ops::Range;

/// What becomes of a write to a worn sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Worn {
    /// It fails.
    Fails,
    /// It seems to be done, and is not.
    Drops,
    /// The sync after it fails.
    FailsLate,
    /// It fails, because there is no room for a sector of a sparse image.
    Full,
}

/// A medium whose sector `lba` is worn.
struct Medium<'m> {
    inner: &'m Cow<'m>,
    lba: Lba,
    worn: Worn,
    sector: usize,
    touched: std::cell::Cell<bool>,
}

impl ReadAt for Medium<'_> {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(buf, offset)
    }
}

impl WriteAt for Medium<'_> {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let size = self.sector as u64;
        for (at, sector) in (offset / size..).zip(data.chunks(self.sector)) {
            if Lba(at) != self.lba {
                self.inner.write_at(sector, at * size)?;
                continue;
            }
            self.touched.set(true);
            match self.worn {
                Worn::Fails => return Err(io::Error::from_raw_os_error(5)),
                Worn::Full => return Err(io::Error::from_raw_os_error(28)),
                Worn::Drops | Worn::FailsLate => {}
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.worn == Worn::FailsLate && self.touched.replace(false) {
            Err(io::Error::from_raw_os_error(5))
        } else {
            Ok(())
        }
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.inner.read_at(buf, offset)
    }
}

/// The plan that gives every device back, put beside the old files or over them.
fn planned(
    image: &Image,
    medium: &dyn ReadAt,
    method: Method,
    avoided: Vec<Range<Lba>>,
) -> Result<Plan, Error> {
    let edit = Edit::Owner(OwnerEdit {
        devices: Devices::PassedThrough,
        owner: Owner::Vmkernel,
    });
    let stick = image.open(medium).unwrap().avoiding(avoided);
    stick.plan(&[edit], crate::sticks::request(method))
}

fn plan(image: &Image, medium: &dyn ReadAt, avoided: Vec<Range<Lba>>) -> WriteSet {
    planned(image, medium, FIX, avoided).unwrap().set
}

fn failure(medium: &dyn WriteAt, set: &WriteSet) -> Failure {
    match run(medium, set, &|| false) {
        Err(CommitError::Failed(failure)) => *failure,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sector_that_cannot_be_written_is_named_and_passed_over_by_a_run_that_is_told_of_it() {
    for name in ["esxi67-usb-passthru", "esxi67-4kn", "esxi55-fragmented"] {
        let image = Image::bundled(name);
        let first = plan(&image, &image.bytes, Vec::new());
        let data = first.steps().iter().find(|it| it.phase == Phase::Data);
        let sectors: Vec<Lba> = data.unwrap().sectors.keys().copied().collect();
        for lba in [
            sectors[0],
            sectors[sectors.len() / 2],
            sectors[sectors.len() - 1],
        ] {
            for worn in [Worn::Fails, Worn::Drops, Worn::FailsLate] {
                let inner = Cow::new(&image.bytes, image.sector);
                let touched = std::cell::Cell::new(false);
                let medium = Medium {
                    inner: &inner,
                    lba,
                    worn,
                    sector: image.sector,
                    touched,
                };
                // The same plan fails at the same place, however often.
                let mut avoided = Vec::new();
                for _ in 0..2 {
                    let failed = failure(&medium, &plan(&image, &medium, Vec::new()));
                    assert_eq!(failed.phase, Phase::Data, "{name} {lba} {worn:?}");
                    avoided = failed.worn;
                    assert!(
                        avoided.iter().any(|range| range.contains(&lba)),
                        "{avoided:?}"
                    );
                }
                let set = plan(&image, &medium, avoided.clone());
                let written = set.steps().iter().flat_map(|step| step.sectors.keys());
                let clash = |it: &&Lba| avoided.iter().any(|range| range.contains(it));
                assert_eq!(written.filter(clash).count(), 0, "{name} {lba} {worn:?}");
                assert!(run(&medium, &set, &|| false).unwrap().unfinished.is_none());
                assert!(plan(&image, &medium, Vec::new()).is_empty());
            }
        }
    }
}

#[test]
fn what_is_to_be_avoided_is_not_written_over_either() {
    let image = Image::full("esxi67-usb-passthru");
    let plan = |avoided| planned(&image, &image.bytes, Method::InPlace, avoided);
    let set = plan(Vec::new()).unwrap().set;
    let over = set.steps().iter().find(|it| it.phase == Phase::Overwrite);
    let lba = *over.unwrap().sectors.keys().next_back().unwrap();
    let refused = plan(vec![lba..lba.saturating_add(1)]).unwrap_err();
    assert!(
        refused.to_string().contains("are to be avoided"),
        "{refused}"
    );
}

#[test]
fn where_what_is_to_be_avoided_leaves_no_room_it_is_counted() {
    let image = Image::bundled("esxi67-usb-passthru");
    let sectors = image.bytes.len() / image.sector;
    let all = Lba(0)..Lba(sectors as u64);
    let refused = planned(&image, &image.bytes, FIX, vec![all]);
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("but the bank has 0; ") && refused.contains(" left out, because "),
        "{refused}"
    );
}

#[test]
fn only_what_was_free_is_called_worn_and_nothing_where_there_is_no_room_for_it() {
    let image = Image::bundled("esxi67-usb-passthru");
    let set = plan(&image, &image.bytes, Vec::new());
    for step in set.steps() {
        let inner = Cow::new(&image.bytes, image.sector);
        let lba = *step.sectors.keys().next().unwrap();
        let touched = std::cell::Cell::new(false);
        let worn = match step.phase {
            Phase::Data => Worn::Full,
            _ => Worn::Fails,
        };
        let medium = Medium {
            inner: &inner,
            lba,
            worn,
            sector: image.sector,
            touched,
        };
        match run(&medium, &set, &|| false) {
            Err(CommitError::Failed(failed)) => assert!(failed.worn.is_empty()),
            Ok(done) => assert!(done.unfinished.unwrap().worn.is_empty()),
            Err(other) => panic!("{other}"),
        }
    }
}
