//! The manifest of a `configBundle.tgz`, as `vim-cmd hostsvc/firmware/backup_config` makes it.
//!
//! A bundle is an archive that holds a `state.tgz` beside `Manifest.txt`. The host's own script
//! writes four lines into that (read, in one release): `RELEASELEVEL=`, `UUID=`, `KERNELOPTS=` and
//! `USEROPTS=`. There are no sizes and no checksums in it. A restore refuses another release level
//! than the host's, and without force another UUID; so of a change of the state only that of the
//! host's UUID makes a manifest untrue. One with other lines may say more about the state: such a
//! bundle is read and not changed.

/// The lines that are known.
const KNOWN: [&str; 4] = [RELEASE, UUID, "KERNELOPTS", "USEROPTS"];
const RELEASE: &str = "RELEASELEVEL";
const UUID: &str = "UUID";

/// What a bundle says of the state in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    text: String,
}

impl Manifest {
    /// Reads a manifest; bytes that are no UTF-8 are read as the replacement character, and then it
    /// is not [known](Manifest::unknown).
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        Manifest { text }
    }

    /// The release as `vmware -l` writes it: `VMware ESXi 6.7.0 Update 3`.
    pub fn release_level(&self) -> Option<&str> {
        self.value(RELEASE)
    }

    /// The version in that text: `6.7.0`.
    pub fn version(&self) -> Option<&str> {
        let mut words = self.release_level()?.split_whitespace();
        words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
    }

    /// The UUID of the host that it is a backup of.
    pub fn uuid(&self) -> Option<&str> {
        self.value(UUID).filter(|uuid| !uuid.is_empty())
    }

    /// The same as it is written, which may be nothing; `None` where no line tells it.
    pub(crate) fn uuid_as_written(&self) -> Option<&str> {
        self.value(UUID)
    }

    /// The first line that is none of the known ones, so that it is not known what it says of the
    /// state; `None` where all are known.
    pub fn unknown(&self) -> Option<&str> {
        let is_known = |line: &&str| {
            let key = line.split_once('=').map(|(key, _)| key);
            line.is_empty() || key.is_some_and(|key| KNOWN.contains(&key))
        };
        let odd = self.text.contains(char::REPLACEMENT_CHARACTER);
        let mut lines = self.text.lines();
        lines.find(|line| odd || !is_known(line))
    }

    /// The manifest with another UUID; every other byte stays.
    pub fn with_uuid(&self, uuid: &str) -> Vec<u8> {
        let lines = self.text.split_inclusive('\n').map(|line| {
            let end = line.get(line.trim_end_matches(['\n', '\r']).len()..);
            match line.split_once('=') {
                Some((UUID, _)) => format!("{UUID}={uuid}{}", end.unwrap_or_default()),
                _ => line.to_owned(),
            }
        });
        lines.collect::<String>().into_bytes()
    }

    fn value(&self, wanted: &str) -> Option<&str> {
        let pairs = self.text.lines().filter_map(|line| line.split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == wanted);
        values.next().map(|(_, value)| value.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "RELEASELEVEL=VMware ESXi 6.7.0 Update 3\nUUID=5d5f-1\nKERNELOPTS=a=b c\nUSEROPTS=\n";

    #[test]
    fn a_manifest_says_the_release_and_the_host() {
        let manifest = Manifest::parse(TEXT.as_bytes());
        assert_eq!(manifest.release_level(), Some("VMware ESXi 6.7.0 Update 3"));
        assert_eq!(manifest.version(), Some("6.7.0"));
        assert_eq!(manifest.uuid(), Some("5d5f-1"));
        assert_eq!(manifest.unknown(), None);
    }

    #[test]
    fn a_new_uuid_changes_its_line_and_nothing_else() {
        let manifest = Manifest::parse(TEXT.as_bytes());
        let changed = String::from_utf8(manifest.with_uuid("x")).unwrap();
        assert_eq!(changed, TEXT.replace("5d5f-1", "x"));
        let crlf = Manifest::parse(b"UUID=a\r\nUSEROPTS=UUID=b");
        assert_eq!(crlf.with_uuid(""), b"UUID=\r\nUSEROPTS=UUID=b");
    }

    #[test]
    fn a_line_that_is_not_known_is_named() {
        for (text, line) in [
            ("UUID=1\nSTATESHA1=ab\n", "STATESHA1=ab"),
            ("made up\n", "made up"),
            ("uuid=1\n", "uuid=1"),
        ] {
            assert_eq!(Manifest::parse(text.as_bytes()).unknown(), Some(line));
        }
        assert!(Manifest::parse(b"UUID=\xff\n").unknown().is_some());
    }
}
