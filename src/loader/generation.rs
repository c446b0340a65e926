//! The loader's generations: releases that choose and load alike.

/// A release that a `build` of boot.cfg names, for comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    /// Version, `[6, 7, 0]`; what is missing is 0.
    version: [u32; 3],
    /// Build number; `None` where there is none to be read.
    number: Option<u32>,
}

/// 6.7 U2, whose loader is that of 6.7 U3.
const BUILD_OF_67_U2: u32 = 13_006_603;

impl Release {
    /// Reads `6.7.0-8169922` or `7.0.2-0.0.17867351`; `None` where no number comes first.
    pub(super) fn of_build(build: &str) -> Option<Release> {
        let (version, rest) = build.split_once('-').unwrap_or((build, ""));
        let mut numbers = version.split('.').map(|part| part.trim().parse::<u32>());
        let major = numbers.next()?.ok()?;
        let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
        Some(Release {
            version: [major, next(), next()],
            number: rest.rsplit('.').next().and_then(|last| last.parse().ok()),
        })
    }

    pub(super) fn major(self) -> u32 {
        self.version[0]
    }
}

/// Loaders that behave alike, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// 6.7 U1 and earlier: partitions 5 and 6 only.
    UpTo67U1,
    /// 6.7 U2 and U3: the first two banks found.
    From67U2,
    /// 7.0 to 8.0: the first three banks; knows `quickboot`.
    From70,
    /// 8.0 U1 and later, 9.0 among them: numbers may have a minus, `updated` all the same has no
    /// sign; mboot knows `skip` and `acpitables`.
    From80U1,
}

impl Generation {
    /// All of them, oldest first.
    pub const ALL: [Generation; 4] = [
        Generation::UpTo67U1,
        Generation::From67U2,
        Generation::From70,
        Generation::From80U1,
    ];

    /// The latest.
    pub const NEWEST: Generation = Generation::From80U1;

    /// The loader of a release.
    pub(super) fn of(release: Release) -> Generation {
        let early = |number| number < BUILD_OF_67_U2;
        match release.version {
            version if version < [6, 7, 0] => Generation::UpTo67U1,
            version if version < [7, 0, 0] => match release.number {
                Some(number) if early(number) => Generation::UpTo67U1,
                _ => Generation::From67U2,
            },
            version if version < [8, 0, 1] => Generation::From70,
            _ => Generation::From80U1,
        }
    }

    /// Whether a medium whose newest bank is of that major release may have this loader.
    pub(super) fn may_serve(self, major: u32) -> bool {
        match self {
            Generation::UpTo67U1 | Generation::From67U2 => major < 7,
            Generation::From70 => major < 9,
            Generation::From80U1 => true,
        }
    }

    /// How to name this loader beside one that is older (`newer`) or newer than it, and what it
    /// does otherwise. `onwards`: all later ones choose alike.
    pub(super) fn in_contrast(self, newer: bool, onwards: bool) -> (&'static str, &'static str) {
        match self {
            Generation::UpTo67U1 => (
                "a loader of 6.7 U1 or earlier",
                "it looks only at partitions 5 and 6 and does not know quickboot",
            ),
            Generation::From67U2 => (
                "a loader of 6.7 U3",
                "it looks only at the first two banks and does not know quickboot",
            ),
            Generation::From70 if newer => (
                if onwards {
                    "a loader of 7.0 or later"
                } else {
                    "a loader of 7.0 to 8.0"
                },
                "it looks at the first three banks, knows quickboot and takes nothing over from one boot.cfg to the next",
            ),
            Generation::From70 => (
                "a loader before 8.0 U1",
                "it takes a number with a minus for none and drops the bank",
            ),
            Generation::From80U1 => (
                "a loader of 8.0 U1 or later",
                "it knows negative numbers and takes -1 as the highest of all",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_of_a_bank_says_which_loader_came_with_it() {
        use Generation::{From67U2, From70, From80U1, UpTo67U1};
        for (build, generation) in [
            ("4.1.0-381591", Some(UpTo67U1)),
            ("6.5.0-99999999", Some(UpTo67U1)),
            ("6.7.0-8169922", Some(UpTo67U1)),
            ("6.7.0-10302608", Some(UpTo67U1)),
            ("6.7.0-13006603", Some(From67U2)),
            ("6.7.0-14320388", Some(From67U2)),
            ("6.7.0", Some(From67U2)),
            ("7.0.0-1", Some(From70)),
            ("7.0.2-0.0.17867351", Some(From70)),
            ("8.0.0-1", Some(From70)),
            ("8.0.1-0.0.21495797", Some(From80U1)),
            ("8.0.2-0.0.22380479", Some(From80U1)),
            ("9", Some(From80U1)),
            ("v6", None),
            ("", None),
        ] {
            let found = Release::of_build(build).map(Generation::of);
            assert_eq!(found, generation, "{build:?}");
        }
    }
}
