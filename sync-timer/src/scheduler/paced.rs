//! Calls that are put off, or held back, while they come fast: debounce and throttle.
//!
//! Both are one timer that is never due by itself and is moved by each call. Where to is decided
//! under a lock of its own, which is never held while user code runs.
//!
//! # Invariants
//!
//! 1. A call that was accepted is followed by a run of the callback that begins after the call: it
//!    moves the timer, and a timer that is moved while its callback runs is due again afterwards.
//! 2. The record of a burst is cleared by the run, before the callback: a call that comes later
//!    begins a new burst.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use sync_core::Mutex;
use sync_core::fork::ProcessMark;

use super::handle::{CancelOnDrop, TimerHandle};
use super::job::{Job, Tick};
use super::{Scheduler, ShutDown};
use crate::clock::nanoseconds;

/// The bounds of the time after which a refused run is tried again, in nanoseconds. Between them it
/// is the pace's own. Without the upper one a callback that is to run at most once a day, or never
/// by itself, would lose its run.
const SOONEST_AGAIN: u64 = 1_000_000;
const LATEST_AGAIN: u64 = 1_000_000_000;

/// The state that the calls and the runs of one callback share.
trait Pace: Send + 'static {
    /// Returns the moment of the run for a call at `now`; `None`: a run is due for it already.
    fn call(&mut self, now: u64) -> Option<u64>;

    /// A run begins at `now`.
    fn run(&mut self, now: u64);
}

/// The job: its timer is linked only by a call.
struct Paced<F, P> {
    callback: F,
    pace: Arc<Mutex<P>>,
    /// For the time at which a run begins.
    core: Arc<super::Core>,
    /// The time after which a refused run is tried again: not zero, and a second at most.
    again: u64,
}

impl<F: FnMut() + Send, P: Pace> Job for Paced<F, P> {
    fn call(&mut self, _: &Tick) {
        // Invariant 2. The clock is user code: before the lock.
        let process = ProcessMark::current();
        let now = self.core.try_now().unwrap_or(0);
        // The clock has forked, and this is the child: the run is the parent's.
        if !process.is_current() {
            return;
        }
        self.pace.lock().run(now);
        (self.callback)();
    }

    fn repeats(&self) -> bool {
        true
    }

    fn next(&mut self, _: u64, _: u64) -> u64 {
        u64::MAX
    }

    fn refused(&mut self, _: u64, now: u64) -> Option<u64> {
        Some(now.saturating_add(self.again))
    }
}

/// A callback that runs once the calls have paused: [`Scheduler::debounced`].
pub struct Debounced {
    timer: CancelOnDrop,
    burst: Arc<Mutex<Burst>>,
}

struct Burst {
    quiet: u64,
    at_most: u64,
    /// The moment of the first call that no run has followed.
    first: Option<u64>,
    /// The moment of the last call. Of two threads that call at once, the one that looked at the
    /// clock first may come here last.
    last: u64,
    /// A run was asked for by [`Debounced::flush`]: no call puts it off.
    flushed: bool,
}

impl Burst {
    fn new(quiet: u64) -> Self {
        Self { quiet, at_most: u64::MAX, first: None, last: 0, flushed: false }
    }
}

impl Pace for Burst {
    fn call(&mut self, now: u64) -> Option<u64> {
        let first = *self.first.get_or_insert(now);
        self.last = self.last.max(now);
        let due = self.last.saturating_add(self.quiet).min(first.saturating_add(self.at_most));
        (!self.flushed).then_some(due)
    }

    fn run(&mut self, _: u64) {
        self.first = None;
        self.flushed = false;
    }
}

/// A callback that runs at most once in a while: [`Scheduler::throttled`].
pub struct Throttled {
    timer: CancelOnDrop,
    rate: Arc<Mutex<Rate>>,
}

struct Rate {
    interval: u64,
    /// The moment before which no run may begin.
    not_before: u64,
    /// Whether a run is due.
    pending: bool,
}

impl Pace for Rate {
    fn call(&mut self, now: u64) -> Option<u64> {
        let due = (!self.pending).then(|| self.not_before.max(now));
        self.pending = true;
        due
    }

    fn run(&mut self, now: u64) {
        self.pending = false;
        self.not_before = now.saturating_add(self.interval);
    }
}

