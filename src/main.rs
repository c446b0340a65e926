//! Arguments in, exit code out.

use std::process::ExitCode;

/// The allocator of musl maps memory anew for all but the smallest pieces, and gives it back at once.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    bootbank::cli::main()
}
