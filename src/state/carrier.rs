//! Whether an archive that is no state by its name holds a configuration all the same.
//!
//! The host unpacks every archive that `modules=` lists, so what such a one holds below `etc/` counts like a
//! state. Only the names of its members are looked at, one header after the other as it is unpacked, so that
//! neither its size nor what a stricter reader refuses hides a configuration.

use super::archive::normalise;
use super::{LOCAL, LOCAL_ENCRYPTED};
use flate2::read::GzDecoder;
use std::io::Read;
use tar::{EntryType, PaxExtensions};

/// Where esx.conf lies in the archive.
pub const ESX_CONF: &str = "etc/vmware/esx.conf";
/// Where the ConfigStore lies in the archive. Hosts keep their settings there from 7.0 U2 on.
pub const CONFIG_STORE: &str = "var/lib/vmware/configstore/backup/current-store-1";
/// The ConfigStore of a running host.
const LIVE_STORE: &str = "etc/vmware/configstore/current-store-1";

/// Longest record before a header, in bytes, that is read for the path in it; tar itself writes up to some
/// thousand.
const LONGEST_RECORD: u64 = 1 << 16;

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
    /// It unpacks to more than was to be looked at, or a record in it is longer than any is.
    Unknown,
}

impl Sign {
    /// Searches a packed archive, of which no more than `left` bytes are unpacked; what was unpacked is taken off.
    pub fn search(self, packed: &[u8], left: &mut u64) -> Carries {
        let mut archive = tar::Archive::new(GzDecoder::new(packed).take(*left));
        let found = self.find(&mut archive);
        *left = archive.into_inner().limit();
        match found {
            Carries::No if *left == 0 => Carries::Unknown,
            found => found,
        }
    }

    fn find<R: Read>(self, archive: &mut tar::Archive<R>) -> Carries {
        let Ok(entries) = archive.entries() else {
            return Carries::No;
        };
        let (mut of_next, mut of_all) = (None, None);
        // As they are: records before a header may say that they are of any size.
        for entry in entries.raw(true) {
            let Ok(mut entry) = entry else {
                break;
            };
            let kind = entry.header().entry_type();
            if is_record(kind) {
                if entry.size() > LONGEST_RECORD {
                    return Carries::Unknown;
                }
                let mut record = Vec::new();
                if entry.read_to_end(&mut record).is_err() {
                    break;
                }
                match kind.is_pax_global_extensions() {
                    true => of_all = path_in(kind, &record).or(of_all),
                    false => of_next = path_in(kind, &record).or(of_next),
                }
                continue;
            }
            // Not every reader goes by such records.
            let names = [
                of_next.take(),
                of_all.clone(),
                Some(entry.path_bytes().into_owned()),
            ];
            if !kind.is_dir() && names.iter().flatten().any(|name| self.is_one(name)) {
                return Carries::Yes;
            }
        }
        Carries::No
    }

    fn is_one(self, path: &[u8]) -> bool {
        let path = normalise(path);
        let known = [LOCAL, LOCAL_ENCRYPTED, ESX_CONF, CONFIG_STORE, LIVE_STORE];
        let is_known = known.iter().any(|known| path == known.as_bytes());
        is_known || self == Sign::AnyFile && path.starts_with(b"etc/")
    }
}

/// Whether this is no member, but says something of the next one, or of all.
fn is_record(kind: EntryType) -> bool {
    kind.is_pax_local_extensions() || kind.is_pax_global_extensions() || kind.is_gnu_longname()
}

/// The path that a record gives.
fn path_in(kind: EntryType, record: &[u8]) -> Option<Vec<u8>> {
    if kind.is_gnu_longname() {
        let end = record.iter().position(|byte| *byte == 0);
        return Some(record.get(..end.unwrap_or(record.len()))?.to_vec());
    }
    let paths = PaxExtensions::new(record).filter_map(Result::ok);
    // Of several the last one counts.
    let paths = paths.filter(|it| it.key_bytes() == b"path");
    paths.last().map(|it| it.value_bytes().to_vec())
}

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
                &[("etc/vmware/esx.conf.LOCK", 0)],
                Carries::Yes,
                Carries::No,
            ),
            (
                &[("././etc//vmware/esx.conf", 9)],
                Carries::Yes,
                Carries::Yes,
            ),
            (
                &[("usr/lib/vmware/configstore/schema/x.json", 3)],
                Carries::No,
                Carries::No,
            ),
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

    /// Its own name is short and harmless; the path is in a record before it, and the directory alone is none.
    #[test]
    fn records_before_a_header_and_directories_are_taken_for_what_they_are() {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        archive.append_data(&mut header, "etc/", &b""[..]).unwrap();
        let directory = archive.get_ref().clone();
        archive
            .append_pax_extensions([("path", &b"/etc/vmware/esx.conf"[..])])
            .unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_size(1);
        archive
            .append_data(&mut header, "usr/x", &b"x"[..])
            .unwrap();
        for (bytes, expected) in [
            (directory, Carries::No),
            (archive.into_inner().unwrap(), Carries::Yes),
        ] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&bytes).unwrap();
            let packed = encoder.finish().unwrap();
            for sign in [Sign::AnyFile, Sign::Settings] {
                assert_eq!(sign.search(&packed, &mut (1 << 20)), expected, "{sign:?}");
            }
        }
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
