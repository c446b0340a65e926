//! What an edit may depend on besides the configuration it changes.

use super::configuration::SCHEMA_STORE;
use super::error::EditError;
use super::request::Context;
use crate::bank::Release;
use crate::ownership::{SchemaStore, SecretTypes};
use crate::state::ReadState;

/// What an edit may depend on besides the configuration it changes.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'s> {
    pub(super) context: Context,
    /// The bank's, where its boot.cfg tells one.
    pub(super) release: Option<&'s Release>,
    /// The host's own description of its settings, where the state has it.
    pub(super) schema: Option<&'s SchemaStore>,
    /// What of the host's settings is secret by its own description.
    pub(super) secret_types: &'s SecretTypes,
}

/// What the host's own description of its settings calls secret. A description that cannot be read
/// calls nothing so, and stands in nobody's way; names count all the same.
///
/// # Errors
/// A state whose members cannot be had.
pub fn secret_types(state: &impl ReadState) -> Result<SecretTypes, EditError> {
    let schema = state.content(SCHEMA_STORE)?.map(SchemaStore::open);
    Ok(schema
        .and_then(Result::ok)
        .map_or_else(SecretTypes::default, |schema| schema.secret_types()))
}
