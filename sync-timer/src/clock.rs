//! Clocks: the time, and how to sleep until it is later. The monotonic clock, and one that a test
//! moves by hand.

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::sync::{Arc, Weak};
use std::time::Instant;

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::futex::{self, Channel, Deadline};
use sync_core::primitive::steps::{Sleep, Step, Steps, Waiting};
use sync_core::task::{block_on, block_on_deadline};
use sync_core::{CancelToken, Mutex};

/// The latest time in nanoseconds. The number after it, `u64::MAX`, is the deadline that never
/// comes.
pub(crate) const LATEST: u64 = u64::MAX - 1;

/// A clock that never goes back.
///
/// [`Monotonic`] is the default everywhere; [`ManualClock`] is for tests. An implementation may run
/// at another speed, or replay a recording: it returns the time, returns when on the monotonic
/// clock a sleeper should look again, and notifies its subscribers' [`Notifier`]s when it jumps.
///
/// No lock is held while one of these methods is called. A panic of a method that a call of the
/// user's needs reaches the caller of that call, which then has changed nothing. On the
/// dispatcher's thread it is reported to
/// [`SchedulerBuilder::on_failure`](crate::SchedulerBuilder::on_failure), and the dispatcher tries
/// again a little later; on the thread of a [`Timer`](crate::Timer) it ends that timer as
/// [`Panicked`](crate::Outcome::Panicked).
pub trait Clock: Send + Sync + 'static {
    /// Returns the time.
    fn now(&self) -> Instant;

    /// Returns when a sleeper that waits for `deadline` should look again, on the system's
    /// monotonic clock. Too early costs a wake-up and is otherwise harmless. `None`: not before a
    /// notification.
    fn look_again(&self, deadline: Instant) -> Option<Instant> {
        Some(deadline)
    }

    /// Registers a sleeper that goes by this clock. Call [`notify`](Notifier::notify) whenever the
    /// results of `look_again` have changed.
    fn subscribe(&self, notifier: &Arc<Notifier>) {
        let _ = notifier;
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

/// Wakes one sleeper when there is a reason to look again.
///
/// # Memory ordering
///
/// Everything written before [`notify`](Self::notify) is visible to the sleeper when it looks
/// again.
#[derive(Debug)]
pub struct Notifier {
    /// The number of notifications, modulo 2^32.
    count: AtomicU32,
}

impl Notifier {
    pub(crate) fn new() -> Self {
        Self { count: AtomicU32::new(0) }
    }

    /// Makes the sleeper look again; also a sleeper that is about to sleep on what it read before.
    #[doc(alias = "ring")]
    pub fn notify(&self) {
        // Release: pairs with the Acquire in `key`.
        self.count.fetch_add(1, Ordering::Release);
        futex::wake_all(&raw const self.count);
    }

    /// The former name of [`notify`](Self::notify), kept until 0.2.
    #[doc(hidden)]
    pub fn ring(&self) {
        self.notify();
    }

    /// Returns what to sleep on. A sleeper takes the key before it looks at anything: a
    /// notification in between ends the sleep before it begins.
    pub(crate) fn key(&self) -> u32 {
        // Acquire: pairs with the Release in `notify`.
        self.count.load(Ordering::Acquire)
    }

    /// Sleeps until a notification that came after `key`, or until a moment; `None`: the end of the
    /// clock. May return for no reason.
    pub(crate) fn wait(&self, key: u32, until: Option<Instant>) {
        futex::wait_maybe(&self.count, key, until.and_then(Deadline::at));
    }

    /// As [`wait`](Self::wait), until the token is cancelled at most.
    pub(crate) fn wait_or_cancelled(&self, key: u32, until: Option<Instant>, token: &CancelToken) {
        let notified = Waiting::new(Notified { count: &self.count, key });
        let notified = token.until_cancelled(notified);
        match until {
            None => drop(block_on(notified)),
            Some(until) => drop(block_on_deadline(notified, until)),
        }
    }
}

impl Drop for Notifier {
    #[inline]
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.count);
    }
}

/// A sleep until a notification that came after `key`.
struct Notified<'a> {
    count: &'a AtomicU32,
    key: u32,
}

