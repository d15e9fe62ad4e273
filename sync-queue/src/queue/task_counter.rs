//! Counts the tasks that were put and not yet called done, and waits until none is left.
//!
//! Puts pay nothing for it: the number of puts is read off the queue's tail. Only the tasks done
//! are counted here. The flag of the joiners is in the same word as the count
//! ([`cursor`](crate::buffer::cursor)), so that only the thread that finishes the last task looks
//! for joiners.
//!
//! # Invariants
//!
//! K1. `done <= pushed`: a call that would break this is refused (`task_done`) or counts less
//! (items that a shutdown or a `force_put` took out).
//!
//! K2. The thread that makes `done` equal to `pushed` clears the joiners' flag in that same step,
//! and wakes all joiners. A put that comes in between makes them sleep again: joiners wait for a
//! moment at which nothing is unfinished, not for an event.
//!
//! Reading `pushed` too low is impossible where it matters (a thread that has a task knows of its
//! put), and would only wake joiners for nothing.

use core::fmt;

use crate::buffer::cursor::{Cursor, PARKED, SHIFT};
use crate::queue::error::TooManyDone;
use crate::wait::event_count::{ALL, EventCount};
use crate::wait::timeout::Timeout;

#[derive(Debug)]
pub(crate) struct TaskCounter {
    done: Cursor,
    joiners: EventCount,
}

impl TaskCounter {
    pub(crate) fn new() -> Self {
        Self { done: Cursor::new(), joiners: EventCount::new() }
    }

    /// Counts one more task as done.
    pub(crate) fn done(&self, pushed: impl Fn() -> u64) -> Result<(), TooManyDone> {
        if self.count(1, pushed) == 1 { Ok(()) } else { Err(TooManyDone(())) }
    }

    /// Counts `most` more tasks as done, or all that are left if there are fewer. Returns the
    /// number counted.
    pub(crate) fn count(&self, most: u64, pushed: impl Fn() -> u64) -> u64 {
        let mut now = self.done.acquire();
        loop {
            let done = now >> SHIFT;
            let pushed = pushed();
            let more = most.min(pushed.saturating_sub(done));
            if more == 0 {
                return 0;
            }
            let last = done + more == pushed;
            let mark = if last { 0 } else { now & PARKED };
            // AcqRel, within: each task done happens before the end of the join that it allows, and
            // a thread that finds the flag sees every joiner that set it.
            match self.done.claim(now, (done + more) << SHIFT | mark) {
                Ok(_) => {
                    if last && now & PARKED != 0 {
                        self.joiners.wake(ALL, || ());
                    }
                    return more;
                }
                Err(other) => now = other,
            }
        }
    }

    /// Returns the number of tasks that are not done.
    pub(crate) fn unfinished(&self, pushed: impl Fn() -> u64) -> u64 {
        let done = self.done.acquire() >> SHIFT;
        pushed().saturating_sub(done)
    }

    /// Waits until none is left; `false`: not in time.
    pub(crate) fn join(&self, timeout: Timeout, pushed: impl Fn() -> u64) -> bool {
        let over = || (self.unfinished(&pushed) == 0).then_some(());
        // Puts can only add to the unfinished tasks, so setting the flag is right if `done` is
        // unchanged.
        let mark = || {
            let now = self.done.acquire();
            pushed() > now >> SHIFT && self.done.set_parked(now)
        };
        over().or_else(|| self.joiners.wait_until(timeout, mark, over)).is_some()
    }

    /// As [`join`](Self::join), as a task and without a limit of time.
    pub(crate) async fn join_async(&self, pushed: impl Fn() -> u64) {
        let over = || (self.unfinished(&pushed) == 0).then_some(());
        let mark = || {
            let now = self.done.acquire();
            pushed() > now >> SHIFT && self.done.set_parked(now)
        };
        if over().is_none() {
            self.joiners.waiting(true, mark, over).await;
        }
    }
}

/// Something whose tasks can be called done.
pub(crate) trait Done {
    fn one_done(&self) -> Result<(), TooManyDone>;
}

impl fmt::Debug for dyn Done + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskCounter")
    }
}
