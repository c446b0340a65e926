//! Two media, banks or states held against each other by what they configure.
//!
//! A [`Side`] is a value of its own, so the two targets need not be open at the same time.

use crate::bank::{BOOT_CFG, STATE_FILES};
use crate::edit::inventory::{Difference, Inventory, differences};
use crate::state::ReadState as _;
use crate::stick::{BankChoice, Error, Path, Reading, Slot, Stick};
use crate::target::{Kind, Opened};
use std::collections::{BTreeMap, BTreeSet};

/// What of two targets is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each bank with the one on the same partition: its `boot.cfg`, its other files and what each
    /// of its states configures.
    Banks,
    /// What one state of each configures, and nothing else.
    State,
}

impl Scope {
    /// What two targets of these kinds have in common. Against a state file only the configuration
    /// of one bank can be compared.
    pub fn of_both(a: Kind, b: Kind) -> Self {
        if [a, b].contains(&Kind::State) {
            Scope::State
        } else {
            Scope::Banks
        }
    }
}

/// Where something is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the bank's partition; `None` where what is compared need not be on the same one.
    pub partition: Option<u32>,
    /// Name of the state file; empty for what the bank holds beside its states, and in
    /// [`Scope::State`].
    pub file: String,
}

/// Everything that one of two targets configures.
#[derive(Debug, Default)]
pub struct Side {
    places: BTreeMap<Place, Inventory>,
    unread: BTreeSet<Option<u32>>,
    damage: Vec<Error>,
}

/// What a comparison came to.
#[derive(Debug)]
#[non_exhaustive]
pub struct Comparison {
    /// What differs, place by place.
    pub differences: Vec<(Place, Difference)>,
    /// The banks that cannot be read on one side or the other, so that nothing is said of them.
    pub unread: BTreeSet<Option<u32>>,
    /// What was not whole, of the first side and of the second. What concerns a medium whose two
    /// banks are compared is with the first.
    pub damage: [Vec<Error>; 2],
}

/// What differs between two sides.
///
/// # Example
///
/// ```
/// use bootbank::diagnosis::{Scope, Side, compare};
/// use bootbank::medium::Memory;
/// use bootbank::state::{KeyCache, Limits};
/// use bootbank::stick::{BankChoice, Settings, Stick};
/// use bootbank::target::Opened;
/// # use std::error::Error;
/// # fn image(name: &str) -> std::io::Result<Vec<u8>> {
/// #     let packed = std::fs::File::open(format!("testimages/{name}.img.gz"))?;
/// #     let mut image = Vec::new();
/// #     std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut image)?;
/// #     Ok(image)
/// # }
///
/// let keys = KeyCache::new();
/// let settings = Settings { sector_size: None, limits: Limits::default(), keys: &keys };
/// let side = |name: &str| -> Result<Side, Box<dyn Error>> {
///     let medium = Memory::new(image(name)?);
///     let opened = Opened::Medium(Stick::open(&medium, &settings)?);
///     Ok(Side::of(&opened, BankChoice::All, Scope::Banks)?)
/// };
/// let found = compare(side("esxi67-fresh")?, side("esxi67-usb-passthru")?);
/// let (place, difference) = &found.differences[0];
/// assert_eq!((place.partition, place.file.as_str()), (Some(5), ""));
/// assert_eq!((difference.kind.as_str(), &*difference.key), ("kernelopt", "bootUUID"));
/// # Ok::<(), Box<dyn Error>>(())
/// ```
pub fn compare(a: Side, b: Side) -> Comparison {
    let none = Inventory::default();
    let unread: BTreeSet<Option<u32>> = a.unread.union(&b.unread).copied().collect();
    let places: BTreeSet<&Place> = a.places.keys().chain(b.places.keys()).collect();
    let mut found = Vec::new();
    for place in places {
        if unread.contains(&place.partition) {
            continue;
        }
        let old = a.places.get(place).unwrap_or(&none);
        let new = b.places.get(place).unwrap_or(&none);
        let here = differences(old, new).into_iter();
        found.extend(here.map(|difference| (place.clone(), difference)));
    }
    Comparison {
        differences: found,
        unread,
        damage: [a.damage, b.damage],
    }
}

/// What differs between the banks on two partitions of one medium.
///
/// # Errors
/// As [`Side::of`].
pub fn compare_banks(stick: &Stick<'_, '_>, [a, b]: [u32; 2]) -> Result<Comparison, Error> {
    let side = |partition, damage| {
        let mut side = Side {
            damage,
            ..Side::default()
        };
        for slot in stick.chosen(BankChoice::Partition(partition))? {
            side.add_bank(stick, slot, None)?;
        }
        Ok::<Side, Error>(side)
    };
    Ok(compare(side(a, stick.damage())?, side(b, Vec::new())?))
}

