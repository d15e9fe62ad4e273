//! The state that the shards, the handles and the dispatcher share.

use core::any::Any;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use sync_core::fork::ProcessMark;
use sync_core::primitive::atomic::{AtomicU64, Ordering};
use sync_core::user_code::{self, Payload};

use super::Executor;
use crate::clock::{Clock, LATEST, Notifier, nanoseconds};
use crate::disposed::Disposed;

/// `wake_at` of a dispatcher that is awake, or does not exist: it looks at every shard before it
/// sleeps, so no thread needs to wake it.
const AWAKE: u64 = 0;

/// The argument of [`SchedulerBuilder::on_failure`](super::SchedulerBuilder::on_failure).
pub(super) type Hook = Box<dyn Fn(Failure<'_>) + Send + Sync>;

pub(super) struct Core {
    clock: Disposed<Box<dyn Clock>>,
    /// Zero of the shards' nanoseconds.
    origin: Instant,
    /// Wakes the dispatcher.
    pub(super) notifier: Arc<Notifier>,
    /// The latest time until which the dispatcher sleeps; see `dispatcher.rs`.
    wake_at: AtomicU64,
    pub(super) executor: Option<Disposed<Box<dyn Executor>>>,
    on_failure: Option<Disposed<Hook>>,
    /// The process that has the dispatcher.
    pub(super) process: ProcessMark,
}

/// A failure that the scheduler reports to its hook.
pub(super) enum Failed {
    Panicked(Payload),
    Refused,
}

/// The failure of a timer that no call can return: the argument of the hook of
/// [`SchedulerBuilder::on_failure`](super::SchedulerBuilder::on_failure).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// A callback panicked, or a closure while it was dropped, or the executor, or the clock; with
    /// the panic's payload.
    Panicked(&'a (dyn Any + Send)),
    /// The executor dropped a callback instead of running it.
    Refused,
}

impl Failure<'_> {
    /// Returns the panic's message, if it was a text, as it is for `panic!("…")`.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Panicked(payload) => user_code::text(*payload),
            Self::Refused => None,
        }
    }
}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => {
                f.debug_tuple("Panicked").field(&self.message().unwrap_or("<not a text>")).finish()
            }
            Self::Refused => f.write_str("Refused"),
        }
    }
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => write!(
                f,
                "a timer's callback panicked: {}",
                self.message().unwrap_or("<not a text>")
            ),
            Self::Refused => {
                f.write_str("the executor dropped a timer's callback without running it")
            }
        }
    }
}

impl Core {
    pub(super) fn new(
        clock: Box<dyn Clock>,
        executor: Option<Box<dyn Executor>>,
        on_failure: Option<Hook>,
    ) -> Self {
        let (clock, executor, on_failure) =
            (Disposed::new(clock), executor.map(Disposed::new), on_failure.map(Disposed::new));
        let origin = clock.now();
        let notifier = Arc::new(Notifier::new());
        clock.subscribe(&notifier);
        let process = ProcessMark::current();
        let wake_at = AtomicU64::new(AWAKE);
        Self { clock, origin, notifier, wake_at, executor, on_failure, process }
    }

    /// Returns the time, in nanoseconds since the origin; never `u64::MAX`, which is the deadline
    /// that does not come. User code: the clock's panic comes out.
    pub(super) fn now(&self) -> u64 {
        self.nanoseconds_at(self.clock.now()).min(LATEST)
    }

    /// As [`now`](Self::now); reports the panic of the clock, and returns `None` then.
    pub(super) fn try_now(&self) -> Option<u64> {
        match user_code::run(|| self.now()) {
            Ok(now) => Some(now),
            Err(payload) => {
                self.report(Failed::Panicked(payload));
                None
            }
        }
    }

    /// When to look again for `deadline`, on the system's clock: see [`Clock::look_again`]. Reports
    /// the panic of the clock, and returns `deadline` then.
    pub(super) fn look_again(&self, deadline: Instant) -> Option<Instant> {
        match user_code::run(|| self.clock.look_again(deadline)) {
            Ok(again) => again,
            Err(payload) => {
                self.report(Failed::Panicked(payload));
                Some(deadline)
            }
        }
    }

    /// A moment as nanoseconds; one before the origin is 0, which is past.
    pub(super) fn nanoseconds_at(&self, instant: Instant) -> u64 {
        nanoseconds(instant.saturating_duration_since(self.origin))
    }

    /// Nanoseconds as a moment. `u64::MAX`, which is never, comes out as a moment 584 years from
    /// the origin.
    pub(super) fn instant(&self, nanoseconds: u64) -> Instant {
        self.origin
            .checked_add(Duration::from_nanos(nanoseconds))
            .expect("584 years fit into the system's clock")
    }

    /// Announces until when the dispatcher sleeps.
    pub(super) fn set_wake_at(&self, wake_at: u64) {
        // Relaxed: what an inserter must see of it is ordered by the shard's lock; see
        // `dispatcher.rs`.
        self.wake_at.store(wake_at, Ordering::Relaxed);
    }

    pub(super) fn set_awake(&self) {
        self.set_wake_at(AWAKE);
    }

    /// Returns whether the dispatcher may sleep past this deadline. Called under a shard's lock.
    pub(super) fn sleeps_past(&self, deadline: u64) -> bool {
        // Relaxed: as in `set_wake_at`.
        deadline < self.wake_at.load(Ordering::Relaxed)
    }

    /// Calls user code, and reports its panic.
    pub(super) fn guard(&self, user: impl FnOnce()) {
        if let Err(payload) = user_code::run(user) {
            self.report(Failed::Panicked(payload));
        }
    }

    /// Calls the hook. A panic of the hook has no addressee, and is disposed of.
    pub(super) fn report(&self, failed: Failed) {
        if let Some(hook) = &self.on_failure {
            user_code::run_and_forget_panic(|| match &failed {
                Failed::Panicked(payload) => hook(Failure::Panicked(&**payload)),
                Failed::Refused => hook(Failure::Refused),
            });
        }
        if let Failed::Panicked(payload) = failed {
            user_code::dispose_payload(payload);
        }
    }
}
