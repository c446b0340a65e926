//! Another file is put in the place of an image while it is changed.

use crate::sticks::{FIX, Image};
use bootbank::commit::{CommitError, WriteSet, run};
use bootbank::error::ErrorKind;
use bootbank::host::Host;
use bootbank::medium::{ClaimedTarget, MediumError, ReadAt, WriteAt};
use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;

/// An image over whose name another file is renamed when a write is about to be made, or before
/// the first look.
struct RenamedOver<'a> {
    image: &'a ClaimedTarget,
    /// Writes until then.
    left: Cell<Option<usize>>,
    rename: &'a dyn Fn(),
}

impl RenamedOver<'_> {
    fn count(&self) {
        match self.left.get() {
            Some(0) => {
                (self.rename)();
                self.left.set(None);
            }
            left => self.left.set(left.map(|left| left - 1)),
        }
    }
}

impl ReadAt for RenamedOver<'_> {
    fn size(&self) -> u64 {
        self.image.size()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.image.read_at(buf, offset)
    }
}

impl WriteAt for RenamedOver<'_> {
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.count();
        self.image.write_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.image.sync()
    }

    fn read_back(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.image.read_back(buf, offset)
    }

    fn check_name(&self) -> io::Result<()> {
        self.image.check_name()
    }
}

/// What the program says is called now what it opened.
fn called_now(source: &io::Error) -> Option<&Path> {
    match source.get_ref().unwrap().downcast_ref() {
        Some(MediumError::Replaced { now, .. }) => now.as_deref(),
        _ => panic!("{source}"),
    }
}

fn planned(image: &Image) -> (WriteSet, Vec<u8>) {
    let set = image.fix(&image.bytes, FIX).unwrap();
    let changed = crate::replay::Cow::new(&image.bytes, image.sector);
    assert!(run(&changed, &set, &|| false).unwrap().unfinished.is_none());
    let after = changed.bytes(0..changed.size());
    (set, after)
}

#[test]
fn a_file_put_in_the_place_of_an_image_is_noticed_and_never_written() {
    let image = Image::bundled("esxi67-fresh");
    let (set, after) = planned(&image);
    let mut noticed_late = 0;
    for at in 0_usize.. {
        let dir = tempfile::tempdir().unwrap();
        let [path, new, kept] = ["a.img", "new.img", "kept.img"].map(|name| dir.path().join(name));
        fs::write(&path, &image.bytes).unwrap();
        fs::write(&new, &image.bytes).unwrap();
        // The name of the old file is kept by a link, so that its content can be looked at.
        fs::hard_link(&path, &kept).unwrap();
        let target = ClaimedTarget::open(&path, &Host::default()).unwrap();
        let rename = || fs::rename(&new, &path).unwrap();
        let medium = RenamedOver {
            image: &target,
            left: Cell::new(at.checked_sub(1)),
            rename: &rename,
        };
        if at == 0 {
            rename();
        }
        let result = run(&medium, &set, &|| false);
        if at > 0 && medium.left.get().is_some() {
            assert!(result.unwrap().unfinished.is_none());
            break;
        }
        let error = result.unwrap_err();
        let words = error.to_string();
        assert!(
            words.starts_with(&format!("{} is not the file any more", path.display())),
            "{words}"
        );
        let opened = fs::read(&kept).unwrap();
        match &error {
            CommitError::Replaced { source } => {
                assert_eq!((at, error.kind()), (0, ErrorKind::Refused));
                assert!(
                    words.ends_with("; nothing was written to either"),
                    "{words}"
                );
                assert!(opened == image.bytes);
                called_now(source);
            }
            CommitError::ReplacedMeanwhile { source } => {
                noticed_late += 1;
                assert_eq!(error.kind(), ErrorKind::Io);
                assert!(
                    words.contains("the change is in the file that was opened"),
                    "{words}"
                );
                assert!(opened == after);
                called_now(source);
            }
            other => panic!("{other}"),
        }
        assert!(
            fs::read(&path).unwrap() == image.bytes,
            "the new file is as it was put there"
        );
    }
    assert!(noticed_late > 3, "{noticed_late}");
}

#[test]
fn an_image_that_was_renamed_is_named_by_what_it_is_called_now() {
    let image = Image::bundled("esxi67-fresh");
    let (set, after) = planned(&image);
    let dir = tempfile::tempdir().unwrap();
    let [path, moved] = ["a.img", "moved.img"].map(|name| dir.path().join(name));
    fs::write(&path, &image.bytes).unwrap();
    let target = ClaimedTarget::open(&path, &Host::default()).unwrap();
    let medium = RenamedOver {
        image: &target,
        left: Cell::new(Some(0)),
        rename: &|| fs::rename(&path, &moved).unwrap(),
    };
    let error = run(&medium, &set, &|| false).unwrap_err();
    let CommitError::ReplacedMeanwhile { source } = &error else {
        panic!("{error}");
    };
    assert_eq!(called_now(source), Some(moved.as_path()));
    assert!(fs::read(&moved).unwrap() == after);
}
