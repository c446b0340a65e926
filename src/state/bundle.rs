//! The state inside a file from a host: a `state.tgz`, a bare `local.tgz`, or the
//! `configBundle.tgz` that `vim-cmd hostsvc/firmware/backup_config` makes.
//!
//! A bundle is an archive that holds a `state.tgz` beside a manifest. That is common knowledge;
//! the manifest's form was not seen, so bundles are read here and never made.

use super::{LOCAL, LOCAL_ENCRYPTED, Limits, Packed, STATE, StateError};
use std::borrow::Cow;

/// What every bare `local.tgz` holds.
const CONFIGURATION: &str = "etc/vmware";

/// The state in `bytes`, and the name its form has in a bank.
///
/// # Errors
/// As of [`super::State::open`] for the outermost layer; [`StateError::NoInnerArchive`] where there
/// is no state in it.
pub fn state_in<'b>(
    bytes: &'b [u8],
    limits: &Limits,
) -> Result<(&'static str, Cow<'b, [u8]>), StateError> {
    let packed = Packed::open("archive", bytes, limits)?;
    let has = |path: &str| packed.archive.find(path).is_some();
    if has(LOCAL) || has(LOCAL_ENCRYPTED) {
        return Ok((STATE, Cow::Borrowed(bytes)));
    }
    let mut members = packed.archive.members().iter();
    let bundled = members.find(|member| {
        let path = member.path();
        path == STATE || path.ends_with(&format!("/{STATE}"))
    });
    if let Some(member) = bundled {
        let content = packed.content(member.path_bytes())?.unwrap_or_default();
        return Ok((STATE, Cow::Owned(content.to_vec())));
    }
    let is_configuration = |path: &str| path.starts_with(CONFIGURATION);
    let mut members = packed.archive.members().iter();
    if members.any(|member| is_configuration(&member.path())) {
        return Ok((LOCAL, Cow::Borrowed(bytes)));
    }
    Err(StateError::NoInnerArchive { at: packed.at })
}
