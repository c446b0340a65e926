//! The process: signals, what it may get at, the files it is given, and its connections to others.

mod again;
mod confine;
mod input;
mod links;
mod means;
mod needs;
mod outputs;
mod own_directory;
mod qemu;
mod signals;

pub use again::{Again, Told};
pub use confine::confine_to;
pub use input::{bytes, first_bytes, take_stdin, text};
pub use links::Links;
pub use means::check_means;
pub use needs::{Needs, is_stream, may_be_packed};
pub use outputs::Outputs;
pub use own_directory::make as make_directory;
pub use qemu::format_of;
pub use signals::{Interrupt, Working};
