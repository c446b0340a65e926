//! Signals that ask a program to end (SIGINT, SIGTERM, SIGQUIT, and SIGHUP when a terminal or an ssh
//! connection is lost): between pieces of work they end the program; during one they are
//! remembered, and asked about between its steps.
//!
//! Two more come from this process itself. SIGXFSZ, where a file would grow beyond `ulimit -f`, is
//! caught so that the write fails instead, with an error like any other. SIGABRT is how Rust's
//! standard library gives up where there is no memory left: it has said so by then, and as long as
//! nothing was written to a medium the process ends with the code for that.

use signal_hook::consts::{SIGABRT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Status of a process that a signal stopped, as shells report it for SIGINT.
const INTERRUPTED: i32 = 130;

/// Status of a process that ran out of memory: an error of the operating system.
const NO_MEMORY: i32 = 5;

/// Whether a signal asked the program to stop.
#[derive(Clone, Debug)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    /// Whether a signal ends the program at once.
    idle: Arc<AtomicBool>,
    /// Whether nothing was written to any medium.
    untouched: Arc<AtomicBool>,
    work: Arc<Mutex<Work>>,
}

/// Why a signal may have to wait.
#[derive(Debug, Default)]
struct Work {
    /// Pieces of work going on.
    going_on: usize,
    /// Whether a piece is done, and the exit code has to say so.
    done: bool,
}

impl Interrupt {
    /// Listens from now on. While nothing is at stake (planning, waiting for an answer) a
    /// signal ends the program at once.
    ///
    /// # Errors
    /// What the operating system reported.
    pub fn listen() -> io::Result<Self> {
        let interrupt = Interrupt {
            requested: Arc::new(AtomicBool::new(false)),
            idle: Arc::new(AtomicBool::new(true)),
            untouched: Arc::new(AtomicBool::new(true)),
            work: Arc::default(),
        };
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&interrupt.idle))?;
            flag::register(signal, Arc::clone(&interrupt.requested))?;
        }
        flag::register(SIGXFSZ, Arc::default())?;
        let untouched = Arc::clone(&interrupt.untouched);
        flag::register_conditional_shutdown(SIGABRT, NO_MEMORY, untouched)?;
        Ok(interrupt)
    }

    /// From now on something is written to a medium: running out of memory is a crash, and what the
    /// banks hold has to be looked at.
    pub fn begin_writing(&self) {
        self.untouched.store(false, Ordering::SeqCst);
    }

    /// Whether one came.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// Until the guard is dropped a signal is only remembered: something is being written.
    pub fn working(&self) -> Working {
        let mut work = self.work();
        work.going_on += 1;
        self.idle.store(false, Ordering::SeqCst);
        Working(self.clone())
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, work: &Work) {
        let idle = work.going_on == 0 && !work.done;
        self.idle.store(idle, Ordering::SeqCst);
    }
}

/// Holds signals back while it lives.
#[derive(Debug)]
pub struct Working(Interrupt);

impl Working {
    /// The work took effect. From now on a signal is only remembered: 130 would say that
    /// nothing has changed.
    pub fn done(self) {
        self.0.work().done = true;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        let mut work = self.0.work();
        work.going_on = work.going_on.saturating_sub(1);
        self.0.settle(&work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_waits_while_something_is_written_and_once_something_has_been() {
        let interrupt = Interrupt::listen().unwrap();
        let idle = || interrupt.idle.load(Ordering::SeqCst);
        assert!(idle());
        let (first, second) = (interrupt.working(), interrupt.working());
        assert!(!idle());
        drop(first);
        assert!(!idle());
        drop(second);
        assert!(idle(), "nothing came of either");
        interrupt.working().done();
        assert!(!idle());
    }
}
