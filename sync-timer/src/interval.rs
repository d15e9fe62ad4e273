//! Ticks for a loop: the calling thread sleeps from one to the next.
//!
//! # Source
//!
//! Go's `time.Ticker` and tokio's `Interval`, for threads. It is a clock, a grid and a notifier;
//! the only thing shared is the stop flag.
//!
//! # Invariants
//!
//! 1. A tick is returned only after a time was read that is not before it: never early.
//! 2. `stop` sets the flag and then notifies; the sleeper takes the notifier's key and then looks
//!    at the flag: so no stop is slept over.

use core::fmt;
use core::iter::FusedIterator;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sync_core::primitive::atomic::{AtomicBool, Ordering};
use sync_core::{CancelToken, Cancelled};

use crate::Missed;
use crate::clock::{Clock, Monotonic, Notifier, nanoseconds};
use crate::slack::Slack;

/// A steady rhythm for a loop: [`tick`](Self::tick) sleeps until the next moment of the grid.
///
/// Work between two ticks does not shift them, unlike a sleep in the loop; [`Missed`] decides what
/// happens to ticks that the work outlasts. To have a callback called instead, see
/// [`Scheduler::every`](crate::Scheduler::every).
///
/// ```
/// use std::time::Duration;
/// use sync_timer::Interval;
///
/// let interval = Interval::new(Duration::from_millis(2));
/// for (n, scheduled) in interval.take(3).enumerate() {
///     println!("tick {n} at {scheduled:?}");
/// }
/// ```
///
/// # Memory ordering
///
/// Everything before [`Stopper::stop`] is visible to a thread that learns by a tick's absence that
/// the interval was stopped.
#[doc(alias = "Ticker")]
pub struct Interval {
    clock: Box<dyn Clock>,
    /// Zero of the nanoseconds below.
    origin: Instant,
    next: u64,
    /// Not zero.
    period: u64,
    policy: Missed,
    /// The number of ticks left out before the tick at `next`, and before the last one returned.
    missed_before_next: u64,
    missed: u64,
    stopper: Stopper,
}

const _: () = {
    const fn sent<T: Send + Sync>() {}
    sent::<Interval>();
    sent::<Stopper>();
};

// An interval is numbers and a flag; a panic of the user's clock leaves them as they were.
impl UnwindSafe for Interval {}
impl RefUnwindSafe for Interval {}
impl UnwindSafe for Stopper {}
impl RefUnwindSafe for Stopper {}

/// Stops an [`Interval`] from another thread. Its clones stop the same interval.
#[derive(Clone)]
pub struct Stopper {
    shared: Arc<StopFlag>,
}

struct StopFlag {
    stopped: AtomicBool,
    notifier: Arc<Notifier>,
}

/// Why a timed wait for a tick ended without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TickError {
    /// The time was up before the tick was due.
    Timeout,
    /// The interval has been stopped.
    Stopped,
}

impl Interval {
    /// Ticks every `period`, for the first time one period from now. Ticks that are missed are
    /// skipped; see [`with_missed`](Self::with_missed).
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    #[must_use]
    #[track_caller]
    pub fn new(period: Duration) -> Self {
        Self::with_clock(period, Monotonic)
    }

    /// The same by another clock.
    ///
    /// # Panics
    ///
    /// If `period` is zero.
    #[must_use]
    #[track_caller]
    pub fn with_clock(period: Duration, clock: impl Clock) -> Self {
        assert!(!period.is_zero(), "an interval needs a period greater than zero");
        let period = nanoseconds(period);
        let notifier = Arc::new(Notifier::new());
        clock.subscribe(&notifier);
        Self {
            origin: clock.now(),
            clock: Box::new(clock),
            next: period,
            period,
            policy: Missed::default(),
            missed_before_next: 0,
            missed: 0,
            stopper: Stopper {
                shared: Arc::new(StopFlag { stopped: AtomicBool::new(false), notifier }),
            },
        }
    }

    /// Sets the policy for missed ticks.
    #[must_use]
    pub fn with_missed(mut self, policy: Missed) -> Self {
        self.policy = policy;
        self
    }

    /// Moves the first tick to `first`, or to this moment if that is past; the ticks after it
    /// follow at the period.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use sync_timer::Interval;
    ///
    /// let mut at_once = Interval::new(Duration::from_secs(60)).with_first_at(Instant::now());
    /// at_once.tick(); // does not wait a minute
    /// ```
    #[doc(alias = "interval_at")]
    #[must_use]
    pub fn with_first_at(mut self, first: Instant) -> Self {
        let first = nanoseconds(first.saturating_duration_since(self.origin));
        self.next = first.max(self.now());
        self.missed_before_next = 0;
        self
    }

    /// Moves the first tick to `delay` from now: zero is at once, `Duration::MAX` is never.
    #[must_use]
    pub fn with_first_after(mut self, delay: Duration) -> Self {
        self.next = self.now().saturating_add(nanoseconds(delay));
        self.missed_before_next = 0;
        self
    }

    /// Sleeps until the next tick, and returns when it was due; at once if it is due already.
    /// `None`: the interval has been stopped.
    pub fn tick(&mut self) -> Option<Instant> {
        self.wait(None).ok()
    }

