//! What commands that show a configuration share: which state it is, and patterns.

use super::report::Failure;
use super::session::Session;
use crate::state::State;
use crate::stick::{Cause, Error, Path, Stick};

/// The state whose configuration is shown: of the bank that boots next unless `--bank` says
/// otherwise, and of two states in it the one the loader is told to load.
///
/// # Errors
/// A bank that is not there, or holds no state.
pub fn state(session: &Session, stick: &Stick<'_, '_>) -> Result<(u32, State), Failure> {
    let slot = stick.bank_of(&Path::State(String::new()), session.common.bank)?;
    slot.opened()?;
    let Some(file) = slot.states.last() else {
        return Err(Error::from(Cause::NoState(slot.partition.to_string())).into());
    };
    Ok((slot.partition, stick.open_state(slot, file)?))
}

/// Whether `text` fits a pattern in which `*` stands for any text and `?` for any character.
pub fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut pos) = (0, 0);
    // Where to go on when a character does not fit: behind the last star, one further on.
    let mut retry: Option<(usize, usize)> = None;
    while pos < text.len() {
        match pattern.get(at) {
            Some('*') => {
                retry = Some((at + 1, pos));
                at += 1;
            }
            Some(&c) if c == '?' || Some(&c) == text.get(pos) => {
                at += 1;
                pos += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    retry = Some((star, from + 1));
                    at = star;
                    pos = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn stars_and_question_marks_stand_for_any_text() {
        let cases = [
            ("*", "", true),
            ("/a/*/mac", "/a/b/c/mac", true),
            ("/a/*/mac", "/a/b/c/mac2", false),
            ("*mac*", "/net/mac/0", true),
            ("child[????]", "child[0000]", true),
            ("child[???]", "child[0000]", false),
            ("a*b*c", "aXbXbc", true),
            ("abc", "abc", true),
            ("abc", "abcd", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(glob(pattern, text), expected, "{pattern} on {text}");
        }
    }
}
