//! SIGINT and SIGTERM: heard, remembered, and asked about between steps.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a signal asked the program to stop.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. The signals no longer end the program by themselves, so that a
    /// change that is past its switch comes to its end.
    ///
    /// # Errors
    /// What the operating system reported.
    pub fn listen() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Interrupt(flag))
    }

    /// Whether one came.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