    /// As [`tick`](Self::tick), for at most `timeout`, by the interval's own clock. A tick that is
    /// due already is returned whatever the timeout.
    ///
    /// # Errors
    ///
    /// [`TickError`]. The tick that was not waited for is not lost.
    pub fn tick_timeout(&mut self, timeout: Duration) -> Result<Instant, TickError> {
        self.wait(self.clock.now().checked_add(timeout))
    }

    /// As [`tick`](Self::tick), until `deadline` at most, by the interval's own clock.
    ///
    /// # Errors
    ///
    /// [`TickError`]. The tick that was not waited for is not lost.
    pub fn tick_deadline(&mut self, deadline: Instant) -> Result<Instant, TickError> {
        self.wait(Some(deadline))
    }

    /// As [`tick`](Self::tick), until the token is cancelled at most. `Ok(None)`: the interval has
    /// been stopped. A tick that is due already is returned also if the token is cancelled.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_core::{CancelToken, Cancelled};
    /// use sync_timer::Interval;
    ///
    /// let (stop, mut hourly) = (CancelToken::new(), Interval::new(Duration::from_secs(3600)));
    /// stop.cancel();
    /// assert_eq!(hourly.tick_or_cancelled(&stop), Err(Cancelled));
    /// ```
    ///
    /// # Errors
    ///
    /// [`Cancelled`]. The tick that was not waited for is not lost.
    pub fn tick_or_cancelled(&mut self, token: &CancelToken) -> Result<Option<Instant>, Cancelled> {
        match self.wait_until(None, Some(token)) {
            Ok(tick) => Ok(Some(tick)),
            Err(_) if self.stopper.is_stopped() => Ok(None),
            Err(_) => Err(Cancelled),
        }
    }

    fn wait(&mut self, limit: Option<Instant>) -> Result<Instant, TickError> {
        self.wait_until(limit, None)
    }

    /// Waits for a tick. The error of a token that was cancelled is that of a limit that passed.
    fn wait_until(
        &mut self,
        limit: Option<Instant>,
        token: Option<&CancelToken>,
    ) -> Result<Instant, TickError> {
        let mut slack = None;
        loop {
            let shared = &self.stopper.shared;
            // Invariant 2: the key first.
            let key = shared.notifier.key();
            if self.stopper.is_stopped() {
                return Err(TickError::Stopped);
            }
            let instant = self.clock.now();
            let now = nanoseconds(instant.saturating_duration_since(self.origin));
            // `u64::MAX` is never.
            if now >= self.next && self.next != u64::MAX {
                return Ok(self.take_tick(now));
            }
            let cancelled = token.is_some_and(CancelToken::is_cancelled);
            if cancelled || limit.is_some_and(|limit| instant >= limit) {
                return Err(TickError::Timeout);
            }
            let next = (self.next != u64::MAX).then(|| self.instant(self.next));
            let until = [next, limit].into_iter().flatten().min();
            let until = until.and_then(|until| self.clock.look_again(until));
            let slack = slack.get_or_insert_with(Slack::of_this_thread);
            let _on_time = slack.wake_on_time();
            match token {
                None => shared.notifier.wait(key, until),
                Some(token) => shared.notifier.wait_or_cancelled(key, until, token),
            }
        }
    }

    fn take_tick(&mut self, now: u64) -> Instant {
        let scheduled = self.next;
        self.missed = self.missed_before_next;
        (self.next, self.missed_before_next) = self.policy.next(scheduled, self.period, now);
        self.instant(scheduled)
    }

    fn now(&self) -> u64 {
        nanoseconds(self.clock.now().saturating_duration_since(self.origin))
    }

    fn instant(&self, nanoseconds: u64) -> Instant {
        self.origin
            .checked_add(Duration::from_nanos(nanoseconds))
            .expect("584 years fit into the system's clock")
    }

    /// Returns how many ticks were left out before the last one that was returned; always 0 unless
    /// the policy is [`Missed::Skip`].
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Returns the period.
    #[must_use]
    pub fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }

    /// Begins a new grid: the next tick is one period from now.
    pub fn reset(&mut self) {
        self.next = self.now().saturating_add(self.period);
        self.missed_before_next = 0;
    }

    /// Returns what another thread can stop it with.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }
}

/// The ticks, until it is stopped.
impl Iterator for Interval {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        self.tick()
    }
}

impl FusedIterator for Interval {}

impl Stopper {
    /// Stops the interval for good: a thread that waits for a tick wakes up and gets none. May be
    /// called again.
    pub fn stop(&self) {
        // Release: pairs with the Acquire in `is_stopped`.
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.notifier.notify();
    }

    /// Returns whether it has been stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        // Acquire: pairs with the Release in `stop`.
        self.shared.stopped.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interval")
            .field("period", &self.period())
            .field("policy", &self.policy)
            .field("stopped", &self.stopper.is_stopped())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Stopper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopper").field("stopped", &self.is_stopped()).finish()
    }
}

impl fmt::Display for TickError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "no tick was due in that time",
            Self::Stopped => "the interval has been stopped",
        })
    }
}

impl Error for TickError {}
