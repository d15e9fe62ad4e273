//! A token bucket: limits how often something is done.
//!
//! # Source
//!
//! The generic cell rate algorithm (ITU-T I.371), as in `governor` and Go's `rate.Limiter`: the
//! bucket is one number, a point in time, and a request is one compare-and-swap. No thread fills
//! the bucket, and nothing waits in line: a request reserves its tokens at once and sleeps until
//! they are due.
//!
//! # State
//!
//! `paid` is a point in time: the tokens that were taken so far, times the interval between two
//! tokens, plus the time in which tokens overflowed. At time `now` the bucket has
//! `(now - paid) / interval` tokens, and at most `burst`.
//!
//! | step | `paid` becomes |
//! |---|---|
//! | a request for `n` tokens at `now` | `max(paid, now - burst * interval) + n * interval` |
//!
//! The request may go on at the time that `paid` has become, if that is later than `now`. One for
//! no token goes on at once.
//!
//! Times are nanoseconds since the process first used a limiter, plus the time in which the bucket
//! fills, so that the bucket is full at first. The clock is that of all limiters of the process: a
//! child of a `fork` goes on with it.
//!
//! # Invariants
//!
//! 1. **The rate.** The times at which requests go on, `n` of them after a moment `t`, are those of
//!    a bucket that had at most `burst` tokens at `t`: each request moves `paid` by its own tokens,
//!    and `paid` is never behind by more than `burst` of them.
//! 2. **Order.** Requests go on in the order of their compare-and-swaps.
//! 3. **A request that gives up takes nothing**: it is refused before it reserves, because the time
//!    at which it could go on is known then. A request that is cancelled later, or a task that is
//!    dropped while it waits, gives its tokens back, except as many as requests after it have
//!    taken, whose times count on them.
//! 4. **The numbers suffice.** The time in which the bucket fills is at most [`DEEPEST`], so that
//!    as many years of the clock fit above it. What is due later than that is refused.
//!
//! # Orderings
//!
//! Relaxed: the word is a count, and publishes nothing.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;
use std::time::Instant;

use crate::fork::PerProcess;
use crate::primitive::atomic::{AtomicU64, Ordering::Relaxed};
use crate::primitive::const_new;
use crate::wait::alarm::Alarm;
use crate::wait::event::Event;
use crate::wait::raw_semaphore::{Closed, TryAcquireError};

/// The longest time in which a bucket fills, in nanoseconds: 292 years.
const DEEPEST: u64 = 1 << 63;

/// The origin of the clock.
static START: PerProcess<Instant> = PerProcess::new();

/// A token bucket: at most `burst` requests at once, and a given number of requests in a period in
/// the long run.
///
/// A request takes its tokens and sleeps until they are due, so requests go on in the order in
/// which they came. No thread fills the bucket.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use sync_core::RateLimiter;
///
/// // 1000 requests in a second, 10 of them at once.
/// static REQUESTS: RateLimiter = RateLimiter::new(1000, Duration::from_secs(1)).burst(10);
///
/// for _ in 0..12 {
///     REQUESTS.acquire().unwrap();
/// }
/// // Ten went on at once; the other two were due after a millisecond each.
/// assert!(REQUESTS.try_acquire_many(10).is_err());
/// ```
///
/// # Memory ordering
///
/// It orders no other memory.
#[doc(alias = "TokenBucket")]
#[doc(alias = "throttle")]
pub struct RateLimiter {
    /// Nanoseconds: see "State".
    paid: AtomicU64,
    /// Nanoseconds between two tokens.
    interval: u64,
    /// At most `DEEPEST / interval` (invariant 4). A division that `new` and `burst` pay for.
    burst: u32,
    closed: Event,
}

