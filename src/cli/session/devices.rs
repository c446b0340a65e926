//! Devices as they are named on a command line.

use crate::cli::report::Failure;
use crate::edit::{SelectError, Selector};

/// Devices as the command line names them.
///
/// # Errors
/// Text that is neither an address nor a key.
pub fn selectors(texts: &[String]) -> Result<Vec<Selector>, Failure> {
    let parse = |text: &String| {
        text.parse().map_err(|error: SelectError| {
            Failure::usage(error.to_string()).hint(
                "an address looks like 0000:00:1a.7 or 00:1a.7, a key like /device/000:26.7/owner, an adapter like vmhba32",
            )
        })
    };
    texts.iter().map(parse).collect()
}
