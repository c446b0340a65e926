//! What is left of a state that is cut off or damaged.
//!
//! Every layer is opened as far as it goes: compression up to the place it breaks off, members up
//! to the damage, an envelope byte by byte. A [`Rescued`] can be read and nothing else: what changes a
//! state takes a [`State`], every layer of which was verified.
//!
//! How much a member is worth goes by what was met. Data that merely end are as they were up to
//! there. Where compressed data are damaged, what came out just before the place may be wrong.
//! Where only a checksum fails, any byte may be the wrong one. A layer whose own checksum is right is
//! whole, whatever is wrong with the one around it.

use super::archive::{self, Archive};
use super::budget::Held;
use super::envelope::{Envelope, EnvelopeError};
use super::gzip::{self, GzipError};
use super::inner::{Chosen, choose_key};
use super::key_store::{EncryptionInfo, KeyStoreError};
use super::{
    Form, KEY_STORES, KeyCache, LOCAL, LOCAL_ENCRYPTED, Limits, Member, STATE, State, StateError,
    StateFault,
};
use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// What can be read of a state, whole or not.
pub trait ReadState {
    /// The name of the bank's file.
    fn file_name(&self) -> &str;

    /// The members of the configuration, as [`State::members`].
    ///
    /// # Errors
    /// [`StateFault::Sealed`] where they are out of reach.
    fn members(&self) -> Result<&[Member], StateError>;

    /// The bytes of a configuration file, as [`State::content`]; of one that was rescued those that
    /// are there.
    ///
    /// # Errors
    /// As [`State::content`].
    fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError>;

    /// The same of the file that a member is: its name need not be UTF-8.
    ///
    /// # Errors
    /// As [`State::content`].
    fn content_of(&self, member: &Member) -> Result<Option<&[u8]>, StateError>;
}

/// What is shared reads as what it shares.
impl<C: ReadState + ?Sized> ReadState for Arc<C> {
    fn file_name(&self) -> &str {
        (**self).file_name()
    }

    fn members(&self) -> Result<&[Member], StateError> {
        (**self).members()
    }

    fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        (**self).content(path)
    }

    fn content_of(&self, member: &Member) -> Result<Option<&[u8]>, StateError> {
        (**self).content_of(member)
    }
}

impl ReadState for State {
    fn file_name(&self) -> &str {
        self.file_name()
    }

    fn members(&self) -> Result<&[Member], StateError> {
        self.members()
    }

    fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        self.content(path)
    }

    fn content_of(&self, member: &Member) -> Result<Option<&[u8]>, StateError> {
        self.packed()?.content(member.path_bytes())
    }
}

/// Whether a member was rescued as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Condition {
    /// All of it is there, and nothing speaks against it.
    Whole,
    /// All of it is there, and some of it may be wrong.
    Unsure,
    /// It is cut off.
    Cut {
        /// Bytes that are there.
        have: usize,
        /// Bytes it should have.
        size: usize,
    },
}

impl Condition {
    /// The word used in JSON output.
    pub fn as_str(self) -> &'static str {
        match self {
            Condition::Whole => "whole",
            Condition::Unsure => "unsure",
            Condition::Cut { .. } => "cut",
        }
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for Condition {
    /// As the end of a sentence about the member.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Whole => f.write_str("is whole"),
            Condition::Unsure => {
                f.write_str("is there from end to end, but some of its bytes may be wrong")
            }
            Condition::Cut { have, size } => {
                write!(f, "is cut off: {have} of {size} bytes are left")
            }
        }
    }
}

/// How far one layer can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trust {
    /// Every byte that is there.
    All,
    /// All but what comes just before the end.
    NotTheEnd,
    /// Nothing in particular.
    Nothing,
}

impl Trust {
    fn after(fault: Option<&GzipError>) -> Trust {
        match fault {
            None
            | Some(
                GzipError::Truncated { .. }
                | GzipError::SecondMember { .. }
                | GzipError::TrailingBytes { .. },
            ) => Trust::All,
            Some(GzipError::Deflate { .. }) => Trust::NotTheEnd,
            Some(_) => Trust::Nothing,
        }
    }

    /// What an envelope decrypts to is worth, with this fault, in something that is worth `around`: its
    /// checksum vouches for all of it.
    fn in_envelope(fault: Option<&StateError>, around: Trust) -> Self {
        match fault {
            None => Trust::All,
            Some(_) => around.max(Trust::NotTheEnd),
        }
    }
}

/// One compressed archive, as far as it goes.
#[derive(Clone, Debug)]
struct Layer {
    at: String,
    salvaged: archive::Salvaged,
    trust: Trust,
    /// Its share of the budget.
    _held: Arc<Held>,
}

/// What is left of a state. It can be looked into; no change can be made from it.
#[derive(Clone, Debug)]
pub struct Rescued {
    file_name: String,
    file: Vec<u8>,
    form: Form,
    inner: Layer,
    damage: Vec<StateError>,
}

