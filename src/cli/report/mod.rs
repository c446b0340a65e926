//! The one place where errors become messages, hints, exit codes and JSON, and where what puts something
//! right, whose a medium is, and which device is which, becomes words.

mod cures;
mod exit;
mod failure;
mod hints;
mod object;
mod situation;

pub use cures::{end_in_words, name_to_cure, next_in_words, warning_in_words};
pub use exit::Exit;
pub use failure::Failure;
pub use hints::FILE_TOO_LARGE;
pub use object::{ERROR, ErrorObject, FailedObject};
pub use situation::{
    BelongsTo, RoleObject, SymptomObject, disk_in_words, first_of_all, list_in_words,
    passed_in_words, standing_in_words, whose_in_words,
};