impl Side {
    /// What a target configures in the chosen banks; in [`Scope::State`] in the state that
    /// [`Opened::state`] takes. A medium opened with [`Look::rescue`](crate::stick::Look::rescue)
    /// is read past damage.
    ///
    /// # Errors
    /// A choice that is no bank of this medium; [`Cause::NoBanks`](crate::stick::Cause::NoBanks) for
    /// the banks of a state file; a bank, a file or a state that cannot be read, files that share
    /// clusters, a state that is sealed.
    pub fn of(opened: &Opened<'_, '_>, choice: BankChoice, scope: Scope) -> Result<Self, Error> {
        match scope {
            Scope::Banks => Self::of_banks(opened.stick()?, choice),
            Scope::State => Self::of_state(opened, choice),
        }
    }

    fn of_banks(stick: &Stick<'_, '_>, choice: BankChoice) -> Result<Self, Error> {
        let mut side = Side {
            damage: stick.damage(),
            ..Side::default()
        };
        let mut chosen = stick.chosen(choice)?;
        chosen.sort_by_key(|slot| slot.partition);
        for slot in chosen {
            // One bank chosen by what it is for may lie elsewhere on the other side.
            let partition = (choice != BankChoice::Next).then_some(slot.partition);
            side.add_bank(stick, slot, partition)?;
        }
        Ok(side)
    }

    fn of_state(opened: &Opened<'_, '_>, choice: BankChoice) -> Result<Self, Error> {
        let (partition, state) = opened.state(choice)?;
        let mut side = Side::default();
        side.add_state(Place::default(), &state, partition)?;
        side.damage.extend(opened.damage());
        let stood_in = opened.stood_in(&Path::State(String::new()), choice);
        side.damage.extend(stood_in);
        Ok(side)
    }

