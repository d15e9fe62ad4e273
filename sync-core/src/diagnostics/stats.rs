//! Counts and reports the waits for locks: which lock, where and for how long (feature `stats`).
//!
//! Every acquisition that does not succeed at once is counted by the kind of lock, whether it gets
//! the lock in the end or gives up, and shown to a hook if there is one. An acquisition that does
//! not wait is not seen, and costs one compare-and-swap, as without the feature. An attempt without
//! a wait (`try_lock`) never counts.
//!
//! Without the feature the locks are compiled as if this module did not exist.
//!
//! Two more features, which switch this one on, pass the waits to what a program has already:
//!
//! * `tracing`: each wait is a span `wait` of the target `sync_core`, at the level TRACE, with the
//!   fields `kind`, `address`, `file` and `line`; at its end there is an event in it with
//!   `waited_us` and `acquired`. The locks that the subscriber takes meanwhile are not reported to
//!   it. The end of a span comes when the thread has the lock, so a slow subscriber makes other
//!   threads wait. A subscriber that is called by other code of the program, takes a lock of these
//!   crates, and waits for a second one while it holds the first, is told of that wait: it must not
//!   need the first one for that.
//! * `metrics`: the counters `sync_core_waits_total` and `sync_core_waits_given_up_total`, and the
//!   histogram `sync_core_wait_seconds`, each with the label `kind`.
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
#[cfg(feature = "tracing")]
use crate::diagnostics::quiet::quietly;
use crate::user_code;

/// An acquisition that had to wait, as seen at the end of its wait.
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
    /// Returns the kind of the lock.
    #[must_use]
    pub fn kind(&self) -> LockKind {
        self.kind
    }

    /// Returns an address inside the lock: the same for all its acquisitions while it is not moved.
    #[must_use]
    pub fn address(&self) -> usize {
        self.address
    }

    /// Returns the place of the call that acquires the lock.
    #[must_use]
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns the time from the first failed attempt to the end of the wait.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns whether the thread has the lock now. `false` means that its time was up.
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
/// If the thread got the lock, it holds it during the call, so the hook makes other threads wait:
/// it should be short, and it must not acquire the reported lock. Acquisitions in the hook are not
/// reported. A panic of the hook is reported by the standard panic hook and goes no further; nor
/// does a panic of its payload's `Drop`.
pub fn set_hook(hook: impl Fn(&Contention) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Removes the hook and returns whether there was one. A call of the hook that runs goes on.
pub fn take_hook() -> bool {
    HOOK.take()
}

/// The waits for all locks of a kind since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// The number of acquisitions that had to wait.
    pub contended: u64,
    /// The number of these that gave up because their time was over, or because the semaphore was
    /// closed.
    pub timed_out: u64,
    /// The total time of these waits.
    pub waited: Duration,
}

/// Returns the counters of one kind. Each is exact; they are read one after the other, so a wait
/// that ends meanwhile may be in some of them.
#[must_use]
pub fn counters(kind: LockKind) -> Counters {
    let [contended, timed_out, nanoseconds] = &COUNTERS[kind as usize];
    // Relaxed: statistics; no data is published through them.
    Counters {
        contended: contended.load(Relaxed),
        timed_out: timed_out.load(Relaxed),
        waited: Duration::from_nanos(nanoseconds.load(Relaxed)),
    }
}

const KINDS: usize = LockKind::Semaphore as usize + 1;

/// By kind: the number of waits, the number that gave up, and the total in nanoseconds.
static COUNTERS: [[AtomicU64; 3]; KINDS] = [const { [const { AtomicU64::new(0) }; 3] }; KINDS];

/// A wait that has begun.
pub(crate) struct Wait {
    kind: LockKind,
    address: usize,
    location: &'static Location<'static>,
    since: Instant,
    #[cfg(feature = "tracing")]
    span: Option<tracing::span::EnteredSpan>,
}

impl Wait {
    pub(crate) fn new(
        kind: LockKind,
        address: usize,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            kind,
            address,
            location,
            since: Instant::now(),
            #[cfg(feature = "tracing")]
            span: span(kind, address, location),
        }
    }

    /// Counts the wait and shows it to the hook. Does not unwind: the thread may hold the lock and
    /// have no guard for it yet, and a panic would leave the lock held forever.
    pub(crate) fn ended(self, acquired: bool) {
        let Self { kind, address, location, since, .. } = self;
        let waited = since.elapsed();
        #[cfg(feature = "tracing")]
        end_span(self.span, waited, acquired);
        #[cfg(feature = "metrics")]
        user_code::run_and_forget_panic(|| measure(kind, waited, acquired));
        let [contended, timed_out, nanoseconds] = &COUNTERS[kind as usize];
        // Relaxed, all: statistics; no data is published through them.
        contended.fetch_add(1, Relaxed);
        timed_out.fetch_add(u64::from(!acquired), Relaxed);
        nanoseconds.fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        let contention = Contention { kind, address, location, waited, acquired };
        HOOK.with(|hook| user_code::run_and_forget_panic(|| hook(&contention)));
    }
}

/// Enters the span of a wait. The subscriber is user code: its panic goes no further, and the locks
/// that it takes are not reported.
#[cfg(feature = "tracing")]
fn span(
    kind: LockKind,
    address: usize,
    location: &'static Location<'static>,
) -> Option<tracing::span::EnteredSpan> {
    let mut span = None;
    quietly(|| {
        user_code::run_and_forget_panic(|| {
            let made = tracing::trace_span!(
                target: "sync_core",
                "wait",
                kind = kind.name(),
                address,
                file = location.file(),
                line = location.line(),
            );
            span = Some(made.entered());
        });
    });
    span
}

#[cfg(feature = "tracing")]
fn end_span(span: Option<tracing::span::EnteredSpan>, waited: Duration, acquired: bool) {
    let Some(span) = span else { return };
    user_code::run_and_forget_panic(|| {
        let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        tracing::trace!(target: "sync_core", waited_us, acquired, "the wait is over");
        drop(span);
    });
}

#[cfg(feature = "metrics")]
fn measure(kind: LockKind, waited: Duration, acquired: bool) {
    metrics::counter!("sync_core_waits_total", "kind" => kind.name()).increment(1);
    if !acquired {
        metrics::counter!("sync_core_waits_given_up_total", "kind" => kind.name()).increment(1);
    }
    metrics::histogram!("sync_core_wait_seconds", "kind" => kind.name())
        .record(waited.as_secs_f64());
}
