//! What the shards, the handles and the dispatcher share.

use core::any::Any;
use core::fmt;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use sync_core::primitive::atomic::{AtomicU64, Ordering};

use super::Executor;
use crate::clock::{Bell, Clock, nanoseconds};

/// `wake_at` of a dispatcher that is awake, or does not exist: it looks at every shard before it
/// sleeps, so nobody need wake it.
const AWAKE: u64 = 0;

/// What [`SchedulerBuilder::on_failure`](super::SchedulerBuilder::on_failure) was given.
pub(super) type Hook = Box<dyn Fn(Failure<'_>) + Send + Sync>;

pub(super) struct Core {
    pub(super) clock: Box<dyn Clock>,
    /// Zero of the shards' nanoseconds.
    origin: Instant,
    /// Wakes the dispatcher.
    pub(super) bell: Arc<Bell>,
    /// Until when the dispatcher sleeps, at most; see `dispatcher.rs`.
    wake_at: AtomicU64,
    pub(super) executor: Option<Box<dyn Executor>>,
    pub(super) on_failure: Option<Hook>,
}

/// What the scheduler reports to its failure hook.
pub(super) enum Failed {
    Panicked(Box<dyn Any + Send>),
    Refused,
}

/// Something went wrong with a timer, and nobody was there to be told: given to the hook of
/// [`SchedulerBuilder::on_failure`](super::SchedulerBuilder::on_failure).
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// A callback panicked, or a closure while it was dropped; with what it panicked.
    Panicked(&'a (dyn Any + Send)),
    /// The executor dropped a callback instead of running it.
    Refused,
}

impl Failure<'_> {
    /// The panic's message, if it was a text, as it is for `panic!("…")`.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Panicked(payload) => match payload.downcast_ref::<&str>() {
                Some(text) => Some(text),
                None => payload.downcast_ref::<String>().map(String::as_str),
            },
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
        let origin = clock.now();
        let bell = Arc::new(Bell::new());
        clock.subscribe(&bell);
        Self { clock, origin, bell, wake_at: AtomicU64::new(AWAKE), executor, on_failure }
    }

    /// The time, in nanoseconds since the origin.
    pub(super) fn now(&self) -> u64 {
        self.nanoseconds_at(self.clock.now())
    }

    /// A moment as nanoseconds; one before the origin is 0, which is past.
    pub(super) fn nanoseconds_at(&self, instant: Instant) -> u64 {
        nanoseconds(instant.saturating_duration_since(self.origin))
    }

    /// Nanoseconds as a moment. The end of the nanoseconds, which is "never", comes out as a moment
    /// 584 years from the origin.
    pub(super) fn instant(&self, nanoseconds: u64) -> Instant {
        self.origin
            .checked_add(Duration::from_nanos(nanoseconds))
            .expect("584 years fit into the system's clock")
    }

    /// The dispatcher says until when it sleeps.
    pub(super) fn set_wake_at(&self, wake_at: u64) {
        // Relaxed: what an inserter must see of it is ordered by the shard's lock; see
        // `dispatcher.rs`.
        self.wake_at.store(wake_at, Ordering::Relaxed);
    }

    pub(super) fn set_awake(&self) {
        self.set_wake_at(AWAKE);
    }

    /// Whether the dispatcher may sleep past this deadline. Called under a shard's lock.
    pub(super) fn sleeps_past(&self, deadline: u64) -> bool {
        // Relaxed: as in `set_wake_at`.
        deadline < self.wake_at.load(Ordering::Relaxed)
    }

    /// Calls user code, and reports its panic.
    pub(super) fn guard(&self, user: impl FnOnce()) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(user)) {
            self.report(Failed::Panicked(payload));
        }
    }

    /// Tells the hook. A panic of the hook is swallowed: there is nobody left to tell.
    pub(super) fn report(&self, failed: Failed) {
        let told = catch_unwind(AssertUnwindSafe(|| {
            let Some(hook) = &self.on_failure else { return };
            match &failed {
                Failed::Panicked(payload) => hook(Failure::Panicked(&**payload)),
                Failed::Refused => hook(Failure::Refused),
            }
        }));
        // A payload is user code too, and may panic while it is dropped: with what that panics is
        // not dropped any more.
        for payload in [told.err(), Some(failed).and_then(Failed::payload)].into_iter().flatten() {
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                core::mem::forget(again);
            }
        }
    }
}

impl Failed {
    fn payload(self) -> Option<Box<dyn Any + Send>> {
        match self {
            Self::Panicked(payload) => Some(payload),
            Self::Refused => None,
        }
    }
}
