//! What of a medium is secret, and how text travels that may hold some of it.
//!
//! Whatever a value, a line or a file is taken from, what is made of it to be shown is a
//! [`Guarded`]: the text with the places in it that are secret. It is no string, and what turns it
//! into one either leaves the secrets out ([`Guarded::veiled`]) or says that it does not
//! ([`Guarded::exposed`]). The command line calls the second in one place only.
//!
//! A place is secret by the name it stands under (`names.rs`), by what it looks like wherever it
//! stands (`forms.rs`), by the file it is in (`names.rs`, `text.rs`), or by the type that the host's
//! own schema gives it (`json.rs`). Pure: text in, places out.

mod forms;
mod json;
mod names;
mod text;

pub use names::{is_secret_name, is_secret_path};

use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Shown in place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// A text that may hold secrets, and the places of those, which are looked for when they matter: most
/// texts are never shown.
#[derive(Clone, Default)]
pub struct Guarded {
    text: String,
    /// Path of the file that it is the content of, where it is one.
    path: Option<String>,
    places: OnceLock<Places>,
    /// What makes the text, where it is made when it is needed.
    later: Option<Arc<Later>>,
}

/// A text that is made when it is needed.
struct Later {
    make: Box<dyn Fn() -> Guarded + Send + Sync>,
    made: OnceLock<Guarded>,
}

/// What of a text is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Places {
    /// Ranges in bytes: in their order, apart from each other, none across a line break.
    hidden: Vec<Range<usize>>,
    /// Where those begin that need quotes in JSON and have none, in their order.
    bare: Vec<usize>,
}

impl Guarded {
    /// A text of which nothing is known: secret is what looks like it, such as a private key, and
    /// what follows a `name=` that says so, as in kernel options.
    pub fn of(text: impl Into<String>) -> Self {
        Guarded {
            text: text.into(),
            ..Guarded::default()
        }
    }

    /// The value of a setting of this name; the parts of the name may be separated by `/`, `.`,
    /// blanks or brackets.
    pub fn named(name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if is_secret_name(name) && !names::says_nothing(&value) {
            Guarded::secret(value)
        } else {
            Guarded::of(value)
        }
    }

    /// A value in JSON that stands under this name. `schema` is the host's own description of it,
    /// whose type `secret` counts at any depth.
    pub fn json(name: &str, json: impl Into<String>, schema: Option<&Value>) -> Self {
        let json = json.into();
        match forms::in_json(names::veil_of(name), &json, schema) {
            Some(found) => {
                let bare = found.bare.iter().map(|place| place.start).collect();
                let hidden = apart([found.places, found.bare].concat());
                Guarded::with(json, Places { hidden, bare })
            }
            None => Guarded::named(name, json),
        }
    }

    /// The content of a text file, by its path: configuration in the form `NAME = VALUE`, JSON or
    /// XML, or any other text.
    pub fn file(path: &str, content: impl Into<String>) -> Self {
        Guarded {
            path: Some(path.to_owned()),
            ..Guarded::of(content)
        }
    }

    /// The content of any file, by its path; what is not UTF-8 in it is replaced.
    pub fn of_file(path: &str, content: &[u8]) -> Self {
        Guarded::file(path, String::from_utf8_lossy(content))
    }

    /// What is told of a file instead of its content, such as its size and digest: a secret
    /// where the file holds one as a whole.
    pub fn about_file(path: &str, content: &[u8], told: impl Into<String>) -> Self {
        if is_secret_path(path) || forms::holds_private_key(content) {
            Guarded::secret(told)
        } else {
            Guarded::of(told)
        }
    }

    /// A text that takes long to make, and is made when somebody looks at it.
    pub fn later(make: impl Fn() -> Guarded + Send + Sync + 'static) -> Self {
        let (make, made) = (Box::new(make), OnceLock::new());
        Guarded {
            later: Some(Arc::new(Later { make, made })),
            ..Guarded::default()
        }
    }

    /// The text as it is, made by now.
    fn now(&self) -> &Guarded {
        match &self.later {
            None => self,
            Some(later) => later.made.get_or_init(|| (later.make)()).now(),
        }
    }

    /// A text that is secret from beginning to end.
    pub fn secret(text: impl Into<String>) -> Self {
        let text = text.into();
        let mut hidden = Vec::new();
        forms::lines(&text, 0..text.len(), &mut hidden);
        if hidden.is_empty() {
            // That a password is empty is nobody's business either.
            hidden.push(0..0);
        }
        let bare = Vec::new();
        Guarded::with(text, Places { hidden, bare })
    }

    fn with(text: String, places: Places) -> Self {
        Guarded {
            text,
            places: places.into(),
            ..Guarded::default()
        }
    }

    fn places(&self) -> &Places {
        let Guarded {
            text, path, places, ..
        } = self.now();
        places.get_or_init(|| {
            let mut found = Vec::new();
            match path {
                Some(path) => found = text::find(path, text),
                None => forms::find(text, 0, &mut found),
            }
            Places {
                hidden: apart(found),
                bare: Vec::new(),
            }
        })
    }

    /// Puts another text behind this one.
    pub fn push(&mut self, other: &Guarded) {
        if self.later.is_some() {
            *self = self.now().clone();
        }
        // The two stay what they are: what is looked for later would be looked for in both as one text.
        self.places();
        let mut places = self.places.take().unwrap_or_default();
        let offset = self.text.len();
        self.text.push_str(&other.now().text);
        let others = other.places();
        let moved = others.hidden.iter();
        places
            .hidden
            .extend(moved.map(|place| place.start + offset..place.end + offset));
        places.bare.extend(others.bare.iter().map(|at| at + offset));
        self.places = places.into();
    }

    /// Whether any of it is secret.
    pub fn is_secret(&self) -> bool {
        !self.places().hidden.is_empty()
    }

    /// The text as anybody may see it: each secret is [`HIDDEN`]. It has as many lines as the text.
    pub fn veiled(&self) -> Cow<'_, str> {
        let Places { hidden, bare } = self.places();
        let text = &self.now().text;
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut veiled = String::with_capacity(text.len());
        let mut at = 0;
        for place in hidden {
            veiled.push_str(text.get(at..place.start).unwrap_or_default());
            let is_bare = bare.binary_search(&place.start).is_ok();
            let quote = if is_bare { "\"" } else { "" };
            veiled.extend([quote, HIDDEN, quote]);
            at = place.end;
        }
        veiled.push_str(text.get(at..).unwrap_or_default());
        Cow::Owned(veiled)
    }

    /// The text with its secrets, for whoever asked for them.
    pub fn exposed(&self) -> &str {
        &self.now().text
    }
}

/// The same places in their order and apart from each other.
fn apart(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_unstable_by_key(|place| (place.start, place.end));
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(places.len());
    for place in places {
        match apart.last_mut() {
            Some(last) if place.start < last.end || place == *last => {
                last.end = last.end.max(place.end);
            }
            _ => apart.push(place),
        }
    }
    apart
}

/// Texts are equal where the same of them is secret.
impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.now().text == other.now().text && self.places() == other.places()
    }
}

impl Eq for Guarded {}

/// Shows no secret.
impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.veiled(), f)
    }
}

/// A text as a message may quote it: without what looks like a secret in it.
pub fn quotable(text: &str) -> String {
    Guarded::of(text).veiled().into_owned()
}

#[cfg(test)]
mod tests;
