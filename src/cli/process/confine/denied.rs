//! What becomes of a system call that is not on the list: the kernel skips it and sends SIGSYS,
//! and the handler here names the call and ends the process before another instruction of it runs.
//!
//! A handler may neither allocate nor lock, so all it does is to fill a buffer on its stack and to
//! make the calls `open`, `pread`, `write` and `exit_group`. Which call it was is in the record that
//! the kernel hands over by address. Following an address is `unsafe`, which this crate keeps to
//! two files; the kernel reads the same bytes through /proc/self/mem. Where it does not, the message
//! has no name in it. And where signals are held back, as the C library does while it starts a
//! program, SIGSYS itself ends the process, and the shell says "bad system call".

use crate::cli::report::Exit;
use libc::{SIGSYS, siginfo_t};
use rustix::fs::{Mode, OFlags};
use std::ffi::{c_int, c_void};
use std::io::{Cursor, Write as _};
use vmm_sys_util::signal::register_signal_handler;

/// Where in a `siginfo_t` of SIGSYS the number of the call is, in bytes (`si_syscall`, the same on
/// both architectures).
const NUMBER_AT: u64 = 24;

/// What is said after the name of the call.
const REST: &str = ", which its sandbox does not allow\n\
    hint: if a change was being written, each bank holds its old content or its new one; \
    `bootbank verify` tells. --no-sandbox does without the sandbox: only for a medium you trust\n";

/// Sees to it that a denied call is named and ends the process.
pub fn watch() {
    // Without it the signal ends the process all the same.
    let _ = register_signal_handler(SIGSYS, stop);
}

extern "C" fn stop(_: c_int, record: *mut siginfo_t, _: *mut c_void) {
    let mut text = [0; 512];
    let mut words = Cursor::new(text.as_mut_slice());
    let begun = write!(
        words,
        "\nerror: bootbank stopped itself before the system call "
    );
    let named = match call_in(record) {
        Some(number) => match usize::try_from(number).ok().and_then(syscalls::Sysno::new) {
            Some(call) => write!(words, "`{}`", call.name()),
            None => write!(words, "number {number}"),
        },
        None => write!(words, "it was about to make"),
    };
    let ended = write!(words, "{REST}");
    let len = usize::try_from(words.position()).unwrap_or(0);
    if begun.is_ok() && named.is_ok() && ended.is_ok() {
        let _ = rustix::io::write(std::io::stderr(), &text[..len]);
    }
    signal_hook::low_level::exit(Exit::Io as c_int);
}

/// The number of the call that the kernel's record at this address is about.
fn call_in(record: *mut siginfo_t) -> Option<i32> {
    let memory = rustix::fs::open("/proc/self/mem", OFlags::RDONLY, Mode::empty()).ok()?;
    let at = u64::try_from(record.addr()).ok()?.checked_add(NUMBER_AT)?;
    let mut number = [0; 4];
    let read = rustix::io::pread(&memory, &mut number, at).ok()?;
    (read == number.len()).then_some(i32::from_ne_bytes(number))
}
