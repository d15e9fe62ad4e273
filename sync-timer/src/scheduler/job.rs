//! The callback of a timer, with its type erased, and the rhythm of a periodic one.

use core::cell::Cell;
use core::hash::{BuildHasher, Hasher};
use core::time::Duration;
use std::hash::RandomState;
use std::time::Instant;

use super::core::Core;
use crate::Missed;
use crate::clock::nanoseconds;

/// One timer's callback, in one allocation.
///
/// Only `call` and the drop run user code; the other methods may be called under a shard's lock.
pub(super) trait Job: Send {
    /// Calls the callback. A one-shot job is called once.
    fn call(&mut self, tick: &Tick);

    /// Returns whether it goes on after a call.
    fn repeats(&self) -> bool;

    /// Returns the time of the tick that is linked at `deadline`.
    fn scheduled(&self, deadline: u64) -> u64 {
        deadline
    }

    /// Returns the number of ticks that were left out before the coming one.
    fn missed(&self) -> u64 {
        0
    }

    /// Passes to the next tick after a call, and returns its deadline. Only for a job that repeats.
    fn next(&mut self, deadline: u64, now: u64) -> u64 {
        let _ = (deadline, now);
        unreachable!("a one-shot job does not repeat")
    }

    /// Passes to the next tick after the executor refused the one at `deadline`, and returns its
    /// deadline. `None`: the job ends.
    fn refused(&mut self, deadline: u64, now: u64) -> Option<u64> {
        let _ = (deadline, now);
        None
    }

    /// Records that `reschedule` has chosen the next tick, which begins a new grid, and that
    /// `missed` ticks were left out before it.
    fn moved(&mut self, missed: u64) {
        let _ = missed;
    }
}

/// One tick of a periodic timer, as its callback sees it.
#[derive(Debug)]
pub struct Tick {
    pub(super) scheduled: Instant,
    pub(super) missed: u64,
    pub(super) stop: Cell<bool>,
}

impl Tick {
    /// Returns when it was due; without the [jitter](Periodic::jitter).
    #[must_use]
    pub fn scheduled(&self) -> Instant {
        self.scheduled
    }

    /// Returns how many ticks were left out before this one; always 0 unless the timer is
    /// [`Missed::Skip`].
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Makes this tick the last one, as cancelling the timer from within its callback does, without
    /// a handle.
    pub fn stop(&self) {
        self.stop.set(true);
    }
}

pub(super) struct Once<F>(pub(super) Option<F>);

impl<F: FnOnce() + Send> Job for Once<F> {
    fn call(&mut self, _: &Tick) {
        let callback = self.0.take().expect("a one-shot job is called once");
        callback();
    }

    fn repeats(&self) -> bool {
        false
    }
}

