//! The process: signals, what it may get at, and the files it is given.

mod confine;
mod input;
mod means;
mod needs;
mod outputs;
mod signals;

pub use confine::confine_to;
pub use input::{bytes, take_stdin, text};
pub use means::check_means;
pub use needs::{Needs, is_stream, may_be_packed};
pub use outputs::Outputs;
pub use signals::Interrupt;