impl Scheduler {
    /// Returns a callback that runs when [`call`](Debounced::call) has not been called for `quiet`:
    /// to save a file when the typing has paused. See [`Debounced::at_most`] for a limit of the
    /// delay.
    ///
    /// It runs where the callbacks of the scheduler's timers run, and never overlaps with itself.
    /// Calls during a run are followed by another run.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_timer::{ManualClock, Scheduler};
    ///
    /// let clock = ManualClock::new();
    /// let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    /// let save = scheduler.debounced(Duration::from_secs(1), || println!("saved"))?;
    /// for _ in 0..10 {
    ///     save.call();
    ///     clock.advance(Duration::from_millis(100));
    ///     assert_eq!(scheduler.run_due(), 0);
    /// }
    /// clock.advance(Duration::from_secs(1));
    /// assert_eq!(scheduler.run_due(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShutDown`], which gives `callback` back.
    pub fn debounced<F: FnMut() + Send + 'static>(
        &self,
        quiet: Duration,
        callback: F,
    ) -> Result<Debounced, ShutDown<F>> {
        let quiet = nanoseconds(quiet);
        let burst = Arc::new(Mutex::new(Burst::new(quiet)));
        let timer = self.paced(callback, &burst, quiet)?.cancel_on_drop();
        Ok(Debounced { timer, burst })
    }

    /// Returns a callback that runs at once when [`call`](Throttled::call) is called, but not
    /// sooner than `interval` after its last run: calls that come sooner are followed by one run
    /// when the interval is over.
    ///
    /// It runs where the callbacks of the scheduler's timers run, and never overlaps with itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_timer::{ManualClock, Scheduler};
    ///
    /// let clock = ManualClock::new();
    /// let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    /// let redraw = scheduler.throttled(Duration::from_millis(16), || println!("drawn"))?;
    /// (0..10).for_each(|_| assert!(redraw.call()));
    /// assert_eq!(scheduler.run_due(), 1);
    /// (0..10).for_each(|_| assert!(redraw.call()));
    /// assert_eq!(scheduler.run_due(), 0);
    /// clock.advance(Duration::from_millis(16));
    /// assert_eq!(scheduler.run_due(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShutDown`], which gives `callback` back.
    pub fn throttled<F: FnMut() + Send + 'static>(
        &self,
        interval: Duration,
        callback: F,
    ) -> Result<Throttled, ShutDown<F>> {
        let interval = nanoseconds(interval);
        let rate = Arc::new(Mutex::new(Rate { interval, not_before: 0, pending: false }));
        let timer = self.paced(callback, &rate, interval)?.cancel_on_drop();
        Ok(Throttled { timer, rate })
    }

    fn paced<F: FnMut() + Send + 'static, P: Pace>(
        &self,
        callback: F,
        pace: &Arc<Mutex<P>>,
        again: u64,
    ) -> Result<TimerHandle, ShutDown<F>> {
        let core = Arc::clone(&self.inner.core);
        let again = again.clamp(SOONEST_AGAIN, LATEST_AGAIN);
        let job = Box::new(Paced { callback, pace: Arc::clone(pace), core, again });
        let now = self.inner.core.now();
        self.schedule(now, u64::MAX, job).map_err(|job| ShutDown(job.callback))
    }
}

/// Moves the timer for a call.
fn call<P: Pace>(timer: &TimerHandle, pace: &Mutex<P>) -> bool {
    let shard = &timer.shard;
    // User code: before the lock.
    let now = shard.core.now();
    // Invariant 1: moved under the lock, so that a run that begins meanwhile clears the record
    // either before this call, or after the timer was moved to after that run.
    let mut pace = pace.lock();
    match pace.call(now) {
        Some(due) => shard.reschedule(timer.key, now, due),
        None => !shard.is_closed(),
    }
}

impl Debounced {
    /// Limits the delay: the callback runs `delay` after the first call of a burst, whether the
    /// calls have paused or not.
    #[must_use]
    pub fn at_most(self, delay: Duration) -> Self {
        self.burst.lock().at_most = nanoseconds(delay);
        self
    }

    /// Puts the run off until `quiet` from now. Returns `false` if the scheduler has been shut
    /// down: there will be no run.
    pub fn call(&self) -> bool {
        call(&self.timer, &self.burst)
    }

    /// Runs the callback now, if a run is due; returns whether one was. It is called on the
    /// scheduler, not here. A call that comes before the run has begun does not put it off.
    pub fn flush(&self) -> bool {
        let shard = &self.timer.shard;
        let now = shard.core.now();
        let mut burst = self.burst.lock();
        let moved = burst.first.is_some() && shard.reschedule(self.timer.key, now, now);
        burst.flushed |= moved;
        moved
    }

    /// Forgets the calls that no run has followed, and returns whether there were any.
    pub fn clear(&self) -> bool {
        let shard = &self.timer.shard;
        let now = shard.core.now();
        let mut burst = self.burst.lock();
        burst.flushed = false;
        burst.first.take().is_some() && shard.reschedule(self.timer.key, now, u64::MAX)
    }
}

impl Throttled {
    /// Runs the callback on the scheduler: at once, or when the interval is over. Returns `false`
    /// if the scheduler has been shut down: there will be no run.
    pub fn call(&self) -> bool {
        call(&self.timer, &self.rate)
    }
}

impl fmt::Debug for Debounced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Debounced").field("timer", &*self.timer).finish_non_exhaustive()
    }
}

impl fmt::Debug for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttled").field("timer", &*self.timer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that looked at the clock, was stopped, and comes after another one.
    #[test]
    fn a_call_that_comes_late_does_not_bring_the_run_forward() {
        let mut burst = Burst::new(10);
        assert_eq!([burst.call(20), burst.call(15)], [Some(30); 2]);
    }
}
