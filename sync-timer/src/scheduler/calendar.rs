//! Timers by the calendar: at times of the system's clock, which can be set, and not of the
//! monotonic one.
//!
//! The timer sleeps until its time by the monotonic clock, but not longer than
//! [`RECHECK`]: then it compares again, because the system's clock may have been set.
//!
//! # Invariants
//!
//! 1. Never early: the callback is called only after the system's clock was read and was not before
//!    the time.
//! 2. A time is passed to the callback once: the next one is computed from the later of the last
//!    time and the clock. A clock that was set back by more than [`SET_BACK`] counts as right.
//! 3. User code (the clock, the calendar) runs in [`Job::call`] only, where its panic is caught. A
//!    calendar that panics is not asked again: it would panic at once, and forever.

use core::fmt;
use core::time::Duration;
use std::time::SystemTime;

use sync_core::fork::ProcessMark;

use super::job::{Job, Tick};
use super::{Scheduler, ShutDown, TimerHandle};
use crate::clock::nanoseconds;

/// The longest time that a change of the system's clock goes unnoticed.
const RECHECK: Duration = Duration::from_secs(60);

/// A clock that is behind the last time by more than this was set, and not adjusted.
const SET_BACK: Duration = Duration::from_secs(3 * 3600);

/// The number of times that are looked at to count those that were missed.
const MOST_MISSED: u64 = 10_000;

/// The times of a calendar: a function that returns the next one, and the clock that it goes by.
/// For [`Scheduler::calendar`]; with the feature `cron`, `Calendar::cron` makes one of an
/// expression.
pub struct Calendar<N> {
    next: N,
    wall: Box<dyn Fn() -> SystemTime + Send>,
}

impl<N: FnMut(SystemTime) -> Option<SystemTime>> Calendar<N> {
    /// A calendar of which `next` returns the first time after its argument; `None`: there is none.
    ///
    /// A panic of `next` is reported as that of a callback is, and ends the timer. A panic of the
    /// [`clock`](Self::clock) is reported too; it is looked at again after a minute.
    pub fn new(next: N) -> Self {
        Self { next, wall: Box::new(SystemTime::now) }
    }

    /// Goes by another clock than the system's: for tests.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + 'static) -> Self {
        self.wall = Box::new(clock);
        self
    }
}

impl<N> fmt::Debug for Calendar<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calendar").finish_non_exhaustive()
    }
}

struct ByCalendar<N, F> {
    calendar: Calendar<N>,
    callback: F,
    /// `None`: there is no further time.
    due: Option<SystemTime>,
    missed: u64,
    /// Nanoseconds to sleep before the next look at the clock.
    pause: u64,
}

impl<N: FnMut(SystemTime) -> Option<SystemTime>, F> ByCalendar<N, F> {
    /// Passes to the first time that is yet to come, and counts those that were missed.
    fn pass(&mut self, last: SystemTime, now: SystemTime) {
        let set_back = last.duration_since(now).is_ok_and(|behind| behind > SET_BACK);
        let mut next = (self.calendar.next)(if set_back { now } else { last });
        self.missed = 0;
        while self.missed < MOST_MISSED {
            match next {
                Some(time) if time <= now => {
                    self.missed += 1;
                    next = (self.calendar.next)(time);
                }
                _ => break,
            }
        }
        if next.is_some_and(|time| time <= now) {
            next = (self.calendar.next)(now);
        }
        self.due = next;
    }

    /// Sleeps until the next time, or until the next look for it.
    fn sleep_from(&mut self, now: SystemTime) {
        self.pause = self.due.map_or(u64::MAX, |due| pause(due, now));
    }
}

