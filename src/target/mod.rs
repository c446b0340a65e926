//! What can be worked on: the kinds of things that hold a configuration, told by what is in them.
//!
//! [`Kind`] is the list of them, and the only one: what a file is, what it is called, and what can be
//! done with it. [`Opened`] is one of them opened: a boot medium, which has banks ([`Stick`]), or a
//! state that is a file of its own ([`SavedState`]). What reads or changes a configuration works on
//! both; what is about banks asks for the medium ([`Opened::stick`]) and says why there is none.

mod bounded;
mod kind;
mod opened;
mod packed;
mod planning;
mod saved;

pub use bounded::{Bounded, TooMuch};
pub use kind::Kind;
pub use opened::Opened;
pub use packed::{Bounds, unpack, unpacked};
pub use saved::SavedState;

#[cfg(doc)]
use crate::stick::Stick;
