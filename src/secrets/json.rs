//! Secrets in JSON: by the names of members, at any depth and of any type, and by the host's schema.

use super::names::{Veil, below, veil_of};
use crate::json::{self, Tokens};
use serde_json::Value;
use std::ops::Range;

/// Members that name the thing whose value another member holds.
const NAMING: [&str; 4] = ["key", "name", "option", "id"];
const VALUE: &str = "value";

/// The places that are secret.
#[derive(Default)]
pub(super) struct Found {
    /// Strings, or parts of such.
    pub(super) places: Vec<Range<usize>>,
    /// Values that are not in quotes.
    pub(super) bare: Vec<Range<usize>>,
}

/// A value and where it stands.
enum Node {
    Scalar(Range<usize>),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Adds the places in a text that are secret by their form; the offset is added to each of them.
type Search = fn(&str, usize, &mut Vec<Range<usize>>);

/// The places in `text` that are secret, given what is known of the name it stands under, and those
/// that `search` finds in its other strings; `None` where it is no JSON.
pub(super) fn find(
    veil: Veil,
    text: &str,
    schema: Option<&Value>,
    search: Search,
) -> Option<Found> {
    // Checks the text, and that it is no deeper than can be walked.
    json::check(text).ok()?;
    let mut tokens = Tokens::of(text);
    let node = node(text, &mut tokens)?;
    let mut walk = Walk {
        text,
        search,
        found: Found::default(),
    };
    walk.node(&node, veil, schema);
    Some(walk.found)
}

fn node(text: &str, tokens: &mut Tokens<'_>) -> Option<Node> {
    let token = tokens.next()?;
    of_token(text, token, tokens)
}

fn of_token(text: &str, token: Range<usize>, tokens: &mut Tokens<'_>) -> Option<Node> {
    let first = |token: &Range<usize>| text.as_bytes().get(token.start).copied();
    match first(&token)? {
        b'{' => {
            let mut members = Vec::new();
            loop {
                let name = tokens.next()?;
                match first(&name)? {
                    b'}' => return Some(Node::Object(members)),
                    b',' => continue,
                    _ => {}
                }
                let name = serde_json::from_str(text.get(name)?).ok()?;
                tokens.next()?; // the colon
                members.push((name, node(text, tokens)?));
            }
        }
        b'[' => {
            let mut items = Vec::new();
            loop {
                let item = tokens.next()?;
                match first(&item)? {
                    b']' => return Some(Node::Array(items)),
                    b',' => {}
                    _ => items.push(of_token(text, item, tokens)?),
                }
            }
        }
        _ => Some(Node::Scalar(token)),
    }
}

struct Walk<'t> {
    text: &'t str,
    search: Search,
    found: Found,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, veil: Veil, schema: Option<&Value>) {
        let kind = schema.and_then(|schema| schema.get("type")?.as_str());
        let veil = if kind == Some("secret") {
            Veil::Whole
        } else {
            veil
        };
        match node {
            Node::Scalar(place) => self.scalar(place, veil),
            Node::Array(items) => {
                let schema = schema.and_then(|schema| schema.get("items"));
                items.iter().for_each(|item| self.node(item, veil, schema));
            }
            Node::Object(members) => {
                let properties = schema.and_then(|schema| schema.get("properties"));
                let named = self.named(members);
                for (name, member) in members {
                    let schema = properties.and_then(|all| all.get(name));
                    let veil = match named {
                        Some((by, _)) if name == by && veil == Veil::Open => Veil::Open,
                        Some((_, of)) if name.eq_ignore_ascii_case(VALUE) => veil.max(of),
                        _ => below(veil, name),
                    };
                    self.node(member, veil, schema);
                }
            }
        }
    }

    /// Of an object that holds a name and a value of that name: the member with the name, and what
    /// the name says.
    fn named<'m>(&self, members: &'m [(String, Node)]) -> Option<(&'m str, Veil)> {
        let is_value = |(name, _): &(String, Node)| name.eq_ignore_ascii_case(VALUE);
        members.iter().find(|member| is_value(member))?;
        members.iter().find_map(|(name, member)| match member {
            Node::Scalar(place) if NAMING.iter().any(|it| name.eq_ignore_ascii_case(it)) => {
                let text: String = serde_json::from_str(self.text.get(place.clone())?).ok()?;
                Some((name.as_str(), veil_of(&text)))
            }
            _ => None,
        })
    }

    fn scalar(&mut self, place: &Range<usize>, veil: Veil) {
        let text = self.text.get(place.clone()).unwrap_or_default();
        let is_string = text.starts_with('"');
        if veil != Veil::Open {
            match (text, is_string) {
                ("true" | "false" | "null" | "\"true\"" | "\"false\"", _) => {}
                // The quotes stay, so that what is left is JSON.
                (_, true) => self.found.places.push(place.start + 1..place.end - 1),
                _ => self.found.bare.push(place.clone()),
            }
        } else if is_string {
            let inside = text.get(1..text.len() - 1).unwrap_or_default();
            (self.search)(inside, place.start + 1, &mut self.found.places);
        }
    }
}
