//! Which release of ESXi a bank holds, by the `build` line of its boot.cfg.

use std::fmt;

/// The first build of 7.0 U2. Counts only where the text says 7.0 and no more: patches of older
/// releases have higher numbers.
const FIRST_OF_7_0_2: u64 = 17_630_552;

/// A release, as `build=` writes it: `6.7.0-8169922`, `7.0.2-0.0.17867351`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    text: String,
    major: u32,
    minor: u32,
    update: Option<u32>,
    build: Option<u64>,
}

impl Release {
    /// Reads a build string; `None` where it does not begin with two numbers.
    pub fn parse(build: &str) -> Option<Release> {
        let (version, rest) = match build.split_once('-') {
            Some((version, rest)) => (version, Some(rest)),
            None => (build, None),
        };
        let mut numbers = version.split('.');
        let mut next = || numbers.next().map(str::parse::<u32>);
        let (major, minor) = (next()?.ok()?, next()?.ok()?);
        let update = next().and_then(Result::ok);
        let number = rest.and_then(|rest| rest.rsplit('.').next());
        Some(Release {
            text: build.to_owned(),
            major,
            minor,
            update,
            build: number.and_then(|number| number.parse().ok()),
        })
    }

    /// The major release: 7 of 7.0.2.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// Whether it is this version, or a later one.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// Whether the host reads its name and its addresses from rows of the ConfigStore, as from 8.0 on, and no more
    /// from lines of esx.conf.
    pub fn reads_name_from_store(&self) -> bool {
        self.is_at_least(8, 0)
    }

    /// Whether the host keeps its configuration in the ConfigStore, as from 7.0 U2 on. Up to
    /// 7.0 U1 it is in esx.conf, beside a ConfigStore with a few keys in 7.0 and 7.0 U1.
    ///
    /// Seen on one real host: of what its store holds, all but three keys were made in the second
    /// of its first boot of 7.0 U2.
    pub fn reads_config_store(&self) -> bool {
        self.is_of_7_0_2_or_later().unwrap_or(false)
    }

    /// Whether the host is known to take the owners of devices from esx.conf, as up to 7.0 U1.
    pub fn reads_esx_conf(&self) -> bool {
        self.is_of_7_0_2_or_later() == Some(false)
    }

    /// Whether the host encrypts its state, as from 7.0 U2 on; `None` where the text does not tell
    /// which update of 7.0 it is.
    pub fn encrypts_state(&self) -> Option<bool> {
        self.is_of_7_0_2_or_later()
    }

    fn is_of_7_0_2_or_later(&self) -> Option<bool> {
        match (self.major, self.minor, self.update) {
            (7, 0, Some(update)) => Some(update >= 2),
            (7, 0, None) => self.build.map(|build| build >= FIRST_OF_7_0_2),
            (major, minor, _) => Some((major, minor) > (7, 0)),
        }
    }

    /// Whether it is a later version than `other`, as far as both texts tell it.
    pub fn is_later_than(&self, other: &Release) -> bool {
        let updates = self.update.zip(other.update);
        let (own, others) = updates.unwrap_or_default();
        (self.major, self.minor, own) > (other.major, other.minor, others)
    }

    /// The version without its build: `7.0.2`.
    pub fn version(&self) -> &str {
        self.text.split('-').next().unwrap_or(&self.text)
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_store_is_read_from_7_0_2_on() {
        for (build, store) in [
            ("4.1.0-381591", false),
            ("6.7.0-8169922", false),
            ("6.7.0-17700523", false),
            ("7.0.0-1.0.15843807", false),
            ("7.0.1-0.0.16850804", false),
            ("7.0.2-0.0.17630552", true),
            ("7.0.2-0.0.17867351", true),
            ("7.0.3-0.125.23794027", true),
            ("7.0-17630552", true),
            ("7.0-16850804", false),
            ("7.0", false),
            ("8.0.1-0.0.21495797", true),
            ("9.0.0-0.24755229", true),
        ] {
            let release = Release::parse(build).unwrap();
            assert_eq!(release.reads_config_store(), store, "{build}");
            assert_eq!(release.to_string(), build);
            let encrypts = (build != "7.0").then_some(store);
            assert_eq!(release.encrypts_state(), encrypts, "{build}");
        }
    }

    #[test]
    fn versions_are_held_against_each_other_as_far_as_they_are_told() {
        let is_later = |one: &str, other: &str| {
            let parse = |text| Release::parse(text).unwrap();
            parse(one).is_later_than(&parse(other))
        };
        assert!(is_later("7.0.2-0.0.1", "7.0.1-0.0.9"));
        assert!(is_later("8.0.0-1", "7.0.3-2"));
        assert!(!is_later("7.0.2-2", "7.0.2-1"));
        assert!(!is_later("7.0.2-2", "7.0-1"));
        assert!(!is_later("6.7.0-9", "7.0-1"));
        assert_eq!(Release::parse("7.0.2-0.0.1").unwrap().version(), "7.0.2");
    }

    #[test]
    fn what_does_not_begin_with_two_numbers_is_no_release() {
        for build in ["", "x", "7", "7.x", "-7.0.2", "99999999999.0"] {
            assert_eq!(Release::parse(build), None, "{build}");
        }
        assert!(Release::parse("8.0.1-0.0.1").unwrap().is_at_least(8, 0));
        assert!(!Release::parse("7.0.3").unwrap().is_at_least(8, 0));
    }
}