impl<'a> Steps<'a> for Notified<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        // Relaxed: the sleeper takes a new key before it looks at anything.
        if self.count.load(Ordering::Relaxed) != self.key {
            return Step::Done(());
        }
        let (word, expected, channel) = (self.count, self.key, Channel::ALL);
        Step::Sleep(Sleep { word, expected, channel, limit: None })
    }

    /// All sleepers are woken at once, so it owes no sleeper a wake.
    fn leave(&mut self) -> Option<()> {
        None
    }

    fn undo(&mut self, (): ()) {}
}

/// A clock that stands still until it is moved: timers tested without sleeping.
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
    shared: Arc<ManualTime>,
}

// Its parts are an atomic and a list that only our code touches: a panic of the user's leaves both
// whole.
impl UnwindSafe for ManualClock {}
impl RefUnwindSafe for ManualClock {}

struct ManualTime {
    origin: Instant,
    /// Nanoseconds since the origin, at most [`LATEST`].
    elapsed: AtomicU64,
    subscribers: Mutex<Subscribers>,
}

/// The sleepers that go by a clock.
struct Subscribers {
    notifiers: Vec<Weak<Notifier>>,
    /// The length at which the list is freed of the sleepers that are gone. At least twice the
    /// number of those that lived last time, so that the work is constant for each subscription.
    prune_at: usize,
}

impl Subscribers {
    const SMALLEST_PRUNE: usize = 16;

    fn add(&mut self, notifier: &Arc<Notifier>) {
        if self.notifiers.len() >= self.prune_at {
            self.prune();
        }
        self.notifiers.push(Arc::downgrade(notifier));
    }

    fn prune(&mut self) {
        self.notifiers.retain(|notifier| notifier.strong_count() > 0);
        self.prune_at = (2 * self.notifiers.len()).max(Self::SMALLEST_PRUNE);
        self.notifiers.shrink_to(self.prune_at);
    }
}

impl ManualClock {
    /// A clock that stands at the present.
    #[must_use]
    pub fn new() -> Self {
        let subscribers =
            Subscribers { notifiers: Vec::new(), prune_at: Subscribers::SMALLEST_PRUNE };
        Self {
            shared: Arc::new(ManualTime {
                origin: Instant::now(),
                elapsed: AtomicU64::new(0),
                subscribers: Mutex::new(subscribers),
            }),
        }
    }

    /// Returns how far it has been moved.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        // Acquire: pairs with the Release in `advance` and `set`; a thread that sees the time sees
        // what was done before it came.
        Duration::from_nanos(self.shared.elapsed.load(Ordering::Acquire))
    }

    /// Moves it on by `by`, and wakes every thread that sleeps by it. Their callbacks run on their
    /// threads, perhaps after this has returned.
    ///
    /// It stops one nanosecond before the end of its 584 years, so that `Duration::MAX` stays
    /// "never" for timers, also after `advance(Duration::MAX)`.
    pub fn advance(&self, by: Duration) {
        let by = nanoseconds(by);
        // The closure always returns a value, so this cannot fail. Release: as in `elapsed`;
        // Acquire: so that all moves form one history.
        let _ = self.shared.elapsed.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            Some(now.saturating_add(by).min(LATEST))
        });
        self.notify();
    }

    /// Moves it on to `instant`; it never goes back, so an earlier one changes nothing.
    pub fn set(&self, instant: Instant) {
        let to = nanoseconds(instant.saturating_duration_since(self.shared.origin));
        // Release and Acquire: as in `advance`.
        self.shared.elapsed.fetch_max(to.min(LATEST), Ordering::AcqRel);
        self.notify();
    }

    fn notify(&self) {
        let notifiers: Vec<_> = {
            let mut subscribers = self.shared.subscribers.lock();
            subscribers.prune();
            subscribers.notifiers.iter().filter_map(Weak::upgrade).collect()
        };
        for notifier in notifiers {
            notifier.notify();
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

    fn subscribe(&self, notifier: &Arc<Notifier>) {
        self.shared.subscribers.lock().add(notifier);
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
