//! The handle of a timer.

use core::fmt;
use core::ops::Deref;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use sync_core::{CancelToken, Cancelled};

use super::shard::{Cancel, Shard};
use crate::clock::nanoseconds;
use crate::wheel::Key;

/// Names one timer of a [`Scheduler`](super::Scheduler).
///
/// Dropping it changes nothing: the timer goes on. Let [`cancel_on_drop`](Self::cancel_on_drop)
/// make a guard of it where the timer should end with a scope. A handle stays good forever, also
/// after its timer is done and after the scheduler is gone; its clones name the same timer.
///
/// # Memory ordering
///
/// Everything before a timer was scheduled is visible to its callback. Everything that the callback
/// did is visible after `cancel` or `cancel_and_wait` returned [`Done`](Cancel::Done), and to the
/// next call of the callback.
#[derive(Clone)]
pub struct TimerHandle {
    pub(super) shard: Arc<Shard>,
    pub(super) key: Key,
}

// No user code runs under a lock of the scheduler's, so a panic leaves it whole.
impl UnwindSafe for TimerHandle {}
impl RefUnwindSafe for TimerHandle {}

impl TimerHandle {
    /// Cancels the timer, and returns whether that came in time. Its closure is dropped before this
    /// returns, unless it is running.
    ///
    /// May be called from anywhere, also from within the callback itself, which is
    /// [`Running`](Cancel::Running) then.
    ///
    /// # Panics
    ///
    /// If the drop of the closure does. The timer is cancelled all the same.
    pub fn cancel(&self) -> Cancel {
        self.shard.cancel(self.key, drop)
    }

    /// As [`cancel`](Self::cancel); if the callback is running, waits until it has returned and its
    /// closure has been dropped, and returns [`Done`](Cancel::Done). So after this call the
    /// callback is not running, and will not run again.
    ///
    /// From within the callback itself it does not wait, and returns [`Running`](Cancel::Running).
    /// It does the same in the child of a fork, for a callback that runs in the parent. Two
    /// callbacks that wait for each other (on a pool) wait forever. A thread that waits for a
    /// callback while it holds a lock that the callback needs waits forever, too.
    pub fn cancel_and_wait(&self) -> Cancel {
        match self.cancel() {
            Cancel::Running => self.shard.wait(self.key),
            over => over,
        }
    }

    /// As [`cancel_and_wait`](Self::cancel_and_wait), waiting until the token is cancelled at most.
    /// The timer is cancelled in any case.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the callback ran.
    pub fn cancel_and_wait_or_cancelled(&self, token: &CancelToken) -> Result<Cancel, Cancelled> {
        match self.cancel() {
            Cancel::Running => self.shard.wait_or_cancelled(self.key, token),
            over => Ok(over),
        }
    }

    /// Moves the timer to `at`, or to this moment if `at` is past. Returns `true` if the timer had
    /// not gone off: it will at the new time and only then. Returns `false` if it is too late, or
    /// the timer was cancelled, or the scheduler has been shut down: nothing was changed.
    ///
    /// For a periodic timer the next tick moves, and the ticks after it follow at the period; also
    /// while its callback runs.
    pub fn reschedule(&self, at: Instant) -> bool {
        let core = &self.shard.core;
        self.shard.reschedule(self.key, core.now(), core.nanoseconds_at(at))
    }

    /// As [`reschedule`](Self::reschedule), to `delay` from now. `Duration::MAX` is never.
    pub fn reschedule_after(&self, delay: Duration) -> bool {
        let now = self.shard.core.now();
        self.shard.reschedule(self.key, now, now.saturating_add(nanoseconds(delay)))
    }

    /// Returns whether it waits for its time, or for the executor to get to it.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.shard.is_pending(self.key)
    }

    /// Returns whether its callback is running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.shard.is_running(self.key)
    }

    /// Returns when it goes off next. `None`: it does not wait, or it waits forever.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.shard
            .deadline(self.key)
            .filter(|&deadline| deadline != u64::MAX)
            .map(|deadline| self.shard.core.instant(deadline))
    }

    /// Makes a guard that cancels the timer when it is dropped.
    pub fn cancel_on_drop(self) -> CancelOnDrop {
        CancelOnDrop { handle: Some(self) }
    }
}

impl fmt::Debug for TimerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerHandle").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Cancels its timer when it is dropped; does not wait for a callback that is running. A panic of
/// the closure's drop is reported to
/// [`SchedulerBuilder::on_failure`](super::SchedulerBuilder::on_failure).
#[derive(Debug)]
#[must_use = "dropped at once, it cancels at once"]
pub struct CancelOnDrop {
    /// `None` after `keep`.
    handle: Option<TimerHandle>,
}

impl CancelOnDrop {
    /// Lets the timer go on.
    pub fn keep(mut self) -> TimerHandle {
        self.handle.take().expect("it is taken here only")
    }
}

impl Deref for CancelOnDrop {
    type Target = TimerHandle;

    fn deref(&self) -> &TimerHandle {
        self.handle.as_ref().expect("it is taken by `keep` only, which consumes this")
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            // In a destructor a panic of the closure's drop would abort the process during
            // unwinding: it goes to the failure hook.
            let shard = &handle.shard;
            shard.cancel_in_drop(handle.key, |job| shard.core.guard(|| drop(job)));
        }
    }
}
