//! The one place where errors become messages, hints, exit codes and JSON.

mod exit;
mod failure;
mod hints;
mod object;

pub use exit::Exit;
pub use failure::Failure;
pub use object::{ERROR, ErrorObject, FailedObject};
