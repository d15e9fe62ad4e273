//! What time it is, and how to sleep until it is later: the monotonic clock, and one that a test
//! turns by hand.

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, Weak};
use std::time::Instant;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::futex::{self, Deadline};

/// A clock that never goes back.
///
/// [`Monotonic`] is the default everywhere; [`ManualClock`] is for tests. One of your own may run
/// at another speed, or replay a recording: it says what time it is, when on the monotonic clock a
/// sleeper should look again, and rings its subscribers' [`Bell`]s when it jumps.
///
/// No lock is held while one of these methods is called.
pub trait Clock: Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> Instant;

    /// When to look again, on the system's monotonic clock, for somebody who waits for `deadline`.
    /// Too early costs a wake-up and is otherwise harmless. `None`: not before a bell rings.
    fn look_again(&self, deadline: Instant) -> Option<Instant> {
        Some(deadline)
    }

    /// Somebody sleeps by this clock, and wants its bell rung whenever `look_again`'s answers have
    /// changed.
    fn subscribe(&self, bell: &Arc<Bell>) {
        let _ = bell;
    }
}

/// The system's monotonic clock, that of [`Instant::now`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Monotonic;

impl Clock for Monotonic {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// Wakes one sleeper: rung when there is a reason to look again.
///
/// # Memory ordering
///
/// What was written before [`ring`](Self::ring) is visible to the sleeper when it looks again.
#[derive(Debug)]
pub struct Bell {
    /// How often it has rung, modulo 2^32.
    rung: AtomicU32,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { rung: AtomicU32::new(0) }
    }

    /// Rings: the sleeper, or whoever is about to sleep on what it read before, looks again.
    pub fn ring(&self) {
        // Release: pairs with the Acquire in `key`.
        self.rung.fetch_add(1, Ordering::Release);
        futex::wake_all(&raw const self.rung);
    }

    /// To be taken before looking at anything, and then slept on: whoever rings in between ends
    /// that sleep before it begins.
    pub(crate) fn key(&self) -> u32 {
        // Acquire: pairs with the Release in `ring`.
        self.rung.load(Ordering::Acquire)
    }

    /// Sleeps until somebody has rung since `key`, or until some moment; `None`: the end of the
    /// clock. May return for no reason.
    pub(crate) fn wait(&self, key: u32, until: Option<Instant>) {
        futex::wait_maybe(&self.rung, key, until.and_then(Deadline::at));
    }

    /// Sleeps by `clock`: until `deadline`, or somebody rings, or for no reason.
    pub(crate) fn wait_by(&self, clock: &dyn Clock, key: u32, deadline: Option<Instant>) {
        self.wait(key, deadline.and_then(|deadline| clock.look_again(deadline)));
    }
}

/// A clock that stands still until it is told otherwise: timers tested without sleeping.
///
/// Clones show the same time.
///
/// ```
/// use std::time::Duration;
/// use sync_timer::{ManualClock, Scheduler};
///
/// let clock = ManualClock::new();
/// let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
/// scheduler.once(Duration::from_secs(3600), || println!("an hour has passed")).unwrap();
///
/// clock.advance(Duration::from_secs(3599));
/// assert_eq!(scheduler.run_due(), 0);
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(scheduler.run_due(), 1);
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Shared>,
}

struct Shared {
    origin: Instant,
    /// Nanoseconds since the origin.
    elapsed: AtomicU64,
    bells: Mutex<Vec<Weak<Bell>>>,
}

impl ManualClock {
    /// A clock that stands at the present.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                origin: Instant::now(),
                elapsed: AtomicU64::new(0),
                bells: Mutex::new(Vec::new()),
            }),
        }
    }

    /// How far it has been turned.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        // Acquire: pairs with the Release in `turn`; who sees the time sees what was done before it
        // came.
        Duration::from_nanos(self.shared.elapsed.load(Ordering::Acquire))
    }

    /// Turns it on by `by`, and wakes whoever sleeps by it. Their callbacks run on their threads,
    /// perhaps after this has returned.
    pub fn advance(&self, by: Duration) {
        let by = nanoseconds(by);
        // The closure always gives a value, so this cannot fail. Release: as in `elapsed`; Acquire:
        // so that turns are one history.
        let _ = self
            .shared
            .elapsed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| Some(now.saturating_add(by)));
        self.ring();
    }

    /// Turns it on to `instant`; it never goes back, so an earlier one changes nothing.
    pub fn set(&self, instant: Instant) {
        let to = nanoseconds(instant.saturating_duration_since(self.shared.origin));
        // As in `advance`.
        self.shared.elapsed.fetch_max(to, Ordering::AcqRel);
        self.ring();
    }

    fn ring(&self) {
        let bells: Vec<_> = {
            let mut bells = self.shared.bells.lock();
            bells.retain(|bell| bell.strong_count() > 0);
            bells.iter().filter_map(Weak::upgrade).collect()
        };
        for bell in bells {
            bell.ring();
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        let now = self.shared.origin.checked_add(self.elapsed());
        now.expect("584 years fit into the system's clock")
    }

    fn look_again(&self, _: Instant) -> Option<Instant> {
        None
    }

    fn subscribe(&self, bell: &Arc<Bell>) {
        self.shared.bells.lock().push(Arc::downgrade(bell));
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("elapsed", &self.elapsed()).finish_non_exhaustive()
    }
}

/// A duration in nanoseconds; one of more than 584 years is `u64::MAX`, which means never.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