impl RateLimiter {
    const_new! {
        /// Creates a limiter that lets `tokens` requests go on `per` period, and as many at once.
        /// Its bucket is full.
        ///
        /// The time between two tokens is a whole number of nanoseconds, rounded down.
        ///
        /// # Panics
        ///
        /// If there would be no token, or more than one in a nanosecond, or fewer than one in 292
        /// years. In a constant this is a compile error.
        #[track_caller]
        pub const fn new(tokens: u32, per: Duration) -> Self {
            assert!(tokens != 0, "a rate of nothing");
            let interval = per.as_nanos() / tokens as u128;
            assert!(interval != 0, "more than one token in a nanosecond");
            assert!(interval <= DEEPEST as u128, "fewer than one token in 292 years");
            Self {
                paid: AtomicU64::new(0),
                interval: interval as u64,
                burst: capped(tokens, interval as u64),
                closed: Event::new(),
            }
        }
    }

    /// Sets the number of tokens that the bucket can save up: of the requests that can go on at
    /// once after a quiet time. With 1 the requests are spread evenly. A bucket holds no more than
    /// the tokens of 292 years.
    ///
    /// # Panics
    ///
    /// If it is 0. In a constant this is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn burst(mut self, burst: u32) -> Self {
        assert!(burst != 0, "a bucket for no token");
        self.burst = capped(burst, self.interval);
        self
    }

    /// Takes a token, and sleeps until it is due.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the limiter is closed, or is closed before the token is due.
    pub fn acquire(&self) -> Result<(), Closed> {
        self.acquire_many(1)
    }

    /// Takes `n` tokens, and sleeps until they are due. There may be more of them than the bucket
    /// holds. A request for none does not wait.
    ///
    /// # Errors
    ///
    /// Like [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// If they are not due in 292 years.
    #[track_caller]
    pub fn acquire_many(&self, n: u32) -> Result<(), Closed> {
        // Without a limit the only failure is that the limiter is closed.
        self.take(n, None).map_err(|_| Closed)
    }

    /// Takes a token if one is due at this moment.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::NoPermits`] or [`TryAcquireError::Closed`].
    pub fn try_acquire(&self) -> Result<(), TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` tokens if they are due at this moment.
    ///
    /// # Errors
    ///
    /// Like [`try_acquire`](Self::try_acquire).
    pub fn try_acquire_many(&self, n: u32) -> Result<(), TryAcquireError> {
        if self.closed.is_set() {
            return Err(TryAcquireError::Closed);
        }
        let now = self.now();
        self.take_at(n, now, now).map(|_| ()).ok_or(TryAcquireError::NoPermits)
    }

    /// Like [`acquire`](Self::acquire), if the token is due within `timeout`. If it is not, that is
    /// known at once, and the call does not sleep.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError::TimedOut`] or [`TryAcquireError::Closed`].
    pub fn try_acquire_for(&self, timeout: Duration) -> Result<(), TryAcquireError> {
        self.try_acquire_many_for(1, timeout)
    }

    /// Like [`acquire_many`](Self::acquire_many), if the tokens are due within `timeout`.
    ///
    /// # Errors
    ///
    /// Like [`try_acquire_for`](Self::try_acquire_for).
    pub fn try_acquire_many_for(&self, n: u32, timeout: Duration) -> Result<(), TryAcquireError> {
        self.take(n, Some(nanoseconds(timeout)))
    }

    /// Like [`try_acquire_for`](Self::try_acquire_for), if the token is due by `deadline`.
    ///
    /// # Errors
    ///
    /// Like [`try_acquire_for`](Self::try_acquire_for).
    pub fn try_acquire_until(&self, deadline: Instant) -> Result<(), TryAcquireError> {
        self.try_acquire_for(deadline.saturating_duration_since(Instant::now()))
    }

    /// Like [`try_acquire_many_for`](Self::try_acquire_many_for), if the tokens are due by
    /// `deadline`.
    ///
    /// # Errors
    ///
    /// Like [`try_acquire_for`](Self::try_acquire_for).
    pub fn try_acquire_many_until(&self, n: u32, deadline: Instant) -> Result<(), TryAcquireError> {
        self.try_acquire_many_for(n, deadline.saturating_duration_since(Instant::now()))
    }

    /// Takes a token, and waits until it is due, as a task.
    ///
    /// Cancel-safe: a wait that is dropped gives its token back, if no later request has reserved
    /// one since; otherwise the token is used up, and no other request is delayed by that.
    ///
    /// The first wait of a process starts a thread, which wakes all tasks that wait for limiters.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_core::{RateLimiter, task::block_on};
    ///
    /// static REQUESTS: RateLimiter = RateLimiter::new(1000, Duration::from_secs(1)).burst(1);
    ///
    /// block_on(async {
    ///     for _ in 0..3 {
    ///         REQUESTS.acquire_async().await.unwrap();
    ///     }
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// Like [`acquire`](Self::acquire).
    pub async fn acquire_async(&self) -> Result<(), Closed> {
        self.acquire_many_async(1).await
    }

    /// Like [`acquire_async`](Self::acquire_async), for `n` tokens.
    ///
    /// # Errors
    ///
    /// Like [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// Like [`acquire_many`](Self::acquire_many).
    pub async fn acquire_many_async(&self, n: u32) -> Result<(), Closed> {
        if self.closed.is_set() {
            return Err(Closed);
        }
        let now = self.now();
        let due = self.take_at(n, now, u64::MAX).unwrap_or_else(|| never());
        let Some(wait) = due.checked_sub(now).filter(|wait| *wait != 0) else { return Ok(()) };
        let reserved = Reserved { limiter: self, n, due };
        // Past the end of the clock: never.
        let moment = Instant::now().checked_add(Duration::from_nanos(wait));
        let mut alarm = moment.map(Alarm::new);
        let mut closed = pin!(self.closed.wait_async());
        let result = poll_fn(|context| {
            if closed.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Closed));
            }
            match &mut alarm {
                Some(alarm) => pin!(alarm).poll(context).map(Ok),
                None => Poll::Pending,
            }
        })
        .await;
        core::mem::forget(reserved);
        result
    }

    /// Takes `n` tokens and returns how long the caller has to wait before it goes on, for a caller
    /// that sleeps by itself: an event loop, or a task with the timers of its own runtime.
    ///
    /// # Errors
    ///
    /// Like [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// Like [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn reserve(&self, n: u32) -> Result<Duration, Closed> {
        if self.closed.is_set() {
            return Err(Closed);
        }
        let now = self.now();
        let due = self.take_at(n, now, u64::MAX).unwrap_or_else(|| never());
        Ok(Duration::from_nanos(due.saturating_sub(now)))
    }

    /// Returns the number of tokens that are due. A snapshot: it may have changed before the call
    /// returns.
    #[must_use]
    pub fn available(&self) -> u32 {
        // Relaxed: "Orderings".
        let paid = self.paid.load(Relaxed);
        let saved = self.now().saturating_sub(paid) / self.interval;
        u32::try_from(saved).unwrap_or(u32::MAX).min(self.burst)
    }

    /// Ends every wait, and every later request, with [`Closed`].
    pub fn close(&self) {
        self.closed.set();
    }

    /// Returns whether [`close`](Self::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.is_set()
    }

    /// Takes `n` tokens and lets `sleep` wait until they are due: for at most the time that it is
    /// given, and for the event that the limiter is closed, of which it returns whether it came
    /// first. If it returns `None`, the tokens are given back, and the result is `None`.
    #[track_caller]
    pub(crate) fn acquire_by(
        &self,
        n: u32,
        sleep: impl FnOnce(&Event, Duration) -> Option<bool>,
    ) -> Option<Result<(), Closed>> {
        if self.closed.is_set() {
            return Some(Err(Closed));
        }
        let now = self.now();
        let due = self.take_at(n, now, u64::MAX).unwrap_or_else(|| never());
        if due <= now {
            return Some(Ok(()));
        }
        match sleep(&self.closed, Duration::from_nanos(due - now)) {
            Some(true) => Some(Err(Closed)),
            Some(false) => Some(Ok(())),
            None => {
                self.give_back(n, due);
                None
            }
        }
    }

    /// Gives back `n` tokens that were to be due at `due`, less those that were taken since
    /// (invariant 3).
    #[doc(hidden)]
    pub fn give_back(&self, n: u32, due: u64) {
        let price = u64::from(n).saturating_mul(self.interval);
        // Relaxed, all: "Orderings".
        let mut paid = self.paid.load(Relaxed);
        loop {
            let back = price.saturating_sub(paid.saturating_sub(due));
            match self.paid.compare_exchange_weak(paid, paid - back.min(paid), Relaxed, Relaxed) {
                Ok(_) => return,
                Err(seen) => paid = seen,
            }
        }
    }

    #[track_caller]
    fn take(&self, n: u32, patience: Option<u64>) -> Result<(), TryAcquireError> {
        if self.closed.is_set() {
            return Err(TryAcquireError::Closed);
        }
        let now = self.now();
        let latest = patience.map_or(u64::MAX, |patience| now.saturating_add(patience));
        let due = match self.take_at(n, now, latest) {
            Some(due) => due,
            None if patience.is_none() => never(),
            None => return Err(TryAcquireError::TimedOut),
        };
        let wait = Duration::from_nanos(due.saturating_sub(now));
        if !wait.is_zero() && self.closed.wait_timeout(wait) {
            return Err(TryAcquireError::Closed);
        }
        Ok(())
    }

    /// The step of the algorithm: reserves `n` tokens at the time `now`, and returns the time at
    /// which they are due. `None`, and nothing is taken, if that is after `latest`. For the models,
    /// which have no clock.
    #[doc(hidden)]
    #[inline]
    pub fn take_at(&self, n: u32, now: u64, latest: u64) -> Option<u64> {
        if n == 0 {
            return Some(now);
        }
        let floor = now.saturating_sub(self.depth());
        let price = u64::from(n).checked_mul(self.interval)?;
        // Relaxed, all: "Orderings".
        let mut paid = self.paid.load(Relaxed);
        loop {
            let due = paid.max(floor).checked_add(price)?;
            if due > latest && due > now {
                return None;
            }
            match self.paid.compare_exchange_weak(paid, due, Relaxed, Relaxed) {
                Ok(_) => return Some(due),
                Err(seen) => paid = seen,
            }
        }
    }

    /// The time in which an empty bucket becomes full. It does not overflow (invariant 4).
    #[inline]
    fn depth(&self) -> u64 {
        self.interval * u64::from(self.burst)
    }

    /// The time: see "State".
    #[inline]
    fn now(&self) -> u64 {
        let start = START.get(|parents| parents.copied().unwrap_or_else(Instant::now));
        nanoseconds(start.elapsed()).saturating_add(self.depth())
    }
}

/// Tokens that a task waits for. Dropped with the task: gives them back.
struct Reserved<'a> {
    limiter: &'a RateLimiter,
    n: u32,
    due: u64,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.limiter.give_back(self.n, self.due);
    }
}

/// Returns the number of tokens of a bucket that fills in [`DEEPEST`] at most.
const fn capped(burst: u32, interval: u64) -> u32 {
    let most = DEEPEST / interval;
    if (burst as u64) < most { burst } else { most as u32 }
}

/// In 64 bits, and `u64::MAX` where they do not suffice.
#[inline]
fn nanoseconds(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}

#[track_caller]
fn never() -> ! {
    panic!("these tokens are not due in 292 years");
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("available", &self.available())
            .field("burst", &self.burst)
            .field("interval", &Duration::from_nanos(self.interval))
            .field("closed", &self.is_closed())
            .finish()
    }
}