impl Rescued {
    /// Opens what is left of the file `file_name` of a bank, whose content is `bytes`. From offset
    /// `readable` on its bytes could not be read. In `stores` are the key stores of other states, for where
    /// its own is gone: an envelope says which key it needs, so that another one does no harm.
    ///
    /// # Errors
    /// The [`StateError`] that leaves nothing to be read, or a limit that is in the way.
    pub fn open(
        file_name: &str,
        bytes: &[u8],
        readable: Option<u64>,
        limits: &Limits,
        keys: &KeyCache,
        stores: &[Vec<u8>],
    ) -> Result<Self, StateError> {
        let readable = readable.and_then(|it| usize::try_from(it).ok());
        let readable = readable.unwrap_or(bytes.len()).min(bytes.len());
        let there = bytes.get(..readable).unwrap_or_default();
        let mut damage = Vec::new();
        let is = |name: &str| file_name.eq_ignore_ascii_case(name);
        let (form, inner) = if is(LOCAL) {
            let layer = Layer::open(file_name, there, limits, Trust::All, &mut damage)?;
            (Form::Plain, layer)
        } else if is(STATE) {
            let outer = Layer::open(file_name, there, limits, Trust::All, &mut damage)?;
            open_inner(&outer, limits, keys, stores, &mut damage)?
        } else {
            return Err(StateError::new(file_name, StateFault::NotAState));
        };
        Ok(Rescued {
            file_name: file_name.to_owned(),
            file: bytes.to_vec(),
            form,
            inner,
            damage,
        })
    }

    /// Opens what is left of a `local.tgz.ve` that is a file of its own; `store` is the `encryption.info` that
    /// belongs to it.
    ///
    /// # Errors
    /// As [`Rescued::open`]; [`StateFault::NoKeyBeside`].
    pub fn open_encrypted(
        bytes: &[u8],
        store: Option<&[u8]>,
        limits: &Limits,
        keys: &KeyCache,
    ) -> Result<Self, StateError> {
        let store =
            store.ok_or_else(|| StateError::new(LOCAL_ENCRYPTED, StateFault::NoKeyBeside))?;
        let [store_at, _] = KEY_STORES;
        let mut damage = Vec::new();
        let (plaintext, form, fault) =
            open_envelope(LOCAL_ENCRYPTED, bytes, (store_at, store), keys)?;
        let trust = Trust::in_envelope(fault.as_ref(), Trust::All);
        damage.extend(fault);
        let inner = Layer::open(LOCAL_ENCRYPTED, &plaintext, limits, trust, &mut damage)?;
        Ok(Rescued {
            file_name: LOCAL_ENCRYPTED.to_owned(),
            file: bytes.to_vec(),
            form,
            inner,
            damage,
        })
    }

    /// The form in which it held the configuration.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The file as it is; zeros where it cannot be read.
    pub fn as_bytes(&self) -> &[u8] {
        &self.file
    }

    /// What is wrong, from the outermost layer on.
    pub fn damage(&self) -> &[StateError] {
        &self.damage
    }

    /// How much of the member at `path` is left, hard links followed; `None` where there is none.
    pub fn condition(&self, path: &str) -> Option<Condition> {
        let (member, _) = self.inner.salvaged.content(path).ok().flatten()?;
        Some(self.inner.condition(member))
    }

    /// How much of a member is left.
    pub fn condition_of(&self, member: &Member) -> Condition {
        self.inner.condition(member)
    }
}

impl ReadState for Rescued {
    fn file_name(&self) -> &str {
        &self.file_name
    }

    fn members(&self) -> Result<&[Member], StateError> {
        Ok(self.inner.salvaged.archive().members())
    }

    fn content(&self, path: &str) -> Result<Option<&[u8]>, StateError> {
        let found = self.inner.content(path)?;
        Ok(found.map(|(_, bytes)| bytes))
    }

    fn content_of(&self, member: &Member) -> Result<Option<&[u8]>, StateError> {
        let found = self.inner.content(member.path_bytes())?;
        Ok(found.map(|(_, bytes)| bytes))
    }
}

impl Layer {
    /// `around` is what the layer outside this one is worth.
    fn open(
        at: &str,
        bytes: &[u8],
        limits: &Limits,
        around: Trust,
        damage: &mut Vec<StateError>,
    ) -> Result<Self, StateError> {
        let mut held = Held::of(limits.budget.as_ref());
        let mut grow = |bytes| held.grow_to(bytes);
        let gzip = gzip::salvage_within(bytes, limits.max_unpacked, &mut grow);
        let gzip = gzip.map_err(|error| StateError::new(at, error))?;
        // A checksum that is right vouches for everything, and else the damage around may be here.
        let trust = match &gzip.fault {
            None => Trust::All,
            fault => Trust::after(fault.as_ref()).max(around),
        };
        // That an archive ends early where its compressed data do is no news.
        let goes_on = !matches!(
            gzip.fault,
            Some(GzipError::Truncated { .. } | GzipError::Deflate { .. })
        );
        damage.extend(gzip.fault.map(|error| StateError::new(at, error)));
        let salvaged = Archive::salvage(gzip.data, limits.max_unpacked);
        let salvaged = salvaged.map_err(|error| StateError::new(at, error))?;
        if let (true, Some(error)) = (goes_on, salvaged.fault()) {
            damage.push(StateError::new(at, error.clone()));
        }
        Ok(Layer {
            at: at.to_owned(),
            salvaged,
            trust,
            _held: Arc::new(held),
        })
    }

