//! One budget for all archives that are held unpacked at a time, whoever holds them.
//!
//! Each archive has a limit of its own, but there are several to a medium, they are opened again to
//! be checked, and several media are treated at once. A thread treats one medium at a time. It waits
//! while others hold what it needs, and is refused what is more than the whole budget. A thread that
//! holds something already would be waited for while it waits: of those, one at a time goes on
//! beyond the budget, so that all of them together hold twice the budget at the most, and one of them
//! always comes to its end.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// What is held unpacked, in bytes, and how much may be. Clones are of the same budget.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: u64,
    holders: Mutex<Holders>,
    given_back: Condvar,
}

#[derive(Debug, Default)]
struct Holders {
    held: HashMap<ThreadId, u64>,
    total: u64,
    /// The one that may go on beyond the budget, until it holds nothing any more.
    favoured: Option<ThreadId>,
}

impl Budget {
    /// One of that many bytes.
    pub fn new(limit: u64) -> Self {
        Budget(Arc::new(Shared {
            limit,
            holders: Mutex::default(),
            given_back: Condvar::new(),
        }))
    }

    /// How many bytes it is.
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// Takes `bytes` for this thread, once others have given back enough; `false` where it would
    /// hold more than the whole budget.
    fn take(&self, holder: ThreadId, bytes: u64) -> bool {
        let mut holders = self.holders();
        loop {
            let own = holders.held.get(&holder).copied().unwrap_or(0);
            if own.saturating_add(bytes) > self.0.limit {
                return false;
            }
            let fits = holders.total.saturating_add(bytes) <= self.0.limit;
            let may_go_on = own > 0 && holders.favoured.is_none_or(|it| it == holder);
            if fits || may_go_on {
                if !fits {
                    holders.favoured = Some(holder);
                }
                holders.held.insert(holder, own.saturating_add(bytes));
                holders.total = holders.total.saturating_add(bytes);
                return true;
            }
            let waited = self.0.given_back.wait(holders);
            holders = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, holder: ThreadId, bytes: u64) {
        let mut holders = self.holders();
        let own = holders.held.get(&holder).copied().unwrap_or(0);
        let rest = own.saturating_sub(bytes);
        holders.total = holders.total.saturating_sub(bytes);
        if rest > 0 {
            holders.held.insert(holder, rest);
        } else {
            holders.held.remove(&holder);
            if holders.favoured == Some(holder) {
                holders.favoured = None;
            }
        }
        self.0.given_back.notify_all();
    }

    fn holders(&self) -> MutexGuard<'_, Holders> {
        self.0
            .holders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one archive takes of a budget; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Option<Budget>,
    holder: ThreadId,
    bytes: u64,
}

impl Held {
    /// Nothing yet of `budget`, where there is one.
    pub(super) fn of(budget: Option<&Budget>) -> Self {
        Held {
            budget: budget.cloned(),
            holder: thread::current().id(),
            bytes: 0,
        }
    }

    /// Takes as much as is missing to hold `bytes`.
    ///
    /// # Errors
    /// The whole budget in bytes, where that would be more than it.
    pub(super) fn grow_to(&mut self, bytes: u64) -> Result<(), u64> {
        let more = bytes.saturating_sub(self.bytes);
        let Some(budget) = self.budget.as_ref().filter(|_| more > 0) else {
            return Ok(());
        };
        if !budget.take(self.holder, more) {
            return Err(budget.limit());
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(budget) = self.budget.as_ref().filter(|_| self.bytes > 0) {
            budget.give_back(self.holder, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn what_is_dropped_is_given_back_and_more_than_all_is_refused() {
        let budget = Budget::new(10);
        let mut one = Held::of(Some(&budget));
        one.grow_to(6).unwrap();
        one.grow_to(6).unwrap();
        let mut two = Held::of(Some(&budget));
        assert_eq!(two.grow_to(5), Err(10));
        drop(one);
        two.grow_to(10).unwrap();
        drop(two);
        assert_eq!(budget.holders().total, 0);
        assert!(budget.holders().held.is_empty());
        let mut without = Held::of(None);
        without.grow_to(u64::MAX).unwrap();
    }

    #[test]
    fn threads_that_hold_some_and_want_more_all_come_to_their_end_within_twice_the_budget() {
        let budget = Budget::new(100);
        let most = AtomicU64::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let mut held: Vec<Held> = Vec::new();
                        for _ in 0..4 {
                            let mut one = Held::of(Some(&budget));
                            one.grow_to(25).unwrap();
                            most.fetch_max(budget.holders().total, Ordering::Relaxed);
                            held.push(one);
                        }
                    }
                });
            }
        });
        assert!(most.into_inner() <= 200);
        assert_eq!(budget.holders().total, 0);
        assert_eq!(budget.holders().favoured, None);
    }
}
