//! Those who have a medium for a moment only. udev probes a disk that was just plugged in, and
//! again when whoever wrote to it closes it; a process that has just been forked has every open
//! file of its parent until it becomes another program. Neither is a reason to refuse.

use std::time::Duration;

/// How often, and how long apart, the same is asked again: a second in all.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until the answer is no longer that somebody has it, or until whoever does so stays.
pub(crate) fn ask_again_while<A>(taken: impl Fn(&A) -> bool, mut ask: impl FnMut() -> A) -> A {
    let mut answer = ask();
    for _ in 0..TRIES {
        if !taken(&answer) {
            break;
        }
        std::thread::sleep(PAUSE);
        answer = ask();
    }
    answer
}

/// What is there at two looks a moment apart.
pub(crate) fn seen_twice<T: PartialEq>(look: impl Fn() -> Vec<T>) -> Vec<T> {
    let mut seen = look();
    if !seen.is_empty() {
        std::thread::sleep(PAUSE);
        let again = look();
        seen.retain(|one| again.contains(one));
    }
    seen
}
