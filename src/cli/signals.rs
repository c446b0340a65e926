//! SIGINT and SIGTERM: between pieces of work they end the program; during one they are
//! remembered, and asked about between its steps.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Status of a process that a signal stopped, as shells report it for SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether a signal asked the program to stop.
#[derive(Clone, Debug)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    idle: Arc<AtomicBool>,
    at_work: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Listens from now on. While nothing is at stake (planning, waiting for an answer) a
    /// signal ends the program at once.
    ///
    /// # Errors
    /// What the operating system reported.
    pub fn listen() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        let idle = Arc::new(AtomicBool::new(true));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&idle))?;
            flag::register(signal, Arc::clone(&requested))?;
        }
        Ok(Interrupt {
            requested,
            idle,
            at_work: Arc::new(AtomicUsize::new(0)),
        })
    }

    /// Whether one came.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Until the guard is dropped a signal is only remembered: something is being written.
    pub fn working(&self) -> Working {
        self.at_work.fetch_add(1, Ordering::SeqCst);
        self.idle.store(false, Ordering::SeqCst);
        Working(self.clone())
    }
}

/// Holds signals back while it lives.
#[derive(Debug)]
pub struct Working(Interrupt);

impl Drop for Working {
    fn drop(&mut self) {
        if self.0.at_work.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.idle.store(true, Ordering::SeqCst);
        }
    }
}
