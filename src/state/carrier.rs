//! Whether an archive that is no state by its name holds a configuration all the same.
//!
//! The host unpacks every archive that `modules=` lists, so what such a one holds below `etc/` counts like a
//! state. Only the names of its members are looked at, one header after the other as it is unpacked, so that
//! no size and no record that the strict reader refuses hides a configuration.

use super::{LOCAL, LOCAL_ENCRYPTED};
use flate2::read::GzDecoder;
use std::io::Read as _;

/// What in an archive is a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Any file below `etc/`.
    AnyFile,
    /// A file that holds settings of the host: esx.conf or a ConfigStore. Archives of drivers and tools have
    /// others below `etc/`.
    Settings,
}

/// What came of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carries {
    /// A configuration is there.
    Yes,
    /// None is, as far as the archive can be read.
    No,
    /// It unpacks to more than was to be looked at.
    Unknown,
}

impl Sign {
    /// Searches a packed archive, of which no more than `left` bytes are unpacked; what was unpacked is taken off.
    pub fn search(self, packed: &[u8], left: &mut u64) -> Carries {
        let unpacked = GzDecoder::new(packed).take(*left);
        let mut archive = tar::Archive::new(unpacked);
        let found = match archive.entries() {
            Err(_) => false,
            // Without the records before a header: they may say that they are of any size.
            Ok(entries) => entries
                .raw(true)
                .map_while(Result::ok)
                .any(|entry| self.is_one(&entry.path_bytes())),
        };
        *left = archive.into_inner().limit();
        match (found, *left) {
            (true, _) => Carries::Yes,
            (false, 0) => Carries::Unknown,
            (false, _) => Carries::No,
        }
    }

    fn is_one(self, path: &[u8]) -> bool {
        let path = path.strip_prefix(b"./").unwrap_or(path);
        let is = |name: &str| path == name.as_bytes();
        let of_settings = || path.starts_with(b"etc/vmware/esx.conf") || is_store(path);
        is(LOCAL)
            || is(LOCAL_ENCRYPTED)
            || match self {
                Sign::AnyFile => path.starts_with(b"etc/") || is_store(path),
                Sign::Settings => of_settings(),
            }
    }
}

/// Whether this is a ConfigStore, or the copy of one that a host saves.
fn is_store(path: &[u8]) -> bool {
    path.windows(STORE_DIRECTORY.len())
        .any(|part| part == STORE_DIRECTORY)
}

/// In the paths of a ConfigStore, live and saved.
const STORE_DIRECTORY: &[u8] = b"vmware/configstore/";

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn packed(members: &[(&str, usize)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, len) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(*len as u64);
            header.set_mode(0o644);
            let content = vec![0; *len];
            archive.append_data(&mut header, path, &*content).unwrap();
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&archive.into_inner().unwrap()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_configuration_is_found_behind_whatever_is_before_it() {
        let search =
            |sign: Sign, members: &[(&str, usize)]| sign.search(&packed(members), &mut (1 << 20));
        let (any, settings) = (Sign::AnyFile, Sign::Settings);
        let conf = ("etc/vmware/esx.conf", 9);
        for (members, by_any, by_settings) in [
            (&[conf][..], Carries::Yes, Carries::Yes),
            (&[("usr/x", 5000), conf], Carries::Yes, Carries::Yes),
            (&[("local.tgz", 3)], Carries::Yes, Carries::Yes),
            (&[("etc/vmware/pciid/x.xml", 3)], Carries::Yes, Carries::No),
            (
                &[("var/lib/vmware/configstore/backup/current-store-1", 3)],
                Carries::Yes,
                Carries::Yes,
            ),
            (&[("usr/x", 3)], Carries::No, Carries::No),
            (
                &[("usr/x", 2 << 20), conf],
                Carries::Unknown,
                Carries::Unknown,
            ),
        ] {
            assert_eq!(search(any, members), by_any, "{members:?}");
            assert_eq!(search(settings, members), by_settings, "{members:?}");
        }
        assert_eq!(any.search(b"no gzip", &mut (1 << 20)), Carries::No);
    }

    #[test]
    fn what_was_unpacked_is_taken_off() {
        let mut left = 1 << 20;
        let file = packed(&[("usr/x", 100_000)]);
        assert_eq!(Sign::AnyFile.search(&file, &mut left), Carries::No);
        assert!(left < (1 << 20) - 100_000, "{left}");
        while left > 0 {
            Sign::AnyFile.search(&file, &mut left);
        }
        assert_eq!(Sign::AnyFile.search(&file, &mut left), Carries::Unknown);
    }
}
