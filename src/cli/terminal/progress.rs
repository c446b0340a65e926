//! How far something is, shown on a terminal: one line, which goes away when it is done.

use super::ui::Ui;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::{self, IsTerminal as _};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// An estimate is worth nothing before so much time is gone.
const SOONEST: Duration = Duration::from_secs(3);
/// Nor before so much of a hundred is done.
const LEAST: u64 = 2;
/// Estimates are rounded to so many seconds.
const ROUNDED: u64 = 5;

impl Ui {
    /// Shows on a terminal how many of several targets are done.
    pub fn begin_targets(&self, targets: usize) {
        if targets > 1 {
            self.brief.store(true, Ordering::Relaxed);
            self.show_bar(
                Some(targets as u64),
                "{pos}/{len} [{bar:30}]{left} {wide_msg}",
            );
        }
    }

    /// One more target is done.
    pub fn target_done(&self) {
        self.on_bar(|bar| bar.inc(1));
    }

    /// Shows on a terminal how far the copy of a single target is.
    pub fn begin_bytes(&self, length: u64) {
        if !self.brief.load(Ordering::Relaxed) {
            self.show_bar(Some(length), "{bytes}/{total_bytes} [{bar:30}]{left}");
        }
    }

    /// The copy has come to this byte.
    pub fn bytes_done(&self, position: u64) {
        if !self.brief.load(Ordering::Relaxed) {
            self.on_bar(|bar| bar.set_position(position));
        }
    }

    /// Shows on a terminal that so many bytes of a single target are done, of so many.
    pub fn part_done(&self, done: u64, total: u64) {
        if !self.has_bar() {
            self.begin_bytes(total);
        }
        self.bytes_done(done);
    }

    /// The copy of a single target is done.
    pub fn end_bytes(&self) {
        if !self.brief.load(Ordering::Relaxed) {
            self.end_progress();
        }
    }

    /// Shows on a terminal what is being done to a target: on the line of all targets where there
    /// are several.
    pub fn doing(&self, text: &str) {
        if !self.brief.load(Ordering::Relaxed) && !self.has_bar() {
            self.show_bar(None, "{wide_msg}");
        }
        self.on_bar(|bar| bar.set_message(super::shown(text)));
    }

    /// That is done.
    pub fn done(&self) {
        if self.brief.load(Ordering::Relaxed) {
            self.on_bar(|bar| bar.set_message(""))
        } else {
            self.end_progress()
        }
    }

    /// Takes the progress bar away.
    pub fn end_progress(&self) {
        let bar = self
            .bar
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
    }

    /// Whether progress is seen by anybody.
    pub fn shows_progress(&self) -> bool {
        !self.is_quiet() && io::stderr().is_terminal()
    }

    fn has_bar(&self) -> bool {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        bar.is_some()
    }

    fn on_bar(&self, change: impl FnOnce(&ProgressBar)) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = &*bar {
            change(bar);
        }
    }

    fn show_bar(&self, length: Option<u64>, template: &str) {
        if !self.shows_progress() {
            return;
        }
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let left = |state: &ProgressState, to: &mut dyn Write| {
            let done = (state.pos(), state.len().unwrap_or_default());
            let _ = to.write_str(&left(done, state.elapsed()));
        };
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
        let bar = bar.with_style(style.progress_chars("=> ").with_key("left", left));
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
    }
}

/// The time that is left when `done.0` of `done.1` took `elapsed`; nothing where that cannot be told
/// yet. At the end of a copy the medium is still writing.
fn left(done: (u64, u64), elapsed: Duration) -> String {
    let (done, all) = done;
    if done >= all && all > 0 {
        return " finishing".to_owned();
    }
    let percent = done.checked_mul(100).and_then(|it| it.checked_div(all));
    if done == 0 || elapsed < SOONEST || percent.is_none_or(|percent| percent < LEAST) {
        return String::new();
    }
    let rest = u128::from(elapsed.as_secs()) * u128::from(all - done) / u128::from(done);
    let rest = u64::try_from(rest).unwrap_or(u64::MAX);
    let rest = rest.div_ceil(ROUNDED).saturating_mul(ROUNDED);
    format!(" about {} left", HumanDuration(Duration::from_secs(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_given_when_there_is_something_to_go_by() {
        let after = |done, all, seconds| left((done, all), Duration::from_secs(seconds));
        assert_eq!(after(50, 100, 1), "");
        assert_eq!(after(1, 100, 60), "");
        assert_eq!(after(0, 100, 60), "");
        assert_eq!(after(0, 0, 60), "");
        assert_eq!(after(50, 100, 9), " about 10 seconds left");
        assert_eq!(after(20, 100, 60), " about 4 minutes left");
        assert_eq!(after(100, 100, 1), " finishing");
        assert_eq!(after(u64::MAX - 1, u64::MAX, 60), "");
    }
}
