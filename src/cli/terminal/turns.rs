//! What several targets say, in the order of the targets: what one says before its turn is kept. Where much is
//! kept nobody begins with another target before the one whose turn it is has come to its end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

thread_local! {
    /// Number of the target that this thread works on, where several are worked on at once.
    static OWN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Bytes that are kept before others have to wait.
const MOST_KEPT: usize = 8 << 20;

/// One piece of what is said.
pub(super) enum Said {
    /// Text on standard output.
    Data(Vec<u8>),
    /// Bytes on standard output that stay as they are.
    Value(Vec<u8>),
    /// A line on standard error.
    Talk(String),
}

impl Said {
    fn len(&self) -> usize {
        match self {
            Said::Data(bytes) | Said::Value(bytes) => bytes.len(),
            Said::Talk(line) => line.len(),
        }
    }
}

/// Whose turn it is, and what others have said so far.
#[derive(Default)]
pub(super) struct Turns {
    state: Mutex<State>,
    /// Told when the turn goes to another target.
    passed_on: Condvar,
}

#[derive(Default)]
struct State {
    /// The target whose turn it is.
    now: usize,
    kept: BTreeMap<usize, Kept>,
    /// Bytes of all that is kept.
    bytes: usize,
}

#[derive(Default)]
struct Kept {
    said: Vec<Said>,
    is_done: bool,
}

impl Turns {
    /// The first target is next.
    pub(super) fn begin(&self) {
        *self.state() = State::default();
    }

    /// Says it at once, by way of `say`, if it is this thread's turn or there are no turns, and else
    /// when the turn comes.
    pub(super) fn say(&self, said: Said, say: impl Fn(Said)) {
        let Some(own) = OWN.get() else {
            return say(said);
        };
        let mut state = self.state();
        if state.now == own {
            say(said)
        } else {
            state.bytes += said.len();
            state.kept.entry(own).or_default().said.push(said)
        }
    }

    /// This thread goes on to the target of that number, once little enough is kept. Numbers are given out in
    /// order, so that the one whose turn it is never waits.
    pub(super) fn take(&self, number: usize) {
        let mut state = self.state();
        while state.bytes >= MOST_KEPT && state.now < number {
            let woken = self.passed_on.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        OWN.set(Some(number));
    }

    /// This thread is done with its target: those behind it say what they had to keep, up to the first
    /// that is not done itself.
    pub(super) fn done(&self, say: impl Fn(Said)) {
        let Some(own) = OWN.take() else { return };
        let mut state = self.state();
        if state.now != own {
            state.kept.entry(own).or_default().is_done = true;
            return;
        }
        state.now += 1;
        loop {
            let now = state.now;
            let kept = state.kept.remove(&now).unwrap_or_default();
            state.bytes -= kept.said.iter().map(Said::len).sum::<usize>();
            kept.said.into_iter().for_each(&say);
            if !kept.is_done {
                break;
            }
            state.now += 1;
        }
        self.passed_on.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    #[test]
    fn what_is_said_comes_in_the_order_of_the_targets_whoever_is_done_first() {
        const TARGETS: usize = 40;
        let (turns, heard) = (Turns::default(), Mutex::new(String::new()));
        let hear = |said: Said| {
            let Said::Talk(line) = said else { return };
            heard.lock().unwrap().push_str(&line);
        };
        turns.begin();
        turns.say(Said::Talk("first".to_owned()), hear);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= TARGETS {
                            return;
                        }
                        turns.take(number);
                        for part in ["a", "b"] {
                            turns.say(Said::Talk(format!(" {number}{part}")), hear);
                            thread::yield_now();
                        }
                        turns.done(hear);
                    }
                });
            }
        });
        let expected: String = (0..TARGETS).map(|it| format!(" {it}a {it}b")).collect();
        assert_eq!(heard.into_inner().unwrap(), format!("first{expected}"));
    }

    /// The first target is slow, and each of the others has more to say than may be kept.
    #[test]
    fn no_target_is_begun_while_too_much_is_kept() {
        const TARGETS: usize = 6;
        let (turns, said) = (Turns::default(), AtomicUsize::new(0));
        let hear = |_: Said| {
            said.fetch_add(1, Ordering::Relaxed);
        };
        turns.begin();
        let (next, begun) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let beside = AtomicUsize::new(0);
        thread::scope(|scope| {
            let go_on = || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= TARGETS {
                        return;
                    }
                    turns.take(number);
                    begun.fetch_add(1, Ordering::Relaxed);
                    if number == 0 {
                        // Until another one has said its part, and a while longer.
                        while turns.state().bytes == 0 {
                            thread::yield_now();
                        }
                        (0..1000).for_each(|_| thread::yield_now());
                        beside.store(begun.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                    turns.say(Said::Data(vec![0; MOST_KEPT]), hear);
                    turns.done(hear);
                }
            };
            scope.spawn(go_on);
            scope.spawn(go_on);
        });
        assert_eq!(beside.into_inner(), 2);
        assert_eq!(said.into_inner(), TARGETS);
        assert_eq!(turns.state().bytes, 0);
    }
}