    fn content(
        &self,
        path: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<Option<(&Member, &[u8])>, StateError> {
        let content = self.salvaged.content(path);
        content.map_err(|error| StateError::new(&self.at, error))
    }

    fn condition(&self, member: &Member) -> Condition {
        let have = self.salvaged.present(member);
        if have < member.size {
            let size = member.size;
            return Condition::Cut { have, size };
        }
        match self.trust {
            Trust::All => Condition::Whole,
            Trust::Nothing => Condition::Unsure,
            Trust::NotTheEnd if self.is_last_complete(member) => Condition::Unsure,
            Trust::NotTheEnd => Condition::Whole,
        }
    }

    /// Whether all members behind this one are cut off, or there is none.
    fn is_last_complete(&self, member: &Member) -> bool {
        let members = self.salvaged.archive().members().iter();
        let behind = members.filter(|it| it.data_range().start > member.data_range().start);
        !behind
            .into_iter()
            .any(|it| self.salvaged.present(it) == it.size)
    }
}

/// The inner archive in what is left of the outer one.
fn open_inner(
    outer: &Layer,
    limits: &Limits,
    keys: &KeyCache,
    stores: &[Vec<u8>],
    damage: &mut Vec<StateError>,
) -> Result<(Form, Layer), StateError> {
    if let Some((member, bytes)) = outer.content(LOCAL)? {
        let at = format!("{}:{LOCAL}", outer.at);
        let around = around(outer, member);
        let layer = Layer::open(&at, bytes, limits, around, damage)?;
        return Ok((Form::Plain, layer));
    }
    let Some((member, envelope)) = outer.content(LOCAL_ENCRYPTED)? else {
        return Err(StateError::new(&outer.at, StateFault::NoInnerArchive));
    };
    let own = KEY_STORES.iter().find_map(|name| {
        let (_, bytes) = outer.content(name).ok().flatten()?;
        Some((format!("{}:{name}", outer.at), bytes))
    });
    let of_others = stores.iter();
    let of_others = of_others.map(|store| ("the key of another bank".to_owned(), store.as_slice()));
    let at = format!("{}:{LOCAL_ENCRYPTED}", outer.at);
    let around = around(outer, member);
    let mut why = StateError::new(&outer.at, StateFault::NoKeyStore);
    for (store_at, store) in own.into_iter().chain(of_others) {
        match open_envelope(&at, envelope, (&store_at, store), keys) {
            Ok((plaintext, form, fault)) => {
                let trust = Trust::in_envelope(fault.as_ref(), around);
                damage.extend(fault);
                let layer = Layer::open(&at, &plaintext, limits, trust, damage)?;
                return Ok((form, layer));
            }
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// What an envelope decrypts to, as far as its bytes are there, and what is wrong with it.
fn open_envelope(
    at: &str,
    envelope: &[u8],
    (store_at, store): (&str, &[u8]),
    keys: &KeyCache,
) -> Result<(Vec<u8>, Form, Option<StateError>), StateError> {
    let store_error = |error: KeyStoreError| StateError::new(store_at, error);
    let in_envelope = |error: EnvelopeError| StateError::new(at, error);
    let info = EncryptionInfo::parse(store).map_err(store_error)?;
    let header = Envelope::header_of(envelope).map_err(in_envelope)?;
    let chosen = choose_key((at, &header), (store_at, &info), keys)?;
    let Some(Chosen {
        key,
        key_id,
        sealed,
    }) = chosen
    else {
        let mode = info.mode().to_owned();
        return Err(StateError::new(store_at, StateFault::Sealed { mode }));
    };
    let form = if sealed.is_some() {
        Form::Sealed
    } else {
        Form::Encrypted
    };
    let whole = Envelope::parse(envelope).and_then(|envelope| envelope.decrypt(&key, &key_id));
    match whole {
        Ok(plaintext) => Ok((plaintext.content().to_vec(), form, None)),
        Err(error) => {
            let plaintext = Envelope::salvage(envelope, &key, &key_id).map_err(in_envelope)?;
            Ok((plaintext, form, Some(in_envelope(error))))
        }
    }
}

/// What a member of the outer archive is worth to the archive in it.
fn around(outer: &Layer, member: &Member) -> Trust {
    match outer.condition(member) {
        Condition::Whole => Trust::All,
        Condition::Unsure => outer.trust,
        // Where it is cut by damage, what comes just before that may be wrong.
        Condition::Cut { .. } => outer.trust,
    }
}