/// The rhythm of a periodic timer: its period, its first tick, its policy for missed ticks, and a
/// jitter. For [`Scheduler::periodic`](super::Scheduler::periodic).
///
/// ```
/// use std::time::Duration;
/// use sync_timer::{ManualClock, Missed, Periodic, Scheduler};
///
/// let clock = ManualClock::new();
/// let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
/// let rhythm = Periodic::new(Duration::from_secs(60))
///     .first_now()
///     .missed(Missed::Delay)
///     .jitter(Duration::from_secs(5));
/// scheduler.periodic(rhythm, |_| println!("about every minute"))?;
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(scheduler.run_due(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "it describes a timer and schedules none"]
pub struct Periodic {
    period: Duration,
    first: FirstTick,
    missed: Missed,
    jitter: Duration,
}

#[derive(Clone, Copy, Debug)]
enum FirstTick {
    After(Duration),
    At(Instant),
}

impl Periodic {
    /// A tick every `period`, the first one a period from the call that schedules it; missed ticks
    /// are skipped.
    pub const fn new(period: Duration) -> Self {
        Self {
            period,
            first: FirstTick::After(period),
            missed: Missed::Skip,
            jitter: Duration::ZERO,
        }
    }

    /// Puts the first tick at the moment at which the timer is scheduled.
    pub const fn first_now(self) -> Self {
        self.first_after(Duration::ZERO)
    }

    /// Puts the first tick `delay` after the timer is scheduled; `Duration::MAX` is never.
    pub const fn first_after(mut self, delay: Duration) -> Self {
        self.first = FirstTick::After(delay);
        self
    }

    /// Puts the first tick at `first`, by the scheduler's clock; at once if that is past.
    pub const fn first_at(mut self, first: Instant) -> Self {
        self.first = FirstTick::At(first);
        self
    }

    /// Sets the policy for missed ticks.
    pub const fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Delays each tick by a random time of at most `jitter`, so that timers with the same period
    /// do not all go off together. The grid does not move: delays do not add up. Keep it below the
    /// period; a longer one makes ticks late enough to be missed.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Returns whether the period is zero, which no timer can have.
    pub(super) fn is_zero(&self) -> bool {
        self.period.is_zero()
    }

    /// Makes a job of it, and returns the job's first deadline.
    pub(super) fn job<F>(self, core: &Core, now: u64, callback: F) -> (Box<Repeating<F>>, u64) {
        let grid = match self.first {
            FirstTick::After(delay) => now.saturating_add(nanoseconds(delay)),
            FirstTick::At(first) => core.nanoseconds_at(first).max(now),
        };
        let mut job = Repeating {
            callback,
            period: nanoseconds(self.period),
            policy: self.missed,
            missed: 0,
            owed: 0,
            offset: 0,
            jitter: Jitter::new(nanoseconds(self.jitter)),
        };
        let deadline = job.link_at(grid);
        (Box::new(job), deadline)
    }
}

/// The job of a periodic timer.
pub(super) struct Repeating<F> {
    pub(super) callback: F,
    /// Nanoseconds, not zero.
    period: u64,
    policy: Missed,
    /// The number of ticks that were left out before the coming one.
    missed: u64,
    /// The number of refused ticks to make up for before the linked one; only with
    /// [`Missed::Burst`].
    owed: u64,
    /// The deadline of the timer minus the tick's place on the grid.
    offset: u64,
    jitter: Jitter,
}

impl<F> Repeating<F> {
    /// Returns the deadline of the tick at `grid`.
    fn link_at(&mut self, grid: u64) -> u64 {
        let deadline = grid.saturating_add(self.jitter.draw());
        self.offset = deadline - grid;
        deadline
    }
}

impl<F: FnMut(&Tick) + Send> Job for Repeating<F> {
    fn call(&mut self, tick: &Tick) {
        (self.callback)(tick);
    }

    fn repeats(&self) -> bool {
        true
    }

    fn scheduled(&self, deadline: u64) -> u64 {
        deadline.saturating_sub(self.offset).saturating_sub(self.owed.saturating_mul(self.period))
    }

    fn missed(&self) -> u64 {
        self.missed
    }

    fn next(&mut self, deadline: u64, now: u64) -> u64 {
        self.missed = 0;
        if self.owed > 0 {
            self.owed -= 1;
            return deadline;
        }
        let (next, missed) = self.policy.next(deadline - self.offset, self.period, now);
        self.missed = missed;
        self.link_at(next)
    }

    fn refused(&mut self, deadline: u64, now: u64) -> Option<u64> {
        let grid = deadline - self.offset;
        let next = match self.policy {
            Missed::Skip => {
                let (next, missed) = self.policy.next(grid, self.period, now);
                self.missed = self.missed.saturating_add(missed).saturating_add(1);
                next
            }
            Missed::Burst => {
                // The first tick of the grid that is yet to come, and all before it are owed.
                let ticks = (now.max(grid) - grid) / self.period + 1;
                self.owed = self.owed.saturating_add(ticks);
                grid.saturating_add(self.period.saturating_mul(ticks))
            }
            Missed::Delay => now.max(grid).saturating_add(self.period),
        };
        Some(self.link_at(next))
    }

    fn moved(&mut self, missed: u64) {
        (self.missed, self.owed, self.offset) = (missed, 0, 0);
    }
}

/// Random delays between zero and a limit.
struct Jitter {
    limit: u64,
    state: u64,
}

impl Jitter {
    fn new(limit: u64) -> Self {
        // The standard library's keys are random. No jitter needs no seed.
        let state = if limit == 0 { 0 } else { RandomState::new().build_hasher().finish() };
        Self { limit, state }
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        if self.limit == 0 {
            return 0;
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The high half of a product maps 64 random bits to 0..=limit.
        ((u128::from(z) * (u128::from(self.limit) + 1)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(missed: Missed) -> Repeating<()> {
        Repeating {
            callback: (),
            period: 10,
            policy: missed,
            missed: 0,
            owed: 0,
            offset: 0,
            jitter: Jitter::new(0),
        }
    }

    // `Job` is implemented for callbacks; the arithmetic is that of any.
    fn with_callback(missed: Missed) -> Repeating<impl FnMut(&Tick) + Send> {
        let Repeating { period, policy, missed, owed, offset, jitter, .. } = job(missed);
        Repeating { callback: |_: &Tick| (), period, policy, missed, owed, offset, jitter }
    }

    #[test]
    fn a_refused_tick_is_left_out_and_counted_by_skip() {
        let mut job = with_callback(Missed::Skip);
        assert_eq!(job.refused(100, 101), Some(110));
        assert_eq!(job.missed(), 1);
        assert_eq!(job.refused(110, 125), Some(130));
        assert_eq!((job.missed(), job.scheduled(130)), (3, 130));
        assert_eq!(job.next(130, 131), 140);
        assert_eq!(job.missed(), 0);
    }

    #[test]
    fn refused_ticks_are_made_up_for_by_burst() {
        let mut job = with_callback(Missed::Burst);
        assert_eq!(job.refused(100, 101), Some(110));
        assert_eq!(job.refused(110, 125), Some(130));
        let mut scheduled = Vec::new();
        for _ in 0..3 {
            scheduled.push(job.scheduled(130));
            assert_eq!(job.next(130, 131), 130);
        }
        scheduled.push(job.scheduled(130));
        assert_eq!(scheduled, [100, 110, 120, 130]);
        assert_eq!(job.next(130, 131), 140);
    }

    #[test]
    fn a_refused_tick_begins_a_new_grid_by_delay() {
        let mut job = with_callback(Missed::Delay);
        assert_eq!(job.refused(100, 103), Some(113));
        assert_eq!((job.missed(), job.scheduled(113)), (0, 113));
    }

    #[test]
    fn a_refusal_at_the_end_of_the_numbers_is_never() {
        for missed in [Missed::Skip, Missed::Burst, Missed::Delay] {
            let mut job = with_callback(missed);
            assert_eq!(job.refused(u64::MAX - 5, u64::MAX - 1), Some(u64::MAX));
        }
    }

    #[test]
    fn jitter_stays_within_its_limit_and_reaches_both_ends() {
        let mut jitter = Jitter { limit: 3, state: 1 };
        let mut seen = [0; 4];
        for _ in 0..1000 {
            seen[jitter.draw() as usize] += 1;
        }
        assert!(seen.iter().all(|&count| count > 150), "{seen:?}");
        let mut all = Jitter { limit: u64::MAX, state: 1 };
        assert_ne!(all.draw(), all.draw());
    }
}
