//! Who waits for which lock, where and for how long (feature `stats`).
//!
//! Every acquisition that could not be had at once is counted by the kind of lock, whether it got
//! the lock in the end or gave up, and shown to a hook if there is one. An acquisition that need
//! not wait is not seen and costs one compare-and-swap, as ever. An attempt without a wait
//! (`try_lock`) never counts.
//!
//! Without the feature the locks are compiled as if this module did not exist.
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
//! use std::time::Duration;
//! use sync_core::{LockKind, Mutex, stats};
//!
//! static LONGEST: AtomicU64 = AtomicU64::new(0);
//!
//! stats::set_hook(|wait| {
//!     LONGEST.fetch_max(wait.waited().as_nanos() as u64, Relaxed);
//! });
//! let lock = Mutex::new(());
//! let held = lock.lock();
//! assert!(lock.try_lock_for(Duration::from_millis(2)).is_none());
//! drop(held);
//! stats::take_hook();
//!
//! assert!(LONGEST.load(Relaxed) >= 2_000_000, "the wait that gave up was seen");
//! let counters = stats::counters(LockKind::Mutex);
//! assert_eq!((counters.contended, counters.timed_out), (1, 1));
//! ```

use core::fmt;
use core::panic::Location;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::diagnostics::callback_slot::CallbackSlot;
use crate::diagnostics::lock_kind::LockKind;
use crate::user_code;

/// An acquisition that had to wait, seen when its wait was over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Contention {
    kind: LockKind,
    address: usize,
    location: &'static Location<'static>,
    waited: Duration,
    acquired: bool,
}

impl Contention {
    /// What kind of lock it is.
    #[must_use]
    pub fn kind(&self) -> LockKind {
        self.kind
    }

    /// An address inside the lock: the same for all its acquisitions, for as long as it is not
    /// moved.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// Where the lock was asked for.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// From the moment that the lock turned out not to be free until the wait was over.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns whether the thread has the lock now; `false`: its time was up.
    #[must_use]
    pub fn acquired(&self) -> bool {
        self.acquired
    }
}

/// `Mutex at 0x7ffe... waited 1.5ms in src/main.rs:3:20`.
impl fmt::Display for Contention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = if self.acquired { "" } else { ", then gave up" };
        write!(
            f,
            "{:?} at {:#x} waited for {:?} in {}{end}",
            self.kind, self.address, self.waited, self.location
        )
    }
}

type Callback = dyn Fn(&Contention) + Send + Sync;

static HOOK: CallbackSlot<Callback> = CallbackSlot::new();

/// Calls `hook` after every wait for a lock, in the thread that waited.
///
/// If the thread got the lock it holds it by then, so the hook makes others wait: it should be
/// short, and it must not ask for the lock that it is told of. What it does with locks is not
/// reported. A panic of the hook is reported by the standard panic hook and goes no further; nor
/// does a panic of its payload's `Drop`.
pub fn set_hook(hook: impl Fn(&Contention) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Takes the hook away, if there is one: `true`. A call of it that runs goes on.
pub fn take_hook() -> bool {
    HOOK.take()
}

/// What happened to all locks of a kind since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// How many acquisitions had to wait.
    pub contended: u64,
    /// How many of these gave up because their time was over, or because the semaphore was closed.
    pub timed_out: u64,
    /// How long they have waited, taken together.
    pub waited: Duration,
}

/// The counters of one kind. Each is exact; they are read one after the other, so a wait that ends
/// meanwhile may be in some of them.
#[must_use]
pub fn counters(kind: LockKind) -> Counters {
    let [contended, timed_out, nanoseconds] = &COUNTERS[kind as usize];
    // Relaxed: numbers for people.
    Counters {
        contended: contended.load(Relaxed),
        timed_out: timed_out.load(Relaxed),
        waited: Duration::from_nanos(nanoseconds.load(Relaxed)),
    }
}

const KINDS: usize = LockKind::Semaphore as usize + 1;

/// By kind: how many waited, how many gave up, and how many nanoseconds all of that took.
static COUNTERS: [[AtomicU64; 3]; KINDS] = [const { [const { AtomicU64::new(0) }; 3] }; KINDS];

/// A wait that has begun.
pub(crate) struct Wait {
    kind: LockKind,
    address: usize,
    location: &'static Location<'static>,
    since: Instant,
}

impl Wait {
    pub(crate) fn new(
        kind: LockKind,
        address: usize,
        location: &'static Location<'static>,
    ) -> Self {
        Self { kind, address, location, since: Instant::now() }
    }

    /// Counts the wait and shows it to the hook. Does not unwind: the thread may hold the lock and
    /// have no guard for it yet, and a panic would leave the lock held forever.
    pub(crate) fn ended(self, acquired: bool) {
        let Self { kind, address, location, since } = self;
        let waited = since.elapsed();
        let [contended, timed_out, nanoseconds] = &COUNTERS[kind as usize];
        contended.fetch_add(1, Relaxed);
        timed_out.fetch_add(u64::from(!acquired), Relaxed);
        nanoseconds.fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        let contention = Contention { kind, address, location, waited, acquired };
        HOOK.with(|hook| user_code::run_and_forget_panic(|| hook(&contention)));
    }
}