    /// Adds a bank, as that of a partition or of none.
    fn add_bank(
        &mut self,
        stick: &Stick<'_, '_>,
        slot: &Slot<'_>,
        partition: Option<u32>,
    ) -> Result<(), Error> {
        let bank = match slot.opened() {
            Ok(bank) => bank,
            Err(_) if stick.table().fault_of(slot.partition).is_some() => {
                self.unread.insert(partition);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // Entries that share clusters would be read as often as there are of them.
        if let Err(error) = bank.volume().check() {
            let error = Error::from(error).on(slot.partition);
            if !stick.look().rescue {
                return Err(error);
            }
            self.damage.push(error);
        }
        let mut own = Inventory::default();
        own.add_boot_cfg(bank.boot_cfg());
        for entry in bank.volume().files().filter(|entry| !entry.is_directory()) {
            let name = entry.name();
            let is_opened = |known: &&str| known.eq_ignore_ascii_case(&name);
            if !STATE_FILES.iter().chain([&BOOT_CFG]).any(is_opened) {
                let found = stick.read_file(slot, &entry)?;
                self.damage.extend(found.damage);
                own.add_bank_file(&name, &found.bytes);
            }
        }
        let place = |file: &str| Place {
            partition,
            file: file.to_owned(),
        };
        self.places.insert(place(""), own);
        for file in &slot.states {
            let state = stick.read_state(slot, file)?;
            self.add_state(place(&file.name), &state, Some(slot.partition))?;
        }
        Ok(())
    }

    /// Adds a state that is on this partition, and notes what of it is not whole.
    fn add_state(
        &mut self,
        place: Place,
        state: &Reading,
        partition: Option<u32>,
    ) -> Result<(), Error> {
        let mut inventory = Inventory::default();
        let added = match state {
            Reading::Whole(state) => inventory.add_state(state),
            Reading::Rescued(rescued) => inventory.add_rescued(rescued),
        };
        added.map_err(|error| Error::from(error).on(partition).in_file(state.file_name()))?;
        self.damage.extend(state.damage(partition));
        self.places.insert(place, inventory);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::medium::ReadAt;
    use crate::partition::PartitionTable;
    use crate::state::{KeyCache, Limits};
    use crate::stick::{Look, Settings};
    use std::io::Read as _;
    use std::ops::Range;

    /// An image whose banks 5 and 6 hold a state each.
    fn image() -> Vec<u8> {
        let packed = std::fs::File::open("testimages/esxi67-usb-passthru.img.gz").unwrap();
        let mut bytes = Vec::new();
        let mut packed = flate2::read::GzDecoder::new(packed);
        packed.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn range_of(image: &dyn ReadAt, partition: u32) -> Range<usize> {
        let table = PartitionTable::read(image, None).unwrap();
        let range = table.partition(partition).unwrap().byte_range(512).unwrap();
        usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
    }

    /// Looks at an image past damage, or not.
    fn look<T>(image: &dyn ReadAt, rescue: bool, look: impl FnOnce(&Opened<'_, '_>) -> T) -> T {
        let keys = KeyCache::new();
        let settings = Settings {
            sector_size: None,
            limits: Limits::default(),
            keys: &keys,
        };
        let how = Look {
            rescue,
            ..Look::default()
        };
        look(&Opened::Medium(
            Stick::open_to_look(image, &settings, how).unwrap(),
        ))
    }

    fn side(image: &dyn ReadAt, choice: BankChoice, scope: Scope) -> Side {
        look(image, true, |opened| Side::of(opened, choice, scope)).unwrap()
    }

    fn places(comparison: &Comparison) -> Vec<(Option<u32>, &str, &str)> {
        let found = comparison.differences.iter();
        found
            .map(|(place, it)| (place.partition, place.file.as_str(), it.key.as_str()))
            .collect()
    }

    /// An image with one module renamed in the bank on a partition.
    fn with_renamed(partition: u32) -> Vec<u8> {
        let mut image = image();
        let at = entry(&image, partition, b"USEROPTSGZ ");
        image[at] = b'X';
        image
    }

    /// Where the entry of a file is in the root directory of a bank.
    fn entry(image: &[u8], partition: u32, name: &[u8; 11]) -> usize {
        let bank = range_of(&image, partition);
        let found = image[bank.clone()].windows(11).position(|it| it == name);
        bank.start + found.unwrap()
    }

    #[test]
    fn banks_are_compared_by_number_and_the_next_one_by_what_it_is() {
        let (old, new) = (image(), with_renamed(5));
        let compared =
            |choice, scope| compare(side(&old, choice, scope), side(&new, choice, scope));
        let all = compared(BankChoice::All, Scope::Banks);
        let expected = |on| [(on, "", "useropts.gz"), (on, "", "xseropts.gz")];
        assert_eq!(places(&all), expected(Some(5)));
        let next = compared(BankChoice::Next, Scope::Banks);
        assert_eq!(places(&next), expected(None));
        // A state has no files of its bank.
        let state = compared(BankChoice::All, Scope::State);
        assert_eq!(places(&state), []);
        let banks = look(&new, false, |it| compare_banks(it.stick().unwrap(), [6, 5])).unwrap();
        let found = places(&banks);
        assert!(
            expected(None).iter().all(|it| found.contains(it)),
            "{found:?}"
        );
    }

    #[test]
    fn of_a_bank_that_cannot_be_read_nothing_is_said_on_either_side() {
        let whole = with_renamed(6);
        let end = range_of(&whole, 6).start + (3 << 20);
        let cut = image()[..end].to_vec();
        let all = |image| side(image, BankChoice::All, Scope::Banks);
        for (a, b, damaged) in [(&whole, &cut, 1), (&cut, &whole, 0)] {
            let found = compare(all(a), all(b));
            assert_eq!(places(&found), []);
            assert_eq!(found.unread, BTreeSet::from([Some(6)]));
            assert_eq!(found.damage[damaged].len(), 1);
            assert!(found.damage[1 - damaged].is_empty());
        }
    }

    #[test]
    fn files_that_share_clusters_are_refused_or_told_as_damage() {
        let mut shared = image();
        let from = entry(&shared, 5, b"JUMPSTRTGZ ") + 26;
        let to = entry(&shared, 5, b"USEROPTSGZ ") + 26;
        shared.copy_within(from..from + 2, to);
        let of = |rescue| {
            look(&shared, rescue, |opened| {
                Side::of(opened, BankChoice::All, Scope::Banks)
            })
        };
        let error = of(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert_eq!(error.partition(), Some(5));
        assert_eq!(of(true).unwrap().damage.len(), 1);
    }

    #[test]
    fn against_a_state_file_one_state_is_compared() {
        assert_eq!(Scope::of_both(Kind::Image, Kind::Disk), Scope::Banks);
        for (a, b) in [(Kind::State, Kind::Disk), (Kind::Image, Kind::State)] {
            assert_eq!(Scope::of_both(a, b), Scope::State);
        }
    }
}
