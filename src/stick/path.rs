//! Paths into a stick: a bank's own file, or a file of its configuration.

use super::{BankChoice, Cause, Error, FoundFile, Reading, Slot, Stick};
use crate::bank::path_in_bank;

/// Where a file lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// A file of a bank: `bank:boot.cfg` of the one that boots next, `bank5:boot.cfg` of the
    /// one on partition 5. The name may be empty: the bank itself.
    Bank {
        /// Which bank; `None` for the one that boots next.
        partition: Option<u32>,
        /// The file's name.
        name: String,
    },
    /// A file of the configuration, as the host sees it: `etc/vmware/esx.conf`.
    State(String),
}

impl Path {
    /// Reads a path as a user writes it.
    pub fn parse(text: &str) -> Path {
        match path_in_bank(text) {
            Some((partition, name)) => Path::Bank {
                partition,
                name: name.to_owned(),
            },
            None => Path::State(text.trim_start_matches('/').to_owned()),
        }
    }
}

impl<'m> Stick<'m, '_> {
    /// The bank a path is in. A configuration is that of the bank that boots next unless
    /// `choice` says otherwise. Where the medium is cut off, and that bank is missing or it cannot be
    /// told which one it is, it is the first bank that is there: [`Stick::stood_in`] says so.
    ///
    /// # Errors
    /// A bank that is not there.
    pub fn bank_of(&self, path: &Path, choice: BankChoice) -> Result<&Slot<'m>, Error> {
        let choice = match (path, choice) {
            (
                Path::Bank {
                    partition: Some(number),
                    ..
                },
                _,
            ) => BankChoice::Partition(*number),
            (
                Path::Bank {
                    partition: None, ..
                }
                | Path::State(_),
                BankChoice::All,
            ) => match self.stand_in() {
                Some(slot) => return Ok(slot),
                None => BankChoice::Next,
            },
            (_, given) => given,
        };
        let chosen = self.chosen(choice)?;
        chosen
            .into_iter()
            .next()
            .ok_or_else(|| Cause::NoneBoots("there is no bank".to_owned()).into())
    }

    /// The state whose configuration is shown: of the bank that boots next unless `choice` says
    /// otherwise, and of several in it the one that the host has its settings from. With it comes the
    /// number of its partition.
    ///
    /// # Errors
    /// A bank that is not there, or holds no state; whatever opening the state meets, as far as it
    /// was not asked to go past it.
    pub fn state(&self, choice: BankChoice) -> Result<(u32, Reading), Error> {
        let slot = self.bank_of(&Path::State(String::new()), choice)?;
        slot.opened()?;
        let file = self.shown_state(slot)?;
        Ok((slot.partition, self.read_state(slot, file)?))
    }

    /// The content of a file; `None` where there is none. Of two states in a bank the one its
    /// `modules=` lists is looked into first.
    ///
    /// # Errors
    /// Whatever opening the bank, or its state, meets, as far as it was not asked to go past it.
    pub fn content(&self, path: &Path, choice: BankChoice) -> Result<Option<FoundFile>, Error> {
        let slot = self.bank_of(path, choice)?;
        match path {
            Path::Bank { name, .. } => {
                let on = |error: crate::bank::BankError| Error::from(error).on(slot.partition);
                match slot.opened()?.find(name).map_err(on)? {
                    Some(entry) => self.read_file(slot, &entry).map(Some),
                    None => Ok(None),
                }
            }
            Path::State(name) => {
                let mut damage = Vec::new();
                for file in slot.states.iter().rev() {
                    let state = self.read_state(slot, file)?;
                    if let Some(mut found) = state.file(slot.partition, name)? {
                        found.damage.extend(damage);
                        return Ok(Some(found));
                    }
                    damage.extend(state.damage(slot.partition));
                }
                match damage.into_iter().next() {
                    // It may have been behind the damage.
                    Some(error) => Err(error),
                    None => Ok(None),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Path;

    #[test]
    fn a_path_is_in_a_bank_or_in_its_state() {
        let bank = |partition, name: &str| Path::Bank {
            partition,
            name: name.to_owned(),
        };
        let cases = [
            ("bank:boot.cfg", bank(None, "boot.cfg")),
            ("bank5:state.tgz", bank(Some(5), "state.tgz")),
            ("bank6:", bank(Some(6), "")),
            (
                "/etc/vmware/esx.conf",
                Path::State("etc/vmware/esx.conf".to_owned()),
            ),
            ("bankrupt:x", Path::State("bankrupt:x".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(Path::parse(text), expected, "{text}");
        }
    }
}
