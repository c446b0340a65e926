//! The gate that everything shown passes: secrets stay behind it unless they were asked for.
//!
//! It has two sides. Values of a medium come to it as [`Guarded`] and leave as text; nothing else in
//! the command line may make text of them, which clippy checks (`clippy.toml`). And whatever is
//! written to the terminal or as JSON, messages that quote something above all, passes it once
//! more for what looks like a secret.

use super::text::SafeJson;
use crate::secrets::Guarded;
use serde::Serialize;
use serde_json::Value;
use std::borrow::Cow;

/// Members of objects that name files of this machine, or commands: they are to be used as they are.
const TO_USE: [&str; 7] = [
    "target", "other", "path", "undo", "output", "schema", "hint",
];

/// What becomes of secrets in what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    shows_secrets: bool,
}

impl Gate {
    /// Closed, unless `--show-secrets` was given.
    pub fn new(shows_secrets: bool) -> Self {
        Gate { shows_secrets }
    }

    /// Open, for a single value that was asked for by its name.
    pub fn asked_for() -> Self {
        Gate::new(true)
    }

    /// A text as it is to be shown.
    // The only place where secrets become text.
    #[allow(clippy::disallowed_methods)]
    pub fn text<'g>(&self, guarded: &'g Guarded) -> Cow<'g, str> {
        if self.shows_secrets {
            Cow::Borrowed(guarded.exposed())
        } else {
            guarded.veiled()
        }
    }

    /// A side of a change as it is, and as it is to be shown: both have as many lines.
    #[allow(clippy::disallowed_methods)]
    pub(super) fn side<'g>(&self, guarded: &'g Guarded) -> (&'g str, Cow<'g, str>) {
        (guarded.exposed(), self.text(guarded))
    }

    /// Whatever is about to be written, of which nothing is known.
    pub(super) fn last<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.shows_secrets {
            return Cow::Borrowed(text);
        }
        let guarded = Guarded::of(text);
        if guarded.is_secret() {
            Cow::Owned(guarded.veiled().into_owned())
        } else {
            Cow::Borrowed(text)
        }
    }

    /// An object as a line of JSON.
    pub fn json(&self, object: &impl Serialize) -> Vec<u8> {
        let line = line_of(object);
        let text = String::from_utf8_lossy(&line);
        if self.shows_secrets || !Guarded::of(&*text).is_secret() {
            return line;
        }
        let veiled = serde_json::from_slice(&line).map(|mut value| {
            self.walk(&mut value);
            value
        });
        let veiled: Value = veiled.unwrap_or_default();
        line_of(&veiled)
    }

    fn walk(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.last(text).into_owned(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(members) => {
                let members = members.iter_mut();
                let members = members.filter(|(name, _)| !TO_USE.contains(&name.as_str()));
                members.for_each(|(_, member)| self.walk(member));
            }
            _ => {}
        }
    }
}

fn line_of(object: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut line, SafeJson::default());
    // Writing to memory does not fail, and the keys of every object are text.
    let _ = object.serialize(&mut writer);
    line
}