impl<N, F> Job for ByCalendar<N, F>
where
    N: FnMut(SystemTime) -> Option<SystemTime> + Send,
    F: FnMut(&Tick) + Send,
{
    fn call(&mut self, tick: &Tick) {
        let Some(due) = self.due else { return };
        // If the clock panics.
        self.pause = nanoseconds(RECHECK);
        // Invariant 1.
        let process = ProcessMark::current();
        let now = (self.calendar.wall)();
        // The clock has forked, and this is the child: the calendar is the parent's.
        if !process.is_current() {
            return;
        }
        if now < due {
            self.sleep_from(now);
            return;
        }
        // If the calendar panics (invariant 3).
        self.due = None;
        // Before the callback, which may panic: it is called again at the next time, not at this.
        self.pass(due, now);
        self.sleep_from(now);
        // So is the call, if the calendar has forked.
        if !process.is_current() {
            return;
        }
        (self.callback)(tick);
        if self.due.is_some() {
            let now = (self.calendar.wall)();
            self.sleep_from(now);
        }
    }

    fn repeats(&self) -> bool {
        self.due.is_some()
    }

    fn missed(&self) -> u64 {
        self.missed
    }

    fn next(&mut self, _: u64, now: u64) -> u64 {
        now.saturating_add(self.pause)
    }

    fn refused(&mut self, _: u64, now: u64) -> Option<u64> {
        // The time is not passed: it is tried again.
        Some(now.saturating_add(nanoseconds(Duration::from_secs(1))))
    }
}

impl Scheduler {
    /// Calls `callback` at the times of a calendar, until there are no more, or it is cancelled.
    ///
    /// The times are those of the system's clock. If that is set, the timer learns of it within a
    /// minute; a time that is passed over, by a clock that is set or by a system that slept, is
    /// made up for by one call, and [`Tick::missed`] of the next call has the number of those that
    /// were left out after it.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use sync_timer::{Calendar, Scheduler};
    ///
    /// // Every full minute.
    /// let minutes = Calendar::new(|after: SystemTime| {
    ///     let seconds = after.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    ///     Some(SystemTime::UNIX_EPOCH + Duration::from_secs((seconds / 60 + 1) * 60))
    /// });
    /// let scheduler = Scheduler::new();
    /// let report = scheduler.calendar(minutes, |_| println!("a full minute"))?;
    /// assert!(report.is_pending());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ShutDown`], which gives `callback` back.
    pub fn calendar<N, F>(
        &self,
        mut calendar: Calendar<N>,
        callback: F,
    ) -> Result<TimerHandle, ShutDown<F>>
    where
        N: FnMut(SystemTime) -> Option<SystemTime> + Send + 'static,
        F: FnMut(&Tick) + Send + 'static,
    {
        let wall = (calendar.wall)();
        let due = (calendar.next)(wall);
        let pause = due.map_or(0, |due| pause(due, wall));
        let job = Box::new(ByCalendar { calendar, callback, due, missed: 0, pause });
        let now = self.inner.core.now();
        let deadline = now.saturating_add(pause);
        self.schedule(now, deadline, job).map_err(|job| ShutDown(job.callback))
    }

    /// Calls `callback` at a time of the system's clock, or at once if that is past. If the clock
    /// is set meanwhile, the timer learns of it within a minute.
    ///
    /// # Errors
    ///
    /// [`ShutDown`], which gives `callback` back.
    pub fn at_time<F>(&self, time: SystemTime, callback: F) -> Result<TimerHandle, ShutDown<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let due = Some(time);
        let job = Box::new(AtTime { due, callback: Some(callback) });
        let now = self.inner.core.now();
        let deadline = now.saturating_add(pause(time, SystemTime::now()));
        self.schedule(now, deadline, job)
            .map_err(|job| ShutDown(job.callback.expect("it was not called")))
    }
}

/// Returns how long to sleep before the next look for `due`.
fn pause(due: SystemTime, now: SystemTime) -> u64 {
    nanoseconds(due.duration_since(now).unwrap_or_default().min(RECHECK))
}

struct AtTime<F> {
    /// `None` after the call.
    due: Option<SystemTime>,
    callback: Option<F>,
}

impl<F: FnOnce() + Send> Job for AtTime<F> {
    fn call(&mut self, _: &Tick) {
        // Invariant 1.
        if self.due.is_some_and(|due| SystemTime::now() < due) {
            return;
        }
        self.due = None;
        if let Some(callback) = self.callback.take() {
            callback();
        }
    }

    fn repeats(&self) -> bool {
        self.due.is_some()
    }

    fn next(&mut self, _: u64, now: u64) -> u64 {
        self.due.map_or(u64::MAX, |due| now.saturating_add(pause(due, SystemTime::now())))
    }

    fn refused(&mut self, _: u64, now: u64) -> Option<u64> {
        Some(now.saturating_add(nanoseconds(Duration::from_secs(1))))
    }
}
